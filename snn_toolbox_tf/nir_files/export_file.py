"""`export_nir`: a spiking network as a NIR file."""

import contextlib
import io
import json
import math
import os
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from snn_toolbox_tf.foundation.argument_checks import check_file_name, check_one_of, check_timesteps, is_number
from snn_toolbox_tf.foundation.atomic_files import replacing
from snn_toolbox_tf.foundation.errors import UnsupportedModelError
from snn_toolbox_tf.graph import Graph, InputNode, LayerNode, LayerSpec, Node, Population, Readout
from snn_toolbox_tf.model import SpikingModel, check_spiking_model
from snn_toolbox_tf.nir_files.builder import CannotExportError, NirBuilder
from snn_toolbox_tf.nir_files.export_layers import LayerExporter
from snn_toolbox_tf.nir_files.export_neurons import INITIAL_POTENTIALS, NeuronExporter
from snn_toolbox_tf.nir_files.package import nir_package
from snn_toolbox_tf.nir_files.terms import Term, channels_first, natural_term
from snn_toolbox_tf.version import __version__

#: Seconds in a timestep; readers of NIR files have the same default.
DEFAULT_DT = 1e-4
#: Raised whenever an older version could not read what this one writes.
FORMAT, FORMAT_OF_PLAIN_NEURONS = 2, 1
SCALES = ("convolution", "scale")


def export_nir(
    model_snn: SpikingModel,
    filepath: str | os.PathLike[str],
    *,
    dt: float = DEFAULT_DT,
    initial_potential: str = "metadata",
    timesteps: int | None = None,
    scales: str = "convolution",
) -> None:
    """Writes a spiking network as a NIR file (Pedersen et al. 2024, Nature Communications 15:8122).

    NIR describes layers and neurons; what it has no field for goes into its metadata, which other readers do not look at:
    reset by subtraction, `>=` instead of `>`, the initial membrane potential, rounding to the grid, and the decoder. The
    documentation has a table of all that is preserved, extended and refused, and says how to run the file elsewhere.

    Whoever runs the file feeds the image at every timestep, channels first, and averages what comes out over time.

    Args:
        model_snn: The network, in normalised form, as `convert_keras` makes it.
        filepath: The file to write, ending in `.nir`. An existing one is replaced once the new one is whole.
        dt: Seconds in a timestep: neurons get the resistance `r = 1 / dt`, so that a current of 1 raises the membrane
            potential by 1 in one timestep.
        initial_potential: "metadata": readers must set v0 themselves. "bias": v0 / T is added to the current of each
            timestep instead, theta / 2T with the usual v0, which comes to the same sum after T timesteps, but not to the
            same spikes. That holds for neurons without leak and with reset by subtraction; others are refused. On the
            grid, v0 / T is rounded up.
        timesteps: T of "bias", and of the network that is read from the file; the network's own if None.
        scales: What a product with a factor becomes: "convolution", a window of size 1 (on vectors, a diagonal matrix),
            which all importers read; or "scale", a `nir.Scale`, which is smaller.

    Raises:
        TypeError: If `model_snn` is not a SpikingModel.
        IsADirectoryError: If `filepath` is a folder.
        UnsupportedModelError: If NIR cannot hold the network; the message lists all that it cannot hold.
        ValueError: For an argument that is not usable.
        ImportError: If the package `nir` is not installed.

    Example:
        >>> import keras, numpy as np, pathlib, tempfile, snn_toolbox_tf as snn
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3)])
        >>> x = np.random.default_rng(0).random((64, 4), "float32")
        >>> model_snn = snn.convert_keras(model, x, timesteps=16)
        >>> file = pathlib.Path(tempfile.mkdtemp(), "net.nir")
        >>> snn.export_nir(model_snn, file)
        >>> bool((snn.import_nir(file).predict(x, verbose=0) == model_snn.predict(x, verbose=0)).all())
        True
    """
    check_spiking_model(model_snn)
    check_file_name(filepath, ".nir")
    if not (is_number(dt) and dt > 0 and math.isfinite(1.0 / dt)):
        raise ValueError(f"Expected `dt` to be a positive number of seconds, with a finite 1 / dt. Received: dt={dt!r}")
    check_one_of(initial_potential, INITIAL_POTENTIALS, "initial_potential")
    check_one_of(scales, SCALES, "scales")
    if timesteps is not None and initial_potential != "bias":
        raise ValueError(
            f"`timesteps` is for initial_potential='bias'. Received: timesteps={timesteps!r}, "
            f"initial_potential={initial_potential!r}. Leave it out."
        )
    timesteps = model_snn.timesteps if timesteps is None else check_timesteps(timesteps)
    nir = nir_package()
    graph = model_snn.graph_on_grid()
    builder = NirBuilder(nir)
    neurons = NeuronExporter(builder, float(dt), initial_potential, timesteps)
    _Walk(graph, builder, LayerExporter(builder, scales), neurons).export()
    notes = {name: known for name, known in builder.notes.items() if known}
    version = FORMAT if neurons.beyond_plain else FORMAT_OF_PLAIN_NEURONS
    metadata = {
        **_notes(model_snn, graph),
        "format": version,
        "dt": float(dt),
        "initial_potential": initial_potential,
        "nodes": notes,
    }
    if initial_potential == "bias":
        metadata["initial_potential_timesteps"] = timesteps
    # Built in memory: a full disk is an error of the one write below.
    whole = nir.NIRGraph(builder.nodes, builder.edges, metadata)
    buffer = io.BytesIO()
    nir.write(buffer, whole)
    _leave_out_reset(buffer)
    with replacing(filepath) as file:
        file.write(buffer.getbuffer())


