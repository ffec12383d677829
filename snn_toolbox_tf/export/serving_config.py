"""Configuration files of TensorFlow Serving: which models and versions it serves, and how it batches requests."""

import os
import pathlib
import re
from collections.abc import Mapping
from typing import Any

from snn_toolbox_tf.export.versions import versions_of
from snn_toolbox_tf.foundation.argument_checks import check_positive_integer, is_number
from snn_toolbox_tf.foundation.atomic_files import replacing

#: Which models and versions are served, and how requests are batched.
CONFIGURATIONS = ("models.config", "batching.config")


def write_serving_config(
    folder: str | os.PathLike[str],
    *,
    labels: dict[str, dict[str, int]] | None = None,
    batch_size: int = 64,
    batch_timeout: float = 2.0,
    overwrite: bool = False,
) -> tuple[pathlib.Path, pathlib.Path]:
    """Writes `models.config` and `batching.config` for all models of a folder, as TensorFlow Serving reads them.

    Args:
        folder: The folder that holds the models' folders. The server sees it as `/models`.
        labels: Names for versions, by model: `{"digits": {"stable": 1, "canary": 2}}`. Without any, the newest version is
            served, as soon as it is there; with labels, the versions that have one, until this is written again.
        batch_size: Largest batch that requests are merged into, in samples.
        batch_timeout: How long a request waits for others to join its batch, in milliseconds.
        overwrite: Whether files that are there are replaced.

    Returns:
        The two files.

    Raises:
        FileNotFoundError: If the folder holds no model.
        FileExistsError: If a file exists and `overwrite` is False.
        ValueError: If a label names a model or a version that is not there, or for a number out of its range.
    """
    check_positive_integer(batch_size, "batch_size")
    if not (is_number(batch_timeout) and batch_timeout >= 0):
        raise ValueError(f"Expected `batch_timeout` to be milliseconds, 0 or more. Received: {batch_timeout!r}")
    base = pathlib.Path(folder)
    # A model whose name has quotes or spaces cannot be asked for by URL, either.
    models = sorted(
        path.name for path in base.glob("*") if path.is_dir() and _is_label(path.name) and versions_of(path)
    )
    if not models:
        raise FileNotFoundError(
            f"'{base}' holds no model. Expected folders with versions in them, such as '{base / 'digits' / '1'}', as "
            "`snn_toolbox_tf.export_serving` writes them."
        )
    labels = labels or {}
    there = {name: versions_of(base / name) for name in models}
    for name, versions in labels.items():
        if not (isinstance(versions, Mapping) and all(map(_is_label, versions))):
            raise ValueError(
                f"Expected `labels` of model '{name}' to be a dict from names (letters, digits, '_', '-', '.') to versions. "
                f"Received: {versions!r}"
            )
        missing = [number for number in versions.values() if number not in there.get(name, ())]
        if missing or name not in there:
            raise ValueError(
                f"`labels` names versions {missing} of model '{name}', which '{base}' does not hold. It holds: {there}"
            )
    entries = "".join(_model_entry(name, labels.get(name, {})) for name in models)
    batching = (
        f"max_batch_size {{ value: {batch_size} }}\nbatch_timeout_micros {{ value: {round(1000 * batch_timeout)} }}\n"
        f"num_batch_threads {{ value: {os.cpu_count() or 1} }}\n"
    )
    contents = dict(
        zip((base / name for name in CONFIGURATIONS), (f"model_config_list {{\n{entries}}}\n", batching), strict=True)
    )
    for path in contents:
        if path.exists() and not overwrite:
            raise FileExistsError(f"'{path}' exists. Pass `overwrite=True` to replace it.")
    for path, text in contents.items():
        with replacing(path) as file:
            file.write(text.encode())
    models_config, batching_config = contents
    return models_config, batching_config


def _is_label(label: Any) -> bool:
    return isinstance(label, str) and bool(re.fullmatch(r"[\w.-]+", label))


def _model_entry(name: str, labels: dict[str, int]) -> str:
    lines = [f'    name: "{name}"', f'    base_path: "/models/{name}"', '    model_platform: "tensorflow"']
    if labels:
        versions = " ".join(f"versions: {version}" for version in sorted(set(labels.values())))
        lines.append(f"    model_version_policy {{ specific {{ {versions} }} }}")
        lines += [
            f'    version_labels {{ key: "{label}" value: {version} }}' for label, version in sorted(labels.items())
        ]
    return "\n".join(["  config {", *lines, "  }", ""])
