"""Progress bars with rates and time left, on standard error."""

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from snn_toolbox_tf import experiment
from snn_toolbox_tf.cli.interruption import Interruption


class _Rate(ProgressColumn):
    """Samples per second."""

    def render(self, task: Task) -> Text:
        """Returns the rate of the last seconds."""
        if task.total is None:
            return Text("")
        return Text(f"{task.speed:,.1f} samples/s" if task.speed else "", style="progress.data.speed")


class _Count(ProgressColumn):
    """Samples done, where they are counted."""

    def render(self, task: Task) -> Text:
        """Returns what is done of what there is."""
        return Text("" if task.total is None else f"{int(task.completed):,}/{int(task.total):,}")


class ConsoleProgress(experiment.Progress):
    """Shows a bar for each stage of a run, as a context manager; nothing where nobody watches.

    Args:
        console: Where to show it; no bars are shown unless it is a terminal.
        quiet: Whether to show nothing at all.
        interruption: What remembers Ctrl-C; asked at every step.
    """

    def __init__(self, console: Console, *, quiet: bool, interruption: Interruption | None = None) -> None:
        self._interruption = interruption or Interruption()
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            _Count(),
            _Rate(),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
            disable=quiet or not console.is_terminal,
        )
        self._console, self._quiet = console, quiet
        self._task: int | None = None

    def __enter__(self) -> "ConsoleProgress":
        """Starts to show."""
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stops to show; the bars stay as they are."""
        # Older versions of Rich end with an empty line, also where nothing was shown.
        if not self._bars.disable:
            self._bars.stop()

    def stage(self, name: str, total: int | None = None, done: int = 0) -> None:
        """Begins a bar; the one before is complete."""
        self._interruption.check()
        self._complete()
        self._task = self._bars.add_task(name, total=total, completed=done)

    def advance(self, samples: int) -> None:
        """Moves the bar on."""
        self._interruption.check()
        if self._task is not None:
            self._bars.advance(self._bars.task_ids[-1], samples)

    def tell(self, text: str) -> None:
        """Prints above the bars; also where nobody watches, as a log of what took long."""
        self._interruption.check()
        if not self._quiet:
            self._console.print(text)

    def _complete(self) -> None:
        if self._task is not None:
            task = self._bars.tasks[-1]
            self._bars.update(task.id, total=task.total or 1, completed=task.total or 1)
