"""Layers and Sequential models, rebuilt from their configurations."""

import dataclasses
from typing import Any

import keras

from snn_toolbox_tf.model_files.keras1 import from_keras1
from snn_toolbox_tf.model_files.keras2 import dtype_name, to_keras3
from snn_toolbox_tf.model_files.origin import ModelFileError, Origin, RefusedLayerError
from snn_toolbox_tf.model_files.theano import explicit_padding
from snn_toolbox_tf.model_files.wiring import Wiring, is_model


@dataclasses.dataclass(frozen=True)
class Built:
    """A rebuilt layer, and what it was.

    Attributes:
        name: Its name in the file.
        class_name: Its class, as Keras 2 calls it.
        config: Its configuration, as Keras 2 writes it.
        layer: The layer of Keras 3.
        inner: The layers of a model, in the order of the file; the layer inside a wrapper.
        added: Whether the file has no such layer: it is padding that was implicit.
    """

    name: str
    class_name: str
    config: dict[str, Any]
    layer: Any
    inner: tuple["Built", ...] = ()
    added: bool = False


def build_model(architecture: dict[str, Any], origin: Origin) -> Built:
    """Rebuilds a model.

    Args:
        architecture: Class name and configuration.
        origin: Who wrote it.

    Raises:
        ModelFileError: If the model, or a layer of it, cannot be rebuilt.
    """
    class_name, config = architecture["class_name"], architecture["config"]
    named = config if isinstance(config, dict) else architecture
    name = (named.get("name") or architecture.get("name") or "").replace("/", "_") or None
    if class_name == "Sequential":
        model, inner = _sequential(config, name, origin)
    elif is_model(architecture):
        wiring = Wiring(config, origin, lambda entry: _chain(entry, origin))
        model = keras.Model(wiring.inputs, wiring.outputs, name=name)
        inner = [built for chain in wiring.layers.values() for built in chain]
    else:
        raise ModelFileError(
            f"'{origin.path}' was written by {origin.writer} and holds a model of class {class_name}. Expected Sequential, "
            "Model or Functional: other classes of models are Python code, which the file does not hold. Rebuild it as "
            "`keras.Model(inputs, outputs)` in the Keras that wrote it, and save it again."
        )
    return Built(name or model.name, class_name, named, model, tuple(inner))


def _chain(entry: dict[str, Any], origin: Origin) -> list[Built]:
    """Returns a layer or a model, behind the padding that it may need."""
    if is_model(entry):
        return [build_model(entry, origin)]
    class_name, config = entry["class_name"], entry["config"]
    name = config.get("name") or entry.get("name") or class_name
    try:
        if origin.major == 1:
            class_name, config = from_keras1(class_name, config)
        padding = explicit_padding(class_name, config) if origin.backend == "theano" else None
        if class_name == "TimeDistributed":
            return [_time_distributed(name, config, origin)]
        if padding is not None:
            config = config | {"padding": "valid"}
        built = [Built(name, class_name, config, to_keras3(class_name, config))]
        if padding is not None:
            built.insert(0, Built(padding[1]["name"], *padding, to_keras3(*padding), added=True))
        return built
    except RefusedLayerError as refused:
        raise origin.refuse(name, entry["class_name"], refused) from refused
    except KeyError as error:
        missing = RefusedLayerError(f"its configuration lacks {error}", "The file is damaged, or was edited by hand.")
        raise origin.refuse(name, entry["class_name"], missing) from error


def _time_distributed(name: str, config: dict[str, Any], origin: Origin) -> Built:
    *padding, inner = _chain(config["layer"], origin)
    if padding:
        raise RefusedLayerError(
            "Theano pads the convolution inside otherwise than Keras 3",
            "Set padding='valid' in the Keras that wrote the file",
        )
    layer = keras.layers.TimeDistributed(inner.layer, name=name.replace("/", "_"))
    return Built(name, "TimeDistributed", config, layer, (inner,))


def _sequential(config: Any, name: str | None, origin: Origin) -> tuple[keras.Model, list[Built]]:
    entries = config["layers"] if isinstance(config, dict) else config
    if entries and entries[0]["class_name"] == "Merge":
        return _merged_branches(entries, name, origin)
    given = entries and _input_of(entries[0])
    if not given and isinstance(config, dict):
        given = config.get("build_input_shape"), "float32"
    built = [link for entry in entries if entry["class_name"] != "InputLayer" for link in _chain(entry, origin)]
    layers = [link.layer for link in built]
    if given and given[0]:
        layers.insert(0, keras.Input(batch_shape=(None, *given[0][1:]), dtype=given[1]))
    return keras.Sequential(layers, name=name), built


def _input_of(entry: dict[str, Any]) -> tuple[Any, str] | None:
    """Shape and dtype of the input that a Sequential model's first layer declares; None if it declares none."""
    config = entry["config"]
    if entry["class_name"] == "Sequential":
        entries = config["layers"] if isinstance(config, dict) else config
        return _input_of(entries[0])
    if is_model(entry):
        return None
    shape = config.get("batch_input_shape") or config.get("batch_shape")
    return (shape, config.get("input_dtype") or dtype_name(config.get("dtype")) or "float32") if shape else None


def _merged_branches(
    entries: list[dict[str, Any]], name: str | None, origin: Origin
) -> tuple[keras.Model, list[Built]]:
    """Keras 1 let a Sequential model start with several others, side by side, as one flat model."""
    merge, *rest = entries
    parts = merge["config"]["layers"]
    wrapped = [part if is_model(part) else {"class_name": "Sequential", "config": [part]} for part in parts]
    branches = [build_model(part, origin) for part in wrapped]
    inputs = [tensor for branch in branches for tensor in branch.layer.inputs]
    options = {key: value for key, value in merge["config"].items() if key != "layers"}
    links = _chain({"class_name": "Merge", "config": options}, origin)
    links += [link for entry in rest for link in _chain(entry, origin)]
    value = [branch.layer.outputs[0] for branch in branches]
    for link in links:
        value = link.layer(value)
    inner = [link for branch in branches for link in branch.inner] + links
    return keras.Model(inputs, value, name=name), inner
