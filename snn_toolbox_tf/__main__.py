"""`python -m snn_toolbox_tf`."""

import sys

from snn_toolbox_tf.cli import main

sys.exit(main())
