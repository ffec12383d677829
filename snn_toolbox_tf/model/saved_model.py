"""SavedModel: stock operations only, free batch dimension."""

import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from snn_toolbox_tf import ops
from snn_toolbox_tf.foundation.atomic_files import replacing_path

#: What a SavedModel cannot hold: Python functions stay in the process that has traced them.
_OF_THIS_PROCESS = ("PyFunc", "PyFuncStateless", "EagerPyFunc")


class Endpoint(NamedTuple):
    """A function of tensors.

    Attributes:
        function: The function.
        arguments: What it takes, in order.
    """

    function: Callable[..., Any]
    arguments: Sequence[tf.TensorSpec]


def export_saved_model(
    filepath: str | os.PathLike[str], model: keras.Model, endpoint: Endpoint, *, verbose: bool = False
) -> None:
    """Writes a SavedModel; see `SpikingModel.export`.

    Args:
        filepath: Folder to write. An existing SavedModel there is replaced once the new one is complete.
        model: What holds the variables.
        endpoint: The function to export, of the model's inputs in their structure's order.
        verbose: Whether to print the signature.

    Raises:
        ValueError: If the folder holds something else, or the function needs an operation that is not TensorFlow's own.
    """
    target = pathlib.Path(filepath)
    if target.exists() and not (
        target.is_dir() and (not any(target.iterdir()) or (target / "saved_model.pb").exists())
    ):
        raise ValueError(
            f"'{target}' exists and is not a SavedModel, so it is not replaced. Expected a new folder or a SavedModel."
        )
    with replacing_path(target) as written:
        write_endpoints(written, [model], {"serve": endpoint}, verbose=verbose)


def write_endpoints(
    folder: pathlib.Path, holders: Sequence[keras.layers.Layer], endpoints: Mapping[str, Endpoint], *, verbose: bool
) -> dict[str, Any]:
    """Writes a SavedModel with a signature for each function; the first is `serving_default`, if none is called so.

    Args:
        folder: Where nothing is yet.
        holders: What holds the variables of the functions.
        endpoints: The functions by name; traced with stock operations.
        verbose: Whether to print the signatures.

    Returns:
        The functions as they were traced, by name.

    Raises:
        ValueError: If a function needs an operation that is not TensorFlow's own.
    """
    archive = keras.export.ExportArchive()
    for holder in holders:
        archive.track(holder)
    traced = {name: stock_function(name, endpoint) for name, endpoint in endpoints.items()}
    for name, endpoint in endpoints.items():
        archive.add_endpoint(name, _caller(traced[name]), input_signature=list(endpoint.arguments))
    archive.write_out(str(folder), verbose=verbose)
    return traced


def stock_function(name: str, endpoint: Endpoint) -> Any:
    """Traces a function with stock operations, because a stock model server knows no op of ours.

    Raises:
        ValueError: If that is not possible.
    """

    def with_stock_operations(*inputs: Any) -> Any:
        with ops.use("reference"):
            return endpoint.function(*inputs)

    traced = tf.function(with_stock_operations, input_signature=list(endpoint.arguments), autograph=False)
    concrete = traced.get_concrete_function()
    foreign = foreign_operations(concrete.graph.as_graph_def())
    if foreign:
        raise ValueError(
            f"Signature '{name}' cannot be exported: it needs {foreign}, which a stock TensorFlow does not have. Expected "
            "operations of TensorFlow alone. A registered layer must not use `tf.py_function`, `tf.numpy_function` or "
            "operations of a library of its own."
        )
    return concrete


def foreign_operations(graph: Any) -> list[str]:
    """Returns the types of operations in a `GraphDef` that a stock TensorFlow does not have or cannot run, sorted."""
    types = {node.op for node in graph.node}
    types |= {node.op for function in graph.library.function for node in function.node_def}
    functions = {function.signature.name for function in graph.library.function}
    # Operations of libraries that were loaded have a package in front of their names, as in `Package>Operation`.
    return sorted(name for name in types - functions if name in _OF_THIS_PROCESS or ">" in name)


def _caller(traced: Any) -> Callable[..., Any]:
    """The endpoint and the signature are each traced; the network inside them only once."""

    def served(*inputs: Any) -> Any:
        return traced(*inputs)

    return served
