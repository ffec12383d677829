"""Weights of old files, placed in rebuilt models."""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import h5py
import keras
import numpy as np

from snn_toolbox_tf.model_files.build import Built
from snn_toolbox_tf.model_files.origin import Origin, RefusedLayerError
from snn_toolbox_tf.model_files.stored import Group
from snn_toolbox_tf.model_files.theano import TURNED, turned_around

_Named = list[tuple[str, np.ndarray]]
_DAMAGED = "The file does not fit its own architecture: save it again with the Keras that wrote it"


def place_weights(model: Built, weights: Group, origin: Origin) -> int:
    """Puts a file's weights into the layers of a rebuilt model.

    Args:
        model: The model.
        weights: The group that holds the layers' groups.
        origin: Who wrote the file.

    Returns:
        How many kernels were turned around.

    Raises:
        ModelFileError: If weights are missing, or have other shapes.
    """
    turned = 0
    for built in _leaves(model.inner):
        _check_output_shape(built, origin)
    stored = _listed(model.inner, weights, origin) if weights.listed else _numbered(model.inner, weights.group, origin)
    for built, arrays in stored:
        values = [value for _, value in arrays]
        if origin.major == 1 and values and (change := _LAYOUTS_OF_KERAS_1.get(built.class_name)):
            values = [change(value, built) for value in values]
        if origin.backend == "theano" and built.class_name in TURNED and values:
            values[0] = turned_around(values[0])
            turned += 1
        expected = [tuple(weight.shape) for weight in built.layer.weights]
        received = [value.shape for value in values]
        if received != expected:
            refused = RefusedLayerError(f"its weights have the shapes {received}, but it takes {expected}", _DAMAGED)
            raise origin.refuse(built.name, built.class_name, refused)
        built.layer.set_weights(values)
        if isinstance(built.layer, keras.layers.Normalization):
            # It computes with constants of its own.
            built.layer.finalize_state()
    return turned


def _check_output_shape(built: Built, origin: Origin) -> None:
    """Keras 1 let the user choose the size that a transposed convolution gives; there are several for one stride."""
    chosen = built.config.get("old_output_shape")
    if chosen and tuple(chosen[1:]) != tuple(built.layer.output.shape[1:]):
        refused = RefusedLayerError(
            f"its output had the shape {tuple(chosen[1:])}, that of Keras 3 has {tuple(built.layer.output.shape[1:])}",
            "Give it the output size (inputs - 1) * stride + kernel without padding, or inputs * stride, and train anew",
        )
        raise origin.refuse(built.name, built.class_name, refused)


def _leaves(layers: Iterable[Built]) -> Iterator[Built]:
    for built in layers:
        if built.inner:
            yield from _leaves(built.inner)
        elif built.layer.weights:
            yield built


def _listed(layers: Iterable[Built], weights: Group, origin: Origin) -> Iterator[tuple[Built, _Named]]:
    """A group for each layer; the weights of nested models stand in it in one row."""
    names = weights.layer_names()
    own = [built for built in layers if not built.added]
    # Early Sequential models do not say their names where they are nested: those go by their places.
    by_place = dict(zip(map(id, own), names, strict=True)) if len(own) == len(names) else {}
    for built in layers:
        leaves = list(_leaves([built]))
        if not leaves:
            continue
        name = built.name if built.name in names else by_place.get(id(built), built.name)
        if name not in weights.group:
            refused = RefusedLayerError("the file holds no weights of that name", _DAMAGED)
            raise origin.refuse(built.name, built.class_name, refused)
        arrays = Group(weights.group[name], listed=True).weights()
        yield from _in_rows(built, leaves, arrays, origin) if built.inner else [(built, arrays)]


def _in_rows(model: Built, leaves: list[Built], arrays: _Named, origin: Origin) -> list[tuple[Built, _Named]]:
    """Trainable weights of all layers first, then all others; those of a frozen layer are among the others."""
    rows: dict[int, list[int]] = {number: [] for number in range(len(leaves))}
    trainable, others = [], []
    for number, leaf in enumerate(leaves):
        count, all_of_them = len(leaf.layer.trainable_weights), len(leaf.layer.weights)
        count = count if leaf.config.get("trainable", True) else 0
        trainable += [number] * count
        others += [number] * (all_of_them - count)
    order = trainable + others
    if len(order) != len(arrays):
        refused = RefusedLayerError(f"it has {len(arrays)} weights, but takes {len(order)}", _DAMAGED)
        raise origin.refuse(model.name, model.class_name, refused)
    for position, number in enumerate(order):
        rows[number].append(position)
    placed = [(leaf, [arrays[position] for position in rows[number]]) for number, leaf in enumerate(leaves)]
    for leaf, named in placed:
        for (name, _), weight in zip(named, leaf.layer.weights, strict=True):
            if not _kind(name).endswith(_kind(weight.name)) and not name.startswith("param_"):
                refused = RefusedLayerError(f"'{name}' stands where its {weight.name} is expected", _DAMAGED)
                raise origin.refuse(leaf.name, leaf.class_name, refused)
    return placed


