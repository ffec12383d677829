"""Thresholds: a statistic of all the data, whatever its order and batches, and what happens without data."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo

import snn_toolbox_tf as snn
from snn_toolbox_tf.calibration import statistics as statistics_module
from snn_toolbox_tf.calibration.histogram import PositiveHistogram, layout_for
from snn_toolbox_tf.graph import Population
from snn_toolbox_tf.network import Network
from snn_toolbox_tf.network.input_data import InputData
from snn_toolbox_tf.parse import parse
from snn_toolbox_tf.passes import to_spiking

L = keras.layers


def exact_percentile(values, percentile):
    return np.percentile(values[values > 0], percentile)


@pytest.mark.parametrize("percentile", [50, 90, 99, 99.9, 100])
@pytest.mark.parametrize("scale", [1e-4, 1.0, 3e5])
def test_percentiles_match_numpy(rng, percentile, scale):
    values = (rng.normal(size=(200_000, 2)) * scale).astype(np.float32)
    histogram = PositiveHistogram(2)
    histogram.add(values)
    expected = [exact_percentile(values[:, channel], percentile) for channel in range(2)]
    np.testing.assert_allclose(histogram.percentile(percentile), expected, rtol=2e-3)
    merged = histogram.merged().percentile(percentile)
    np.testing.assert_allclose(merged, exact_percentile(values, percentile), rtol=2e-3)


def test_percentiles_do_not_depend_on_order_or_batches(rng):
    """Not a moving average: growing, shrinking and shuffled data in pieces of any size give one number."""
    values = np.sort(np.exp(rng.normal(size=(50_000, 1)) * 3), axis=0).astype(np.float32)
    results = []
    for order in (np.arange(50_000), np.arange(50_000)[::-1], rng.permutation(50_000)):
        for size in (50_000, 777):
            histogram = PositiveHistogram(1)
            for start in range(0, 50_000, size):
                histogram.add(values[order][start : start + size])
            results.append(histogram.percentile(99.9)[0])
    assert len(set(results)) == 1
    assert results[0] == pytest.approx(exact_percentile(values, 99.9), rel=2e-3)


def test_few_values_match_numpy_too(rng):
    values = rng.random((30, 1), dtype=np.float32)
    histogram = PositiveHistogram(1)
    histogram.add(values)
    for percentile in (1, 50, 90, 99, 99.9):
        assert histogram.percentile(percentile)[0] == pytest.approx(exact_percentile(values, percentile), rel=2e-3)


def test_a_channel_without_positive_values_has_percentile_zero():
    histogram = PositiveHistogram(2)
    histogram.add(np.array([[-1.0, 2.0], [0.0, 3.0]], np.float32))
    assert histogram.percentile(99.9)[0] == 0
    assert histogram.percentile(100).tolist() == [0, 3]


@pytest.mark.parametrize("channels", [64, 4_000, 22_720, 36_000])
def test_statistics_take_a_few_megabytes_whatever_the_network(rng, channels):
    """22,720 are ResNet-50's. Bins are as fine as memory allows; half a bin is what a percentile may be off by."""
    layout = layout_for(channels, 8 * 2**20)
    assert 4 * layout.total * channels <= 8 * 2**20
    values = np.exp(rng.normal(size=(100_000, 1))).astype(np.float32)
    histogram = PositiveHistogram(1, layout)
    histogram.add(values)
    for percentile in (90, 99, 99.9):
        expected = exact_percentile(values, percentile)
        # 99.9 % lies within an octave or two of the largest value; below that, bins are coarser.
        bins = layout.sizes[int(np.floor(np.log2(values.max()))) - int(np.floor(np.log2(expected)))]
        assert histogram.percentile(percentile)[0] == pytest.approx(expected, rel=0.5 / bins + 2e-3)


def thresholds_for(model, data, **kwargs):
    return snn.convert_keras(model, data, **kwargs).thresholds()


@pytest.mark.parametrize("per_channel", [True, False])
def test_thresholds_are_percentiles_of_the_sources_activations(per_channel):
    model = zoo.build(zoo.cnn)
    x = zoo.data_for(model, 300)
    thresholds = thresholds_for(model, x, percentile=99.0, per_channel=per_channel)
    activations = keras.Model(model.inputs, model.get_layer("conv2").output).predict(x, verbose=0)
    if per_channel:
        expected = [exact_percentile(activations[..., channel], 99.0) for channel in range(6)]
    else:
        expected = exact_percentile(activations, 99.0)
    np.testing.assert_allclose(thresholds["conv2_relu"].reshape(-1), expected, rtol=3e-3)


