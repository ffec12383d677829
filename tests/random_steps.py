"""The steps of random networks: each adds a layer or a few to a tensor, or returns None if they do not fit."""

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from random_draw import Draw, activation, channels, maybe_activated, spatial

L, ops = keras.layers, keras.ops


def dense(draw: Draw, x: Any) -> Any:
    return maybe_activated(draw, L.Dense(draw.integer(2, 8), use_bias=draw.chance(0.7))(x))


def convolution(draw: Draw, x: Any) -> Any:
    rank, sizes, before = len(x.shape) - 2, spatial(draw, x), channels(draw, x)
    kinds = ["Conv", "Conv", "Conv"]
    if rank < 3:
        kinds += ["DepthwiseConv", *([] if draw.first else ["SeparableConv"])]
    kinds += [] if draw.first else ["Transpose"]
    kind = draw.pick(kinds)
    kernel = [draw.integer(1, min(3, size)) for size in sizes]
    options: dict[str, Any] = {"kernel_size": kernel, "use_bias": draw.chance(0.7), **draw.format}
    options["padding"] = draw.pick(["valid", "same"])
    if rank == 3 and draw.padded and options["padding"] == "same":
        # TensorFlow's oneDNN takes such a convolution behind a ZeroPadding3D for one with padding "valid".
        return None
    if kind == "Conv" and rank == 1 and draw.chance(0.3):
        options["padding"] = "causal"
    if draw.chance(0.3):
        # Depthwise and separable kernels of TensorFlow want one stride for all axes.
        options["strides"] = [2] * rank
    elif kind in ("Conv", "DepthwiseConv") and draw.chance(0.3) and not draw.first:
        options["dilation_rate"] = [2] * rank
        if options["padding"] == "valid" and any(2 * (k - 1) >= size for k, size in zip(kernel, sizes, strict=True)):
            return None
    filters = draw.integer(1, 5)
    if kind == "DepthwiseConv":
        layer = getattr(L, f"DepthwiseConv{rank}D")(depth_multiplier=draw.integer(1, 2), **options)
    elif kind == "SeparableConv":
        layer = getattr(L, f"SeparableConv{rank}D")(filters, depth_multiplier=draw.integer(1, 2), **options)
    elif kind == "Transpose":
        layer = getattr(L, f"Conv{rank}DTranspose")(filters, **options)
    else:
        groups = draw.pick([g for g in (1, 2, 3) if before % g == 0]) if not draw.first else 1
        layer = getattr(L, f"Conv{rank}D")(filters * groups, groups=groups, **options)
    convolved = layer(x)
    if draw.first and convolved.shape[1] == convolved.shape[-1]:
        # Keras adds biases along the last axis where both have as many elements, for some layers in graphs or outside.
        return None
    return maybe_activated(draw, convolved)


def pooling(draw: Draw, x: Any) -> Any:
    rank = len(x.shape) - 2
    kind = draw.pick(["Max", "Average"])
    size = [draw.integer(1, min(3, size)) for size in spatial(draw, x)]
    padding, strides = draw.pick(["valid", "same"]), draw.pick([None, 1, 2])
    return getattr(L, f"{kind}Pooling{rank}D")(size, strides, padding, **draw.format)(x)


def global_pooling(draw: Draw, x: Any) -> Any:
    kind = draw.pick(["GlobalMax", "GlobalAverage"])
    keepdims = draw.chance(0.5)
    pooled = getattr(L, f"{kind}Pooling{len(x.shape) - 2}D")(keepdims=keepdims, **draw.format)(x)
    draw.first = draw.first and keepdims
    return pooled


def adaptive_pooling(draw: Draw, x: Any) -> Any:
    layer = getattr(L, f"AdaptiveAveragePooling{len(x.shape) - 2}D", None)
    if layer is None:
        return None
    pooling = layer([draw.integer(1, size) for size in spatial(draw, x)])
    try:
        tf.function(pooling.call).get_concrete_function(tf.TensorSpec(x.shape, tf.float32))
    except (ValueError, tf.errors.InvalidArgumentError):
        # Keras 3.15 runs some sizes, such as 5 x 4 to 1 x 1, outside of graphs only.
        return None
    return pooling(x)


def batch_normalization(draw: Draw, x: Any) -> Any:
    layer = L.BatchNormalization(
        axis=1 if draw.first or draw.chance(0.2) else -1, scale=draw.chance(0.8), center=draw.chance(0.8)
    )
    return maybe_activated(draw, layer(x))


