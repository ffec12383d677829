"""The training: a rate that is found by trial, passes through the samples, and the best state, which is kept."""

import dataclasses
import itertools
import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from snn_toolbox_tf.corrections.automatic import Agreement, agreement
from snn_toolbox_tf.distillation.loss import Answer, distance
from snn_toolbox_tf.distillation.settings import GradientCalibration
from snn_toolbox_tf.distillation.student import Student
from snn_toolbox_tf.distillation.teacher import Teacher
from snn_toolbox_tf.foundation.telling import Tell, tell_nobody
from snn_toolbox_tf.network.adam import Adam, warm_cosine
from snn_toolbox_tf.network.input_data import Batch
from snn_toolbox_tf.tasks import known_tasks

#: Rates that are tried, for so many steps each.
CANDIDATES, TRIAL_STEPS = (1e-2, 3e-3, 1e-3, 3e-4, 1e-4), 16
#: Passes without a better state after which it ends.
PATIENCE = 3
#: What is lost in agreement when a rate is given up for half of it.
LARGEST_LOSS = 0.1
#: Samples that are compared at once.
_COMPARED = 64


@dataclasses.dataclass(frozen=True)
class State:
    """Values of all that is trained, and how well they do on what is held out."""

    values: list[np.ndarray]
    agreement: Agreement
    loss: float

    def __str__(self) -> str:
        return f"{100 * self.agreement.decisions:.1f} % agreement, loss {self.loss:.4g}"

    def beats(self, best: "State", first: "State") -> bool:
        """Whether it is better than the best so far: it agrees clearly more with the source, or is closer to it.

        It must not agree less than the first state did.
        """
        ours, theirs = self.agreement, best.agreement
        clearly = ours.decisions > theirs.decisions + theirs.uncertainty
        clearly_not = ours.decisions < theirs.decisions - theirs.uncertainty
        closer = self.loss < best.loss and not clearly_not
        return ours.decisions >= first.agreement.decisions and math.isfinite(self.loss) and (clearly or closer)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of a training.

    Attributes:
        before: Agreement with the source before it.
        after: And after it.
        epochs: Passes that were made.
        learning_rate: The rate that was used last.
    """

    before: Agreement
    after: Agreement
    epochs: int
    learning_rate: float


class Training:
    """Trains a student to do what its teacher does.

    Args:
        student: The spiking network.
        teacher: The source.
        settings: How.
        samples: What it learns from, an array per input.
        held_out: What it is compared on.
        seed: Seed of the order of samples.
        tell: Is told of every pass.
    """

    def __init__(
        self,
        student: Student,
        teacher: Teacher,
        settings: GradientCalibration,
        samples: Batch,
        held_out: Batch,
        seed: int,
        tell: Tell = tell_nobody,
    ) -> None:
        self._student, self._teacher, self._settings, self._tell = student, teacher, settings, tell
        self._samples, self._held_out = samples, held_out
        self._count = len(next(iter(samples.values())))
        self._batch = min(settings.batch_size, self._count)
        self._block_length = student.block_length(self._batch)
        self._generator = np.random.default_rng(seed)
        self._trained = student.trained(weights=settings.train_weights)
        self._adam = Adam(self._trained)
        self._step = tf.function(self._make_step, autograph=False)
        self._outputs = tf.function(self._make_outputs, autograph=False, reduce_retracing=True)

    def run(self) -> Outcome:
        """Trains, and leaves the student in the best state."""
        first = best = self._state()
        self._tell(f"before learning: {first}")
        rate = self._settings.learning_rate or self._found_rate(first)
        steps, epoch, since = 0, 0, 0
        progress = keras.utils.Progbar(
            self._settings.epochs,
            verbose=2 if self._settings.verbose else 0,
            unit_name="pass",
            stateful_metrics=["loss", "held_out_loss", "held_out_agreement"],
        )
        total = self._settings.epochs * (self._count // self._batch)
        while epoch < self._settings.epochs and since < PATIENCE:
            epoch += 1
            loss, steps = self._pass(epoch, rate, steps, total)
            state = self._state()
            values = {"loss": loss, "held_out_loss": state.loss, "held_out_agreement": state.agreement.decisions}
            progress.update(epoch, values=list(values.items()), finalize=True)
            self._tell(f"pass {epoch} of {self._settings.epochs} at most: {state}")
            if state.beats(best, first):
                best, since = state, 0
                continue
            since += 1
            if not math.isfinite(state.loss) or state.agreement.decisions < best.agreement.decisions - LARGEST_LOSS:
                self._restore(best)
                rate /= 2
        self._restore(best)
        return Outcome(first.agreement, best.agreement, epoch, rate)

    def _found_rate(self, first: State) -> float:
        """Returns the largest rate that gains something in a few steps, measured on what is held out.

        Largest, because few steps favour rates that are too small for many (Wu et al. 2018, "Understanding short-horizon
        bias in stochastic meta-optimization"). Each trial ends at a rate of 0, as the training will: the noise of steps
        that are large to the end would hide what they have learnt.
        """
        for rate in CANDIDATES:
            batches = itertools.islice(self._endless_batches(), TRIAL_STEPS)
            for number, rows in enumerate(batches):
                self._advance(rows, rate * warm_cosine(number, TRIAL_STEPS))
            loss = self._state().loss
            self._restore(first)
            if loss < first.loss:
                return rate
        return CANDIDATES[-1]

    def _endless_batches(self) -> Iterator[np.ndarray]:
        generator = np.random.default_rng(0)
        while True:
            yield from self._batches(generator)

    def _pass(self, epoch: int, rate: float, steps: int, total: int) -> tuple[float, int]:
        """Goes through all samples once, in random order."""
        losses = []
        for rows in self._batches(self._generator):
            losses.append(self._advance(rows, rate * warm_cosine(steps, total)))
            steps += 1
        return float(np.mean(losses)), steps

    def _batches(self, generator: np.random.Generator) -> list[np.ndarray]:
        order = generator.permutation(self._count)
        return [order[first : first + self._batch] for first in range(0, self._count - self._batch + 1, self._batch)]

    def _advance(self, rows: np.ndarray, rate: float) -> float:
        inputs = {name: tf.constant(array[rows], tf.float32) for name, array in self._samples.items()}
        return float(self._step(inputs, tf.constant(rows, tf.int64), tf.constant(rate, tf.float32)))

    def _make_step(self, inputs: dict[str, tf.Tensor], index: tf.Tensor, rate: tf.Tensor) -> tf.Tensor:
        expected = self._teacher.run(inputs)
        variables = [one.variable for one in self._trained]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            loss = distance(self._answer(inputs, index, differentiable=True), expected)
        self._adam.apply(tape.gradient(loss, variables), rate)
        return loss

    def _make_outputs(self, inputs: dict[str, tf.Tensor], index: tf.Tensor) -> tuple[Any, Any, tf.Tensor]:
        expected, answer = self._teacher.run(inputs), self._answer(inputs, index, differentiable=False)
        return answer.outputs, expected.outputs, distance(answer, expected)

    def _answer(self, inputs: dict[str, tf.Tensor], index: tf.Tensor, *, differentiable: bool) -> Answer:
        return self._student.run(inputs, index, block_length=self._block_length, differentiable=differentiable)

    def _state(self) -> State:
        """Returns the present state, compared with the source."""
        count = len(next(iter(self._held_out.values())))
        ours, theirs, losses = [], [], 0.0
        for first in range(0, count, _COMPARED):
            rows = slice(first, min(first + _COMPARED, count))
            inputs = {name: tf.constant(array[rows], tf.float32) for name, array in self._held_out.items()}
            # Behind those that it learns from, so that Poisson input is drawn anew.
            index = tf.range(self._count + rows.start, self._count + rows.stop, dtype=tf.int64)
            outputs, expected, loss = self._outputs(inputs, index)
            ours.append(keras.tree.flatten(outputs))
            theirs.append(keras.tree.flatten(expected))
            losses += float(loss) * (rows.stop - rows.start)
        found = agreement(_joined(ours), _joined(theirs), slice(None), known_tasks(self._student.network.graph))
        return State([one.variable.numpy() for one in self._trained], found, losses / count)

    def _restore(self, state: State) -> None:
        for one, value in zip(self._trained, state.values, strict=True):
            one.variable.assign(value)
        self._adam.reset()


def _joined(parts: list[list[tf.Tensor]]) -> list[np.ndarray]:
    return [np.concatenate([np.asarray(part) for part in output]) for output in zip(*parts, strict=True)]
