"""What becomes of each synapse in a NIR file."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from snn_toolbox_tf.graph import MaxPool, Synapse
from snn_toolbox_tf.nir_files.builder import CannotExportError, NirBuilder, check_dimensions, narrow
from snn_toolbox_tf.nir_files.export_bias_neuron import bias_weights, constant_current
from snn_toolbox_tf.nir_files.placement import AxisWindow, keras_offset
from snn_toolbox_tf.nir_files.rearrangement import Rearrangement, rearrangement
from snn_toolbox_tf.nir_files.terms import Term, channels_first, moved, natural_term, same_layout, summed
from snn_toolbox_tf.synapses import (
    AveragePoolingFamily,
    ConcatenationFamily,
    ConvolutionFamily,
    DenseFamily,
    DepthwiseConvolutionFamily,
    DifferenceFamily,
    GlobalAveragePoolingFamily,
    SumFamily,
    TransposedConvolutionFamily,
    family_of,
    is_rounding,
    is_scale,
    weighted_family,
)
from snn_toolbox_tf.synapses.bias import BiasWeightsFamily, ConstantCurrentFamily
from snn_toolbox_tf.synapses.build import apply_spec

_NO_COUNTERPART = "NIR has no node for it"
_MAX_POOLING = CannotExportError(
    "NIR has no max pooling", "Train the network with average pooling, or with convolutions of stride 2"
)


class LayerExporter:
    """Adds synapses to a NIR graph.

    Args:
        builder: The NIR graph.
        scales: "convolution": factors become windows of size 1, which importers read; "scale": they become `nir.Scale`.
    """

    def __init__(self, builder: NirBuilder, scales: str) -> None:
        self._builder, self._scales = builder, scales

    def export(self, node: Synapse | MaxPool, inputs: list[list[Term]], shapes: list[tuple[int, ...]]) -> list[Term]:
        """Adds what a node needs, which is nothing for one that adds or moves values; returns the terms of its output.

        Args:
            node: The node.
            inputs: The terms of its inputs.
            shapes: The shapes of its inputs.

        Raises:
            CannotExportError: If NIR has nothing for it.
        """
        if isinstance(node, MaxPool):
            raise _MAX_POOLING
        family = family_of(node)
        if isinstance(family, SumFamily):
            return summed(inputs, [1.0, -1.0] if isinstance(family, DifferenceFamily) else None)
        if isinstance(family, ConcatenationFamily):
            return _joined(node, inputs, shapes)
        if is_rounding(node):
            return self._rounded(node, inputs[0])
        if is_scale(node):
            return self._scale(node, inputs[0])
        if isinstance(family, ConstantCurrentFamily):
            return constant_current(self._builder, node, inputs[0])
        if isinstance(family, BiasWeightsFamily):
            return bias_weights(self._builder, node, inputs[0], _weight_notes(node))
        if not family.weighted and len(inputs) == 1 and family.keeps_spikes(node):
            return moved(inputs[0], lambda indices: apply_spec(node.layer, node.name, [indices]))
        return self._summing(node, inputs[0], shapes[0])

    def _summing(self, node: Synapse, terms: list[Term], shape: tuple[int, ...]) -> list[Term]:
        family = family_of(node)
        kinds: list[tuple[type, Callable[..., list[Term]]]] = [
            (DenseFamily, self._dense),
            (DepthwiseConvolutionFamily, self._convolution),
            (ConvolutionFamily, self._convolution),
            (AveragePoolingFamily, self._average),
            (GlobalAveragePoolingFamily, self._global_average),
        ]
        for kind, export in kinds:
            if isinstance(family, kind) and not isinstance(family, TransposedConvolutionFamily):
                return export(node, terms, shape)
        raise CannotExportError(_NO_COUNTERPART, "Replace it by convolutions, Dense layers, average pooling or sums")

    def _rounded(self, node: Synapse, terms: list[Term]) -> list[Term]:
        """Rounding is no node: readers find it in their metadata. Only single outputs can be rounded that way."""
        bits = int(node.layer.config["bits"])
        term = terms[0]
        if len(terms) > 1 or term.factor != 1.0 or term.bits is not None:
            edges = self._builder.layout_of(terms, node.shape, node.channel_axis, node.name)
            name = self._builder.pointwise(f"{node.origin}_sum", np.ones(1), None, edges)
            term = Term(name, edges[0].shape, edges[0].indices)
        return [Term(term.source, term.shape, term.indices, bits=bits)]

    def _scale(self, node: Synapse, terms: list[Term]) -> list[Term]:
        edges = self._builder.layout_of(terms, node.shape, node.channel_axis, node.name)
        sizes = [1] * len(node.shape)
        sizes[weighted_family(node).weight_axis(node)] = -1
        values = {
            name: edges[0].in_layout_of_source(array.reshape(sizes)) for name, array in node.layer.weights.items()
        }
        notes, offset = _weight_notes(node), values.get("offset")
        factors, offsets = _per_channel(values["factor"]), None if offset is None else _per_channel(offset)
        if offset is None and (self._scales == "scale" or factors is None):
            scale = self._builder.nir.Scale(scale=narrow(values["factor"]))
            name = self._builder.add(node.name, scale, edges, notes)
        elif factors is None or (offset is not None and offsets is None):
            raise CannotExportError(
                "it adds an offset, and factor or offset vary within a channel; NIR has biases per channel only",
                "Use one factor and one offset per channel",
            )
        else:
            name = self._builder.pointwise(node.name, factors, offsets, edges, notes)
        return [Term(name, edges[0].shape, edges[0].indices)]

    def _dense(self, node: Synapse, terms: list[Term], shape: tuple[int, ...]) -> list[Term]:
        kernel, bias = node.layer.weights["kernel"], node.layer.weights.get("bias")
        notes = _weight_notes(node)
        if len(shape) > 1:
            edges = self._builder.edges_of(terms, shape, len(shape) - 1, node.name)
            windows = [AxisWindow(size, size, 1) for size in shape[:-1]]
            weight = kernel.T.reshape(*kernel.T.shape, *(1,) * len(windows))
            name = self._builder.convolution(node.name, weight, bias, windows, edges, notes)
            return [natural_term(name, node.shape, len(shape) - 1)]
        # Rows follow the values that they belong to: Keras has flattened rows, columns, channels, NIR channels first.
        groups = [terms] if same_layout(terms) else [[term] for term in terms]
        result = []
        for place, group in enumerate(groups):
            term = group[0]
            rows = np.zeros((int(np.prod(term.shape)) + 1, kernel.shape[1]))
            np.add.at(rows, term.indices, term.factor * kernel.astype(np.float64))
            plain = natural_term(term.source, term.shape, 0).indices
            edges = self._builder.flattened([Term(one.source, one.shape, plain, bits=one.bits) for one in group])
            name = node.name if place == 0 else f"{node.name}_part"
            added = self._builder.linear(name, rows[1:].T, bias if place == 0 else None, edges, notes)
            result.append(natural_term(added, node.shape, 0))
        return result

    def _convolution(self, node: Synapse, terms: list[Term], shape: tuple[int, ...]) -> list[Term]:
        config, weights = node.layer.config, node.layer.weights
        check_dimensions(len(shape) - 1)
        kernel = _dense_kernel(node, shape[-1])
        dimensions, padding = len(shape) - 1, config.get("padding", "valid")
        strides, dilations = (_pairs(config.get(key, 1), dimensions) for key in ("strides", "dilation_rate"))
        windows = [
            AxisWindow(inputs, outputs, taps, stride, dilation, keras_offset(padding, *sizes))
            for sizes in zip(shape, node.shape, kernel.shape[2:], strides, dilations, strict=False)
            for inputs, outputs, taps, stride, dilation in [sizes]
        ]
        edges, windows = self._with_padding(node, terms, shape, windows)
        name = self._builder.convolution(node.name, kernel, weights.get("bias"), windows, edges, _weight_notes(node))
        return [natural_term(name, node.shape, dimensions)]

    def _with_padding(
        self, node: Synapse, terms: list[Term], shape: tuple[int, ...], windows: list[AxisWindow]
    ) -> tuple[list[Term], list[AxisWindow]]:
        """Has a convolution itself do what padding or cropping stands in front of it, if that is all that does."""
        found = _common_margins(terms, channels_first(shape, len(shape) - 1), windows)
        if found is None:
            return self._builder.edges_of(terms, shape, len(shape) - 1, node.name), windows
        source = terms[0].shape
        moved_windows = [
            AxisWindow(size, window.outputs, window.taps, window.stride, window.dilation, window.offset + offset)
            for size, window, offset in zip(source[1:], windows, found.offsets, strict=True)
        ]
        plain = natural_term("", source, 0).indices
        return [Term(term.source, source, plain, bits=term.bits) for term in terms], moved_windows

    def _average(self, node: Synapse, terms: list[Term], shape: tuple[int, ...]) -> list[Term]:
        config, dimensions = node.layer.config, len(shape) - 1
        sizes = _pairs(config["pool_size"], dimensions)
        strides = _pairs(config.get("strides") or config["pool_size"], dimensions)
        windows = [
            AxisWindow(*axis, offset=keras_offset(config.get("padding", "valid"), *axis, 1))
            for axis in zip(shape, node.shape, sizes, strides, strict=False)
        ]
        counts = [_values_inside(window) for window in windows]
        edges = self._builder.edges_of(terms, shape, dimensions, node.name)
        if all((count == size).all() for count, size in zip(counts, sizes, strict=True)):
            return self._plain_average(node, edges, windows)
        # At the borders Keras divides by the number of values inside; torch, and so NIR's readers, by all.
        ones = np.eye(shape[-1]).reshape(shape[-1], shape[-1], *(1,) * dimensions) * np.ones(sizes)
        total = self._builder.convolution(f"{node.name}_total", ones, None, windows, edges, {"dtype": node.dtype})
        places = np.ones(channels_first(node.shape, dimensions), np.float32)
        for axis, count in enumerate(counts):
            places = places / count.reshape([-1 if other == axis + 1 else 1 for other in range(dimensions + 1)])
        name = self._builder.add(
            node.name,
            self._builder.nir.Scale(scale=places.astype(np.float64)),
            [natural_term(total, node.shape, dimensions)],
            {"dtype": node.dtype},
        )
        return [natural_term(name, node.shape, dimensions)]

    def _plain_average(self, node: Synapse, edges: list[Term], windows: list[AxisWindow]) -> list[Term]:
        sizes, channels = [window.taps for window in windows], edges[0].shape[0]
        if len(windows) == 2:
            strides = np.array([window.stride for window in windows])
            pool = self._builder.nir.AvgPool2d(np.array(sizes), strides, np.zeros(2, np.int64))
            name = self._builder.add(node.name, pool, edges, {"dtype": node.dtype})
        else:
            # NIR pools images only.
            means = np.eye(channels).reshape(channels, channels, *(1,) * len(sizes)) * np.full(
                sizes, 1 / np.prod(sizes)
            )
            name = self._builder.convolution(node.name, means, None, windows, edges, {"dtype": node.dtype})
        return [natural_term(name, (*(window.outputs for window in windows), channels), len(windows))]

    def _global_average(self, node: Synapse, terms: list[Term], shape: tuple[int, ...]) -> list[Term]:
        edges = self._builder.edges_of(terms, shape, len(shape) - 1, node.name)
        (term,) = self._plain_average(node, edges, [AxisWindow(size, 1, size) for size in shape[:-1]])
        return [Term(term.source, term.shape, term.indices.reshape(node.shape))]


def _weight_notes(node: Synapse) -> dict[str, Any]:
    """The metadata of weights: their grid, what they are computed in, and for which currents."""
    family, bits = weighted_family(node), node.layer.fractional_bits
    notes: dict[str, Any] = {"dtype": node.dtype}
    for key, name in (("weight_bits", family.kernel), ("bias_bits", family.bias)):
        if name in bits and name in node.layer.weights:
            notes[key] = np.ravel(bits[name]).astype(np.int64)
    if node.expected is not None:
        notes["expected"] = float(node.expected)
    return notes


def _joined(node: Synapse, inputs: list[list[Term]], shapes: list[tuple[int, ...]]) -> list[Term]:
    """A concatenation is a sum of tensors that are zero outside their own part."""
    silent = [np.zeros(shape, np.int64) for shape in shapes]

    def in_place(place: int, indices: np.ndarray) -> np.ndarray:
        return apply_spec(node.layer, node.name, [*silent[:place], indices, *silent[place + 1 :]])

    return summed([moved(terms, functools.partial(in_place, place)) for place, terms in enumerate(inputs)])


def _dense_kernel(node: Synapse, inputs: int) -> np.ndarray:
    """Returns the kernel of a convolution as `[outputs, inputs, *window]`.

    Grouped and depthwise ones get zeros between the groups: nir 1.0.8 takes the number of input channels from the kernel,
    and refuses groups in its check of shapes; SpikingJelly 2.0.0 refuses them too.
    """
    kernel = node.layer.weights["kernel"]
    if isinstance(family_of(node), DepthwiseConvolutionFamily):
        multiplier = kernel.shape[-1]
        result = np.zeros((*kernel.shape[:-2], inputs, inputs * multiplier), kernel.dtype)
        for channel in range(inputs):
            result[..., channel, channel * multiplier : (channel + 1) * multiplier] = kernel[..., channel, :]
        return _outputs_first(result)
    groups, outputs = node.layer.config.get("groups", 1), kernel.shape[-1]
    if groups == 1:
        return _outputs_first(kernel)
    width, depth = inputs // groups, outputs // groups
    result = np.zeros((*kernel.shape[:-2], inputs, outputs), kernel.dtype)
    for group in range(groups):
        own = slice(group * depth, (group + 1) * depth)
        result[..., group * width : (group + 1) * width, own] = kernel[..., own]
    return _outputs_first(result)


def _outputs_first(kernel: np.ndarray) -> np.ndarray:
    return np.moveaxis(kernel, (-1, -2), (0, 1))


def _pairs(value: Any, dimensions: int) -> list[int]:
    """Returns one number per spatial axis for what Keras holds: a number, or one per axis."""
    return [int(size) for size in np.broadcast_to(value, dimensions)]


def _values_inside(window: AxisWindow) -> np.ndarray:
    """Returns how many of its values lie inside the tensor, at each place of a window."""
    reads = window.offset + window.stride * np.arange(window.outputs)[:, np.newaxis] + np.arange(window.taps)
    return ((reads >= 0) & (reads < window.inputs)).sum(axis=1)


def _per_channel(values: np.ndarray) -> np.ndarray | None:
    """Returns one value per channel of an array in NIR's layout, or None if they vary within one."""
    rows = values.reshape(len(values), -1)
    return rows[:, 0] if (rows == rows[:, :1]).all() else None


def _common_margins(terms: list[Term], shape: tuple[int, ...], windows: list[AxisWindow]) -> Rearrangement | None:
    """Returns the padding or cropping that all terms of a tensor share, if a convolution may do it itself; else None."""
    first = terms[0]
    if len({term.source for term in terms}) < len(terms):
        return None
    for term in terms:
        alike = term.shape == first.shape and term.factor == 1.0 and np.array_equal(term.indices, first.indices)
        if not alike:
            return None
    found = rearrangement(np.moveaxis(first.indices, -1, 0), first.shape)
    if found is None or not found.keeps_channels or first.shape[0] != shape[0]:
        return None
    for size, source, offset, window in zip(shape[1:], first.shape[1:], found.offsets, windows, strict=True):
        last = window.offset + window.stride * (window.outputs - 1) + window.dilation * (window.taps - 1)
        stays_inside = window.offset >= 0 and last < size
        only_pads = offset <= 0 and size + offset >= source
        if not (stays_inside or only_pads):
            # What is cropped away must stay away.
            return None
    return found
