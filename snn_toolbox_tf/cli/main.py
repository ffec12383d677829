"""Reads the arguments, runs a command, and turns errors into one message and an exit status."""

from collections.abc import Sequence

from snn_toolbox_tf.cli.arguments import build_parser
from snn_toolbox_tf.cli.commands import COMMANDS, Screen
from snn_toolbox_tf.verification import ConversionError

BAD_INPUT = 2
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        arguments: The arguments; those of the process if None.

    Returns:
        The exit status: 0 done, 1 the model cannot be converted (check), 2 bad input, 130 interrupted.
    """
    parsed = build_parser().parse_args(arguments)
    screen = Screen(parsed)
    try:
        return COMMANDS[parsed.command](parsed, screen)
    except KeyboardInterrupt:
        screen.note("interrupted. Finished runs are whole; an unfinished one goes on with `run --resume`.")
        return INTERRUPTED
    # What these are raised for is the user's input: settings, files, model, data.
    except (ValueError, TypeError, OSError, MemoryError, ConversionError) as error:
        if parsed.traceback:
            raise
        if screen.json:
            screen.result("", {"error": str(error)})
        screen.note(f"error: {error}")
        return BAD_INPUT
