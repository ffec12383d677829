"""Reads the arguments, runs a command, and turns errors into one message and an exit status."""

import logging
import warnings
from collections.abc import Sequence

from snn_toolbox_tf.cli.arguments import parse_arguments
from snn_toolbox_tf.cli.commands import COMMANDS, Screen
from snn_toolbox_tf.config import ConfigurationError
from snn_toolbox_tf.conversion.verification import ConversionError
from snn_toolbox_tf.passes.refuse import UnsupportedModelError

BAD_INPUT = 2
FAILED = 3
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        arguments: The arguments; those of the process if None.

    Returns:
        The exit status: 0 done, 1 the model cannot be converted (check), 2 bad input, 3 the machine could not do it (memory,
        disk) or the conversion is not exact, 130 interrupted.
    """
    parsed = parse_arguments(arguments)
    screen = Screen(parsed)
    try:
        with warnings.catch_warnings(), screen.interruption.watching():
            # They are shown as notes, with the results; what Keras logs about optimizers matters to nobody here.
            warnings.simplefilter("ignore")
            logging.getLogger("absl").setLevel(logging.ERROR)
            return COMMANDS[parsed.command](parsed, screen)
    except KeyboardInterrupt:
        screen.note("interrupted. Finished runs are whole; an unfinished one goes on with `run --resume`.")
        return INTERRUPTED
    except (ConfigurationError, UnsupportedModelError, FileNotFoundError) as error:
        return _failed(error, BAD_INPUT, parsed.traceback, screen)
    except (ConversionError, MemoryError, OSError) as error:
        return _failed(error, FAILED, parsed.traceback, screen)


def _failed(error: BaseException, status: int, traceback: bool, screen: Screen) -> int:
    if traceback:
        raise error
    if screen.json:
        screen.result("", {"error": str(error)})
    screen.note(f"error: {error}")
    return status
