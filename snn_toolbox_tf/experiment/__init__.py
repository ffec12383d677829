"""Whole runs: from settings to a folder with the converted network, results and report."""

from snn_toolbox_tf.experiment.progress import Progress
from snn_toolbox_tf.experiment.runs import Run, run
from snn_toolbox_tf.experiment.studies import Study, study
from snn_toolbox_tf.experiment.sweeps import Sweep, sweep

__all__ = ["Progress", "Run", "Study", "Sweep", "run", "study", "sweep"]
