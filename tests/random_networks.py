"""Random networks of all layers that can be converted, now and then with one that cannot.

`random_network(seed, steps)` builds the same model each time, and fewer steps of the same seed are a prefix of more: what
fails can be replayed, and shrunk by leaving steps out.
"""

import dataclasses
import random
from typing import Any

import keras
import numpy as np
from random_draw import Draw, activation, flat
from random_steps import STEPS, UNSUPPORTED
from zoo import randomize_batch_norm

L = keras.layers
#: Values per sample that a tensor may have: small enough that an error bound can be found by trying every element.
LARGEST = 300
SAMPLES = 6
#: Shapes of inputs by kind, without channels.
LAYOUTS = {"vector": 0, "sequence": 1, "image": 2, "channels first": 2, "volume": 3}
OUTPUT_ACTIVATIONS = (None, None, "softmax", "sigmoid", "tanh", "softplus", "relu")


@dataclasses.dataclass
class RandomNetwork:
    """A model with data for it.

    Attributes:
        seed: Of the generator.
        steps: Number of steps.
        model: The model.
        x: Samples in the structure of the model's inputs.
        unsupported: How many steps cannot be converted.
    """

    seed: int
    steps: int
    model: keras.Model
    x: Any
    unsupported: int

    def __str__(self) -> str:
        """Returns what is needed to replay it, and its layers."""
        lines = [f"random_network(seed={self.seed}, steps={self.steps}), unsupported: {self.unsupported}"]
        for layer in self.model.operations if hasattr(self.model, "operations") else self.model.layers:
            config = layer.get_config() if isinstance(layer, L.Layer) and not isinstance(layer, keras.Model) else {}
            shown = {key: value for key, value in config.items() if key in _SHOWN and value not in (None, "linear")}
            outputs = [tuple(tensor.shape[1:]) for tensor in keras.tree.flatten(layer.output)]
            lines.append(f"  {type(layer).__name__} '{layer.name}' -> {outputs} {shown or ''}")
        scales = [f"{np.abs(array).max():.2g}" for array in keras.tree.flatten(self.x)]
        return "\n".join([*lines, f"  largest input: {', '.join(scales)}"])


_SHOWN = (
    "axis", "activation", "kernel_size", "strides", "padding", "dilation_rate", "groups", "data_format", "pool_size",
    "interpolation", "max_value", "negative_slope", "scale", "offset", "equation", "cropping", "size", "dims", "keepdims",
)  # fmt: skip


def random_network(seed: int, steps: int) -> RandomNetwork:
    """Returns a random network of so many steps, each of which adds one layer or a few."""
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(seed)
    draw = Draw(random.Random(seed), np.random.default_rng(seed))
    inputs = [_input(draw) for _ in range(draw.pick((1, 1, 1, 2)))]
    tensors = [_walk(draw, tensor, steps) for tensor in inputs]
    x = tensors[0]
    if len(tensors) > 1:
        x = L.Concatenate()([flat(draw, tensor) for tensor in tensors])
    model = keras.Model(inputs if len(inputs) > 1 else inputs[0], _outputs(draw, x))
    randomize(model, draw.numbers)
    scale = 10.0 ** draw.numbers.uniform(-3, 3)
    data = [(scale * draw.numbers.normal(size=(SAMPLES, *i.shape[1:]))).astype(np.float32) for i in inputs]
    return RandomNetwork(seed, steps, model, data if len(data) > 1 else data[0], draw.unsupported)


def _input(draw: Draw) -> Any:
    layout = draw.pick(list(LAYOUTS))
    draw.first = layout == "channels first"
    largest = {0: 12, 1: 9, 2: 6, 3: 4}[LAYOUTS[layout]]
    spatial = [draw.integer(largest // 2 + 1, largest) for _ in range(LAYOUTS[layout])]
    channels = draw.integer(2, 9) if not spatial else draw.integer(1, 4)
    return keras.Input((channels, *spatial) if draw.first else (*spatial, channels))


def _walk(draw: Draw, x: Any, steps: int) -> Any:
    """Takes steps from an input; with one activation at least."""
    draw.earlier, draw.activations = [x], 0
    for _ in range(steps):
        rank = len(x.shape) - 1
        choices = [step for ranks, step, first in STEPS if rank in ranks and (first or not draw.first)]
        unsupported = draw.chance(0.02)
        if unsupported:
            choices = [step for ranks, step in UNSUPPORTED if rank in ranks]
        state = draw.first, draw.activations
        changed = draw.pick(choices)(draw, x)
        if changed is None or np.prod(changed.shape[1:]) > LARGEST:
            # It does not fit this tensor.
            draw.first, draw.activations = state
            continue
        x = changed
        draw.unsupported += unsupported
        draw.earlier.append(x)
    if not draw.activations:
        x = activation(draw, L.Dense(draw.integer(3, 6))(x))
    return x


def _outputs(draw: Draw, x: Any) -> Any:
    """One output, or two of which one may be an inner tensor."""

    def head() -> Any:
        hidden = flat(draw, x)
        function = draw.pick(OUTPUT_ACTIVATIONS)
        return L.Dense(draw.integer(2, 5), activation=function)(hidden)

    first = head() if draw.chance(0.85) else activation(draw, L.Dense(3)(L.Dense(4, "relu")(x)))
    return [first, head() if draw.chance(0.5) else x] if draw.chance(0.2) else first


def randomize(model: keras.Model, numbers: np.random.Generator) -> None:
    """Gives biases and batch norms values as if trained, and now and then leaves a channel without weights."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            randomize(layer, numbers)
            continue
        layer = layer.layer if isinstance(layer, L.TimeDistributed) else layer
        if isinstance(layer, keras.Model):
            randomize(layer, numbers)
        elif isinstance(layer, L.BatchNormalization):
            randomize_batch_norm(layer, numbers, signs=(1, 1, 1, -1), variance=(0.3, 3.0))
        elif getattr(layer, "bias", None) is not None:
            layer.bias.assign(numbers.normal(0, 0.2, layer.bias.shape))
            if numbers.random() < 0.1 and hasattr(layer, "kernel"):
                kernel = np.array(layer.kernel)
                kernel[..., 0] *= numbers.choice([0.0, 1e-4, 100.0])
                layer.kernel.assign(kernel)
