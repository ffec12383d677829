"""SavedModel export: stock operations only, free batch dimension."""

import os
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from snn_toolbox_tf import ops
from snn_toolbox_tf.foundation.atomic_files import replacing_path


def export_saved_model(
    filepath: str | os.PathLike[str],
    model: keras.Model,
    serve: Callable[..., Any],
    signature: list[tf.TensorSpec],
    *,
    verbose: bool = False,
) -> None:
    """Writes a SavedModel; see `SpikingModel.export`.

    Args:
        filepath: Folder to write. An existing SavedModel there is replaced once the new one is complete.
        model: What holds the variables.
        serve: The function to export, of the model's inputs in their structure's order; traced with stock operations.
        signature: The specification of each input.
        verbose: Whether to print the signature.

    Raises:
        ValueError: If the folder holds something else.
    """
    target = pathlib.Path(filepath)
    if target.exists() and not (
        target.is_dir() and (not any(target.iterdir()) or (target / "saved_model.pb").exists())
    ):
        raise ValueError(
            f"'{target}' exists and is not a SavedModel, so it is not replaced. Expected a new folder or a SavedModel."
        )

    def with_stock_operations(*inputs: Any) -> Any:
        # A stock model server knows no op of ours.
        with ops.use("reference"):
            return serve(*inputs)

    # The endpoint and the signature are each traced; the network inside them only once.
    traced = tf.function(with_stock_operations, input_signature=signature, autograph=False).get_concrete_function()

    def served(*inputs: Any) -> Any:
        return traced(*inputs)

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serve", served, input_signature=signature)
    with replacing_path(target) as written:
        archive.write_out(str(written), verbose=verbose)
