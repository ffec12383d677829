"""The runs of a sweep: one after the other in this process, or side by side in workers."""

import dataclasses
import io
import json
import pathlib
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np

from snn_toolbox_tf.distributed import Arrays, Executor, SentModel
from snn_toolbox_tf.experiment.conversion_stage import Converted, convert_prepared
from snn_toolbox_tf.experiment.latency import latency_code_of
from snn_toolbox_tf.experiment.options import conversion_options, set_up
from snn_toolbox_tf.experiment.preparation import Prepared
from snn_toolbox_tf.experiment.progress import Progress
from snn_toolbox_tf.experiment.run_folder import discard_unfinished
from snn_toolbox_tf.experiment.runs import run_prepared
from snn_toolbox_tf.foundation import atomic_files
from snn_toolbox_tf.report.key_numbers import headline

#: Key numbers of a finished run.
Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Point:
    """A run of a sweep.

    Attributes:
        label: Name of its folder.
        title: The setting and its value.
        value: The value.
        prepared: The parts of the run.
    """

    label: str
    title: str
    value: Any
    prepared: Prepared


def run_points(
    points: list[Point], folder: pathlib.Path, executor: Executor, *, resume: bool, progress: Progress
) -> Iterator[tuple[Point, Row]]:
    """Runs points, and yields each with its key numbers when its folder is there.

    Args:
        points: The points.
        folder: Where their folders go.
        executor: Who runs them.
        resume: Whether to continue a run that was interrupted; only runs of this process can be.
        progress: Is told how it proceeds.
    """
    if executor.is_local:
        networks = Networks()
        for point in points:
            labelled, place = _Labelled(progress, point.title), folder / point.label
            finished = run_prepared(point.prepared, resume=resume, progress=labelled, convert=networks.get, place=place)
            yield point, headline(finished.simulated)
        return
    progress.stage(f"{len(points)} runs side by side")
    numbers = [{"point": np.asarray(number)} for number in range(len(points))]
    for arrays in executor.map(PointRunner(points), numbers):
        point, row = points[int(arrays["point"])], json.loads(str(arrays["row"]))
        discard_unfinished(folder / point.label)
        with atomic_files.replacing_path(folder / point.label) as place, _archive(arrays["folder"]) as archive:
            archive.extractall(place)
        progress.tell(f"{point.title}: finished")
        yield point, row


class PointRunner:
    """Runs points wherever it is sent; nothing but what it gives back comes from there.

    Args:
        points: The points.
    """

    def __init__(self, points: list[Point]) -> None:
        self._points, self._networks = points, Networks()

    def __getstate__(self) -> dict[str, Any]:
        """Returns the points, with a file for each of their models, however many points share it."""
        sent: dict[int, SentModel] = {}

        def of(model: Any) -> Any:
            return sent.setdefault(id(model), SentModel(model)) if isinstance(model, keras.Model) else model

        return {"points": [_with_models(point, of) for point in self._points]}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Takes over what was sent."""

        def of(model: Any) -> Any:
            return model.model if isinstance(model, SentModel) else model

        self._points, self._networks = [_with_models(point, of) for point in state["points"]], Networks()

    def __call__(self, batch: Mapping[str, Any]) -> Arrays:
        """Returns key numbers and folder of the run of point `batch["point"]`."""
        point = self._points[int(batch["point"])]
        alone = point.prepared.settings.replace(executor="local", workers=None)
        with tempfile.TemporaryDirectory() as folder:
            place = pathlib.Path(folder) / point.label
            finished = run_prepared(
                dataclasses.replace(point.prepared, settings=alone),
                resume=False,
                progress=Progress(),
                convert=self._networks.get,
                place=place,
            )
            row = json.dumps(headline(finished.simulated))
            return {"point": batch["point"], "row": np.array(row), "folder": _packed(finished.folder)}


def _with_models(point: Point, of: Callable[[Any], Any]) -> Point:
    """Returns a point with its models replaced by what `of` gives for them; a graph stays."""
    prepared = point.prepared
    parts = {"source": of(prepared.source), "network": of(prepared.network)}
    return dataclasses.replace(point, prepared=dataclasses.replace(prepared, **parts))


def _packed(folder: pathlib.Path) -> np.ndarray:
    """Returns a folder and all that is in it, as bytes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    return np.frombuffer(file.getvalue(), np.uint8)


def _archive(packed: np.ndarray) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(packed.tobytes()))


class Networks:
    """Converts a network anew only if what it depends on has changed."""

    def __init__(self) -> None:
        self._key: Any = None
        self._converted: Converted | None = None

    def get(self, prepared: Prepared, progress: Progress) -> Converted:
        """Returns the converted network of a run."""
        digests = {key: prepared.digests.get(key) for key in ("network", "calibration data")}
        options = conversion_options(prepared.settings)
        # Thresholds may be the same for any number of timesteps.
        options = options if options.depends_on_timesteps else dataclasses.replace(options, timesteps=1)
        key = (options, latency_code_of(prepared.settings), digests)
        if self._converted is None or key != self._key:
            self._key, self._converted = key, convert_prepared(prepared, progress)
        set_up(self._converted.model_snn, prepared.settings)
        return self._converted


class _Labelled(Progress):
    """Says which point a stage belongs to."""

    def __init__(self, progress: Progress, label: str) -> None:
        self._progress, self._label = progress, label

    def stage(self, name: str, total: int | None = None, done: int = 0) -> None:
        self._progress.stage(f"{self._label}: {name}", total, done)

    def advance(self, samples: int) -> None:
        self._progress.advance(samples)

    def tell(self, text: str) -> None:
        self._progress.tell("\n".join(f"{self._label}: {line}" for line in text.splitlines()))
