"""The affine layers in front of a population, whose weights may be fitted to what they really receive."""

from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from snn_toolbox_tf.corrections.setting import Setting, for_batch
from snn_toolbox_tf.graph import Graph, Synapse
from snn_toolbox_tf.network import Network
from snn_toolbox_tf.network.adam import Adam, warm_cosine
from snn_toolbox_tf.network.trained import weights_of

#: Weights are fitted in a round of so many steps at each of these rates, relative to their size, on batches of samples.
RATES, STEPS, BATCH = (1e-2, 3e-3), 80, 32
#: This share of the samples is held out: weights that do not do better on them are not taken.
HELD_OUT = 0.25


class Front:
    """Affine layers in front of a population, and samples that reach them.

    What affine layers give on average over time is what they make of the average of their inputs. A population that
    integrates it all before it fires would emit `clip(floor(v0 + T I / theta), 0, T)` spikes; by how much the real one
    differs, because currents come in another order, is taken from its real spikes, and held while weights are fitted.

    Args:
        network: The network whose layers they are; these are changed.
        nodes: The affine nodes, in order; the last one is what the population reads.
        inputs: What they read, averaged over time, float32 `[samples, ...]` by name.
        target: The source's activation, float32 `[samples, ...]`.
        fired: Returns theta * rate of the population in a setting with the weights that there are, `[samples, ...]`.
        received: Returns what the population receives with the weights that there are, as `Observation` takes it.
        timesteps: T.
    """

    def __init__(
        self,
        network: Network,
        nodes: list[Synapse],
        inputs: Mapping[str, tf.Tensor],
        target: tf.Tensor,
        fired: Callable[[Setting], tf.Tensor],
        received: Callable[[], tf.Tensor],
        timesteps: int,
    ) -> None:
        self._network, self._nodes, self._inputs = network, nodes, dict(inputs)
        self._target, self._fired, self._timesteps = target, fired, timesteps
        self.received = received
        self._trained = weights_of(network, {node.name for node in nodes})

    def fit(self, setting: Setting) -> bool:
        """Fits the weights to a setting, if that makes the population's error on held-out samples smaller.

        Returns:
            Whether they have changed.
        """
        samples = int(self._target.shape[0])
        fitted = samples - int(samples * HELD_OUT)
        if not self._trained or fitted < BATCH:
            return False
        outputs = self._fired(setting)
        step = self._step(setting)
        least, values = self._held_out_error(outputs, fitted), self._values()
        changed = False
        for rate in RATES:
            self._descend(step, setting, outputs, fitted, rate)
            found = self._fired(setting)
            error = self._held_out_error(found, fitted)
            if error < least:
                least, values, outputs, changed = error, self._values(), found, True
            else:
                self._restore(values)
        return changed

    def _descend(
        self, step: Callable[..., None], setting: Setting, outputs: tf.Tensor, fitted: int, rate: float
    ) -> None:
        """Takes steps against the gradient of the squared error, from what the real population differs by now."""
        rows = [slice(start, start + BATCH) for start in range(0, len(outputs), BATCH)]
        steady = [self._steady({name: value[part] for name, value in self._inputs.items()}, setting) for part in rows]
        aim = self._target - outputs + tf.concat(steady, 0)
        generator = np.random.default_rng(0)
        for number in range(STEPS):
            drawn = tf.constant(generator.choice(fitted, BATCH, replace=False))
            inputs = {name: tf.gather(value, drawn) for name, value in self._inputs.items()}
            step(inputs, tf.gather(aim, drawn), tf.constant(rate * warm_cosine(number, STEPS), tf.float32))

    def _step(self, setting: Setting) -> Callable[..., None]:
        """Returns what takes one step, for a batch of inputs, the outputs that are aimed at, and a rate."""
        variables, adam = [one.variable for one in self._trained], Adam(self._trained)

        @tf.function(autograph=False)
        def step(inputs: Mapping[str, tf.Tensor], aim: tf.Tensor, rate: tf.Tensor) -> None:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(variables)
                loss = tf.reduce_mean(tf.square(self._steady(inputs, setting) - aim))
            adam.apply(tape.gradient(loss, variables), rate)

        return step

    def _steady(self, inputs: Mapping[str, tf.Tensor], setting: Setting) -> tf.Tensor:
        """Returns theta * rate of a population that integrates all before it fires; rounding lets gradients pass."""
        theta, most = for_batch(setting.threshold), float(self._timesteps)
        start = for_batch(setting.initial_potential + setting.bias * self._timesteps / setting.threshold)
        values = dict(inputs)
        for node in self._nodes:
            values[node.name] = self._network.apply(node, [values[name] for name in node.inputs])
        charge = tf.cast(values[self._nodes[-1].name], tf.float32) * self._timesteps / theta + start
        passed = tf.clip_by_value(charge, 0.0, most)
        counts = passed + tf.stop_gradient(tf.clip_by_value(tf.floor(charge), 0.0, most) - passed)
        return counts * theta / self._timesteps

    def _held_out_error(self, outputs: tf.Tensor, fitted: int) -> float:
        return float(tf.reduce_mean(tf.square(outputs[fitted:] - self._target[fitted:])))

    def _values(self) -> list[np.ndarray]:
        return [one.variable.numpy() for one in self._trained]

    def _restore(self, values: list[np.ndarray]) -> None:
        for one, value in zip(self._trained, values, strict=True):
            one.variable.assign(value)


def affine_nodes(graph: Graph, stage: list[str], target: str) -> list[Synapse]:
    """Returns the affine nodes of a stage that lead to its population by affine nodes only, in order."""
    found, pending = set[str](), [target]
    while pending:
        name = pending.pop()
        if name in stage and isinstance(graph[name], Synapse) and name not in found:
            found.add(name)
            pending.extend(graph[name].inputs)
    return [node for name in stage if name in found and isinstance(node := graph[name], Synapse)]
