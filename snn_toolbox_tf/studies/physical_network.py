"""`PhysicalNetwork`: one network of neurons with time constants, simulated with timesteps of any length."""

import dataclasses
import functools
from typing import Any, NamedTuple

import keras
import numpy as np

from snn_toolbox_tf.analysis.activations import run_as_ann
from snn_toolbox_tf.conversion import convert_keras
from snn_toolbox_tf.model import SpikingModel
from snn_toolbox_tf.network.input_data import as_arrays, in_batches
from snn_toolbox_tf.neurons import Neuron
from snn_toolbox_tf.studies.time_settings import TimeSettings


class _Run(NamedTuple):
    """Spike counts by population and outputs of a run, a row per sample."""

    counts: dict[str, np.ndarray]
    outputs: np.ndarray


class PhysicalNetwork:
    """A network whose firing rates per ms do not depend on the length of a timestep, but for errors.

    Args:
        model: The source.
        calibration_data: Arrays for thresholds.
        x: Arrays that are simulated.
        settings: What it is run with.

    Attributes:
        calibration_data: As arrays by input.
        arrays: `x`, likewise.
        samples: Their number.
        ann_outputs: The source's outputs without softmax, `[samples, ...]`.
    """

    def __init__(self, model: keras.Model, calibration_data: Any, x: Any, settings: TimeSettings) -> None:
        self._model, self._settings = model, settings
        self._data, self._x = calibration_data, x
        plain = self._converted(settings.plain_neuron, settings.plain_neuron.dt, timesteps=1, scale=1.0)
        graph = plain.network.graph
        self.calibration_data = as_arrays(calibration_data, graph, argument="calibration_data")
        self.arrays = as_arrays(x, graph, argument="x")
        batches = in_batches(self.arrays, settings.batch_size)
        self.ann_outputs = np.concatenate([_rows(run_as_ann(plain, batch).outputs) for batch in batches])
        self.samples = len(self.ann_outputs)

    def errors_at(self, dt: float) -> dict[str, Any]:
        """Returns relative errors of each sample at a length of a timestep: by population, and of the outputs."""
        run = self._run(dt)
        return {
            "populations": {name: _errors(counts, self._reference.counts[name]) for name, counts in run.counts.items()},
            "outputs": _errors(run.outputs, self._reference.outputs),
            "ann": _errors(run.outputs, self.ann_outputs),
        }

    def ann_errors_over_time(self, neuron: Neuron) -> list[list[float]]:
        """Returns relative errors of the outputs against the source's, `[timesteps][samples]`, at the neuron's own `dt`."""
        steps = self._settings.timesteps
        model_snn = self._converted(neuron, neuron.dt, timesteps=steps[-1], scale=1.0)
        outputs = model_snn.simulate(self._x, outputs=list(steps), batch_size=self._settings.batch_size).outputs
        flat = keras.tree.flatten(outputs)
        return [_errors(_rows([output[place] for output in flat]), self.ann_outputs) for place in range(len(steps))]

    @functools.cached_property
    def _reference(self) -> _Run:
        return self._run(self._settings.reference_dt)

    def _run(self, dt: float) -> _Run:
        settings = self._settings
        model_snn = self._converted(
            settings.neuron, dt, timesteps=settings.timesteps_of(dt), scale=settings.threshold_scale(dt)
        )
        result = model_snn.simulate(self._x, outputs="last", record="spike_counts", batch_size=settings.batch_size)
        outputs = _rows([output[-1] for output in keras.tree.flatten(result.outputs)])
        return _Run({name: _rows(counts) for name, counts in result.sample_spike_counts.items()}, outputs)

    def _converted(self, neuron: Neuron, dt: float, *, timesteps: int, scale: float) -> SpikingModel:
        """The network with timesteps of a length, and outputs without softmax."""
        converted = convert_keras(
            self._model,
            self._data,
            timesteps=timesteps,
            neuron=dataclasses.replace(neuron, dt=dt),
            percentile=self._settings.percentile,
            threshold_scale=scale,
            # On the grid of the normalised form, biases of short timesteps would be a few units, and what rounding makes of
            # them adds up over thousands of timesteps.
            form="unnormalized",
        )
        graph = converted.network.graph_with_weights()
        for readout in graph.readouts:
            # A softmax flattens what is wrong with samples that are sure, and errors would be those of a few.
            readout.decoder, readout.shape = [], None
        return SpikingModel(graph, timesteps=timesteps)


def _rows(arrays: Any) -> np.ndarray:
    """Arrays side by side, a row per sample."""
    flat = [np.asarray(array, np.float64).reshape(len(array), -1) for array in keras.tree.flatten(arrays)]
    return np.concatenate(flat, axis=1)


def _errors(found: np.ndarray, expected: np.ndarray) -> list[float]:
    """Mean absolute errors of samples, relative to the mean absolute value of all of them."""
    power = max(float(np.abs(expected).mean()), 1e-30)
    return [float(value) / power for value in np.abs(found - expected).mean(axis=1)]
