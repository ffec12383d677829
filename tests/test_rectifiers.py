"""Rectifiers: what a population can stand for, alone or several of them together."""

import keras
import numpy as np
import pytest
from conftest import mostly_slow
from convergence import assert_converges, assert_within_bounds
from quantization_bound import bounded

import snn_toolbox_tf as snn
from snn_toolbox_tf.activations import rectifier_of
from snn_toolbox_tf.analysis.closed_form import closed_form
from snn_toolbox_tf.graph import LayerSpec

L = keras.layers


def prelu(**kwargs):
    return L.PReLU(alpha_initializer=keras.initializers.RandomUniform(0.05, 0.4, seed=1), **kwargs)


def has(name):
    """Whether this Keras has an activation function."""
    return hasattr(keras.activations, name)


RECTIFIERS = {
    "relu6": lambda: L.Activation("relu6"),
    "relu with bound and slope": lambda: L.ReLU(max_value=1.0, negative_slope=0.1),
    "leaky relu": lambda: L.LeakyReLU(negative_slope=0.2),
    "leaky relu by name": lambda: L.Activation("leaky_relu"),
    "prelu per element": prelu,
    "prelu per channel": lambda: prelu(shared_axes=[1, 2]),
    "hard sigmoid": lambda: L.Activation("hard_sigmoid"),
    "relu, called": lambda: lambda x: keras.activations.relu(x, negative_slope=0.3, max_value=0.8),
    "leaky relu, called": lambda: lambda x: keras.ops.leaky_relu(x, negative_slope=0.1),
    "hard sigmoid, called": lambda: keras.ops.hard_sigmoid,
}
NEWER = {
    "sparse sigmoid": ("sparse_sigmoid", lambda: L.Activation("sparse_sigmoid")),
    "hard tanh": ("hard_tanh", lambda: L.Activation("hard_tanh")),
    "soft shrink": ("soft_shrink", lambda: L.Activation("soft_shrink")),
    "hard tanh, called": ("hard_tanh", lambda: keras.ops.hard_tanh),
    "soft shrink, called": ("soft_shrink", lambda: lambda x: keras.ops.soft_shrink(x, threshold=0.2)),
}
RECTIFIERS |= {name: make for name, (function, make) in NEWER.items() if has(function)}


def network(rectifier, *, pooling):
    inputs = keras.Input((6, 6, 2), name="x")
    x = L.BatchNormalization()(L.Conv2D(5, 3, padding="same")(inputs))
    x = rectifier()(x)
    x = L.MaxPooling2D(2)(L.ZeroPadding2D(1)(x)) if pooling else x
    x = L.ReLU(name="second")(L.Conv2D(4, 3)(x))
    return keras.Model(inputs, L.Dense(3)(L.Flatten()(x)))


CASES = [(name, pooling) for pooling in (False, True) for name in RECTIFIERS]
#: Behind a pooling one bounded, one that is not monotone, one of several slopes, and one whose zero is elsewhere.
POOLED = ["relu with bound and slope", "soft shrink", "prelu per channel", "hard sigmoid"]
KEPT = [(name, pooling) for name, pooling in CASES if not pooling or name in POOLED]


@pytest.mark.few(3)
@pytest.mark.parametrize("case", mostly_slow(CASES, KEPT), ids=lambda case: case[0] + ", pooled" * case[1])
def test_the_spiking_network_converges_to_the_source(rng, case):
    name, pooling = case
    model = network(RECTIFIERS[name], pooling=pooling)
    x = rng.normal(size=(12, 6, 6, 2)).astype(np.float32)
    assert_converges(model, x)
    assert snn.check(model).ok


@pytest.mark.skipif(not has("hard_tanh"), reason="this Keras has no hard_tanh")
@pytest.mark.parametrize("magnitude", [1e-3, 1e-2])
def test_bounded_neurons_far_from_their_bounds_converge(rng, magnitude):
    """All of their rates are near 1/2: what tells them apart is small against the thresholds, and no current is clipped."""
    model = keras.Sequential(
        [
            keras.Input((8,)),
            L.Dense(16, "hard_tanh", use_bias=False),
            L.Dense(16, "relu"),
            L.Dense(3, use_bias=False),
        ]
    )
    x = (magnitude * rng.normal(size=(64, 8))).astype(np.float32)
    model_snn = snn.convert_keras(model, x, percentile=100)
    outputs = model_snn.simulate(x, timesteps=4096, outputs="last").outputs[-1]
    assert_within_bounds(model, model_snn, x, outputs, 4096)
    # The derived bound tells convergence from its absence: at this T it is a tenth of the outputs.
    bound, largest = bounded(model_snn, x), np.abs(model.predict(x, verbose=0)).max()
    timesteps = int(np.ceil(10 * bound.falling[0] / largest))
    assert bound.at(timesteps)[0] < 0.11 * largest
    _, outputs = closed_form(model_snn, x, timesteps)
    assert np.abs(outputs - bound.outputs[0]).max() <= bound.at(timesteps)[0]


