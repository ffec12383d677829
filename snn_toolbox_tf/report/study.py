"""A study as one page, a table, a figure and data."""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from snn_toolbox_tf.foundation import atomic_files
from snn_toolbox_tf.foundation.versions import versions
from snn_toolbox_tf.report import style
from snn_toolbox_tf.report.html import embedded, environment
from snn_toolbox_tf.report.record_as_json import plain
from snn_toolbox_tf.report.text import setting

#: What each study asks, and the page of the documentation that explains it.
QUESTIONS = {
    "energy": "Accuracy against operations and energy, over the number of timesteps.",
    "weight-precision": "Accuracy against the bits of weights, and what the network then weighs.",
    "robustness": "Accuracy under attack of the source and of the spiking network, against the size of perturbations.",
    "bias-variance": "The error under Poisson input: bias, which stays, and variance, which time averages out.",
    "time-resolution": "What the length of a timestep does at a fixed duration, and their number at a fixed length.",
}


def write_study_report(
    folder: pathlib.Path,
    title: str,
    name: str,
    result: Any,
    settings: Mapping[str, Mapping[str, Any]],
    notes: Sequence[str],
) -> None:
    """Writes report.html, study.txt, study.png and study.json.

    Args:
        folder: Where to write.
        title: Name of the source model.
        name: The study.
        result: What came of it: text, `as_dict()` and `plot()`.
        settings: All settings by section and key.
        notes: What the reader should know.
    """
    figure, text = result.plot(), str(result)
    page = (
        environment()
        .get_template("study.html.jinja")
        .render(
            title=title,
            name=name.replace("-", " "),
            question=QUESTIONS[name],
            text=text,
            notes=notes,
            picture=embedded(figure, QUESTIONS[name]),
            groups={
                section: {key: setting(value) for key, value in values.items()} for section, values in settings.items()
            },
            versions=versions(),
        )
    )
    data = {"study": name, "result": plain(result.as_dict()), "settings": settings, "versions": versions()}
    contents = {
        "report.html": page.encode(),
        "study.png": style.image(figure, "png", dpi=150),
        "study.txt": f"{text}\n".encode(),
        "study.json": json.dumps(data, indent=1, allow_nan=False, default=str).encode(),
    }
    for file_name, content in contents.items():
        with atomic_files.replacing(folder / file_name) as file:
            file.write(content)
