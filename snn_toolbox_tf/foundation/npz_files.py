"""npz files, read whole: whatever is wrong with one is one kind of error."""

import os
import zipfile
import zlib

import numpy as np


def read_arrays(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Returns all arrays of an npz file by name.

    Raises:
        ValueError: If the file cannot be read, is cut off or damaged, holds Python objects, or is a single array; it says
            which.
    """
    try:
        with open(path, "rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if not isinstance(loaded, np.lib.npyio.NpzFile):
                raise ValueError("it is a single .npy array, not an .npz file (`numpy.savez(path, array)`)")
            return {name: loaded[name] for name in loaded.files}
    except (ValueError, OSError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(str(error) or "it is empty") from error
