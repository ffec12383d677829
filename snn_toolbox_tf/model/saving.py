"""What may be a saved model: checks in front of writing one, and behind reading its description."""

import json
import pathlib
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import keras
import tensorflow as tf

from snn_toolbox_tf.graph import Graph, MaxPool, Synapse
from snn_toolbox_tf.graph.file_format import NewerFormatError, check_format
from snn_toolbox_tf.synapses.registry import FAMILIES, MAX_POOLING

Model = TypeVar("Model")

#: What a description causes that was changed by hand; TensorFlow's own error is for sizes that no memory holds.
_OF_WRONG_DESCRIPTIONS = (
    *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError, MemoryError),
    tf.errors.OpError,
)

#: How Keras writes down a function without a name: as code, which safe mode does not run.
_LAMBDA = "__lambda__"
#: Layers that run what is in them, or beside them: no network has one, but a file might.
_RUNS_CODE = ("Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer")


def check_target(filepath: Any, *, overwrite: bool, zipped: bool | None) -> None:
    """Raises if a model cannot, or must not, be saved at a path; see `SpikingModel.save`."""
    if not str(filepath).endswith(".keras"):
        raise ValueError(f"A SpikingModel is saved as a '.keras' file. Received: '{filepath}'")
    if "://" in str(filepath):
        raise ValueError(f"A SpikingModel is saved on this computer: copy the file from here. Received: '{filepath}'")
    if zipped is False:
        raise ValueError("A SpikingModel is saved as one file, not as a folder. Received: zipped=False")
    target = pathlib.Path(filepath)
    if not overwrite and target.exists():
        raise FileExistsError(f"'{filepath}' exists. Pass `overwrite=True` or another path.")
    if target.is_dir() and not (target / "config.json").is_file():
        raise IsADirectoryError(f"'{filepath}' is a folder, and no saved model. Choose another file name.")


def check_compilation(model: keras.Model) -> None:
    """Raises if what a model is compiled with cannot be written to a file that loads in safe mode.

    Raises:
        ValueError: If a loss, metric or optimizer has no configuration, or is a function without a name.
    """
    try:
        with warnings.catch_warnings():
            # Of lambdas, which are told of below.
            warnings.simplefilter("ignore", UserWarning)
            config = model.get_compile_config() or {}
        lambdas = [name for name, part in config.items() if _LAMBDA in json.dumps(part)]
    except (TypeError, ValueError, NotImplementedError, AttributeError) as error:
        raise _unsavable(model, f"Keras says: {type(error).__name__}: {str(error).rstrip('.')}") from error
    if lambdas:
        raise _unsavable(model, f"a function without a name (lambda) is in: {', '.join(lambdas)}")


def _unsavable(model: keras.Model, reason: str) -> ValueError:
    return ValueError(
        f"Model '{model.name}' is compiled with what no file can hold, so nothing was written. {reason}. Expected losses, "
        "metrics and optimizers with `get_config`, and functions with names, registered by "
        "`@keras.saving.register_keras_serializable()`. Compile the model with such ones, or save it without any, after "
        "`compile()`."
    )


def check_layer_configurations(graph: Graph) -> None:
    """Raises if the configuration of a layer cannot be written to a file.

    Raises:
        ValueError: If there is one: of a layer that a user registered.
    """
    for node in graph:
        if isinstance(node, (Synapse, MaxPool)):
            try:
                json.dumps(keras.saving.serialize_keras_object(node.layer.config))
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f"Layer '{node.name}' ({node.layer.class_name}) cannot be saved, so nothing was written: its "
                    f"`get_config` returns what is no JSON ({error}). Expected numbers, texts, lists and dicts."
                ) from error


def check_layer_classes(graph: Graph) -> None:
    """Raises if a network that comes from a file has layers that no conversion makes, code in them above all.

    Raises:
        ValueError: If there is one.
    """
    for node in graph:
        if isinstance(node, (Synapse, MaxPool)):
            known = MAX_POOLING.class_names if isinstance(node, MaxPool) else FAMILIES
            name = node.layer.class_name
            # Of a class that is not known at all, the error says how to register it.
            if name not in known and getattr(keras.layers, name, None) is not None:
                raise ValueError(f"node '{node.name}' is a layer {name}, which no spiking network has")
    for readout in graph.readouts:
        for spec in readout.decoder:
            if spec.class_name in _RUNS_CODE or _LAMBDA in str(spec.config):
                raise ValueError(f"output '{readout.name}' is decoded by code ({spec.class_name}), which is not run")


def without_unsavable_compilation(model: keras.Model) -> None:
    """Takes from a model what it is compiled with, if no file can hold it, and warns of that.

    For networks that take over a source's loss, which may be a function without a name, and are saved in the end.
    """
    try:
        check_compilation(model)
    except ValueError as error:
        warnings.warn(f"The network is saved without loss, metrics and optimizer. {error}", stacklevel=2)
        model.compile()


def refuse_hdf5(name: str) -> None:
    """Raises if Keras is writing one of its old .h5 files, which cannot hold the network.

    Keras has no public word for it, but meanwhile it describes layers without their modules.
    """
    (layer,) = keras.Sequential([keras.layers.Identity()]).get_config()["layers"]
    if "module" not in layer:
        raise ValueError(
            f"SpikingModel '{name}' cannot be saved as an HDF5 file. Expected a '.keras' file: "
            "`model_snn.save('name.keras')`."
        )


def model_from_description(make: Callable[..., Model], config: dict[str, Any]) -> Model:
    """Makes a model of a description that may have been changed by hand; see `SpikingModel.from_config`."""
    try:
        # First, as a newer version may have arguments of its own as well.
        check_format(config.get("graph"))
        return make(**config)
    except NewerFormatError as error:
        raise ValueError(
            f"This description of a spiking network cannot be used: {error}. Install that version or a newer one "
            "(`pip install --upgrade snn_toolbox_tf`), or convert the source model again."
        ) from error
    except _OF_WRONG_DESCRIPTIONS as error:
        reason = str(error).rstrip(".")
        if not isinstance(error, ValueError):
            reason = f"{type(error).__name__}: {reason}"
        raise ValueError(
            f"This description of a spiking network cannot be used: {reason}. It is damaged, was changed by hand, or "
            "was written by another version of snn_toolbox_tf: use that version, or convert the source model again."
        ) from error
