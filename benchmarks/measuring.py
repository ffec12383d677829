"""Timing side by side, shares of time per op, copy bandwidth, peak memory."""

import collections
import concurrent.futures
import glob
import os
import pathlib
import tempfile
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

LONG = 20.0


def interleaved(tasks: dict[str, Callable[[], object]], repetitions: int) -> dict[str, float]:
    """Runs every task once to warm up, then all in turn; returns the median seconds of each.

    A task that takes longer than `LONG` seconds is repeated three times at most.
    """
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for task in tasks.values():
        task()
    for repetition in range(repetitions):
        for name, task in tasks.items():
            if repetition >= 3 and min(seconds[name]) > LONG:
                continue
            start = time.perf_counter()
            task()
            seconds[name].append(time.perf_counter() - start)
    return {name: float(np.median(values)) for name, values in seconds.items()}


def copy_task(size: int) -> tuple[Callable[[], object], int]:
    """Returns a task that copies `size` bytes on all processors, and the bytes that it moves (read and written)."""
    source = np.ones(size // 4, np.float32)
    target = np.empty_like(source)
    threads = os.cpu_count() or 1
    pairs = list(zip(np.array_split(target, threads), np.array_split(source, threads), strict=True))
    pool = concurrent.futures.ThreadPoolExecutor(threads)
    return lambda: list(pool.map(lambda pair: np.copyto(*pair), pairs)), 2 * source.nbytes


def shares_of_time(task: Callable[[], object], most: int = 6) -> dict[str, float]:
    """Returns the share of the ops that take most of a task's kernel time, from TensorFlow's profiler."""
    task()
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        task()
        tf.profiler.experimental.stop()
        (path,) = glob.glob(f"{folder}/**/*.xplane.pb", recursive=True)
        space = _trace_message()()
        space.ParseFromString(pathlib.Path(path).read_bytes())
    seconds: collections.Counter[str] = collections.Counter()
    for plane in space.planes:
        names = {entry.key: entry.value.name for entry in plane.names}
        for line in plane.lines:
            for event in line.events:
                node, _, op = names.get(event.name, "").rpartition(":")
                # Kernels are traced as "node:op", functions of TensorFlow's own as "Class::method".
                if node and not node.endswith(":") and " " not in op:
                    seconds[op] += event.duration
    total = sum(seconds.values())
    return {op: value / total for op, value in seconds.most_common(most)}


def _trace_message() -> type:
    """The few fields that are needed of the profiler's trace (the protocol buffer XSpace)."""
    file = descriptor_pb2.FileDescriptorProto(name="trace.proto", package="trace", syntax="proto3")
    kinds = {"integer": 3, "text": 9}
    messages = {
        "Event": [("name", 1, "integer", False), ("duration", 3, "integer", False)],
        "Name": [("name", 2, "text", False)],
        "Entry": [("key", 1, "integer", False), ("value", 2, "Name", False)],
        "Line": [("events", 4, "Event", True)],
        "Plane": [("lines", 3, "Line", True), ("names", 4, "Entry", True)],
        "Space": [("planes", 1, "Plane", True)],
    }
    for message, fields in messages.items():
        described = file.message_type.add(name=message)
        for name, number, kind, repeated in fields:
            field = described.field.add(name=name, number=number, label=3 if repeated else 1, type=kinds.get(kind, 11))
            if kind not in kinds:
                field.type_name = f".trace.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("trace.Space"))


def resident_bytes(peak: bool = False) -> int:
    """Returns the memory of this process, at present or at its peak (Linux)."""
    key = "VmHWM:" if peak else "VmRSS:"
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return 1024 * int(line.split()[1])
    raise RuntimeError(f"{key} is not in /proc/self/status")


def reset_peak() -> None:
    """Makes the peak memory of this process start at what it has now (Linux)."""
    pathlib.Path("/proc/self/clear_refs").write_text("5")
