"""Batches on a Ray cluster, through Ray Data: a worker that dies loses nothing, and no batch counts twice."""

import collections
import contextlib
import io
import logging
import os
import traceback
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from snn_toolbox_tf.config import ConfigurationError
from snn_toolbox_tf.distributed.executors import Arrays, BatchFunction
from snn_toolbox_tf.foundation.errors import WorkerError

#: A worker may die now and then, for reasons of its machine. Without a limit, a batch that kills its workers would do so for
#: ever.
_MOST_ATTEMPTS = 4


def import_ray() -> ModuleType:
    """Returns the module `ray`, with Ray Data.

    Raises:
        ConfigurationError: If it is not installed.
    """
    try:
        import ray
        import ray.data
        import ray.util.scheduling_strategies
    except ImportError as error:
        raise ConfigurationError(
            f"[tools] executor = ray needs Ray Data, which cannot be imported: {error}. Install it, "
            '`pip install "snn_toolbox_tf[ray]"`, or set executor = local.'
        ) from error
    return ray


@contextlib.contextmanager
def open_ray(workers: int | None = None) -> Iterator["RayExecutor"]:
    """Gives an executor on the cluster that this process is connected to, or that RAY_ADDRESS names, or on this machine.

    What was started here is shut down again.

    Args:
        workers: Number of workers; one per CPU of the cluster if None.

    Raises:
        ConfigurationError: If Ray is not installed, there is no cluster at RAY_ADDRESS, or it has too few CPUs.
    """
    ray = import_ray()
    ours = not ray.is_initialized()
    if ours:
        _connect(ray, workers)
    try:
        yield RayExecutor(workers)
    finally:
        if ours:
            ray.shutdown()


