"""`import_nir`: a NIR file as a spiking network."""

import json
import os
from typing import Any

import keras
import numpy as np

from snn_toolbox_tf.activations import ACTIVATION_LAYERS, is_output_nonlinearity
from snn_toolbox_tf.calibration import observe_activations, observe_random_input
from snn_toolbox_tf.calibration.statistics import ActivationStatistics
from snn_toolbox_tf.foundation.argument_checks import check_model_name, check_one_of, check_timesteps, is_number
from snn_toolbox_tf.foundation.errors import UnsupportedModelError
from snn_toolbox_tf.graph import Graph, InputNode, LayerSpec, Population, Readout
from snn_toolbox_tf.grid import observed, quantize
from snn_toolbox_tf.model import DEFAULT_TIMESTEPS, ConversionRecord, SpikingModel
from snn_toolbox_tf.model_files import ModelFileError
from snn_toolbox_tf.network import Network, inputs_of
from snn_toolbox_tf.network.input_data import InputData
from snn_toolbox_tf.neurons import RESETS
from snn_toolbox_tf.nir_files.graph_builder import CannotImportError, GraphBuilder, spread_float64
from snn_toolbox_tf.nir_files.import_filters import FILTERS
from snn_toolbox_tf.nir_files.import_layers import LayerImporter
from snn_toolbox_tf.nir_files.import_neurons import KINDS, NeuronImporter
from snn_toolbox_tf.nir_files.read_file import NirFile, read_nir
from snn_toolbox_tf.nir_files.strict_comparison import fire_above_threshold
from snn_toolbox_tf.passes.fold_scales import fold_scales
from snn_toolbox_tf.simulation.inputs import INPUT_MODES
from snn_toolbox_tf.synapses import FAMILIES, ones, use_channels_last

#: Why there is no place for some NIR nodes.
_REFUSED = {
    "Delay": "no current is delayed here",
    "I": "only spiking neurons have a state",
    "NIRGraph": "it is a graph in a graph",
    "Threshold": "spikes come from neurons with a state",
}


