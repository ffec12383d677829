"""Layers of a Functional model, called as its configuration says."""

from collections.abc import Callable, Iterator
from typing import Any

import keras

from snn_toolbox_tf.model_files.keras2 import dtype_name
from snn_toolbox_tf.model_files.operations import call_operation
from snn_toolbox_tf.model_files.origin import ModelFileError, Origin, RefusedLayerError

_CONSTANT = "_CONSTANT_VALUE"
_MODELS = ("Sequential", "Model", "Functional")


def is_model(entry: dict[str, Any]) -> bool:
    """Whether a layer's entry is a model of layers."""
    return entry["class_name"] in _MODELS


class Wiring:
    """Calls the layers of a Functional model.

    An entry lists its calls. Each names its inputs: layer, number of that layer's call, number of the output, and from
    Keras 2 on further arguments.

    Args:
        config: Configuration of the model.
        origin: Who wrote it.
        build: Gives the layers that an entry stands for, to be called one after the other.

    Attributes:
        layers: The layers by the names of their entries, in the order of the file.
        inputs: The model's inputs, in its structure.
        outputs: The model's outputs, in its structure.
    """

    def __init__(self, config: dict[str, Any], origin: Origin, build: Callable[[dict[str, Any]], list[Any]]) -> None:
        self._origin = origin
        self._entries = {entry.get("name") or entry["config"]["name"]: entry for entry in config["layers"]}
        self.layers = {
            name: build(entry)
            for name, entry in self._entries.items()
            if entry["class_name"] not in ("InputLayer", "TFOpLambda")
        }
        self._made: dict[tuple[str, int], list[Any]] = {}
        self._first = self._first_calls(config)
        self._call_all()
        self.inputs = self._structure(config["input_layers"])
        self.outputs = self._structure(config["output_layers"])

    def _first_calls(self, config: dict[str, Any]) -> dict[str, int]:
        """Keras 1 and 2 count the calls of some nested models from 1: the first made the model itself."""
        nodes = [entry.get("inbound_nodes", []) for entry in config["layers"]]
        first: dict[str, int] = {}
        for name, number, *_ in _references([nodes, config["output_layers"]]):
            if name in self._entries and is_model(self._entries[name]):
                first[name] = min(first.get(name, number), number)
        return first

    def _call_all(self) -> None:
        waiting = []
        for name, entry in self._entries.items():
            if entry["class_name"] == "InputLayer":
                self._made[name, 0] = [_input(name, entry["config"])]
            waiting += [(name, number, node) for number, node in enumerate(entry.get("inbound_nodes", []))]
        while waiting:
            ready = [call for call in waiting if all(map(self._is_made, _references(call[2])))]
            if not ready:
                missing = ", ".join(sorted({f"'{name}'" for name, _, _ in waiting}))
                raise ModelFileError(
                    f"'{self._origin.path}' was written by {self._origin.writer}, but its layers {missing} are wired to "
                    "layers that it does not hold. The file is damaged, or was edited by hand."
                )
            for name, number, node in ready:
                try:
                    self._made[name, number] = keras.tree.flatten(self._call(name, node))
                except RefusedLayerError as refused:
                    raise self._origin.refuse(name, self._entries[name]["class_name"], refused) from refused
            waiting = [call for call in waiting if (call[0], call[1]) not in self._made]

    def _call(self, name: str, node: Any) -> Any:
        single = _is_reference(node)
        references = [node] if single else node
        arguments = {key: value for reference in references for key, value in _arguments(reference).items()}
        tensors = [self._tensor(reference) for reference in references]
        entry = self._entries[name]
        if entry["class_name"] == "TFOpLambda":
            arguments = {key: self._structure(value, unwrap=False) for key, value in arguments.items()}
            return call_operation(entry["config"]["function"], name, tensors[0] if single else tensors, arguments)
        effective = [key for key, value in arguments.items() if value is not None and value is not False]
        if effective:
            raise RefusedLayerError(
                f"it is called with {', '.join(effective)}", "Expected a call with its inputs only, as at inference"
            )
        value: Any = tensors[0] if len(tensors) == 1 else tensors
        for link in self.layers[name]:
            value = link.layer(value)
        return value

    def _key(self, reference: list[Any]) -> tuple[str, int]:
        name, number = reference[:2]
        return name, number - self._first.get(name, 0)

    def _is_made(self, reference: list[Any]) -> bool:
        return reference[0] == _CONSTANT or self._key(reference) in self._made

    def _tensor(self, reference: list[Any]) -> Any:
        return reference[2] if reference[0] == _CONSTANT else self._made[self._key(reference)][reference[2]]

    def _structure(self, value: Any, *, unwrap: bool = True) -> Any:
        """Returns a structure of references as one of tensors; a list of one as that one."""
        if _is_reference(value):
            return self._tensor(value)
        if isinstance(value, dict):
            return {key: self._structure(part) for key, part in value.items()}
        if isinstance(value, list):
            parts = [self._structure(part, unwrap=unwrap) for part in value]
            return parts[0] if unwrap and len(parts) == 1 else parts
        return value


def _input(name: str, config: dict[str, Any]) -> Any:
    shape = config.get("batch_input_shape") or config["batch_shape"]
    dtype = config.get("input_dtype") or dtype_name(config.get("dtype")) or "float32"
    return keras.Input(batch_shape=(None, *shape[1:]), dtype=dtype, name=name.replace("/", "_"))


def _is_reference(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) in (3, 4)
        and isinstance(value[0], str)
        and all(isinstance(number, int) for number in value[1:2])
    )


def _references(value: Any) -> Iterator[list[Any]]:
    """Yields all references in a structure, also those among arguments."""
    if _is_reference(value):
        yield value
        value = _arguments(value)
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _references(part)


def _arguments(reference: list[Any]) -> dict[str, Any]:
    return reference[3] if len(reference) == 4 and reference[3] else {}
