"""The spiking networks of a study: one for all numbers of timesteps, or one converted for each."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from snn_toolbox_tf.foundation.argument_checks import check_timesteps
from snn_toolbox_tf.model import SpikingModel, check_spiking_model


def several_timesteps(timesteps: Any) -> tuple[int, ...]:
    """Returns numbers of timesteps, increasing, each once.

    Raises:
        ValueError: If they are no numbers of timesteps.
    """
    if np.ndim(timesteps) != 1 or not len(timesteps):
        raise ValueError(
            "Expected `timesteps` to be several numbers of timesteps, for example [8, 16, 32]. "
            f"Received: timesteps={timesteps!r}"
        )
    return tuple(sorted({check_timesteps(one) for one in timesteps}))


def network_for(model_snn: Any, timesteps: int) -> SpikingModel:
    """Returns the network for T timesteps: the one that was given, or what a function makes for so many.

    Raises:
        TypeError: If that is no spiking network in rate code.
    """
    convert = callable(model_snn) and not isinstance(model_snn, keras.Model)
    return check_spiking_model(model_snn(timesteps) if convert else model_snn)


#: A spiking network, or a function that returns the one converted for a number of timesteps.
NetworkOrConversion = SpikingModel | Callable[[int], SpikingModel]
