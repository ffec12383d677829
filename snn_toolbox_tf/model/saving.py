"""What may be a saved model: checks in front of writing one, and behind reading its description."""

import pathlib
from collections.abc import Callable
from typing import Any, TypeVar

import keras

Model = TypeVar("Model")


def check_target(filepath: Any, *, overwrite: bool) -> None:
    """Raises if a model cannot, or must not, be saved at a path; see `SpikingModel.save`."""
    if not str(filepath).endswith(".keras"):
        raise ValueError(f"A SpikingModel is saved as a '.keras' file. Received: '{filepath}'")
    target = pathlib.Path(filepath)
    if not overwrite and target.exists():
        raise FileExistsError(f"'{filepath}' exists. Pass `overwrite=True` or another path.")
    if target.is_dir() and not (target / "config.json").is_file():
        raise IsADirectoryError(f"'{filepath}' is a folder, and no saved model. Choose another file name.")


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
        return make(**config)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        reason = str(error).rstrip(".")
        if not isinstance(error, ValueError):
            reason = f"{type(error).__name__}: {reason}"
        raise ValueError(
            f"This description of a spiking network cannot be used: {reason}. It is damaged, was changed by hand, or "
            "was written by another version of snn_toolbox_tf: use that version, or convert the source model again."
        ) from error