def border(draw: Draw, x: Any) -> Any:
    rank = len(x.shape) - 2
    if draw.chance(0.5):
        draw.padded = True
        amounts: Any = [(draw.integer(0, 1), draw.integer(0, 2)) for _ in range(rank)]
        return getattr(L, f"ZeroPadding{rank}D")(amounts[0] if rank == 1 else amounts, **_format(draw, rank))(x)
    if min(spatial(draw, x)) < 3:
        return None
    amounts = [(draw.integer(0, 1), draw.integer(0, 1)) for _ in range(rank)]
    return getattr(L, f"Cropping{rank}D")(amounts[0] if rank == 1 else amounts, **_format(draw, rank))(x)


def _format(draw: Draw, rank: int) -> dict[str, str]:
    return draw.format if rank > 1 else {}


def up_sampling(draw: Draw, x: Any) -> Any:
    rank = len(x.shape) - 2
    if rank != 2:
        return getattr(L, f"UpSampling{rank}D")(2)(x)
    if draw.chance(0.5):
        return L.UpSampling2D(draw.pick([2, (1, 2)]), interpolation=draw.pick(["nearest", "bilinear"]), **draw.format)(
            x
        )
    size = [draw.integer(2, 6) for _ in range(2)]
    return L.Resizing(*size, interpolation=draw.pick(["nearest", "bilinear", "bicubic"]), **draw.format)(x)


def constants(draw: Draw, x: Any) -> Any:
    one = draw.numbers.uniform(0.2, 2.0, x.shape[-1]).astype(np.float32)
    whole = draw.numbers.normal(size=x.shape[1:]).astype(np.float32)
    return draw.pick(
        [
            lambda: L.Rescaling(draw.pick([1 / 255, -0.5, 3.0]), offset=draw.pick([0.0, -0.3]))(x),
            lambda: L.Rescaling(list(map(float, one)), offset=0.1)(x),
            lambda: L.Normalization(mean=one - 1, variance=one)(x),
            lambda: x * 0.5 + 0.1,
            lambda: 1.0 - x,
            lambda: -x / 4.0,
            lambda: x * one,
            lambda: x + whole,
            lambda: L.Dropout(0.5)(x),
        ]
    )()


def joined(draw: Draw, x: Any) -> Any:
    """Joins a tensor with an earlier one of its shape, or with a branch of its own."""
    others = [tensor for tensor in draw.earlier if tensor.shape == x.shape and tensor is not x]
    other = draw.pick(others) if others and draw.chance(0.6) else activation(draw, L.Dense(x.shape[-1])(x))
    result = draw.pick(
        [
            lambda: L.Add()([x, other]),
            lambda: L.Subtract()([x, other]),
            lambda: L.Average()([x, other]),
            lambda: L.Concatenate(axis=draw.integer(1, len(x.shape) - 1))([other, x]),
            lambda: x + other,
            lambda: other - x,
            lambda: ops.concatenate([x, other, x], axis=-1),
            lambda: L.Add()([x, other, x]),
        ]
    )()
    return maybe_activated(draw, result)


