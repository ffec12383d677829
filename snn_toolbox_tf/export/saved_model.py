"""SavedModel export: stock operations only, free batch dimension."""

import os
import pathlib
import shutil
import tempfile
from typing import TYPE_CHECKING, Any

import keras

from snn_toolbox_tf import ops

if TYPE_CHECKING:
    from snn_toolbox_tf.model import SpikingModel


def export_saved_model(model: "SpikingModel", filepath: str | os.PathLike[str], *, verbose: bool = False) -> None:
    """Writes a model as a SavedModel; see `SpikingModel.export`."""
    target = pathlib.Path(filepath)
    if target.exists() and not (
        target.is_dir() and (not any(target.iterdir()) or (target / "saved_model.pb").exists())
    ):
        raise ValueError(
            f"'{target}' exists and is not a SavedModel, so it is not replaced. Expected a new folder or a SavedModel."
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as folder:
        written = pathlib.Path(folder) / "model"
        _write(model, written, verbose)
        if target.exists():
            target.rename(pathlib.Path(folder) / "replaced")
        shutil.move(written, target)


def _write(model: "SpikingModel", folder: pathlib.Path, verbose: bool) -> None:
    def serve(*inputs: Any) -> Any:
        # A stock model server knows no op of ours.
        with ops.use("reference"):
            return model.run(inputs[0] if len(inputs) == 1 else list(inputs))

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serve", serve, input_signature=model.serving_signature())
    archive.write_out(str(folder), verbose=verbose)
