"""Reads a model from a file, whichever Keras wrote it."""

import os
import pathlib
import re
import warnings
from typing import Any

import keras

from snn_toolbox_tf.model_files.build import Built, build_model
from snn_toolbox_tf.model_files.origin import BACKENDS, ModelFileError, in_one_line, unreadable
from snn_toolbox_tf.model_files.stored import Group, StoredModel, architecture_beside, opened
from snn_toolbox_tf.model_files.weights import place_weights

#: Metrics that are the same in all versions, without options.
_METRICS = {
    *("accuracy", "acc", "binary_accuracy", "categorical_accuracy", "sparse_categorical_accuracy"),
    *("mse", "mae", "mean_squared_error", "mean_absolute_error"),
}


def load_model(path: str | os.PathLike[str]) -> keras.Model:
    """Reads a trained model from a .keras or .h5 file that Keras 1, 2 or 3 wrote.

    A file of Keras 1 or 2 is rebuilt from Keras 3 layers: options get their names of today, kernels that Theano trained are
    turned around, channel orders stay. A warning says so in one line. Code in files is never run.

    Args:
        path: The file. For an .h5 file with weights only, the architecture is read from the .json file of the same name.

    Returns:
        The model. Files of spiking networks give a `SpikingModel`. Of old files, loss and metrics are taken over where they
        are Keras's own; optimizers and regularizers are not.

    Raises:
        ModelFileError: If there is no such file, it is damaged or no model, or a layer of it cannot be rebuilt; for a
            spiking network also if it was altered, or has a newer format.

    Example:
        >>> import keras, pathlib, tempfile, snn_toolbox_tf as snn
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3)])
        >>> file = pathlib.Path(tempfile.mkdtemp(), "model.keras")
        >>> model.save(file)
        >>> snn.load_model(file).output_shape
        (None, 3)
    """
    file = pathlib.Path(path)
    if not file.is_file():
        found = f"'{file}' is a folder" if file.is_dir() else f"There is no file '{file}'"
        raise ModelFileError(f"{found}. Expected a model that `model.save` wrote as .keras or .h5.")
    with opened(file) as stored:
        if stored.weights is not None and stored.origin.major < 3:
            model, note = _rebuilt(stored, stored.weights)
            warnings.warn(note, UserWarning, stacklevel=2)
            return model
        return _read_by_keras(file, stored)


def _rebuilt(stored: StoredModel, weights: Group) -> tuple[keras.Model, str]:
    """Returns a model of Keras 1 or 2, and one line on what was done."""
    origin = stored.origin
    if origin.backend not in BACKENDS:
        raise ModelFileError(
            f"'{origin.path}' was written by {origin.writer}. Expected one of the backends {', '.join(BACKENDS)}: how "
            "another computes convolutions is not known here. Load and save the model with Keras 2 and TensorFlow."
        )
    try:
        built = build_model(stored.architecture, origin)
    except (TypeError, ValueError) as error:
        if isinstance(error, ModelFileError):
            raise
        raise ModelFileError(
            f"'{origin.path}' was written by {origin.writer} and cannot be rebuilt in Keras {keras.__version__}: "
            f"{in_one_line(error)}. "
            "Load and save the model with Keras 2 and TensorFlow."
        ) from error
    model = built.layer
    if not model.built:
        raise ModelFileError(
            f"'{origin.path}' was written by {origin.writer} and does not say the shape of its input. Call the model once "
            "on data in the Keras that wrote it, and save it again."
        )
    turned = place_weights(built, weights, origin)
    _freeze(built)
    _compile(model, stored.training)
    padded = sum(_padded(built))
    done = [f"rebuilt for Keras {keras.__version__.partition('.')[0]}"]
    done += [f"kernels of {turned} convolution{'s' * (turned > 1)} turned around"] * bool(turned)
    done += [f"padding in front of {padded} layer{'s' * (padded > 1)} made explicit"] * bool(padded)
    return model, f"'{origin.path.name}' was written by {origin.writer}: {', '.join(done)}."


def _padded(built: Built) -> list[int]:
    return [int(built.added), *(count for inner in built.inner for count in _padded(inner))]


def _freeze(built: Built) -> None:
    for inner in built.inner:
        _freeze(inner)
    if built.config.get("trainable", True) is False:
        built.layer.trainable = False


def _compile(model: keras.Model, training: dict[str, Any]) -> None:
    """Takes over a loss of Keras, and metrics whose names say all; others are the user's own functions."""
    loss, options = training.get("loss"), {}
    if isinstance(loss, dict) and "class_name" in loss:
        given = loss.get("config") or {}
        loss, options = loss["class_name"], {key: given[key] for key in ("from_logits",) if key in given}
    if not isinstance(loss, str):
        return
    try:
        found = keras.losses.get({"class_name": loss, "config": options} if options else loss)
    except (TypeError, ValueError):
        return
    model.compile(loss=found if options else loss, metrics=_metric_names(training.get("metrics")))


def _metric_names(metrics: Any) -> list[str]:
    """Names of metrics, however deep they are in lists; other structures are for several outputs."""
    if isinstance(metrics, list):
        return [name for metric in metrics for name in _metric_names(metric)]
    if isinstance(metrics, dict) and isinstance(metrics.get("config"), dict):
        metrics = metrics["config"].get("name")
    return [metrics] if metrics in _METRICS else []


def _read_by_keras(file: pathlib.Path, stored: StoredModel) -> keras.Model:
    """Reads a file of Keras 3."""
    # What the model is compiled with can be left out.
    if "__lambda__" in str({key: value for key, value in stored.architecture.items() if key != "compile_config"}):
        raise ModelFileError(
            f"cannot read '{file}' as a model: a Lambda layer in it holds Python code, which is not run from a file. "
            "Replace it by layers, or by `keras.ops`, and save the model again."
        )
    try:
        if beside := architecture_beside(file):
            model = keras.models.model_from_json(beside.read_text())
            model.load_weights(file)
            return model
        try:
            # With loss and metrics, which the converted network takes over.
            return keras.saving.load_model(file)
        except (TypeError, ValueError):
            # They may be the user's own functions; the network does not need them.
            return keras.saving.load_model(file, compile=False)
    # Keras raises whatever a damaged file, an unknown layer or a newer version happens to trip over.
    except Exception as error:
        reason = _without_wrapping(str(error))
        if "SpikingModel" in reason or "spiking network" in reason:
            raise ModelFileError(f"cannot read '{file}' as a model: {reason}") from error
        raise unreadable(file, f"Keras {keras.__version__} says: {reason}") from error


def _without_wrapping(message: str) -> str:
    """Returns what an error says without what Keras puts around it: counts and lists of objects, whole configurations."""
    wrapped = re.search(r"Example error message for object .*?:\n\n(.*?)\n\nList of objects", message, re.DOTALL)
    return (wrapped.group(1) if wrapped else message).partition("Full object config: ")[0].strip()