def rearranged(draw: Draw, x: Any) -> Any:
    rank = len(x.shape) - 1
    order = draw.choices.sample(range(1, rank + 1), rank)
    size = math.prod(x.shape[1:])
    factor = draw.pick([factor for factor in (1, 2, 3, 4) if size % factor == 0])
    result = draw.pick(
        [
            lambda: L.Permute(order)(x),
            lambda: L.Reshape((factor, size // factor))(x),
            lambda: L.Flatten()(x),
            lambda: ops.transpose(x, (0, *order)),
            lambda: ops.reshape(x, (-1, size // factor, factor)),
            lambda: L.RepeatVector(2)(x) if rank == 1 else ops.squeeze(ops.expand_dims(x, 2), 2),
        ]
    )()
    draw.first = False
    return result


def moved(draw: Draw, x: Any) -> Any:
    axis = draw.integer(1, len(x.shape) - 1)
    size = x.shape[axis]
    index = [slice(None)] * len(x.shape)
    index[axis] = slice(size // 3, None, draw.pick([1, 2])) if draw.chance(0.5) else slice(None, None, -1)
    paddings = [(0, 0)] * len(x.shape)
    paddings[axis] = (1, 2)
    return draw.pick(
        [
            lambda: x[tuple(index)],
            lambda: ops.pad(x, paddings),
            lambda: ops.flip(x, axis=axis),
            lambda: ops.roll(x, 1, axis=axis),
            lambda: ops.repeat(x, 2, axis=axis),
            lambda: (
                ops.concatenate(ops.split(x, [max(size // 2, 1)], axis=axis)[::-1], axis=axis) if size > 1 else None
            ),
            lambda: ops.take(x, np.array([size - 1, 0]), axis=axis),
            lambda: ops.stack([x, x], axis=axis) if len(x.shape) < 4 and not draw.first else None,
        ]
    )()


def reduced(draw: Draw, x: Any) -> Any:
    axis = draw.integer(1, len(x.shape) - 1)
    keepdims = draw.chance(0.5) or len(x.shape) < 3 or draw.first
    return draw.pick([ops.mean, ops.max, ops.sum, ops.amax])(x, axis=axis, keepdims=keepdims)


def einsum_dense(draw: Draw, x: Any) -> Any:
    size = draw.integer(2, 4)
    equation, shape = draw.pick(
        [("abc,cd->abd", (None, size)), ("abc,bd->adc", (size, None)), ("abc,bcd->abd", (None, size))]
    )
    if None in shape:
        shape = tuple(known or x.shape[{"abd": 1, "adc": 2}[equation[-3:]]] for known in shape)
    return maybe_activated(draw, L.EinsumDense(equation, output_shape=shape, bias_axes=equation[-1])(x))


def time_distributed(draw: Draw, x: Any) -> Any:
    rank = len(x.shape) - 2
    inside: list[Any] = [lambda: L.Dense(3, activation="relu"), lambda: L.BatchNormalization()]
    if rank == 2:
        inside += [lambda: L.Conv1D(2, 2, padding="same", activation="relu"), lambda: L.MaxPooling1D(2, padding="same")]
    if rank == 3:
        inside += [lambda: L.Conv2D(2, 2, padding="same"), lambda: L.AveragePooling2D(2, padding="same")]
    draw.activations += 1
    return L.ReLU()(L.TimeDistributed(draw.pick(inside)())(x))


def shared(draw: Draw, x: Any) -> Any:
    """One layer, called twice."""
    layer = L.Dense(x.shape[-1], activation=draw.pick(["relu", None]))
    draw.activations += 1
    return L.ReLU()(layer(layer(x) if draw.chance(0.5) else L.Add()([layer(x), x])))


def nested(draw: Draw, x: Any) -> Any:
    inner = keras.Sequential([keras.Input(x.shape[1:]), L.Dense(draw.integer(2, 5), "relu"), L.BatchNormalization()])
    draw.activations += 1
    return L.Average()([inner(x), inner(x * 0.5)]) if draw.chance(0.4) else inner(x)


ALL = (1, 2, 3, 4)
#: For tensors of which ranks, the step, and whether it is for channels-first tensors as well.
STEPS: list[tuple[tuple[int, ...], Callable[[Draw, Any], Any], bool]] = [
    *[(ALL, lambda draw, x: activation(draw, x), True)] * 2,
    *[((1, 2, 3), dense, False)] * 2,
    *[((2, 3, 4), convolution, True)] * 5,
    *[((2, 3, 4), pooling, True)] * 2,
    ((2, 3, 4), global_pooling, True),
    ((2, 3), adaptive_pooling, False),
    *[(ALL, batch_normalization, True)] * 2,
    *[((2, 3, 4), border, True)] * 2,
    ((2, 3, 4), up_sampling, True),
    *[(ALL, constants, True)] * 2,
    *[(ALL, joined, True)] * 2,
    (ALL, rearranged, True),
    (ALL, moved, True),
    (ALL, reduced, True),
    ((2,), einsum_dense, False),
    ((2, 3, 4), time_distributed, False),
    (ALL, shared, False),
    (ALL, nested, False),
]
#: What cannot be converted; a Dense stands behind it, as an output may have any activation.
UNSUPPORTED: list[tuple[tuple[int, ...], Callable[[Draw, Any], Any]]] = [
    (ALL, lambda draw, x: L.Dense(3, "relu")(L.Activation("gelu")(x))),
    (ALL, lambda draw, x: L.Dense(3, "relu")(L.LayerNormalization()(x))),
    (ALL, lambda draw, x: L.Dense(3, "relu")(L.Multiply()([x, L.Dense(x.shape[-1])(x)]))),
    (ALL, lambda draw, x: L.Dense(3, "relu")(ops.square(x))),
    ((2,), lambda draw, x: L.Dense(3, "relu")(L.LSTM(3)(x))),
    ((2,), lambda draw, x: L.Dense(3, "relu")(L.GRU(3, return_sequences=True)(x))),
]
