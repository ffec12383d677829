"""How far a spiking network's outputs can be from the ANN's after T timesteps: a bound that is derived, not tuned.

Let a population with threshold 1, soft reset and initial potential 1/2 get currents whose sum after s timesteps is within E
of s x, for all s up to T. Then its spike count N is within E + 1/2 of T clip(x, 0, 1):

- at most: at its last spike, at s, the potential was at least 1 before the reset, so N <= s x + E + 1/2;
- at least: at the last timestep s without a spike, the potential was below 1, so the count was more than s x - E - 1/2 by
  then, and it has grown by T - s since; without such a timestep N = T.

That holds for any order in which spikes arrive: for the step-by-step run and for the layer-synchronous one, which is the
closed form. Synapses carry E on by the absolute values of their weights, max pooling takes the largest. So the error of the
outputs is at most a constant of the network divided by T, plus what rounding nodes add at every timestep.

The absolute weights are found here by trying: a layer is run on every unit vector. That shares nothing with the package's
own bounds.
"""

import dataclasses
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from snn_toolbox_tf.graph import Population
from snn_toolbox_tf.network import Network
from snn_toolbox_tf.network.input_data import as_arrays
from snn_toolbox_tf.synapses import is_rounding

#: How much each nonlinearity of an output can enlarge an error, in the largest norm.
_LIPSCHITZ = {"log_softmax": 2.0, "gelu": 1.13, "silu": 1.1, "selu": 1.76, "mish": 1.09}
#: Outputs are float32, of sums in float64.
_FLOAT32 = 2.0**-22


@dataclasses.dataclass
class Bounded:
    """What a spiking network converges to, and how fast.

    Attributes:
        outputs: The outputs of the network as an ANN whose activations are clipped at their thresholds, flattened.
        falling: Per output, the part of the bound that falls as 1 / T: the bound is `falling / T + constant`.
        constant: Per output, the part that stays.
    """

    outputs: list[np.ndarray]
    falling: list[float]
    constant: list[float]

    def at(self, timesteps: int) -> list[float]:
        """Returns the bound of each output after so many timesteps."""
        return [falling / timesteps + constant for falling, constant in zip(self.falling, self.constant, strict=True)]


def bounded(model_snn: Any, x: Any) -> Bounded:
    """Returns what a normalised network with soft reset and v0 = 1/2 converges to on constant input."""
    exact = Network(model_snn.network.graph_with_weights(), dtype="float64")
    graph = exact.graph
    inputs = {name: tf.constant(a, tf.float64) for name, a in as_arrays(x, graph, argument="x").items()}
    values = exact.run(inputs, population=lambda node, current: tf.clip_by_value(current, 0.0, 1.0))
    outputs = keras.tree.flatten(exact.decode([values[readout.node] for readout in graph.readouts]))
    outputs = [np.asarray(output, np.float64) for output in outputs]
    falling = _propagated(exact, inputs, spikes=0.5, rounding=0.0)
    constant = _propagated(exact, inputs, spikes=0.0, rounding=1.0)
    gains = [float(np.prod([_gain(spec) for spec in readout.decoder])) for readout in graph.readouts]
    sizes = [np.abs(values[readout.node]).max() * gain for readout, gain in zip(graph.readouts, gains, strict=True)]
    return Bounded(
        outputs,
        [gain * falling[readout.node].max() for readout, gain in zip(graph.readouts, gains, strict=True)],
        [
            gain * constant[readout.node].max() + _FLOAT32 * max(size, 1.0 if readout.decoder else 0.0)
            for readout, gain, size in zip(graph.readouts, gains, sizes, strict=True)
        ],
    )


def _gain(spec: Any) -> float:
    """How much a part of a decoder can enlarge an error: besides nonlinearities, they scale, rearrange and average."""
    if spec.class_name == "Scale":
        return float(np.abs(spec.weights["factor"]).max())
    if spec.class_name == "Resample":
        return float(np.prod([np.abs(matrix).sum(axis=1).max() for matrix in spec.weights.values()]))
    return _LIPSCHITZ.get(spec.config.get("activation", ""), 1.0)


def _propagated(exact: Network, inputs: dict[str, Any], *, spikes: float, rounding: float) -> dict[str, np.ndarray]:
    """Returns the error of every node, of which each population adds `spikes`, and each rounding the grid's times that."""
    errors = {name: np.zeros((1, *tensor.shape[1:])) for name, tensor in inputs.items()}
    spiking = exact.graph.spiking_ancestry()
    for node in exact.graph:
        if node.name in errors:
            continue
        given = [errors[name] for name in node.inputs]
        if isinstance(node, Population):
            errors[node.name] = given[0] + spikes
        elif node.name not in spiking:
            errors[node.name] = np.zeros((1, *node.shape))
        elif is_rounding(node):
            # Half a step of the grid in the ANN, and half a step in every timestep.
            errors[node.name] = given[0] + rounding * 2.0 ** -float(node.layer.config["bits"])
        elif hasattr(node, "rule"):
            errors[node.name] = exact.apply(node, [tf.constant(given[0])]).numpy()
        else:
            errors[node.name] = _through(exact, node, given)
    return errors


def _through(exact: Network, node: Any, given: list[np.ndarray]) -> np.ndarray:
    """The largest change of a synapse's output for changes of its inputs up to `given`."""
    total = np.zeros((1, *node.shape))
    zeros = [tf.zeros(error.shape, tf.float64) for error in given]
    rest = exact.apply(node, zeros).numpy()
    for index, error in enumerate(given):
        if not error.any():
            continue
        size = error[0].size
        # One unit vector per sample, as large as the error may be there.
        units = (np.eye(size) * error.reshape(-1)).reshape(size, *error.shape[1:])
        tensors = [tf.constant(np.broadcast_to(0.0 * e, (size, *e.shape[1:]))) for e in given]
        tensors[index] = tf.constant(units)
        total = total + np.abs(exact.apply(node, tensors).numpy() - rest).sum(axis=0, keepdims=True)
    return total
