"""The errors of a conversion, where the command line can name them without importing what raises them."""


class ConversionError(RuntimeError):
    """The converted graph does not compute what the source computes: a bug of this package, or of a layer's kernel."""


class UnsupportedModelError(ValueError):
    """The model holds operations that cannot become synapses or populations; the message lists all of them."""


class WorkerError(RuntimeError):
    """A worker of a cluster has failed; the message says what it said."""
