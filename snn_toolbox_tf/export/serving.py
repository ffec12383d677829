"""`export_serving`: a network for TensorFlow Serving, under the next version number."""

import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from snn_toolbox_tf.analysis.closed_form import ClosedForm
from snn_toolbox_tf.export.serving_signatures import Asked, ServedNetwork
from snn_toolbox_tf.export.versions import checked_version, next_version
from snn_toolbox_tf.export.warmup import EXTRA, replay, warmup_requests, write_requests
from snn_toolbox_tf.foundation.argument_checks import check_timesteps
from snn_toolbox_tf.foundation.atomic_files import new_folder
from snn_toolbox_tf.model import SpikingModel, check_spiking_model
from snn_toolbox_tf.model.saved_model import Endpoint, write_endpoints
from snn_toolbox_tf.simulation.early_exit import EarlyExit, check_early_exit
from snn_toolbox_tf.version import __version__

DESCRIPTION = "snn_toolbox_tf.json"


def export_serving(
    model_snn: SpikingModel,
    folder: str | os.PathLike[str],
    *,
    version: int | None = None,
    timesteps: int | Sequence[int] | None = None,
    early_exit: EarlyExit | None = None,
    closed_form: bool = False,
    warmup: Any = None,
) -> pathlib.Path:
    """Writes a network for TensorFlow Serving: a SavedModel of stock operations in `folder/<version>`.

    It appears there whole or not at all, so that a server that watches the folder never sees half of one. Every input and
    output has the batch as its first axis. Its signatures are

    - `serving_default`: the inputs -> the decoded outputs, by name. A network with Poisson input also takes `sample_index`,
      int64, by which it draws spikes: what a sample gives does not depend on the batch that a server puts it into;
    - `rates`: likewise, and for each sample its `timesteps`, `synaptic_operations`, `multiply_accumulates` and the number of
      spikes of each population;
    - `initial_state` and `step`, for streams: one timestep with the state given and returned, since a server keeps none;
    - `timesteps_<T>`, if there are several T; `closed_form`, if it is asked for.

    Args:
        model_snn: The network.
        folder: The model's folder, with a folder for each version in it; its name is the model's name for a server.
        version: Number of the version; one above the highest that is there if None.
        timesteps: T of `serving_default`, or several: the first is its T. The model's own if None.
        early_exit: When samples have their answer before; `serving_default` then gives `timesteps` as well.
        closed_form: Whether there shall be a signature `closed_form`, which computes in one pass what the layer-synchronous
            schedule gives. It holds the weights in float64 once more.
        warmup: A few samples in the structure of the inputs: requests of each signature are written, which the server runs
            before it answers any. They are run here before they are written. Needs the extra `serving`.

    Returns:
        The version's folder.

    Raises:
        FileExistsError: If the version exists.
        NotADirectoryError: If `folder` is a file.
        TypeError: If `model_snn` is not a SpikingModel.
        ValueError: For options that do not fit the network, a folder that is a SavedModel itself, and a network that needs
            other operations than TensorFlow's own.
        ImportError: If the extra for warm-up requests is not installed.

    Example:
        >>> import keras, numpy as np, snn_toolbox_tf as snn, tempfile
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3)])
        >>> model_snn = snn.convert_keras(model, np.random.default_rng(0).random((10, 4), "float32"))
        >>> snn.export_serving(model_snn, tempfile.mkdtemp() + "/digits").name
        '1'
    """
    asked = check_asked(model_snn, timesteps, early_exit, closed_form)
    if not os.fspath(folder):
        raise ValueError("Expected `folder` to be the model's folder, such as 'models/digits'. Received: ''")
    base = pathlib.Path(os.path.abspath(folder))
    places = [base / str(next_version(base) if version is None else checked_version(base, version))]

    def next_place() -> pathlib.Path:
        places.append(base / str(next_version(base)))
        return places[-1]

    with model_snn.settled():
        network = ServedNetwork(model_snn, asked)
        endpoints = network.endpoints()
        requests = None if warmup is None else warmup_requests(base.name, model_snn, endpoints, warmup)
        with new_folder(places[0], next_place if version is None else None) as written:
            traced = write_endpoints(written, network.holders, endpoints, verbose=False)
            extra = written / EXTRA
            extra.mkdir()
            described = _description(model_snn, network, asked, endpoints, traced)
            (extra / DESCRIPTION).write_text(json.dumps(described, indent=1) + "\n")
            if requests is not None:
                write_requests(extra, requests)
                replay(written)
    return pathlib.Path(folder, places[-1].name)


def check_asked(
    model_snn: SpikingModel, timesteps: int | Sequence[int] | None, early_exit: EarlyExit | None, closed_form: bool
) -> Asked:
    """Returns what is asked for, or raises an error if the network cannot do it; see `export_serving`."""
    check_spiking_model(model_snn)
    graph, mode, schedule = model_snn.network.graph, model_snn.input_options.mode, model_snn.runner.schedule
    if mode == "frames" and (timesteps is not None or early_exit is not None):
        raise ValueError(
            f"SpikingModel '{model_snn.name}' takes frames, and runs through all that a request has. Expected "
            "no `timesteps` and no `early_exit`; clients that want to stop earlier use the signature 'step'."
        )
    check_early_exit(early_exit, graph, schedule=schedule, recorded=())
    asked_for = model_snn.timesteps if timesteps is None else timesteps
    several = asked_for if isinstance(asked_for, Sequence) else (asked_for,)
    numbers = tuple(check_timesteps(each) for each in several)
    if not numbers or len(set(numbers)) < len(numbers):
        raise ValueError(f"Expected `timesteps` to be a number, or several different ones. Received: {timesteps!r}")
    if closed_form and (mode != "analog" or not ClosedForm.holds_for(graph)):
        raise ValueError(
            "There is a closed form for constant (analog) input, soft reset without leak or signed spikes, and accumulated "
            f"max pooling. SpikingModel '{model_snn.name}' is another network: export it with closed_form=False."
        )
    return Asked(numbers, early_exit, closed_form)


def _description(
    model_snn: SpikingModel,
    network: ServedNetwork,
    asked: Asked,
    endpoints: Mapping[str, Endpoint],
    traced: Mapping[str, Any],
) -> dict[str, Any]:
    """What clients may want to know, and the server does not tell."""
    neurons = {node.name: node.shape for node in model_snn.network.graph if node.name in network.spike_names}
    return {
        "snn_toolbox_tf": __version__,
        "timesteps": list(asked.timesteps),
        "input": model_snn.input_options.mode,
        "schedule": model_snn.runner.schedule,
        "early_exit": None if asked.early_exit is None else vars(asked.early_exit),
        "signatures": {
            name: {
                "inputs": [spec.name for spec in endpoint.arguments],
                "outputs": list(traced[name].structured_outputs),
            }
            for name, endpoint in endpoints.items()
        },
        "inputs": network.input_names,
        "outputs": network.output_names,
        "spikes": {name: {"output": output, "neurons": neurons[name]} for name, output in network.spike_names.items()},
        "conversion": model_snn.conversion.summary,
    }
