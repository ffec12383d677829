"""A batch run in parts, inside one graph: what does not fit the caches at once goes through them part by part."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf


def run_in_parts(
    run: Callable[[dict[str, tf.Tensor], tf.Tensor], Sequence[tf.Tensor]],
    inputs: dict[str, tf.Tensor],
    size: int,
    results: Sequence[tf.TensorSpec],
) -> list[tf.Tensor]:
    """Runs a batch, of which no more than `size` samples run at once.

    Args:
        run: Gives tensors `[samples, ...]` for the inputs of some samples and the place of the first one, a scalar int32.
        inputs: A tensor `[batch, ...]` per input.
        size: The micro-batch.
        results: What `run` gives: dtypes, and shapes with an unknown number of samples.

    Returns:
        What it gives for the batch.
    """
    first = next(iter(inputs.values()))
    if first.shape[0] is not None and first.shape[0] <= size:
        return list(run(inputs, tf.constant(0)))
    count = tf.shape(first)[0]
    # At least one part, so that an empty batch has outputs of the right shape.
    parts = tf.maximum((count + size - 1) // size, 1)
    arrays = tuple(tf.TensorArray(spec.dtype, parts, infer_shape=False, element_shape=spec.shape) for spec in results)

    def body(part: tf.Tensor, arrays: tuple[Any, ...]) -> tuple[tf.Tensor, tuple[Any, ...]]:
        start = part * size
        sliced = {name: value[start : start + size] for name, value in inputs.items()}
        found = run(sliced, start)
        return part + 1, tuple(array.write(part, each) for array, each in zip(arrays, found, strict=True))

    _, arrays = tf.while_loop(lambda part, _: part < parts, body, (tf.constant(0), arrays), parallel_iterations=1)
    return [tf.ensure_shape(array.concat(), spec.shape) for array, spec in zip(arrays, results, strict=True)]


def indices_of_part(sample_index: tf.Tensor | None, start: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """Returns the global index of each sample of a part, int64 `[samples]`.

    Args:
        sample_index: Those of the batch, int64 `[batch]`; None: the places in it.
        start: The place of the part's first sample, a scalar int32.
        count: Its number of samples, likewise.
    """
    places = start + tf.range(count)
    return tf.cast(places, tf.int64) if sample_index is None else tf.gather(sample_index, places)
