"""A Keras model on its way to another process."""

import pathlib
import tempfile
from typing import Any

import keras

_LAYERS_OF_YOUR_OWN = (
    "Layers of your own have to be registered with keras.saving.register_keras_serializable, here and in every worker: "
    '`ray.init(runtime_env={"worker_process_setup_hook": ...})` names a function that does so'
)


class SentModel:
    """Holds a model, which becomes a .keras file when it is sent to another process, and a model again there.

    It is read without what it was compiled with: losses and metrics may be objects that no file can hold.

    Args:
        model: The model.

    Attributes:
        model: The model.
    """

    def __init__(self, model: keras.Model) -> None:
        self.model = model

    def __getstate__(self) -> dict[str, Any]:
        """Returns the model as a file."""
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "model.keras"
            try:
                self.model.save(path)
            except (TypeError, ValueError, NotImplementedError) as error:
                raise ValueError(f"Model '{self.model.name}' cannot be saved to be sent to workers: {error}") from error
            return {"name": self.model.name, "file": path.read_bytes()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Reads the model."""
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "model.keras"
            path.write_bytes(state["file"])
            try:
                self.model = keras.saving.load_model(path, compile=False)
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f"Model '{state['name']}', which is to be sent to workers, cannot be read from its file. "
                    f"{_LAYERS_OF_YOUR_OWN}. Keras says: {error}"
                ) from error


def check_can_be_sent(model: keras.Model) -> None:
    """Raises a ValueError if a model cannot be written and read again, so that no worker could have it."""
    received = SentModel.__new__(SentModel)
    received.__setstate__(SentModel(model).__getstate__())