def _leave_out_reset(buffer: io.BytesIO) -> None:
    """Takes each `v_reset` of 0 out of a file; missing, it is 0: nir 1.0.4, which sinabs asks for, has no such field."""
    with h5py.File(buffer, "r+") as file:
        for node in file["node/nodes"].values():
            if "v_reset" in node and not node["v_reset"][()].any():
                del node["v_reset"]


class _Walk:
    """Goes through a graph once, and collects all that cannot be exported."""

    def __init__(self, graph: Graph, builder: NirBuilder, layers: LayerExporter, neurons: NeuronExporter) -> None:
        self._graph, self._builder, self._layers, self._neurons = graph, builder, layers, neurons
        self._terms: dict[str, list[Term]] = {}
        self._refused: list[str] = []

    def export(self) -> None:
        """Adds everything to the NIR graph.

        Raises:
            UnsupportedModelError: If something cannot be exported.
        """
        for node in self._graph:
            with self._collecting(f"'{node.name}' ({_kind(node)})"):
                self._terms[node.name] = self._exported(node)
            # What follows is looked at as well, as if this had gone well.
            self._terms.setdefault(node.name, [natural_term(node.name, node.shape, node.channel_axis)])
        for readout in self._graph.readouts:
            with self._collecting(f"output '{readout.name}'"):
                self._export_output(readout)
        if not self._refused:
            with self._collecting("initial potentials"):
                self._neurons.shift_currents()
        if self._refused:
            raise UnsupportedModelError(
                f"NIR cannot hold SpikingModel '{self._graph.name}':\n" + "\n".join(self._refused)
            )

    @contextlib.contextmanager
    def _collecting(self, what: str) -> Iterator[None]:
        try:
            yield
        except CannotExportError as error:
            self._refused.append(f"- {what}: {error}")

    def _exported(self, node: Node) -> list[Term]:
        if isinstance(node, InputNode):
            axis = _input_channel_axis(self._graph, node)
            shape = np.array(channels_first(node.shape, axis))
            notes = {"magnitude": float(node.magnitude), "dtype": node.dtype}
            name = self._builder.add(node.name, self._builder.nir.Input({"input": shape}), [], notes)
            return [natural_term(name, node.shape, axis)]
        inputs = [self._terms[name] for name in node.inputs]
        if isinstance(node, Population):
            return self._neurons.export(node, inputs[0])
        if not isinstance(node, LayerNode):
            raise TypeError(f"Node '{node.name}' ({type(node).__name__}) has no place in a spiking graph.")
        return self._layers.export(node, inputs, [self._graph[name].shape for name in node.inputs])

    def _export_output(self, readout: Readout) -> None:
        node = self._graph[readout.node]
        terms = self._terms[node.name]
        edges = self._builder.edges_of(terms, node.shape, node.channel_axis, readout.name)
        notes: dict[str, Any] = {"decoder": json.dumps([_decoding(spec) for spec in readout.decoder])}
        if readout.shape is not None:
            notes["decoded_shape"] = np.array(readout.shape, np.int64)
        if readout.start:
            notes["start"] = readout.start
        if readout.spiking_softmax:
            notes["spiking_softmax"] = 1
        shape = np.array(channels_first(node.shape, node.channel_axis))
        self._builder.add(readout.name, self._builder.nir.Output({"output": shape}), edges, notes)


def _notes(model_snn: SpikingModel, graph: Graph) -> dict[str, Any]:
    """The metadata of the whole network."""
    images = [node for node in graph.of_type(InputNode, Population) if len(node.shape) > 1]
    axes = [_input_channel_axis(graph, node) if isinstance(node, InputNode) else node.channel_axis for node in images]
    config = model_snn.get_config()
    return {
        "writer": f"snn_toolbox_tf {__version__}",
        "data_format": "channels_first" if 0 in axes else "channels_last",
        "network": json.dumps(
            {
                **{key: config[key] for key in ("timesteps", "input", "seed", "schedule", "name")},
                "source": graph.name,
                "input_structure": graph.input_structure,
                "output_structure": graph.output_structure,
            }
        ),
        "conversion": json.dumps(config["conversion"]),
    }


def _input_channel_axis(graph: Graph, node: InputNode) -> int:
    """Returns the axis that the first convolution takes for channels; the last one if there is none."""
    if len(node.shape) < 2:
        return len(node.shape) - 1
    pending = [node.name]
    while pending:
        for reader in graph.consumers(pending.pop()):
            layer = getattr(reader, "layer", None)
            if layer is not None and layer.class_name == "Permute" and layer.config["dims"][-1] == 1:
                return 0
            if reader.shape == node.shape:
                pending.append(reader.name)
    return len(node.shape) - 1


def _decoding(spec: LayerSpec) -> dict[str, Any]:
    weights = {name: np.asarray(array).tolist() for name, array in spec.weights.items()}
    return {"class_name": spec.class_name, "config": spec.config, "weights": weights}


def _kind(node: Node) -> str:
    layer = getattr(node, "layer", None)
    return type(node).__name__ if layer is None else layer.class_name
