"""snn_toolbox_tf: trained Keras models as spiking neural networks.

model_snn = snn_toolbox_tf.convert_keras(model, calibration_data=x)
result = model_snn.simulate(x, timesteps=64)
"""

from snn_toolbox_tf.foundation.startup import is_command_line as _is_command_line
from snn_toolbox_tf.foundation.startup import require_tensorflow_backend as _require_tensorflow_backend
from snn_toolbox_tf.version import __version__

# All names are there at once, not when they are first used: this import registers our layers, without which
# `keras.saving.load_model` could not read a converted network. Only the command line's own process goes without them. It
# parses its arguments before it imports what a command needs, because TensorFlow takes seconds and `--help` should not.
if not _is_command_line():
    _require_tensorflow_backend()

    from snn_toolbox_tf import events, layers, neurons, ops, synapses
    from snn_toolbox_tf.analysis.compare import compare
    from snn_toolbox_tf.analysis.fidelity import Fidelity, PopulationFidelity
    from snn_toolbox_tf.config import ConfigurationError, Settings, read_settings
    from snn_toolbox_tf.conversion import CheckReport, check, convert_keras
    from snn_toolbox_tf.costs import Energy, Hardware, energy
    from snn_toolbox_tf.distillation import GradientCalibration
    from snn_toolbox_tf.distributed import BatchPredictor
    from snn_toolbox_tf.experiment import Run, Study, Sweep, run, study, sweep
    from snn_toolbox_tf.export.serving import export_serving
    from snn_toolbox_tf.export.serving_config import write_serving_config
    from snn_toolbox_tf.export.tflite import export_tflite
    from snn_toolbox_tf.foundation.errors import ConversionError, UnsupportedModelError, WorkerError
    from snn_toolbox_tf.foundation.journal import Journal
    from snn_toolbox_tf.latency import LatencyCode, LatencyModel, LatencyResult
    from snn_toolbox_tf.layers import SpikingNeurons
    from snn_toolbox_tf.model import ConversionRecord, SpikingModel
    from snn_toolbox_tf.model_files import ModelFileError, load_model
    from snn_toolbox_tf.nir_files import export_nir, import_nir
    from snn_toolbox_tf.simulation.early_exit import EarlyExit
    from snn_toolbox_tf.simulation.result import SimulationResult
    from snn_toolbox_tf.studies import (
        BiasVariance,
        EnergyCurve,
        PrecisionPoint,
        Robustness,
        TimeResolution,
        WeightPrecision,
        bias_and_variance,
        energy_curve,
        robustness,
        time_resolution,
        weight_precision,
    )
    from snn_toolbox_tf.synapses import register_layer
    from snn_toolbox_tf.training import with_trainable_thresholds

__all__ = [
    "BatchPredictor",
    "BiasVariance",
    "CheckReport",
    "ConfigurationError",
    "ConversionError",
    "ConversionRecord",
    "EarlyExit",
    "Energy",
    "EnergyCurve",
    "Fidelity",
    "GradientCalibration",
    "Hardware",
    "Journal",
    "LatencyCode",
    "LatencyModel",
    "LatencyResult",
    "ModelFileError",
    "PopulationFidelity",
    "PrecisionPoint",
    "Robustness",
    "Run",
    "Settings",
    "SimulationResult",
    "SpikingModel",
    "SpikingNeurons",
    "Study",
    "Sweep",
    "TimeResolution",
    "UnsupportedModelError",
    "WeightPrecision",
    "WorkerError",
    "__version__",
    "bias_and_variance",
    "check",
    "compare",
    "convert_keras",
    "energy",
    "energy_curve",
    "events",
    "export_nir",
    "export_serving",
    "export_tflite",
    "import_nir",
    "layers",
    "load_model",
    "neurons",
    "ops",
    "read_settings",
    "register_layer",
    "robustness",
    "run",
    "study",
    "sweep",
    "synapses",
    "time_resolution",
    "weight_precision",
    "with_trainable_thresholds",
    "write_serving_config",
]
