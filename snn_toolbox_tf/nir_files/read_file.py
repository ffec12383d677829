"""A NIR file, read and looked through: nodes in order, edges that lead somewhere, numbers that are finite."""

import dataclasses
import graphlib
import json
import os
import pathlib
from typing import Any

import numpy as np

from snn_toolbox_tf.foundation.errors import UnsupportedModelError
from snn_toolbox_tf.model_files import ModelFileError
from snn_toolbox_tf.nir_files.package import nir_package

#: Formats of this package's metadata that can be read.
READABLE = (1, 2)


@dataclasses.dataclass
class NirFile:
    """What a NIR file holds.

    Attributes:
        path: The file.
        nodes: NIR nodes by name, each after those that it reads.
        sources: Names of the nodes that each node reads.
        notes: Metadata of the whole network that this package wrote; empty in files from other tools.
    """

    path: pathlib.Path
    nodes: dict[str, Any]
    sources: dict[str, list[str]]
    notes: dict[str, Any]

    @property
    def is_ours(self) -> bool:
        """Whether this package wrote it."""
        return bool(self.notes)

    def metadata(self, name: str) -> dict[str, Any]:
        """Returns what this package wrote of a node besides NIR's fields."""
        return self.notes.get("nodes", {}).get(name, {})

    def damaged(self, reason: object) -> ModelFileError:
        """Returns the error for a file that cannot be read."""
        line = " ".join(str(reason).split())[:500].rstrip(".")
        return ModelFileError(
            f"cannot read '{self.path}' ({self.path.stat().st_size:,} bytes) as NIR: {line}. "
            "Expected a file that `nir.write` or `snn_toolbox_tf.export_nir` wrote."
        )


def read_nir(filepath: str | os.PathLike[str]) -> NirFile:
    """Reads a NIR file.

    Raises:
        ModelFileError: If there is no such file, or it is damaged or no NIR file.
        UnsupportedModelError: If nodes depend on themselves.
        ImportError: If the package `nir` is not installed.
    """
    path, nir = pathlib.Path(filepath), nir_package()
    if not path.is_file():
        raise ModelFileError(f"There is no file '{path}'. Expected a NIR file, such as `export_nir` writes.")
    file = NirFile(path, {}, {}, {})
    try:
        # Shapes are checked here, node by node: nir's own check stops at groups and at windows that are not square.
        graph = nir.read(path, type_check=False)
        nodes, edges = dict(graph.nodes), [(str(start), str(end)) for start, end in graph.edges]
    # HDF5 and nir raise whatever a damaged file happens to trip over.
    except Exception as error:
        raise file.damaged(f"{type(error).__name__}: {error}") from error
    _check_edges(file, nodes, edges)
    file.notes = _notes(file, graph)
    file.sources = {name: [start for start, end in edges if end == name] for name in nodes}
    file.nodes = {name: nodes[name] for name in _ordered(file)}
    for name, node in file.nodes.items():
        _check_numbers(file, name, node)
    return file


def _check_edges(file: NirFile, nodes: dict[str, Any], edges: list[tuple[str, str]]) -> None:
    unknown = sorted({name for edge in edges for name in edge if name not in nodes})
    if unknown:
        raise file.damaged(f"its edges name {unknown}, which are no nodes of it")
    if len(set(edges)) < len(edges):
        twice = sorted({edge for edge in edges if edges.count(edge) > 1})
        raise file.damaged(f"it has the same edge twice: {twice}")
    for place, kind, way in ((1, "Input", "into"), (0, "Output", "out of")):
        names = {name for name, node in nodes.items() if type(node).__name__ == kind}
        if not names:
            raise file.damaged(f"it has no {kind} node")
        if wrong := [edge for edge in edges if edge[place] in names]:
            raise file.damaged(f"it has edges {way} {kind} nodes: {wrong}")


def _ordered(file: NirFile) -> list[str]:
    try:
        return list(graphlib.TopologicalSorter(file.sources).static_order())
    except graphlib.CycleError as error:
        raise UnsupportedModelError(
            f"'{file.path}' is recurrent: {' -> '.join(reversed(error.args[1]))}. A SpikingModel has no cycles. "
            "Leave these edges out, or run the network in a simulator that has them."
        ) from error


def _check_numbers(file: NirFile, name: str, node: Any) -> None:
    for field, value in vars(node).items():
        if not isinstance(value, np.ndarray):
            continue
        if value.dtype.kind not in "biuf":
            raise file.damaged(
                f"`{field}` of node '{name}' ({type(node).__name__}) holds {value.dtype}, and no real numbers"
            )
        if not np.isfinite(value).all():
            raise file.damaged(f"`{field}` of node '{name}' ({type(node).__name__}) holds NaN or infinite values")


def _notes(file: NirFile, graph: Any) -> dict[str, Any]:
    metadata = graph.metadata if isinstance(graph.metadata, dict) else {}
    if not str(metadata.get("writer", "")).startswith("snn_toolbox_tf"):
        return {}
    if not any(np.array_equal(metadata.get("format", 0), known) for known in READABLE):
        raise file.damaged(
            f"its metadata has format {metadata.get('format')!r} of {metadata['writer']}; this version reads {READABLE}"
        )
    try:
        parsed = {key: json.loads(metadata[key]) for key in ("network", "conversion")}
    except (KeyError, TypeError, ValueError) as error:
        raise file.damaged(f"its metadata was changed: {type(error).__name__}: {error}") from error
    return {**metadata, **parsed}
