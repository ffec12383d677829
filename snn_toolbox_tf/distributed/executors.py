"""Who runs a function on many batches: this process, or workers of a cluster."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

#: A batch, or what a function makes of it: arrays by name.
Arrays = dict[str, np.ndarray]
#: Whatever computes one batch. To run elsewhere, it has to be an object that can be sent to another process.
BatchFunction = Callable[[Mapping[str, Any]], Arrays]


class Executor(Protocol):
    """Runs a function on many batches.

    Attributes:
        is_local: Whether functions run in this process, and see its objects and folders.
    """

    is_local: bool

    def map(self, function: BatchFunction, batches: Sequence[Mapping[str, Any]]) -> Iterator[Arrays]:
        """Yields what the function makes of each batch: every batch once, in any order, as soon as it is there.

        Args:
            function: The function. Elsewhere, every worker gets one copy and keeps it.
            batches: The batches; small, because all of them are sent to all workers.

        Raises:
            WorkerError: If a worker fails, or dies again and again.
        """


class LocalExecutor:
    """Runs everything in this process, one batch after the other."""

    is_local = True

    def map(self, function: BatchFunction, batches: Sequence[Mapping[str, Any]]) -> Iterator[Arrays]:
        """Yields what the function makes of each batch, in order; see `Executor`."""
        return map(function, batches)


@contextlib.contextmanager
def open_executor(name: str, workers: int | None = None) -> Iterator[Executor]:
    """Gives an executor, with what it needs, as a context manager.

    Args:
        name: "local" or "ray".
        workers: Number of Ray's workers; one per CPU of its cluster if None.

    Raises:
        ConfigurationError: If Ray is not installed, cannot be reached, or has fewer CPUs than there are to be workers.
    """
    if name == "local":
        yield LocalExecutor()
        return
    from snn_toolbox_tf.distributed.ray_executor import open_ray

    with open_ray(workers) as executor:
        yield executor
