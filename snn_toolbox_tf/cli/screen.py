"""Where a command writes: results on standard output, progress and notes on standard error."""

import argparse
import json
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

from snn_toolbox_tf.cli.interruption import Interruption


class Screen:
    """The two streams of a command.

    Args:
        arguments: The command's arguments.

    Attributes:
        json: Whether results are shown as one JSON object.
        quiet: Whether progress is not shown.
        notes: The console for notes and progress.
        interruption: What remembers Ctrl-C.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.json: bool = arguments.json
        self.quiet: bool = arguments.quiet or arguments.json
        self._out = _plain_console(stderr=False)
        self.interruption = Interruption()
        self.notes = _plain_console(stderr=True)

    @property
    def is_terminal(self) -> bool:
        """Whether results go to a terminal, whose width then counts."""
        return self._out.is_terminal

    def result(self, text: Any, data: dict[str, Any]) -> None:
        """Shows a result: as text, or as one JSON object."""
        if self.json:
            sys.stdout.write(f"{json.dumps(data, indent=1, allow_nan=False)}\n")
        else:
            self._out.print(text if isinstance(text, Table) else str(text))

    def note(self, text: str) -> None:
        """Shows a line beside the results."""
        self.notes.print(text)


def _plain_console(*, stderr: bool) -> Console:
    """Returns a console that prints what it is given: names may look like markup."""
    return Console(stderr=stderr, soft_wrap=True, highlight=False, markup=False, emoji=False)
