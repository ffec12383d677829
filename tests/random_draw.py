"""What the steps of random networks draw from, and the activations among them."""

import dataclasses
import random
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

L, ops = keras.layers, keras.ops


@dataclasses.dataclass
class Draw:
    """Where a network's choices come from, and what it consists of so far.

    Attributes:
        choices: For what is built.
        numbers: For values.
        first: Whether the tensors have their channels first.
        earlier: The tensors so far.
        activations: How many nonlinearities there are.
        padded: Whether zeros have been added around a tensor.
        unsupported: How many steps cannot be converted.
    """

    choices: random.Random
    numbers: np.random.Generator
    first: bool = False
    earlier: list[Any] = dataclasses.field(default_factory=list)
    activations: int = 0
    padded: bool = False
    unsupported: int = 0

    def pick(self, values: Sequence[Any]) -> Any:
        return self.choices.choice(list(values))

    def integer(self, low: int, high: int) -> int:
        return self.choices.randint(low, high)

    def chance(self, probability: float) -> bool:
        return self.choices.random() < probability

    @property
    def format(self) -> dict[str, str]:
        return {"data_format": "channels_first"} if self.first else {}


def prelu(draw: Draw, x: Any) -> Any:
    slopes = keras.initializers.RandomUniform(-0.2, 0.5, seed=draw.integer(0, 99))
    return L.PReLU(alpha_initializer=slopes, shared_axes=draw.pick([None, list(range(1, len(x.shape) - 1)) or None]))(x)


ACTIVATIONS: list[Callable[[Draw, Any], Any]] = [
    *[lambda draw, x: L.ReLU()(x)] * 8,
    lambda draw, x: ops.relu(x),
    lambda draw, x: L.Activation("relu6")(x),
    lambda draw, x: L.ReLU(max_value=draw.pick([0.5, 2.0]), negative_slope=draw.pick([0.0, 0.1]))(x),
    lambda draw, x: L.LeakyReLU(negative_slope=draw.pick([0.05, 0.5]))(x),
    prelu,
    lambda draw, x: L.Activation("hard_sigmoid")(x),
    lambda draw, x: keras.activations.get("hard_tanh")(x),
    lambda draw, x: ops.clip(x, -0.3, draw.pick([0.2, 1.5])),
    lambda draw, x: ops.maximum(x, draw.pick([0.0, 0.1, -0.2])),
    lambda draw, x: ops.minimum(x, draw.pick([0.0, 0.4])),
    lambda draw, x: ops.soft_shrink(x, threshold=0.1),
]


def activation(draw: Draw, x: Any) -> Any:
    draw.activations += 1
    return draw.pick(ACTIVATIONS)(draw, x)


def maybe_activated(draw: Draw, x: Any) -> Any:
    return activation(draw, x) if draw.chance(0.75) else x


def flat(draw: Draw, x: Any) -> Any:
    return L.Flatten(**draw.format)(x) if len(x.shape) > 2 else x


def spatial(draw: Draw, x: Any) -> tuple[int, ...]:
    return tuple(x.shape[2:] if draw.first else x.shape[1:-1])


def channels(draw: Draw, x: Any) -> int:
    return int(x.shape[1] if draw.first else x.shape[-1])
