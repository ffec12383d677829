"""`compare`: where a spiking network departs from its source, population by population, and why."""

from typing import Any

import keras
import numpy as np

from snn_toolbox_tf.analysis.activations import ann_outputs_of, check_source_and_network
from snn_toolbox_tf.analysis.fidelity import Fidelity
from snn_toolbox_tf.analysis.latency_fidelity import LatencyFidelity, compare_latency
from snn_toolbox_tf.analysis.measurement import measure_fidelity
from snn_toolbox_tf.foundation.argument_checks import check_positive_integer, check_timesteps
from snn_toolbox_tf.latency import LatencyModel
from snn_toolbox_tf.model import SpikingModel
from snn_toolbox_tf.network.input_data import as_arrays, in_batches


def compare(
    model: keras.Model,
    model_snn: SpikingModel | LatencyModel,
    x: Any,
    timesteps: int | None = None,
    *,
    batch_size: int = 32,
) -> Fidelity | LatencyFidelity:
    """Compares every population's theta * rate with the source's activation, and says what the error consists of.

    The error of a population is split into three vectors (as by Bu et al. 2022, ICLR): *clipping*, what the ANN loses if
    each activation is clipped at its threshold; *quantisation*, what the closed form (every population integrates all T
    timesteps before it fires; Deng & Gu 2021, equation 9) adds to that; and *unevenness*, what spikes add that arrive in
    time.

    In latency code there are no rates: the values that spike times stand for are compared, with their error, correlation,
    the share of values that are clipped, and spikes a neuron.

    Args:
        model: The source model.
        model_snn: What `convert_keras` made of it.
        x: Arrays in the structure of the source's inputs, `[samples, ...]`.
        timesteps: T; the spiking network's own if None, and always in latency code.
        batch_size: Samples at once.

    Returns:
        A `Fidelity`, or a `LatencyFidelity`: `print` shows it as a table, `plot()` draws it.

    Raises:
        TypeError: If `model_snn` is no spiking network.
        ValueError: If the data does not fit, or the network does not take constant (analog) input.

    Example:
        >>> import keras, numpy as np, snn_toolbox_tf as snn
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu", name="a"), keras.layers.Dense(3)])
        >>> x = np.random.default_rng(0).random((20, 4), "float32")
        >>> fidelity = snn.compare(model, snn.convert_keras(model, x), x, timesteps=64)
        >>> fidelity.worst
        ('a_relu',)
    """
    size = check_positive_integer(batch_size, "batch_size")
    check_source_and_network(model, model_snn)
    if isinstance(model_snn, LatencyModel):
        if timesteps is not None:
            raise ValueError(
                "A network in latency code has the timesteps that it was converted for, `timesteps_per_window`. Expected "
                f"timesteps=None. Received: timesteps={timesteps!r}"
            )
        return compare_latency(model, model_snn, x, size)
    duration = model_snn.timesteps if timesteps is None else check_timesteps(timesteps)
    if model_snn.input_options.mode != "analog":
        raise ValueError(
            f"`compare` needs constant input. Received a network with input='{model_snn.input_options.mode}'. "
            "Convert it with input='analog'."
        )
    arrays = as_arrays(x, model_snn.network.graph, argument="x")
    indices = np.arange(len(next(iter(arrays.values()))))
    batches = (
        (batch, indices[number * size : (number + 1) * size]) for number, batch in enumerate(in_batches(arrays, size))
    )
    ann_outputs = ann_outputs_of(model, model_snn, frames=False)
    simulation = {"timesteps": duration, "input": "analog", "schedule": "step"}
    return measure_fidelity(model_snn, ann_outputs, batches, simulation)