def _kind(name: str) -> str:
    """What a weight is: "dense_1/kernel:0" is a kernel, "dense_1_W:0" is one of Keras 1."""
    name = re.sub(r"(_\d+)?(:\d+)?$", "", name.split("/")[-1])
    old = re.search(r"_(W|U|b|running_mean|running_std|alphas|gamma|beta)$", name)
    return _KINDS_OF_KERAS_1.get(old.group(1), old.group(1)) if old else name


_KINDS_OF_KERAS_1 = {
    "W": "kernel",
    "U": "recurrent_kernel",
    "b": "bias",
    "running_mean": "moving_mean",
    "running_std": "moving_variance",
    "alphas": "alpha",
}


def _numbered(layers: Iterable[Built], group: h5py.Group, origin: Origin) -> Iterator[tuple[Built, _Named]]:
    """A group for each layer, named after its class and numbered where there are several of that class."""
    container = group["layers"] if "layers" in group else group["_layer_checkpoint_dependencies"]
    with_weights = [built for built in layers if list(_leaves([built]))]
    for base in {_snake_case(built.class_name): None for built in with_weights}:
        several = [built for built in with_weights if _snake_case(built.class_name) == base]
        names = [name for name in container if re.fullmatch(rf"{base}(_\d+)?", name) and _holds_values(container[name])]
        names.sort(key=lambda name: int(name.removeprefix(base).strip("_") or 0))
        if len(names) != len(several):
            refused = RefusedLayerError(
                f"the file holds weights of {len(names)} of {len(several)} such layers", _DAMAGED
            )
            raise origin.refuse(several[0].name, several[0].class_name, refused)
        for built, name in zip(several, names, strict=True):
            yield from _numbered_of(built, container[name], origin)


def _numbered_of(built: Built, group: h5py.Group, origin: Origin) -> Iterator[tuple[Built, _Named]]:
    if not built.inner:
        # The weights of a recurrent layer are its cell's.
        yield built, Group(group.get("cell", group), listed=False).weights()
    elif "layer" in group:
        yield from _numbered_of(built.inner[0], group["layer"], origin)
    else:
        yield from _numbered(built.inner, group, origin)


def _holds_values(group: h5py.Group) -> bool:
    return bool(group.visititems(lambda _, item: isinstance(item, h5py.Dataset) or None))


def _snake_case(name: str) -> str:
    name = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _conv1d(array: np.ndarray, built: Built) -> np.ndarray:
    """First (filters, inputs, length, 1), from Keras 1.1 on (length, 1, inputs, filters)."""
    if array.ndim != 4:
        return array
    length, filters = built.config["kernel_size"], built.config["filters"]
    if array.shape[:2] != (length, 1) or array.shape[3] != filters:
        array = array.transpose(2, 3, 1, 0)
    return array[:, 0]


def _spatial_first(array: np.ndarray, built: Built) -> np.ndarray:
    """(outputs, inputs, rows, columns), if channels come first."""
    if array.ndim < 4 or built.config["data_format"] == "channels_last":
        return array
    return array.transpose(*range(2, array.ndim), 1, 0)


def _transposed(array: np.ndarray, built: Built) -> np.ndarray:
    """(outputs, inputs, rows, columns) if channels come first, or else (rows, columns, inputs, outputs)."""
    if array.ndim < 4:
        return array
    return array.transpose(2, 3, 0, 1) if built.config["data_format"] == "channels_first" else array.swapaxes(2, 3)


_LAYOUTS_OF_KERAS_1: dict[str, Callable[[np.ndarray, Any], np.ndarray]] = {
    "Conv1D": _conv1d,
    "Conv2D": _spatial_first,
    "Conv3D": _spatial_first,
    "SeparableConv2D": _spatial_first,
    "Conv2DTranspose": _transposed,
}
