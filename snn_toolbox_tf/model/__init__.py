"""`SpikingModel`: the converted network as a Keras model, with the record of its conversion."""

from snn_toolbox_tf.model.conversion_record import ConversionRecord
from snn_toolbox_tf.model.loss_and_metrics import take_over_compilation
from snn_toolbox_tf.model.spiking_model import DEFAULT_TIMESTEPS, SpikingModel, check_spiking_model
from snn_toolbox_tf.model.trial_record import TrialRecord, trial_records

__all__ = [
    "DEFAULT_TIMESTEPS",
    "ConversionRecord",
    "SpikingModel",
    "TrialRecord",
    "check_spiking_model",
    "take_over_compilation",
    "trial_records",
]
