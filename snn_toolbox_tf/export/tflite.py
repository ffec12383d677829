"""`export_tflite`: a network for small devices, as one function of TFLite's own operations."""

import os
import pathlib
from typing import Any

import keras
import tensorflow as tf

from snn_toolbox_tf import ops
from snn_toolbox_tf.foundation.argument_checks import check_file_name, check_positive_integer, check_timesteps
from snn_toolbox_tf.foundation.atomic_files import replacing
from snn_toolbox_tf.foundation.names import argument_names
from snn_toolbox_tf.graph import MaxPool
from snn_toolbox_tf.model import SpikingModel, check_spiking_model
from snn_toolbox_tf.network import Network
from snn_toolbox_tf.simulation.runner import Runner


def export_tflite(
    model_snn: SpikingModel,
    filepath: str | os.PathLike[str],
    *,
    timesteps: int | None = None,
    batch_size: int = 1,
) -> pathlib.Path:
    """Writes a network as a TFLite file: a function of the inputs that runs T timesteps and gives the decoded outputs.

    Its signature has inputs and outputs by name.

    It holds TFLite's own operations only, which know no float64. The first layers, where input is real-valued, and sums over
    time are therefore computed in float32: a few spikes may differ from those of `predict`. Behind the first population,
    weights lie on their grid, and currents are as exact as before.

    Args:
        model_snn: The network. Its input is analog, or frames.
        filepath: The file to write, which ends in `.tflite`. An existing one is replaced once the new one is complete.
        timesteps: T; the model's own if None. Of frames, that many are expected.
        batch_size: The number of samples that an invocation takes.

    Returns:
        The file.

    Raises:
        TypeError: If `model_snn` is not a SpikingModel.
        ValueError: For another ending, a number out of its range, and a network that needs more than TFLite's operations:
            Poisson input, a spiking softmax, the layer-synchronous schedule, max pooling by winners, volumes.

    Example:
        >>> import keras, numpy as np, snn_toolbox_tf as snn, tempfile
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3)])
        >>> model_snn = snn.convert_keras(model, np.random.default_rng(0).random((10, 4), "float32"))
        >>> snn.export_tflite(model_snn, tempfile.mkdtemp() + "/net.tflite").name
        'net.tflite'
    """
    check_spiking_model(model_snn)
    target = check_file_name(filepath, ".tflite")
    steps = check_timesteps(model_snn.timesteps if timesteps is None else timesteps)
    check_positive_integer(batch_size, "batch_size")
    check_for_tflite(model_snn)
    with model_snn.settled():
        content = _converted(model_snn, steps, batch_size)
    with replacing(target) as file:
        file.write(content)
    return target


def check_for_tflite(model_snn: SpikingModel) -> None:
    """Raises if a network needs what TFLite's own operations do not have.

    Raises:
        ValueError: If it does.
    """
    volumes = [node.name for node in model_snn.network.graph if len(node.shape) > 3]
    winners = [node.name for node in model_snn.network.graph.of_type(MaxPool) if node.rule != "accumulated"]
    drawn = [readout.name for readout in model_snn.network.graph.readouts if readout.spiking_softmax]
    reasons = {
        "it draws its input at random; convert with input='analog', or with input='frames' and draw spikes yourself": (
            model_snn.input_options.mode == "poisson"
        ),
        "its layer-synchronous schedule sums in float64; convert with schedule='step'": (
            model_snn.runner.schedule == "layer_synchronous"
        ),
        f"max pooling by winners ({', '.join(winners)}) has no operation there; convert with max_pooling='accumulated'": (
            bool(winners)
        ),
        f"the spikes of output {', '.join(drawn)} are drawn at random; convert with softmax='decoded'": bool(drawn),
        f"volumes ({', '.join(volumes)}) have more axes than its operations take; use two-dimensional layers": (
            bool(volumes)
        ),
    }
    for reason, holds in reasons.items():
        if holds:
            raise ValueError(f"SpikingModel '{model_snn.name}' cannot be exported to TFLite: {reason}.")


def _converted(model_snn: SpikingModel, timesteps: int, batch_size: int) -> bytes:
    network = Network(model_snn.network.graph_with_weights(), dtype="float32", sum_dtype="float32")
    runner = Runner(network, model_snn.input_options, None, model_snn.runner.schedule, "dense")
    names = keras.tree.flatten(network.graph.input_structure)
    output_names = argument_names(readout.name for readout in network.graph.readouts)
    frames = model_snn.input_options.mode == "frames"
    signature = []
    for spec in model_snn.input_signature():
        sizes = [batch_size, timesteps, *spec.shape[2:]] if frames else [batch_size, *spec.shape[1:]]
        signature.append(tf.TensorSpec(sizes, tf.float32, name=spec.name))

    values = [(variable, variable.numpy()) for layer in network.all_layers for variable in layer.variables]

    def run(*inputs: tf.Tensor) -> Any:
        # TFLite's loops cannot read variables.
        constants = [(variable, tf.constant(value)) for variable, value in values]
        with ops.use("reference"), keras.StatelessScope(constants):
            outputs = runner.run_all(dict(zip(names, inputs, strict=True)), timesteps)
        return dict(zip(output_names, keras.tree.flatten(outputs), strict=True))

    traced = tf.function(run, input_signature=signature, autograph=False).get_concrete_function()
    # Whose functions they are gives them a signature; nothing is held by it.
    converter = tf.lite.TFLiteConverter.from_concrete_functions([traced], tf.Module())
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    return converter.convert()