def test_a_threshold_scale_above_one_is_headroom(mlp, x_mlp):
    plain = thresholds_for(mlp, x_mlp, percentile=100)["hidden_relu"]
    roomy = thresholds_for(mlp, x_mlp, percentile=100, threshold_scale=1.25)["hidden_relu"]
    np.testing.assert_allclose(roomy, plain / 0.8)
    result = snn.convert_keras(mlp, x_mlp, percentile=100, threshold_scale=1.25).simulate(
        x_mlp, timesteps=200, record="spikes"
    )
    assert result.spikes["hidden_relu"].mean(axis=0).max() == pytest.approx(0.8, abs=0.01)


def test_every_kind_of_data_gives_the_same_thresholds(rng):
    model = zoo.build(zoo.cnn)
    x = zoo.data_for(model, 150)
    order = rng.permutation(150)

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 5

        def __getitem__(self, index):
            return x[index * 30 : (index + 1) * 30], np.zeros(30)

    kinds = {
        "shuffled": x[order],
        "float64": x.astype(np.float64),
        "tensor": tf.constant(x),
        "dataset": tf.data.Dataset.from_tensor_slices(x).batch(64),
        "pairs": tf.data.Dataset.from_tensor_slices((x, np.zeros(150))).batch(7),
        "generator": (x[start : start + 11] for start in range(0, 150, 11)),
        "pydataset": Batches(),
    }
    expected = thresholds_for(model, x, threshold_rule="percentile")
    for kind, data in kinds.items():
        actual = thresholds_for(model, data, threshold_rule="percentile")
        for name in expected:
            np.testing.assert_allclose(actual[name], expected[name], rtol=1e-3, err_msg=kind)


def test_a_dead_channel_gets_the_largest_threshold_and_stays_silent():
    model = keras.Sequential([keras.Input((4,)), L.Dense(3, "relu", name="hidden"), L.Dense(2)])
    model.layers[0].set_weights([np.eye(4, 3), np.array([0.0, -100.0, 1.0])])
    x = np.random.default_rng(0).random((50, 4), dtype=np.float32)
    model_snn = snn.convert_keras(model, x)
    theta = model_snn.thresholds()["hidden_relu"].reshape(-1)
    assert theta[1] == theta.max() > 0
    result = model_snn.simulate(x, timesteps=8)
    assert result.neuron_firing_rates["hidden_relu"][1] == 0


def test_all_zero_calibration_data_still_gives_positive_thresholds():
    model = keras.Sequential([keras.Input((4,)), L.Dense(3, "relu", use_bias=False, name="hidden"), L.Dense(2)])
    thresholds = thresholds_for(model, np.zeros((5, 4)))
    assert (thresholds["hidden_relu"] == 1).all()


def test_a_bounded_relu_has_no_threshold_above_its_bound():
    model = keras.Sequential([keras.Input((4,)), L.Dense(3), L.ReLU(0.25, name="hidden"), L.Dense(2)])
    x = np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32) * 10
    assert thresholds_for(model, x)["hidden"].max() <= 0.25


def test_without_data_one_warning_names_the_remedy(mlp):
    with pytest.warns(UserWarning, match=r"No `calibration_data`.*convert_keras\(model, calibration_data=x\)"):
        snn.convert_keras(mlp)


@pytest.mark.filterwarnings("ignore:No `calibration_data`")
def test_without_data_diehls_rule_counts_positive_weights():
    model = keras.Sequential(
        [keras.Input((3,)), L.Dense(2, "relu", name="a"), L.Dense(1, "relu", name="b"), L.Dense(1)]
    )
    model.layers[0].set_weights([np.array([[1.0, -4.0], [2.0, 0.5], [-3.0, 0.25]]), np.array([0.5, -1.0])])
    model.layers[1].set_weights([np.array([[2.0], [-1.0]]), np.array([1.0])])
    thresholds = thresholds_for(model, None)
    # a: max(1 + 2 + 0.5, 0.5 + 0.25); b: 2 * theta_a + 1.
    assert thresholds["a_relu"].item() == pytest.approx(3.5)
    assert thresholds["b_relu"].item() == pytest.approx(8.0)