def import_nir(
    filepath: str | os.PathLike[str],
    calibration_data: Any = None,
    *,
    timesteps: int | None = None,
    dt: float | None = None,
    reset: str | None = None,
    input: str | None = None,
    name: str | None = None,
) -> SpikingModel:
    """Reads a NIR file as a spiking network.

    A file that `export_nir` wrote gives the network back: the same spikes and outputs, bit by bit. In files from other
    tools NIR's own rules hold: neurons fire above the threshold, not at it, start at 0, and are reset to `v_reset`. Their
    weights are put on a grid, as those of converted networks are; thresholds become 1, and weights are scaled to that.
    Their input is channels first.

    Args:
        filepath: The file.
        calibration_data: For files from other tools: samples like those that the network will see, whose size the grid is
            made for. Without them it is made for values of up to 1.
        timesteps: T of `predict` and `evaluate`; that of the file, or 32, if None.
        dt: For files from other tools: seconds in a timestep. None: such that a current of 1 raises an integrate-and-fire
            neuron by 1 in a timestep. It must be given where neurons leak, or resistances differ.
        reset: For files from other tools: "subtract", where it is known that the network was made for reset by subtraction,
            which NIR cannot say; "zero" or None: to `v_reset`.
        input: "analog", "poisson" or "frames", see `SpikingModel`; that of the file, or "analog", if None.
        name: Name of the model.

    Returns:
        A `SpikingModel`. Of files from other tools, outputs are currents (or spikes) averaged over time.

    Raises:
        TypeError: If `filepath` is no path.
        ModelFileError: If there is no such file, or it is damaged.
        UnsupportedModelError: If it holds what no SpikingModel has; the message lists all of it.
        ValueError: For an argument that is not usable.
        ImportError: If the package `nir` is not installed.

    Example:
        >>> import nir, numpy as np, pathlib, tempfile, snn_toolbox_tf as snn
        >>> file = pathlib.Path(tempfile.mkdtemp(), "net.nir")
        >>> one = np.ones(1)
        >>> weight = np.array([[0.75]])
        >>> nir.write(file, nir.NIRGraph.from_list(nir.Linear(weight), nir.IF(r=one, v_threshold=one, v_reset=0 * one)))
        >>> model_snn = snn.import_nir(file)
        >>> model_snn.simulate(np.ones((1, 1)), timesteps=8).spike_counts["if"].tolist()  # every second timestep
        [4.0]
    """
    if not isinstance(filepath, (str, os.PathLike)):
        raise TypeError(
            "Expected `filepath` to be the path of a NIR file; a graph is written to one with `nir.write`. "
            f"Received: {type(filepath).__name__}"
        )
    if dt is not None and not (is_number(dt) and dt > 0):
        raise ValueError(f"Expected `dt` to be a positive number of seconds, or None. Received: dt={dt!r}")
    if reset is not None:
        check_one_of(reset, RESETS, "reset")
    if input is not None:
        check_one_of(input, INPUT_MODES, "input")
    if timesteps is not None:
        check_timesteps(timesteps)
    if name is not None:
        check_model_name(name)
    file = read_nir(filepath)
    _refuse_for_ours(file, dt=dt, reset=reset, calibration_data=calibration_data)
    try:
        graph = _graph_of(file, dt, reset)
        options = {"timesteps": DEFAULT_TIMESTEPS, **_options(file)}
        given = {"timesteps": timesteps, "input": input, "name": name}
        options |= {key: value for key, value in given.items() if value is not None}
        if file.is_ours:
            spread_float64(graph)
            record = ConversionRecord.from_dict(file.notes["conversion"])
            return SpikingModel(graph, conversion=record, **options)
        network = Network(graph)
    except (ModelFileError, UnsupportedModelError):
        raise
    except (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise file.damaged(f"{type(error).__name__}: {error}") from error
    record = _put_on_grid(network, calibration_data, options["timesteps"], reset or "zero")
    return SpikingModel(graph, conversion=record, **options)


def _refuse_for_ours(file: NirFile, **given: Any) -> None:
    """Raises if something is said that the file says itself."""
    said = {name: value for name, value in given.items() if value is not None}
    if file.is_ours and said:
        raise ValueError(
            f"{', '.join(f'`{name}`' for name in said)} is for files from other tools: '{file.path}' was written by "
            f"{file.notes['writer']}, and says it itself. Expected None."
        )


def _graph_of(file: NirFile, dt: float | None, reset: str | None) -> Graph:
    """Returns the network, with a node or more for each of NIR's."""
    notes = file.notes.get("network", {})
    data_format = check_one_of(
        str(file.notes.get("data_format", "channels_first")), ("channels_first", "channels_last"), "data_format"
    )
    graph = Graph(str(notes.get("source", file.path.stem)), [], [], None, None)
    builder = GraphBuilder(graph, data_format)
    dt = dt if dt is not None else float(file.notes["dt"]) if "dt" in file.notes else None
    layers, neurons = LayerImporter(builder), NeuronImporter(builder, dt, reset)
    refused = []
    for name, node in file.nodes.items():
        metadata, kind = file.metadata(name), type(node).__name__
        wanted = str(metadata.get("name", name))
        try:
            if kind == "Input":
                builder.nodes[name] = _add_input(builder, wanted, node, metadata)
                continue
            known = [source for source in file.sources[name] if source in builder.nodes]
            if len(known) < len(file.sources[name]):
                # What it reads was refused.
                continue
            source = _source(builder, wanted, known, metadata)
            if kind == "Output":
                _add_output(builder, wanted, source, metadata)
            elif kind in KINDS:
                builder.nodes[name] = neurons.add(wanted, node, source, metadata, file.sources[name][0])
            elif kind in FILTERS:
                neurons.hold(name, node, source, _readers(file, name), is_ours=file.is_ours)
            elif layers.knows(node):
                builder.nodes[name] = layers.add(wanted, node, source, metadata)
            else:
                reason = _REFUSED.get(kind, "it is not known here")
                raise CannotImportError(reason, "Leave it out, or run the network in a simulator that has it")
        except CannotImportError as error:
            refused.append(f"- '{name}' ({kind}): {error}")
    if refused:
        raise UnsupportedModelError(f"'{file.path}' holds what no SpikingModel has:\n" + "\n".join(refused))
    if not graph.of_type(Population):
        raise UnsupportedModelError(
            f"'{file.path}' holds no spiking neurons, only {', '.join(file.nodes)}. A SpikingModel has some. Expected "
            f"nodes of type {' or '.join(KINDS)}"
        )
    _set_structures(graph, notes)
    if not file.is_ours:
        fold_scales(graph)
    use_channels_last(graph)
    graph.sort()
    graph.prune()
    return graph


def _readers(file: NirFile, name: str) -> list[list[str]]:
    """Returns the kind of each node that reads a node, and the names of all that it reads."""
    return [
        [type(file.nodes[reader]).__name__, *sources] for reader, sources in file.sources.items() if name in sources
    ]


def _source(builder: GraphBuilder, wanted: str, known: list[str], metadata: dict[str, Any]) -> str:
    """Returns the node that a NIR node's input comes from: rounded where the file says so, and summed."""
    if not known:
        raise CannotImportError("nothing leads to it", "Connect it to an Input node")
    rounding = metadata.get("rounding", {})
    sources = [
        builder.rounded(builder.nodes[name], int(rounding[name])) if name in rounding else builder.nodes[name]
        for name in known
    ]
    return builder.summed(sources, wanted)


def _add_input(builder: GraphBuilder, wanted: str, node: Any, metadata: dict[str, Any]) -> str:
    shape = builder.shape(node.input_type["input"])
    dtype, magnitude = str(metadata.get("dtype", "float32")), float(metadata.get("magnitude", 1.0))
    name = builder.graph.unique_name(wanted)
    axis = builder.channel_axis(len(shape))
    builder.graph.insert(InputNode(name, [], shape, axis, dtype=dtype, magnitude=magnitude))
    return name


def _add_output(builder: GraphBuilder, wanted: str, source: str, metadata: dict[str, Any]) -> None:
    decoder = [LayerSpec(**spec) for spec in json.loads(metadata.get("decoder", "[]"))]
    for spec in decoder:
        spec.weights = {key: np.asarray(value) for key, value in spec.weights.items()}
        if not _decodes(spec):
            raise CannotImportError(f"its decoder has a layer {spec.class_name!r}, {spec.config}", "Export it again")
    shape = tuple(int(size) for size in metadata["decoded_shape"]) if "decoded_shape" in metadata else None
    readout = Readout(wanted, source, decoder, shape, start=int(metadata.get("start", 0)))
    readout.spiking_softmax = bool(metadata.get("spiking_softmax", 0))
    builder.graph.readouts.append(readout)


def _decodes(spec: LayerSpec) -> bool:
    """Whether a layer of a file may be built: nonlinearities of Keras by name, and layers that move or scale."""
    if spec.class_name in ACTIVATION_LAYERS:
        return isinstance(spec.config.get("activation", ""), str) and is_output_nonlinearity(spec)
    return spec.class_name in FAMILIES and FAMILIES[spec.class_name].decodable


def _set_structures(graph: Graph, notes: dict[str, Any]) -> None:
    """Gives inputs and outputs the structure of the source; in files from other tools, a list if there are several."""
    names = {
        "input": [node.name for node in graph.of_type(InputNode)],
        "output": [readout.name for readout in graph.readouts],
    }
    for kind, found in names.items():
        structure = notes.get(f"{kind}_structure", found if len(found) > 1 else found[0])
        if sorted(keras.tree.flatten(structure)) != sorted(found):
            raise ValueError(f"the {kind}s are {found}, but their structure names {structure}")
        setattr(graph, f"{kind}_structure", structure)
    order = keras.tree.flatten(graph.output_structure)
    graph.readouts.sort(key=lambda readout: order.index(readout.name))


def _options(file: NirFile) -> dict[str, Any]:
    """Arguments of the model that the file tells."""
    notes = file.notes.get("network", {})
    options = {key: notes[key] for key in ("timesteps", "input", "seed", "schedule", "name") if key in notes}
    if "initial_potential_timesteps" in file.notes:
        # Biases stand for the initial potentials after so many timesteps only.
        options["timesteps"] = int(file.notes["initial_potential_timesteps"])
    return options


def _put_on_grid(network: Network, calibration_data: Any, timesteps: int, reset: str) -> ConversionRecord:
    """Puts the weights of a network from another tool on a grid."""
    graph = network.graph
    statistics: ActivationStatistics
    if calibration_data is None:
        statistics = observe_random_input(network, seed=0)
    else:
        statistics = observe_activations(network, InputData(calibration_data, graph, argument="calibration_data"))
        for node in inputs_of(graph):
            node.magnitude = float(statistics.largest[node.name].max()) or 1.0
    scale = {node.name: ones(node.shape) for node in graph}
    quantize(graph, observed(graph, statistics.largest, scale))
    fire_above_threshold(graph)
    samples = 0 if calibration_data is None else statistics.samples
    return ConversionRecord(form="normalized", reset=reset, timesteps=timesteps, calibration_samples=samples)
