"""Keeps what [output] log_vars asks for, of all samples: one file per batch."""

import pathlib
from typing import Any

import numpy as np

from snn_toolbox_tf.analysis.activations import run_as_ann
from snn_toolbox_tf.config import Settings
from snn_toolbox_tf.config.output_sections import LOG_VARIABLES
from snn_toolbox_tf.foundation import atomic_files
from snn_toolbox_tf.model import SpikingModel
from snn_toolbox_tf.network.input_data import Batch
from snn_toolbox_tf.simulation.result import SimulationResult

_KINDS = {"spiketrains_n_b_l_t": "spikes", "mem_n_b_l_t": "membrane_potential"}


class Recorder:
    """Writes batches as `SimulationResult` files, and the ANN's activations beside them.

    Args:
        settings: The settings; [output] log_vars says what to keep.
        model_snn: The spiking network.
        folder: Where to write.

    Attributes:
        kinds: What `SpikingModel.simulate` has to record.
    """

    def __init__(self, settings: Settings, model_snn: SpikingModel, folder: pathlib.Path) -> None:
        wanted = settings.output.log_vars
        self._variables = LOG_VARIABLES if "all" in wanted else wanted
        self._frames = settings.input_mode == "frames"
        self._model_snn, self._folder = model_snn, folder
        # A layer-synchronous run has no membrane potential per timestep.
        possible = ["spikes"] if settings.simulation.schedule == "layer_synchronous" else list(_KINDS.values())
        self.kinds = [kind for variable, kind in _KINDS.items() if variable in self._variables and kind in possible]

    def forget_from(self, position: int) -> None:
        """Removes what an interrupted run has written behind its checkpoint: batches may be divided otherwise now."""
        for path in self._folder.glob("samples_*.npz"):
            if int(path.name[len("samples_") :].partition("-")[0]) >= position:
                path.unlink()

    def keep(self, start: int, result: SimulationResult, inputs: Batch) -> None:
        """Writes a batch.

        Args:
            start: Position of its first sample.
            result: What the simulation gave.
            inputs: Its samples per input name.
        """
        if not self._variables:
            return
        name = f"samples_{start:06d}-{start + result.samples - 1:06d}"
        result.save(self._folder / f"{name}.npz")
        if "activations_n_b_l" in self._variables:
            with atomic_files.replacing(self._folder / f"{name}_activations.npz") as file:
                arrays: dict[str, Any] = run_as_ann(self._model_snn, inputs, frames=self._frames).activations
                np.savez(file, **{f"activations/{population}": array for population, array in arrays.items()})