@pytest.mark.filterwarnings("ignore:No `calibration_data`")
def test_without_data_batch_norm_tells_the_distribution(rng):
    """The percentile of the positive part of a normal distribution, against a large sample of it."""
    model = keras.Sequential([keras.Input((3,)), L.Dense(2), L.BatchNormalization(), L.ReLU(name="r"), L.Dense(1)])
    model.layers[1].set_weights([np.array([2.0, 0.5]), np.array([1.0, -0.25]), np.zeros(2), np.ones(2)])
    thresholds = thresholds_for(model, None, percentile=99.0)["r"].reshape(-1)
    sample = rng.normal(size=(1_000_000, 2)) * [2.0, 0.5] + [1.0, -0.25]
    expected = [exact_percentile(sample[:, channel], 99.0) for channel in range(2)]
    np.testing.assert_allclose(thresholds, expected, rtol=0.01)


@pytest.mark.filterwarnings("ignore:No `calibration_data`")
def test_without_data_moments_add_up_over_shortcuts():
    inputs = keras.Input((4,))
    first = L.BatchNormalization()(L.Dense(3)(inputs))
    second = L.BatchNormalization()(L.Dense(3)(inputs))
    model = keras.Model(inputs, L.Dense(1)(L.ReLU(name="sum")(L.Add()([first, second]))))
    thresholds = thresholds_for(model, None, percentile=99.0)["sum"].reshape(-1)
    # N(0, 2): its positive part's 99th percentile is sqrt(2) times the normal distribution's 99.5th.
    np.testing.assert_allclose(thresholds, np.sqrt(2) * 2.5758, rtol=1e-3)


def test_batches_of_calibration_data_are_bounded(monkeypatch):
    """Whatever the size of the data, at most 64 samples run at once."""
    model = zoo.build(zoo.cnn)
    network = Network(to_spiking(parse(model).graph))
    sizes = []
    original = network.run_as_ann
    monkeypatch.setattr(network, "run_as_ann", lambda inputs: sizes.append(inputs) or original(inputs))
    samples = InputData(zoo.data_for(model, 200), network.graph, argument="calibration_data")
    statistics = statistics_module.observe_activations(network, samples)
    assert statistics.samples == 200
    assert [len(array) for array in statistics.first_batch.values()] == [64]
    assert set(statistics.histograms) == {node.name for node in network.graph.of_type(Population)}
    # One trace for the first batch, one for the smaller last one at most.
    assert len(sizes) <= 2


def test_a_channel_that_is_barely_alive_does_not_coarsen_the_grid(rng):
    """One unit is positive for one sample, by 1e-7: its theta is raised, all others stay, and the grid stays fine."""
    model = keras.Sequential(
        [keras.Input((6,)), L.Dense(8, "relu", name="a"), L.Dense(5, "relu", name="b"), L.Dense(3, name="c")]
    )
    x = rng.random((40, 6), dtype=np.float32)
    before = snn.convert_keras(model, x, percentile=100)
    hidden = keras.Model(model.inputs, model.get_layer("b").output)
    kernel, bias = model.get_layer("b").get_weights()
    linear = np.asarray(model.get_layer("a")(x)) @ kernel[:, 2]
    bias[2] = 1e-7 - linear.max()
    model.get_layer("b").set_weights([kernel, bias])
    assert 0 < np.asarray(hidden(x))[:, 2].max() < 1e-6
    model_snn = snn.convert_keras(model, x, percentile=100)
    theta_a = np.broadcast_to(model_snn.thresholds()["a_relu"], (8,)).astype(np.float64)
    possible = theta_a @ np.abs(kernel.astype(np.float64)) + np.abs(bias)
    theta = model_snn.thresholds()["b_relu"]
    np.testing.assert_allclose(theta[2], possible[2] / 2**10, rtol=1e-6)
    others = [0, 1, 3, 4]
    np.testing.assert_array_equal(theta[others], before.thresholds()["b_relu"][others])
    assert model_snn.conversion.grid_error < 1e-4
