"""`example`: a trained model, its data and a configuration file, to start from where only the package is installed."""

import os
import pathlib
import shutil
from typing import TYPE_CHECKING

import snn_toolbox_tf
from snn_toolbox_tf.cli.screen import Screen
from snn_toolbox_tf.config import ConfigurationError
from snn_toolbox_tf.foundation.atomic_files import new_folder

if TYPE_CHECKING:
    import numpy as np

#: The model and the configuration; examples/digits_model.py trains the model.
FILES = pathlib.Path(snn_toolbox_tf.__file__).parent / "example_files"
_NAMES = ("digits_cnn.keras", "digits.ini")


def write_example(folder: str, screen: Screen) -> int:
    """Writes the example into a folder of its own, which appears whole or not at all.

    Args:
        folder: The folder to write.
        screen: Where to say what was written.

    Raises:
        ConfigurationError: If there is something already.
        FileNotFoundError: If the installation has no example.
    """
    target = pathlib.Path(folder)
    if os.path.lexists(target):
        raise ConfigurationError(
            f"'{folder}' exists, and is not written to. Name another folder: `snn-toolbox-tf example FOLDER`."
        )
    sources = [FILES / name for name in _NAMES]
    for source in sources:
        if not source.is_file():
            raise FileNotFoundError(
                f"There is no example file '{source}'. Install the package again: "
                "`pip install --force-reinstall snn_toolbox_tf`."
            )
    with new_folder(target) as written:
        written.mkdir()
        for source in sources:
            shutil.copyfile(source, written / source.name)
        _write_data(written)
        files = sorted(path.name for path in written.iterdir())
    config = target / "digits.ini"
    screen.result(
        f"{folder}: {', '.join(files)}\nnext: snn-toolbox-tf run {config}",
        {"folder": str(target.absolute()), "files": files, "config": str(config.absolute())},
    )
    return 0


def _write_data(folder: pathlib.Path) -> None:
    import numpy as np

    x_train, _, x_test, y_test = digits()
    for name, array in {"x_test": x_test, "y_test": y_test, "x_norm": x_train}.items():
        np.savez_compressed(folder / f"{name}.npz", array)


def digits() -> "tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]":
    """Returns scikit-learn's digits as the example divides them, every third of them for testing.

    Returns:
        Training images `[1198, 8, 8, 1]` in [0, 1], their labels, test images `[599, 8, 8, 1]`, and their labels.
    """
    import numpy as np
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x = (bunch.images / 16.0).astype(np.float32)[..., np.newaxis]
    y = bunch.target
    tested = np.arange(len(x)) % 3 == 0
    return x[~tested], y[~tested], x[tested], y[tested]
