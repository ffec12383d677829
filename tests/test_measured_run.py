"""A run inside one graph that measures what each sample cost: it says what `simulate` says."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo

import snn_toolbox_tf as snn
from snn_toolbox_tf.simulation.exit_loop import ExitLoop
from snn_toolbox_tf.simulation.measured_run import MeasuredRun


def measured(model_snn, x, timesteps, rule=None):
    """What a graph that was traced for any batch size gives."""
    graph = model_snn.network.graph
    arrays = dict(zip(keras.tree.flatten(graph.input_structure), keras.tree.flatten(x), strict=True))
    run = MeasuredRun(model_snn.runner, timesteps, rule)
    specs = {name: tf.TensorSpec([None, *array.shape[1:]]) for name, array in arrays.items()}
    return tf.function(run, input_signature=[specs])({name: tf.constant(array) for name, array in arrays.items()})


def assert_measures_what_simulate_does(model_snn, x, rule=None):
    timesteps = model_snn.timesteps
    result = model_snn.simulate(x, outputs="last", early_exit=rule, record=["spike_counts"])
    found = measured(model_snn, x, timesteps, rule)
    keras.tree.map_structure(
        lambda now, then: np.testing.assert_array_equal(now, then[-1]), found.outputs, result.outputs
    )
    np.testing.assert_array_equal(found.timesteps, result.exit_timesteps)
    for name, counts in result.sample_spike_counts.items():
        np.testing.assert_array_equal(found.spikes[name], counts.reshape(len(counts), -1).sum(axis=1))
    for kind in ("synaptic_operations", "multiply_accumulates"):
        total = sum(getattr(result, kind).values(), np.zeros(len(found.timesteps)))
        np.testing.assert_allclose(getattr(found, kind), total, rtol=1e-12)


@pytest.mark.few(2)
@pytest.mark.parametrize("options", [{}, {"input": "poisson", "seed": 2}, {"schedule": "layer_synchronous"}])
@pytest.mark.parametrize("make", [zoo.cnn, zoo.multi_input], ids=lambda make: make.__name__)
def test_a_run_inside_a_graph_measures_what_simulate_does(make, options):
    model = zoo.build(make)
    x = zoo.data_for(model, 5)
    assert_measures_what_simulate_does(
        snn.convert_keras(model, x, timesteps=6, threshold_rule="percentile", **options), x
    )


def test_frames_are_measured():
    model = zoo.build(zoo.cnn)
    x = zoo.data_for(model, 5 * 4)
    frames = x.reshape(5, 4, *x.shape[1:])
    model_snn = snn.convert_keras(model, frames, timesteps=4, input="frames", threshold_rule="percentile")
    assert_measures_what_simulate_does(model_snn, frames)


RULES = [
    snn.EarlyExit(confidence=0.5),
    snn.EarlyExit(confidence=0.32, min_timesteps=3, every=2),
    snn.EarlyExit(confidence=0.05, criterion="margin", patience=3),
    snn.EarlyExit(confidence=1.0),
]


@pytest.mark.few(1)
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_samples_leave_the_graph_when_simulate_lets_them_go(rule):
    model = zoo.build(zoo.cnn)
    x = zoo.data_for(model, 12)
    model_snn = snn.convert_keras(model, x, timesteps=10, threshold_rule="percentile")
    assert_measures_what_simulate_does(model_snn, x, rule)
    exits = measured(model_snn, x, 10, rule).timesteps.numpy()
    assert rule.confidence == 1.0 or len(set(exits)) > 1


def test_looks_come_where_the_rule_wants_them():
    rule = snn.EarlyExit(min_timesteps=3, every=4)
    assert ExitLoop.looks(rule, 10) == [4, 8, 10]
    assert ExitLoop.stride(rule, 10) == 2
    assert ExitLoop.looks(snn.EarlyExit(min_timesteps=20), 10) == [10]
