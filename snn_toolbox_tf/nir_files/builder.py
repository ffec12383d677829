"""A NIR graph as it grows: nodes, edges, and the connections between tensors that are laid out differently."""

import re
import types
from collections.abc import Sequence
from typing import Any

import numpy as np

from snn_toolbox_tf.nir_files.placement import AxisWindow, padded_kernel, with_equal_padding
from snn_toolbox_tf.nir_files.rearrangement import rearrangement
from snn_toolbox_tf.nir_files.terms import Term, channels_first, natural_term, same_layout


class CannotExportError(Exception):
    """A node has no counterpart in NIR.

    Args:
        reason: Why.
        remedy: What to do about it.
    """

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}. {remedy}")


class NirBuilder:
    """Nodes and edges of a NIR graph.

    Args:
        nir: The package.

    Attributes:
        nodes: The nodes by name.
        edges: Names of two nodes each.
        notes: What NIR has no field for, by node: metadata of the graph, because older versions have none for some nodes.
    """

    def __init__(self, nir: types.ModuleType) -> None:
        self.nir = nir
        self.nodes: dict[str, Any] = {}
        self.edges: list[tuple[str, str]] = []
        self.notes: dict[str, dict[str, Any]] = {}
        self._flattened: dict[tuple[Any, ...], Term] = {}

    def add(self, wanted: str, node: Any, terms: Sequence[Term], notes: dict[str, Any] | None = None) -> str:
        """Adds a node that reads plain terms; returns its name.

        Args:
            wanted: What it stands for. Readers make attributes of names: of other characters, underscores are made.
            node: The NIR node.
            terms: What it reads, one edge each.
            notes: What NIR has no field for.
        """
        plain = re.sub(r"\W", "_", wanted, flags=re.ASCII)
        base = plain if plain[:1].isalpha() else f"n_{plain}"
        name, number = base, 1
        while name in self.nodes:
            number += 1
            name = f"{base}_{number}"
        known = {**(notes or {})}
        if name != wanted:
            known["name"] = wanted
        if rounding := {term.source: term.bits for term in terms if term.bits is not None}:
            known["rounding"] = rounding
        self.nodes[name], self.notes[name] = node, known
        self.edges += [(term.source, name) for term in terms]
        return name

    def edges_of(self, terms: list[Term], shape: tuple[int, ...], channel_axis: int, reader: str) -> list[Term]:
        """Returns a tensor as plain terms in NIR's layout, one edge each, with connections in between where needed.

        Args:
            terms: The tensor.
            shape: Its shape.
            channel_axis: The axis of its channels.
            reader: What reads it, for names.

        Raises:
            CannotExportError: If no NIR node rearranges values in such a way.
        """
        edges: dict[str, Term] = {}
        for term in terms:
            plain = natural_term(term.source, shape, channel_axis)
            fits = term.shape == plain.shape and np.array_equal(term.indices, plain.indices)
            if not fits or term.factor != 1.0 or term.source in edges:
                name = self._connect(term, shape, channel_axis, f"{term.source}_to_{reader}")
                term = natural_term(name, shape, channel_axis)
            edges[term.source] = term
        return list(edges.values())

    def layout_of(self, terms: list[Term], shape: tuple[int, ...], channel_axis: int, reader: str) -> list[Term]:
        """Returns the edges that something elementwise reads: in whichever layout they have, if it is the same for all."""
        return terms if same_layout(terms) else self.edges_of(terms, shape, channel_axis, reader)

    def convolution(
        self,
        name: str,
        kernel: np.ndarray,
        bias: np.ndarray | None,
        windows: Sequence[AxisWindow],
        terms: Sequence[Term],
        notes: dict[str, Any] | None = None,
    ) -> str:
        """Adds a convolution; returns its name.

        Args:
            name: What it stands for.
            kernel: `[outputs, inputs, *window]`.
            bias: `[outputs]`, or None.
            windows: How the window moves along each axis.
            terms: What it reads, one edge each.
            notes: What NIR has no field for.

        Raises:
            CannotExportError: If NIR has no such convolution.
        """
        check_dimensions(len(windows))
        kinds = {1: self.nir.Conv1d, 2: self.nir.Conv2d}
        padded = with_equal_padding(windows)
        if padded is None:
            raise CannotExportError(
                f"its window {kernel.shape[2:]} cannot be made square with equal padding on both sides, as NIR's check of "
                "shapes (nir 1.0.8) demands",
                "Use a square window",
            )
        sizes = {
            "input_shape": [window.inputs for window in windows],
            "stride": [window.stride for window in windows],
            "padding": [axis.padding for axis in padded],
            "dilation": [axis.dilation for axis in padded],
        }
        fields = {key: values[0] if len(windows) == 1 else tuple(values) for key, values in sizes.items()}
        bias = np.zeros(len(kernel)) if bias is None else bias
        weight = narrow(padded_kernel(kernel, windows, padded))
        node = kinds[len(windows)](weight=weight, bias=narrow(bias), groups=1, **fields)
        return self.add(name, node, terms, notes)

    def linear(
        self,
        name: str,
        weight: np.ndarray,
        bias: np.ndarray | None,
        terms: Sequence[Term],
        notes: dict[str, Any] | None = None,
    ) -> str:
        """Adds `weight [outputs, inputs]`, with a bias or without, on vectors; returns its name."""
        if bias is None:
            return self.add(name, self.nir.Linear(weight=narrow(weight)), terms, notes)
        return self.add(name, self.nir.Affine(weight=narrow(weight), bias=narrow(bias)), terms, notes)

    def flattened(self, terms: Sequence[Term]) -> list[Term]:
        """Returns plain terms of one shape as what a Linear can read: a vector in NIR's order."""
        shape = terms[0].shape
        if len(shape) == 1:
            return list(terms)
        key = tuple(sorted((term.source, term.bits) for term in terms))
        if key not in self._flattened:
            node = self.nir.Flatten(input_type={"input": np.array(shape)}, start_dim=0, end_dim=-1)
            name = self.add(f"{terms[0].source}_flat", node, terms)
            self._flattened[key] = natural_term(name, (int(np.prod(shape)),), 0)
        return [self._flattened[key]]

    def pointwise(
        self,
        name: str,
        factor: np.ndarray,
        bias: np.ndarray | None,
        terms: Sequence[Term],
        notes: dict[str, Any] | None = None,
    ) -> str:
        """Adds a product with one factor per channel as a window of size 1 (on vectors a diagonal matrix)."""
        shape = terms[0].shape
        diagonal = np.diag(np.broadcast_to(factor, shape[:1]))
        if len(shape) == 1:
            return self.linear(name, diagonal, bias, terms, notes)
        windows = [AxisWindow(size, size, 1) for size in shape[1:]]
        kernel = diagonal.reshape(*diagonal.shape, *(1,) * len(windows))
        return self.convolution(name, kernel, bias, windows, terms, notes)

    def _connect(self, term: Term, shape: tuple[int, ...], channel_axis: int, name: str) -> str:
        """Adds what brings a term into NIR's layout of a tensor: a kernel of zeros and the term's factor."""
        target = channels_first(shape, channel_axis)
        plain = natural_term(term.source, term.shape, 0)
        edge = Term(term.source, term.shape, plain.indices, bits=term.bits)
        if len(target) == 1:
            weight = np.zeros((target[0], int(np.prod(term.shape))))
            used = np.flatnonzero(term.indices)
            weight[used, term.indices[used] - 1] = term.factor
            return self.linear(name, weight, None, self.flattened([edge]))
        found = rearrangement(np.moveaxis(term.indices, channel_axis, 0), term.shape)
        if found is None:
            raise CannotExportError(
                f"it reads values of '{term.source}', {term.shape}, rearranged to {target} as no NIR node does it",
                "Leave out what repeats, splits or reshapes tensors in front of it, or have a Dense layer read it",
            )
        kernel = np.zeros((target[0], term.shape[0], *(1,) * (len(target) - 1)))
        used = np.flatnonzero(found.channels >= 0)
        kernel[used, found.channels[used]] = term.factor
        windows = [
            AxisWindow(inputs, outputs, 1, stride, offset=offset)
            for inputs, outputs, stride, offset in zip(
                term.shape[1:], target[1:], found.strides, found.offsets, strict=True
            )
        ]
        if with_equal_padding(windows) is None:
            lasts = [axis.offset + axis.stride * (axis.outputs - 1) for axis in windows]
            margins = [(-axis.offset, last + 1 - axis.inputs) for axis, last in zip(windows, lasts, strict=True)]
            raise CannotExportError(
                f"it reads values of '{term.source}' with padding or cropping of {margins} (before and behind each axis, "
                "negative where cropped), which no square window with equal padding on both sides does",
                "Pad and crop both axes alike, or have a convolution read it alone",
            )
        return self.convolution(name, kernel, None, windows, [edge])


def check_dimensions(dimensions: int) -> None:
    """Raises if NIR has no convolutions of so many spatial dimensions.

    Raises:
        CannotExportError: If so.
    """
    if dimensions not in (1, 2):
        raise CannotExportError(
            f"it has {dimensions} spatial dimensions, and NIR has convolutions of 1 and 2",
            "Use layers of 1 or 2 spatial dimensions",
        )


def narrow(values: np.ndarray) -> np.ndarray:
    """Returns numbers as float32 where that holds them exactly, else as float64."""
    values = np.asarray(values, np.float64)
    small = values.astype(np.float32)
    return small if np.array_equal(small, values) else values
