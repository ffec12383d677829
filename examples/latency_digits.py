"""One spike a neuron: a small CNN on scikit-learn's digits in latency code, beside rate code.

    python examples/latency_digits.py

It needs nothing but the package and scikit-learn, and takes seconds.
"""

import numpy as np
from digits_model import train

import snn_toolbox_tf as snn
from snn_toolbox_tf.cli.example import digits


def main() -> None:
    """Trains, converts, and compares the codes."""
    x_train, y_train, x_test, y_test = digits()
    model = train(x_train, y_train, seed=0)
    ann = model.predict(x_test, verbose=0)
    print(f"ANN: accuracy {100 * (ann.argmax(-1) == y_test).mean():.2f} %")
    for steps in (None, 64, 16):
        model_snn = snn.convert_keras(model, x_train[:500], code="latency", timesteps_per_window=steps)
        result = model_snn.simulate(x_test)
        error = np.abs(result.outputs - ann).max() / np.abs(ann).max()
        print(
            f"latency code, {model_snn.conversion.code}: accuracy {100 * result.accuracy(y_test):.2f} %, error {error:.1e}, "
            f"{result.spikes_per_neuron:.2f} spikes a neuron, "
            f"{result.operations / model_snn.ann_multiply_accumulates:.2f} operations per MAC"
        )
    rate = snn.convert_keras(model, x_train[:500]).simulate(x_test, outputs="last")
    spikes = sum(counts.sum() for counts in rate.spike_counts.values())
    neurons = sum(counts.size for counts in rate.spike_counts.values())
    print(
        f"rate code, {rate.duration} timesteps: accuracy {100 * rate.accuracy(y_test)[-1]:.2f} %, "
        f"{spikes / neurons / rate.samples:.2f} spikes a neuron"
    )


if __name__ == "__main__":
    main()
