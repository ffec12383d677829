"""Reads the arguments, runs a command, and turns errors into one message and an exit status."""

import argparse
import logging
import warnings
from collections.abc import Sequence

from snn_toolbox_tf.cli.arguments import parse_arguments
from snn_toolbox_tf.cli.example import write_example
from snn_toolbox_tf.cli.request import read_request
from snn_toolbox_tf.cli.screen import Screen
from snn_toolbox_tf.cli.templates import show_template
from snn_toolbox_tf.config import ConfigurationError
from snn_toolbox_tf.foundation import startup
from snn_toolbox_tf.foundation.errors import ConversionError, UnsupportedModelError, WorkerError

BAD_INPUT = 2
FAILED = 3
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        arguments: The arguments; those of the process if None.

    Returns:
        The exit status: 0 done, 1 the model cannot be converted (check), 2 bad input, 3 the machine could not do it (memory,
        disk, no TensorFlow) or the conversion is not exact, 130 interrupted.
    """
    parsed = parse_arguments(arguments)
    screen = Screen(parsed)
    try:
        with warnings.catch_warnings(), screen.interruption.watching():
            # They are shown as notes, with the results; what Keras logs about optimizers matters to nobody here.
            warnings.simplefilter("ignore")
            logging.getLogger("absl").setLevel(logging.ERROR)
            return _run(parsed, screen)
    except KeyboardInterrupt:
        screen.note("interrupted. Finished runs are complete; `--resume` continues an unfinished run, sweep or study.")
        return INTERRUPTED
    except (ConfigurationError, UnsupportedModelError, FileNotFoundError) as error:
        return _failed(error, BAD_INPUT, parsed.traceback, screen)
    except (ConversionError, WorkerError, ImportError, MemoryError, OSError) as error:
        return _failed(error, FAILED, parsed.traceback, screen)


def _run(parsed: argparse.Namespace, screen: Screen) -> int:
    """Runs a command; all that can be said without TensorFlow is said before it is imported."""
    if parsed.command == "template":
        return show_template(parsed.name, screen)
    if parsed.command == "example":
        return write_example(parsed.folder, screen)
    request = read_request(parsed)
    with startup.native_messages_hidden(), startup.optional_libraries_hidden():
        startup.require_tensorflow_backend()
    from snn_toolbox_tf.cli import commands

    return commands.COMMANDS[parsed.command](request, screen)


def _failed(error: BaseException, status: int, traceback: bool, screen: Screen) -> int:
    if traceback:
        raise error
    if screen.json:
        screen.result("", {"error": str(error)})
    screen.note(f"error: {error}")
    return status