def test_a_leaky_relu_is_two_populations(rng):
    model = keras.Sequential(
        [keras.Input((4,)), L.Dense(6, name="dense"), L.LeakyReLU(0.5, name="leaky"), L.Dense(2, name="out")]
    )
    x = rng.normal(size=(8, 4)).astype(np.float32)
    model_snn = snn.convert_keras(model, x, percentile=100)
    result = model_snn.simulate(x, timesteps=64, record=["spikes"])
    assert set(result.spikes) == {"leaky", "leaky_negative"}
    # At most one of the two fires: they read the current and its negative.
    totals = {name: spikes.sum(axis=0, dtype=int) for name, spikes in result.spikes.items()}
    assert not ((totals["leaky"] > 0) & (totals["leaky_negative"] > 0)).any()
    theta = model_snn.thresholds()
    rates = {name: theta[name] * total / 64 for name, total in totals.items()}
    activation = keras.Model(model.inputs, model.get_layer("leaky").output).predict(x, verbose=0)
    decoded = rates["leaky"] - 0.5 * rates["leaky_negative"]
    assert (
        np.abs(decoded - activation).max() <= max(theta["leaky"].max(), theta["leaky_negative"].max()) / 2 / 64 * 1.01
    )
    counts, _ = closed_form(model_snn, x, 64)
    layer_synchronous = model_snn.simulate(x, timesteps=64, schedule="layer_synchronous", record=["spike_counts"])
    for name, expected in counts.items():
        np.testing.assert_array_equal(layer_synchronous.sample_spike_counts[name], expected)
    (row,) = [row for row in snn.check(model).rows if row.name == "leaky"]
    assert row.reason == "2 x 6 integrate-and-fire neurons"


@pytest.mark.parametrize(
    ("spec", "function"),
    [
        (LayerSpec("ReLU", {"max_value": 2.0, "negative_slope": 0.25}), lambda x: L.ReLU(2.0, 0.25)(x)),
        (LayerSpec("LeakyReLU", {"negative_slope": 0.3}), lambda x: L.LeakyReLU(0.3)(x)),
        *[
            (LayerSpec("Activation", {"activation": name}), keras.activations.get(name))
            for name in ("relu", "relu6", "leaky_relu", "hard_sigmoid", "sparse_sigmoid", "hard_tanh", "soft_shrink")
            if has(name)
        ],
    ],
    ids=lambda value: value.config.get("activation", value.class_name) if isinstance(value, LayerSpec) else "",
)
def test_the_sum_of_pieces_is_the_function(spec, function):
    x = np.linspace(-8, 8, 3201).astype(np.float32)
    rectifier = rectifier_of(spec)
    total = rectifier.constant
    for piece in rectifier.pieces:
        total = total + piece.gain * np.clip(piece.factor * x + piece.offset, 0, piece.max_value)
    np.testing.assert_allclose(total, np.asarray(function(x)), atol=2e-6)
    assert rectifier.monotone == bool((np.diff(total) >= -1e-6).all())
    assert rectifier.keeps_zero == (abs(total[1600]) < 1e-7)


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (lambda: L.ReLU(threshold=0.5, name="act"), r"'act' \(ReLU\): it jumps at its threshold.*converges to a jump"),
        (
            lambda: L.Activation("gelu", name="act"),
            r"'act' \(Activation gelu\): a spiking population stands for ReLU and",
        ),
        (lambda: L.ELU(name="act"), r"'act' \(ELU\): a spiking population stands for ReLU and"),
        (lambda: keras.ops.silu, r"\(Activation silu\): a spiking population stands for ReLU and"),
    ],
)
def test_what_is_no_rectifier_is_refused_with_its_reason(layer, reason):
    with pytest.raises(snn.UnsupportedModelError, match=reason):
        snn.convert_keras(network(layer, pooling=False))


@pytest.mark.skipif(not has("hard_shrink"), reason="this Keras has no hard_shrink")
@pytest.mark.parametrize("layer", [lambda: L.Activation("hard_shrink"), lambda: lambda x: keras.ops.hard_shrink(x)])
def test_a_shrinking_that_jumps_is_refused(layer):
    with pytest.raises(snn.UnsupportedModelError, match=r"\(Activation hard_shrink\): it jumps"):
        snn.convert_keras(network(layer, pooling=False))
