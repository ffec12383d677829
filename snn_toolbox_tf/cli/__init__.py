"""The command line: `snn-toolbox-tf`, or `python -m snn_toolbox_tf`."""

from snn_toolbox_tf.cli.main import main

__all__ = ["main"]
