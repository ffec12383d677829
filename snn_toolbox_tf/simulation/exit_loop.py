"""Early exit inside one graph: samples that have their answer leave the loop, and the others go on without them."""

import math
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from snn_toolbox_tf.simulation.block import State
from snn_toolbox_tf.simulation.early_exit import EarlyExit


class Answered(NamedTuple):
    """What is known of each sample when the last one has its answer.

    Attributes:
        outputs: Its output, decoded, float32 `[batch, classes]`.
        timesteps: The timestep at which it answered, T if it never was sure, int64 `[batch]`.
        measured: What was measured of it then, float64 `[batch, measures]`.
    """

    outputs: tf.Tensor
    timesteps: tf.Tensor
    measured: tf.Tensor


class _Running(NamedTuple):
    """The samples that still run: places in the batch, streaks of sure looks, last decisions, data and state."""

    places: tf.Tensor
    streaks: tf.Tensor
    last: tf.Tensor
    sample_index: tf.Tensor
    inputs: dict[str, tf.Tensor]
    nodes: dict[str, dict[str, tf.Tensor]]


class ExitLoop:
    """Runs a batch until every sample has an answer; see `EarlyExit`.

    Args:
        rule: When a sample has an answer.
        timesteps: T, at which the last ones have to.
        from_logits: Whether outputs are logits.
        advance: Runs the network from a state for a number of timesteps, a scalar; gives the state and decoded outputs.
        measure: Gives what is to be known of each sample when it leaves, float64 `[batch, measures]`, of a state.
    """

    def __init__(
        self,
        rule: EarlyExit,
        timesteps: int,
        *,
        from_logits: bool,
        advance: Callable[[dict[str, tf.Tensor], State, tf.Tensor, tf.Tensor], tuple[State, tf.Tensor]],
        measure: Callable[[State], tf.Tensor],
    ) -> None:
        self._rule, self._timesteps, self._from_logits = rule, timesteps, from_logits
        self._advance, self._measure = advance, measure

    @staticmethod
    def looks(rule: EarlyExit, timesteps: int) -> list[int]:
        """Returns the timesteps after which outputs are looked at; after the last one, in any case."""
        return sorted({t for t in range(1, timesteps + 1) if rule.looks_at(t)} | {timesteps})

    @staticmethod
    def stride(rule: EarlyExit, timesteps: int) -> int:
        """Returns the largest number of timesteps of which all segments between looks are multiples."""
        looks = ExitLoop.looks(rule, timesteps)
        return math.gcd(*(end - start for start, end in zip([0, *looks], looks, strict=False)))

    def run(
        self, inputs: dict[str, tf.Tensor], state: State, sample_index: tf.Tensor, classes: int, measures: int
    ) -> Answered:
        """Runs a batch from its initial state.

        Args:
            inputs: A tensor `[batch, ...]` per input.
            state: The initial state.
            sample_index: Global index of each sample, int64 `[batch]`.
            classes: Number of units of the output.
            measures: Number of measures.
        """
        count = tf.shape(sample_index)[0]
        looks = tf.constant(self.looks(self._rule, self._timesteps), tf.int32)
        places = tf.range(count)
        running = _Running(places, tf.zeros_like(places), tf.fill([count], -1), sample_index, dict(inputs), state.nodes)
        answered = Answered(
            tf.zeros([count, classes]),
            tf.fill([count], tf.constant(self._timesteps, tf.int64)),
            tf.zeros([count, measures], tf.float64),
        )

        def body(
            look: tf.Tensor, timestep: tf.Tensor, running: _Running, answered: Answered
        ) -> tuple[tf.Tensor, tf.Tensor, _Running, Answered]:
            end = looks[look]
            state, outputs = self._advance(
                running.inputs, State(timestep, running.nodes), end - timestep, running.sample_index
            )
            sure, last = self._sure(outputs), _decisions(outputs)
            streaks = tf.where(sure, tf.where(last == running.last, running.streaks, 0) + 1, 0)
            leaves = (streaks >= self._rule.patience) | (end >= self._timesteps)
            measured = self._measure(state)

            def noted(before: tf.Tensor, now: tf.Tensor) -> tf.Tensor:
                at = tf.boolean_mask(running.places, leaves)[:, tf.newaxis]
                return tf.tensor_scatter_nd_update(before, at, tf.boolean_mask(now, leaves))

            times = tf.fill(tf.shape(running.places), tf.cast(end, tf.int64))
            answered = Answered(
                noted(answered.outputs, outputs), noted(answered.timesteps, times), noted(answered.measured, measured)
            )
            stays = tf.reshape(tf.where(~leaves), [-1])
            after = _Running(running.places, streaks, last, running.sample_index, running.inputs, state.nodes)
            kept = tf.nest.map_structure(lambda tensor: tf.gather(tensor, stays), after)
            return look + 1, state.timestep, _with_free_batch(kept, running), answered

        variables = (tf.constant(0), state.timestep, _with_free_batch(running, running), answered)
        *_, answered = tf.while_loop(
            lambda look, timestep, running, answered: tf.size(running.places) > 0,
            body,
            variables,
            shape_invariants=tf.nest.map_structure(lambda tensor: _free_batch(tensor.shape), variables),
            parallel_iterations=1,
        )
        return answered

    def _sure(self, outputs: tf.Tensor) -> tf.Tensor:
        """Whether each output is sure enough, as `EarlyExit.confidences` has it."""
        probabilities = tf.cast(outputs, tf.float64)
        if probabilities.shape[-1] == 1:
            probabilities = tf.concat([1.0 - probabilities, probabilities], axis=-1)
        elif self._from_logits:
            probabilities = tf.nn.softmax(probabilities, axis=-1)
        best = tf.math.top_k(probabilities, k=2).values
        sure = best[:, 0] if self._rule.criterion == "probability" else best[:, 0] - best[:, 1]
        return sure >= self._rule.confidence


def _decisions(outputs: tf.Tensor) -> tf.Tensor:
    if outputs.shape[-1] == 1:
        return tf.cast(outputs[:, 0] > 0.5, tf.int32)
    return tf.argmax(outputs, axis=-1, output_type=tf.int32)


def _free_batch(shape: tf.TensorShape) -> tf.TensorShape:
    return shape if not shape.rank else tf.TensorShape([None, *shape[1:]])


def _with_free_batch(values: _Running, like: _Running) -> _Running:
    """Says that any number of samples may be left, and that nothing else of the shapes changes."""
    return tf.nest.map_structure(lambda value, known: tf.ensure_shape(value, _free_batch(known.shape)), values, like)
