"""A digest of the native ops' sources; `setup.py` runs this file as well, so that it imports nothing else."""

import hashlib
import pathlib


def source_digest(folder: pathlib.Path) -> str:
    """Returns a digest of all C++ sources in a folder and below; "" if there are none, as in an installed wheel."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix in (".cc", ".h"))
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.relative_to(folder).as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16] if paths else ""
