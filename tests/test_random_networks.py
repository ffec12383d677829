"""Random networks of all layers: each converges to its source as fast as it must, or is refused by name.

A failure prints seed and steps: `random_network(seed, steps)` builds the network again, and an `@example` keeps it.
"""

import pathlib
import tempfile
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from convergence import assert_within_bounds
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_networks import random_network

import snn_toolbox_tf as snn
from snn_toolbox_tf import ops
from snn_toolbox_tf.analysis.closed_form import closed_form, inexact_nodes
from snn_toolbox_tf.graph import Population
from snn_toolbox_tf.ops import native

TIMESTEPS = 10
#: How many networks there are.
SEEDS = 2**32 - 1
PIECES = 10


def convert(network, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # The data is its own calibration: nothing is clipped but what rounding lifts above its threshold.
        return snn.convert_keras(network.model, network.x, threshold_rule="maximum", timesteps=TIMESTEPS, **options)


def converted(network):
    """Returns the spiking network, or None if it is refused as it should be."""
    report = snn.check(network.model)
    try:
        model_snn = convert(network)
    except (snn.UnsupportedModelError, snn.ConversionError) as refusal:
        assert_well_refused(network, report, refusal)
        return None
    assert report.ok, f"converted, but `check` says:\n{report}\n{network}"
    assert not network.unsupported, f"converted, but not all of it can be\n{network}"
    return model_snn


def assert_well_refused(network, report, refusal):
    if isinstance(refusal, snn.ConversionError):
        # Activations a thousand times and more apart, which one grid of 24 bits does not hold: what the message advises
        # must help.
        assert "form='unnormalized'` runs without a grid" in str(refusal), f"{refusal}\n{network}"
        assert convert(network, form="unnormalized").conversion.pass_error < 1e-3, f"{network}"
        return
    assert network.unsupported, f"refused, though all of it can be converted: {refusal}\n{network}"
    assert report.refused, f"`check` says that it can be converted: {refusal}\n{network}"
    assert "remedy" in str(refusal), f"{refusal}\n{network}"
    for row in report.refused:
        assert row.reason, f"{row}\n{network}"
        assert row.remedy, f"{row}\n{network}"
        assert f"'{row.name}'" in str(refusal), f"'{row.name}' is not named: {refusal}\n{network}"


def assert_same(first, second, what, network):
    """The same spikes, and the same outputs up to the last bit behind a softmax."""
    for name, spikes in first.spikes.items():
        differing = int((spikes != second.spikes[name]).sum())
        assert not differing, f"{what}: {differing} of {spikes.size} spikes of '{name}' differ\n{network}"
    assert_same_outputs(first.outputs, second.outputs, what, network)


def assert_same_outputs(first, second, what, network):
    for index, (one, other) in enumerate(zip(keras.tree.flatten(first), keras.tree.flatten(second), strict=True)):
        np.testing.assert_array_max_ulp(np.asarray(one), np.asarray(other), 1), f"{what}: output {index}\n{network}"


def batch_and_block(network, model_snn, result, folder):
    other = model_snn.simulate(network.x, timesteps=TIMESTEPS, record="spikes", batch_size=4, block_length=3)
    assert_same(result, other, "batches of 4, blocks of 3", network)


def implementation(network, model_snn, result, folder):
    if native.LIBRARY.exists():
        with ops.use("reference"):
            plain = model_snn.run(network.x)
        last = keras.tree.map_structure(lambda array: array[-1], result.outputs)
        assert_same_outputs(last, plain, "the reference implementation", network)


def engines(network, model_snn, result, folder):
    for engine in ("dense", "event"):
        model_snn.engine = engine
        other = model_snn.simulate(network.x, timesteps=TIMESTEPS, record="spikes")
        assert_same(result, other, f"engine {engine}", network)
    model_snn.engine = "auto"


def layer_synchronous(network, model_snn, result, folder):
    run = model_snn.simulate(network.x, timesteps=TIMESTEPS, schedule="layer_synchronous", record="spike_counts")
    counts, outputs = closed_form(model_snn, network.x, TIMESTEPS)
    if inexact_nodes(model_snn):
        return
    for name, expected in counts.items():
        difference = np.abs(run.sample_spike_counts[name] - expected).max()
        assert difference == 0, f"layer-synchronous: '{name}' is {difference} spikes from the closed form\n{network}"
    last = keras.tree.map_structure(lambda array: array[-1], run.outputs)
    assert_same_outputs(last, outputs, "layer-synchronous", network)


def save_and_load(network, model_snn, result, folder):
    model_snn.save(folder / "net.keras")
    loaded = keras.saving.load_model(folder / "net.keras")
    again = loaded.simulate(network.x, timesteps=TIMESTEPS, record="spikes")
    assert_same(result, again, "saved and loaded", network)
    for kind in ("synaptic_operations", "multiply_accumulates"):
        before, after = getattr(result, kind), getattr(again, kind)
        assert before.keys() == after.keys(), f"{kind}: {before.keys()} became {after.keys()}\n{network}"
        for name, operations in before.items():
            assert np.array_equal(operations, after[name]), f"{kind} of '{name}' changed by loading\n{network}"


def export(network, model_snn, result, folder):
    model_snn.export(folder / "serving")
    serve = tf.saved_model.load(str(folder / "serving")).signatures["serving_default"]
    arrays = keras.tree.flatten(network.x)
    names = [spec.name for spec in model_snn._serving_signature()]
    served = serve(**{name: tf.constant(array) for name, array in zip(names, arrays, strict=True)})
    last = keras.tree.map_structure(lambda array: array[-1], result.outputs)
    assert_same_outputs(last, [served[name] for name in sorted(served)], "exported", network)


CHECKS = (batch_and_block, layer_synchronous, save_and_load, implementation, engines, layer_synchronous, export)


def check(seed, steps, checks):
    network = random_network(seed, steps)
    model_snn = converted(network)
    if model_snn is None:
        return "refused"
    assert model_snn.network.graph.of_type(Population)
    result = model_snn.simulate(network.x, timesteps=TIMESTEPS, record="spikes")
    last = keras.tree.map_structure(lambda array: array[-1], result.outputs)
    assert_within_bounds(network.model, model_snn, network.x, last, TIMESTEPS, network)
    with tempfile.TemporaryDirectory() as folder:
        for one in checks:
            one(network, model_snn, result, pathlib.Path(folder))
    return "converted"


def hypothesis(count, seeds, most_steps):
    """Draws networks, the same ones in every run."""

    def decorate(function):
        drawn = given(seed=seeds, steps=st.integers(1, most_steps))(function)
        return settings(
            max_examples=count,
            derandomize=True,
            deadline=None,
            print_blob=False,
            suppress_health_check=[HealthCheck.too_slow],
        )(drawn)

    return decorate


def check_one(seed, steps):
    check(seed, steps, [CHECKS[seed % len(CHECKS)]])


@pytest.mark.few(1)
@pytest.mark.parametrize("piece", range(2))
def test_random_networks(piece):
    """In two pieces, so that they can run side by side; there are many more in `make test-slow`."""

    @hypothesis(4, st.integers(piece * SEEDS // 2, (piece + 1) * SEEDS // 2), most_steps=4)
    def run(seed, steps):
        check_one(seed, steps)

    run()


def test_a_clip_that_only_the_network_rounds():
    """It found a fault once."""
    check_one(seed=1096, steps=8)


@pytest.mark.slow
@pytest.mark.parametrize("piece", range(PIECES))
def test_many_random_networks(piece):
    """In pieces, so that they can run side by side; each has all checks, but for the export, which takes longest."""

    @hypothesis(50, st.integers(piece * SEEDS // PIECES, (piece + 1) * SEEDS // PIECES), most_steps=9)
    def run(seed, steps):
        check(seed, steps, [one for one in dict.fromkeys(CHECKS) if one is not export or seed % 4 == 0])

    run()