def _connect(ray: ModuleType, workers: int | None) -> None:
    """Connects to the cluster that RAY_ADDRESS names; starts one on this machine without."""
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    address = os.environ.get("RAY_ADDRESS")
    if not address:
        ray.init("local", num_cpus=workers, include_dashboard=False, **quiet)
        return
    try:
        ray.init(address, **quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ConfigurationError(
            f"There is no Ray cluster at the address that the environment variable RAY_ADDRESS names, '{address}': "
            f"{error}. Start one (`ray start --head`), or unset RAY_ADDRESS to use this machine alone."
        ) from error


class RayExecutor:
    """Runs functions in workers of the cluster that this process is connected to; see `Executor`.

    A worker is an actor of Ray Data. It has the CPUs of the cluster that fall to it, and as many threads. If it dies, its
    batch is computed by another one.

    Args:
        workers: Number of workers; one per CPU of the cluster if None.

    Raises:
        ConfigurationError: If the cluster has fewer CPUs than there are to be workers.
    """

    is_local = False

    def __init__(self, workers: int | None = None) -> None:
        self._ray = import_ray()
        cpus = [int(node["Resources"].get("CPU", 0)) for node in self._ray.nodes() if node["Alive"]]
        if sum(cpus) < (workers or 1):
            raise ConfigurationError(
                f"[tools] workers = {workers or 1}: each worker needs a CPU, and the Ray cluster has {sum(cpus)}. "
                "Expected no more workers than that."
            )
        self._workers = workers or sum(cpus)
        self._cpus = cpus_per_worker(cpus, self._workers)

    def map(self, function: BatchFunction, batches: Sequence[Mapping[str, Any]]) -> Iterator[Arrays]:
        """Yields what the function makes of each batch; see `Executor`."""
        if not batches:
            return
        data, seen = self._ray.data, set[int]()
        try:
            with _quiet(data):
                # Once for all workers of a machine, which share its arrays.
                sent = self._ray.put(function)
                attempts = _start_attempts(self._ray)
                numbers = data.from_items(
                    [{"number": number} for number in range(len(batches))], override_num_blocks=len(batches)
                )
                rows = numbers.map_batches(
                    _Worker,
                    fn_constructor_args=([sent], batches, attempts, self._cpus),
                    batch_size=1,
                    num_cpus=self._cpus,
                    compute=data.ActorPoolStrategy(size=min(self._workers, len(batches))),
                ).iter_rows()
                for row in rows:
                    if row["error"]:
                        raise WorkerError(f"A worker has failed. {row['error']}.") from RuntimeError(row["where"])
                    if row["number"] in seen:
                        raise WorkerError(f"Ray has given batch {row['number']} twice.")
                    seen.add(row["number"])
                    with np.load(io.BytesIO(row["result"]), allow_pickle=False) as arrays:
                        yield dict(arrays)
        except self._ray.exceptions.RayError as error:
            raise WorkerError(f"Ray has failed, {type(error).__name__}: {error}") from error
        if len(seen) != len(batches):
            raise WorkerError(f"Ray has given {len(seen)} of {len(batches)} batches.")


class _Worker:
    """Computes batches in a process of its own.

    Args:
        sent: The function, in Ray's object store; in a list, so that Ray does not fetch it before it is needed.
        batches: The batches.
        attempts: The actor that counts attempts.
        threads: Number of threads.
    """

    def __init__(self, sent: list[Any], batches: Sequence[Mapping[str, Any]], attempts: Any, threads: int) -> None:
        self._sent, self._batches, self._attempts, self._threads = sent, batches, attempts, threads
        self._function: BatchFunction | None = None

    def __call__(self, row: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """Returns the result of a batch, or what went wrong, as one row: its arrays have shapes of their own."""
        (number,) = row["number"]
        file, error, where = io.BytesIO(), "", ""
        try:
            arrays: dict[str, Any] = dict(self._computed(int(number)))
            np.savez(file, **arrays)
        # Whatever it is, who waits for the batch has to know; Ray would wrap it, and start the worker anew.
        except Exception as failed:
            # A function that cannot be read comes with a traceback inside its message.
            said = str(failed).partition("\ntraceback:")[0]
            error, where = f"{type(failed).__name__}: {said}", traceback.format_exc()
        result = np.array([file.getvalue()], dtype=object)
        return {"number": row["number"], "result": result, "error": [error], "where": [where]}

    def _computed(self, number: int) -> Arrays:
        import ray

        if ray.get(self._attempts.begin.remote(number)) > _MOST_ATTEMPTS:
            raise MemoryError(
                f"batch {number} has killed {_MOST_ATTEMPTS} workers, one after the other. Does it need more memory than "
                "there is? Expected fewer workers, or a smaller batch_size"
            )
        if self._function is None:
            self._function = self._received()
        return self._function(self._batches[number])

    def _received(self) -> BatchFunction:
        """Returns the function, read once; the first time that something here needs TensorFlow."""
        import ray
        import tensorflow as tf

        # The process may have had another task, and TensorFlow started: it then has the threads that it has.
        with contextlib.suppress(RuntimeError):
            tf.config.threading.set_intra_op_parallelism_threads(self._threads)
        return ray.get(self._sent[0])


def cpus_per_worker(cpus: Sequence[int], workers: int) -> int:
    """Returns how many CPUs each worker may have, if all of them are to find their place.

    Args:
        cpus: CPUs of each machine.
        workers: Number of workers, at most the sum of the CPUs.
    """
    return max(count for count in range(1, max(cpus) + 1) if sum(cpu // count for cpu in cpus) >= workers)


def _start_attempts(ray: ModuleType) -> Any:
    """Returns an actor that counts how often each batch was begun, on this machine: it ends only with this process."""
    here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
        ray.get_runtime_context().get_node_id(), soft=False
    )

    # Ray sends a class of a function as it is; one of this module would have its process import TensorFlow.
    class Attempts:
        def __init__(self) -> None:
            self._begun = collections.Counter[int]()

        def begin(self, number: int) -> int:
            """Returns how often a batch was begun, this time included."""
            self._begun[number] += 1
            return self._begun[number]

    return ray.remote(Attempts).options(num_cpus=0, scheduling_strategy=here).remote()


@contextlib.contextmanager
def _quiet(data: ModuleType) -> Iterator[None]:
    """Keeps Ray Data from showing its own progress."""
    context, log = data.DataContext.get_current(), logging.getLogger("ray.data")
    before = context.enable_progress_bars, context.print_on_execution_start, log.level
    context.enable_progress_bars = context.print_on_execution_start = False
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        context.enable_progress_bars, context.print_on_execution_start = before[:2]
        log.setLevel(before[2])
