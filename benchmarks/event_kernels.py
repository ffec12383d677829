"""Layers on spikes: the time of the event-driven kernel as a multiple of that of TensorFlow's dense convolution.

    python benchmarks/event_kernels.py [--rates 0.02 0.05 0.1 0.2] [--repeats 9]

Both run in turn, on the same spikes, in this process's threads; what is printed is the ratio of their medians. Below 1
the event-driven kernel is faster.
"""

import argparse
import functools

import numpy as np
import tensorflow as tf
from measuring import interleaved

from snn_toolbox_tf import ops
from snn_toolbox_tf.foundation.versions import versions

#: Samples, rows (and columns), inputs, outputs, window.
LAYERS = [
    (512, 32, 16, 16, 3),
    (512, 16, 32, 32, 3),
    (512, 8, 64, 64, 3),
    (128, 16, 128, 128, 3),
    (128, 8, 256, 256, 3),
    (128, 4, 512, 512, 3),
    (128, 8, 256, 256, 1),
    (2048, 1, 1024, 512, 1),
]


def ratio(layer: tuple[int, int, int, int, int], rate: float, repeats: int) -> float:
    """Returns the ratio of both times for a layer and a share of active inputs."""
    samples, size, inputs, outputs, window = layer
    rng = np.random.default_rng(0)
    spikes = tf.constant((rng.random((samples, size, size, inputs)) < rate).astype(np.float32))
    kernel = tf.constant(np.round(rng.normal(size=(window, window, inputs, outputs)) * 64).astype(np.float32) / 64)
    same = ops.ConvolutionWindow(padding="same")
    calls = {}
    for name in ("native", "reference"):
        with ops.use(name):
            traced = tf.function(lambda x: ops.spike_convolution(x, kernel, window=same)).get_concrete_function(spikes)
        calls[name] = functools.partial(traced, spikes)
    np.testing.assert_array_equal(calls["native"](), calls["reference"]())
    seconds = interleaved(calls, repeats)
    return seconds["native"] / seconds["reference"]


def main() -> None:
    """Prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rates", nargs="+", type=float, default=[0.02, 0.05, 0.1, 0.15, 0.2, 0.3])
    parser.add_argument("--repeats", type=int, default=9)
    arguments = parser.parse_args()
    print(f"| layer | {' | '.join(f'rate {rate:g}' for rate in arguments.rates)} |")
    print("|---" * (1 + len(arguments.rates)) + "|")
    for layer in LAYERS:
        _, size, inputs, outputs, window = layer
        found = " | ".join(f"{ratio(layer, rate, arguments.repeats):.2f}" for rate in arguments.rates)
        print(f"| {inputs} -> {outputs}, {window}x{window}, {size}x{size} | {found} |", flush=True)
    print(", ".join(f"{key} {value}" for key, value in versions().items()), ops.implementation())


if __name__ == "__main__":
    main()
