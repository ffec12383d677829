"""snn_toolbox_tf: trained Keras models as spiking neural networks.

model_snn = snn_toolbox_tf.convert_keras(model, calibration_data=x)
result = model_snn.simulate(x, timesteps=64)
"""

from snn_toolbox_tf.foundation.startup import quiet_as_command_line as _quiet_as_command_line

with _quiet_as_command_line():
    import keras as _keras

if _keras.config.backend() != "tensorflow":
    raise ImportError(
        "snn_toolbox_tf needs Keras to run on TensorFlow. "
        f"Received Keras backend: '{_keras.config.backend()}'. "
        "Set the environment variable KERAS_BACKEND=tensorflow before Python starts."
    )

from snn_toolbox_tf import layers, neurons, ops, synapses
from snn_toolbox_tf.analysis.compare import compare
from snn_toolbox_tf.analysis.fidelity import Fidelity, PopulationFidelity
from snn_toolbox_tf.config import ConfigurationError, Settings, read_settings
from snn_toolbox_tf.conversion import CheckReport, ConversionError, check, convert_keras
from snn_toolbox_tf.experiment import Run, Sweep, run, sweep
from snn_toolbox_tf.layers import SpikingNeurons
from snn_toolbox_tf.model import ConversionRecord, SpikingModel
from snn_toolbox_tf.model_files import ModelFileError, load_model
from snn_toolbox_tf.passes.refuse import UnsupportedModelError
from snn_toolbox_tf.simulation.result import SimulationResult
from snn_toolbox_tf.synapses import register_layer
from snn_toolbox_tf.version import __version__

__all__ = [
    "CheckReport",
    "ConfigurationError",
    "ConversionError",
    "ConversionRecord",
    "Fidelity",
    "ModelFileError",
    "PopulationFidelity",
    "Run",
    "Settings",
    "SimulationResult",
    "SpikingModel",
    "SpikingNeurons",
    "Sweep",
    "UnsupportedModelError",
    "__version__",
    "check",
    "compare",
    "convert_keras",
    "layers",
    "load_model",
    "neurons",
    "ops",
    "read_settings",
    "register_layer",
    "run",
    "sweep",
    "synapses",
]
