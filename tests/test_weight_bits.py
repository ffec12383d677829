"""Weights of few bits: levels against all that is possible, conversion against an ANN with these weights, and a study."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo

import snn_toolbox_tf as snn
from snn_toolbox_tf.analysis.closed_form import closed_form
from snn_toolbox_tf.calibration.weight_rounding import round_weights
from snn_toolbox_tf.graph import InputNode, Population
from snn_toolbox_tf.grid.feedback_rounding import round_with_feedback
from snn_toolbox_tf.grid.weight_levels import has_levels, levelled_synapses, places_by_channel, round_to_levels
from snn_toolbox_tf.parse import parse
from snn_toolbox_tf.passes import to_spiking
from snn_toolbox_tf.studies.weight_precision import memory_of
from snn_toolbox_tf.synapses import weighted_family

L = keras.layers


def most_levels(bits):
    """Different magnitudes above 0 that weights of so many bits have."""
    return max(1, 2 ** (bits - 1) - 1)


def best_error(weights, importance, bits):
    """The least squared error over all whole numbers, each with its best scale."""
    values = (-1, 1) if bits == 1 else range(-most_levels(bits), most_levels(bits) + 1)
    least = np.inf
    for codes in itertools.product(values, repeat=len(weights)):
        q = np.array(codes, float)
        power = q @ importance @ q
        scale = (q @ importance @ weights) / power if power else 0.0
        missed = weights - scale * q
        least = min(least, missed @ importance @ missed)
    return least


# Levels


def test_the_best_sign_has_the_mean_of_magnitudes_as_its_scale(rng):
    weights = rng.normal(size=(3, 20))
    found = round_to_levels(weights, 1)
    np.testing.assert_allclose(found.scales, np.abs(weights).mean(axis=1))
    np.testing.assert_array_equal(found.codes, np.sign(weights))


@pytest.mark.parametrize(("bits", "count"), [(1, 8), (2, 7), (3, 5)])
def test_levels_are_as_good_as_the_best_of_all(bits, count, rng):
    weights = rng.normal(size=(5, count))
    found = round_to_levels(weights, bits)
    errors = np.square(weights - found.values).sum(axis=1)
    best = [best_error(row, np.eye(count), bits) for row in weights]
    assert np.abs(found.codes).max() <= most_levels(bits)
    # 64 steps are tried, no more.
    np.testing.assert_allclose(errors, best, rtol=0.05, atol=1e-12)


def test_more_bits_halve_the_error_each(rng):
    weights = rng.uniform(-1, 1, size=(1, 4000))
    errors = [np.sqrt(np.square(weights - round_to_levels(weights, b).values).mean()) for b in (5, 6, 7, 8)]
    # A uniform weight in a step of 1 / most levels: its error is that step over sqrt(12).
    np.testing.assert_allclose(errors, [1 / most_levels(b) / np.sqrt(12) for b in (5, 6, 7, 8)], rtol=0.05)


def test_a_channel_of_zeros_stays_one():
    found = round_to_levels(np.array([[0.0, 0.0], [1.0, -1.0]]), 4)
    np.testing.assert_allclose(found.values, [[0.0, 0.0], [1.0, -1.0]])
    assert np.isfinite(round_with_feedback(np.zeros((2, 3)), np.zeros((3, 3)), 2).values).all()


def covariance_of(rng, count):
    mixed = rng.normal(size=(200, count)) @ rng.normal(size=(count, count))
    return np.cov(mixed.T)


@pytest.mark.parametrize(("bits", "count"), [(1, 8), (2, 6), (3, 5)])
def test_feedback_comes_close_to_the_best_of_all(bits, count, rng):
    total, best, plain = 0.0, 0.0, 0.0
    for _ in range(10):
        weights, covariance = rng.normal(size=(1, count)), covariance_of(rng, count)

        def error(found, weights=weights, covariance=covariance):
            missed = (weights - found.values)[0]
            return missed @ covariance @ missed

        total += error(round_with_feedback(weights, covariance, bits))
        plain += error(round_to_levels(weights, bits))
        best += best_error(weights[0], covariance, bits)
    assert best <= total * (1 + 1e-9)
    assert total - best < 0.6 * (plain - best)


def test_inputs_that_are_not_correlated_give_no_feedback(rng):
    weights = rng.normal(size=(4, 30))
    found = round_with_feedback(weights, np.eye(30), 6)
    np.testing.assert_array_equal(found.codes, round_to_levels(weights, 6).codes)


# What weights are multiplied by


@pytest.mark.parametrize(
    ("shape", "layer"),
    [
        ((5,), L.Dense(3)),
        ((4, 5), L.Dense(3)),
        ((9, 8, 3), L.Conv2D(4, 3, padding="same", strides=2)),
        ((9, 8, 3), L.Conv2D(4, (3, 2), dilation_rate=2)),
        ((9, 3), L.Conv1D(4, 3, padding="same")),
        ((9, 3), L.Conv1D(4, 2, strides=3)),
    ],
    ids=["dense", "dense on a sequence", "same, strides", "dilated", "1-D", "1-D, strides"],
)
def test_columns_times_weights_are_what_the_layer_gives(shape, layer, rng):
    model = keras.Sequential([keras.Input(shape), layer, L.ReLU(), L.Flatten(), L.Dense(2)])
    graph = to_spiking(parse(model).graph)
    node = next(iter(levelled_synapses(graph)))
    x = rng.random((2, *shape), "float32")
    kernel = node.layer.weights[weighted_family(node).kernel]
    weights = kernel.reshape(-1)[places_by_channel(node)]
    columns = weighted_family(node).columns(node.layer, tf.constant(x))
    expected = (layer(x) - layer.bias).numpy()
    np.testing.assert_allclose(
        columns @ weights.T.astype("float32"), expected.reshape(-1, expected.shape[-1]), atol=1e-5
    )


def test_layers_whose_outputs_read_different_parts_of_the_kernel_have_no_columns():
    for layer in (L.DepthwiseConv2D(3), L.Conv2DTranspose(4, 3), L.Conv2D(4, 3, groups=2), L.Conv3D(2, 2)):
        shape = (6, 6, 2) if "3D" not in type(layer).__name__ else (4, 4, 4, 2)
        model = keras.Sequential([keras.Input(shape), layer, L.ReLU(), L.Flatten(), L.Dense(2)])
        node = next(iter(levelled_synapses(to_spiking(parse(model).graph))))
        assert weighted_family(node).columns(node.layer, tf.zeros((1, *shape))) is None


# Networks


def levels_of(model_snn):
    """The largest number of different magnitudes above 0 in an output channel, over all layers with weights."""
    graph = model_snn.network.graph_with_weights()
    found = []
    for node in levelled_synapses(graph):
        rows = node.layer.weights[weighted_family(node).kernel].reshape(-1)[places_by_channel(node)]
        found += [len(np.unique(np.abs(row[row != 0]))) for row in rows]
    return max(found)


NETWORKS = [zoo.cnn, zoo.branches, zoo.separable, zoo.residual, zoo.multi_input, zoo.trained_thresholds]


@pytest.mark.few(3)
@pytest.mark.parametrize(
    ("builder", "bits"),
    [*zip(NETWORKS, [1, 4, 2, 4, 2, 1], strict=True), *zip(NETWORKS, [2, 1, 4, 1, 4, 2], strict=True)],
)
def test_weights_of_each_output_channel_have_as_many_levels_as_bits_say(builder, bits):
    model = zoo.build(builder)
    x = zoo.data_for(model, 48)
    model_snn = snn.convert_keras(model, x, timesteps=8, weight_bits=bits)
    assert levels_of(model_snn) <= most_levels(bits)
    assert levels_of(snn.convert_keras(model, x, timesteps=8)) > most_levels(bits)
    assert model_snn.conversion.weight_bits == bits


def dense_model(rng):
    model = keras.Sequential(
        [keras.Input((6,)), L.Dense(16, "relu", name="a"), L.Dense(12, "relu", name="b"), L.Dense(3, name="c")]
    )
    for layer in model.layers:
        layer.bias.assign(rng.normal(0, 0.2, layer.bias.shape))
    return model


@pytest.mark.parametrize("bits", [8, 2, 1])
def test_it_is_the_closed_form_of_the_ann_with_these_weights(bits, rng):
    """An ANN is built of the levels, in NumPy, and quantised by hand: its counts are those of the spiking network."""
    model = dense_model(rng)
    x = rng.random((64, 6), "float32")
    timesteps = 16
    options = {"timesteps": timesteps, "threshold_rule": "percentile", "schedule": "layer_synchronous"}
    model_snn = snn.convert_keras(model, x, weight_bits=bits, **options)
    graph = model_snn.network.graph_with_weights()
    layers = [node.layer.weights for node in levelled_synapses(graph)]

    counts = x.astype(np.float64) * timesteps
    for place, weights in enumerate(layers):
        kernel, bias = weights["kernel"].astype(np.float64), weights["bias"].astype(np.float64)
        charge = counts @ kernel + timesteps * bias
        counts = np.clip(np.floor(charge + 0.5 + 1e-9), 0, timesteps) if place < 2 else charge
    result = model_snn.simulate(x, outputs="last")
    # A current that lies on a step may be rounded to either side of it.
    equal = np.abs(result.outputs[-1] - counts / timesteps).max(axis=1) < 2e-4
    assert equal.mean() > 0.95
    found, outputs = closed_form(model_snn, x, timesteps)
    np.testing.assert_allclose(outputs, result.outputs[-1], atol=1e-5)
    np.testing.assert_array_equal(
        sum(c.sum() for c in found.values()), sum(s.sum() for s in result.spike_counts.values())
    )


def test_an_ann_that_has_such_weights_already_converts_to_the_same_spikes(rng):
    """Weights that are whole numbers times powers of two stay, and so does all that follows from them."""
    model = dense_model(rng)
    for layer in model.layers:
        kernel = rng.integers(-3, 4, layer.kernel.shape)
        kernel[0] = 3
        layer.kernel.assign(kernel * 0.25)
    x = rng.random((64, 6), "float32")
    graph = to_spiking(parse(model).graph)
    before = [node.layer.weights["kernel"] for node in levelled_synapses(graph)]
    round_weights(graph, {graph.of_type(InputNode)[0].name: x}, 3)
    after = [node.layer.weights["kernel"] for node in levelled_synapses(graph)]
    for ours, theirs in zip(after, before, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize(
    ("bits", "codes"), [(1, [-1, 1]), (2, [-1, 0, 1]), (4, range(-7, 8)), (8, [-100, -3, 0, 7, 80])]
)
def test_weights_that_were_trained_to_levels_stay(bits, codes, rng):
    """Whole numbers times a scale per output, also behind a batch norm: the same numbers come out."""
    model = keras.Sequential(
        [keras.Input((6,)), L.Dense(16, use_bias=False), L.BatchNormalization(), L.ReLU(), L.Dense(3)]
    )
    zoo.randomize_batch_norm(model.layers[1], rng, signs=(1, -1))
    given = {}
    for place in (0, 3):
        layer = model.layers[place]
        given[place] = rng.choice(list(codes), layer.kernel.shape)
        given[place][0] = codes[-1]
        layer.kernel.assign(given[place] * rng.uniform(0.01, 3, layer.kernel.shape[1]))
    x = rng.random((64, 6), "float32")
    model_snn = snn.convert_keras(model, x, timesteps=16, weight_bits=bits)
    nodes = levelled_synapses(model_snn.network.graph_with_weights())
    for node, expected in zip(nodes, given.values(), strict=True):
        kernel = node.layer.weights["kernel"].astype(np.float64)
        found = kernel / kernel[0] * codes[-1]
        np.testing.assert_allclose(found, expected, atol=5e-3 * max(codes))


@pytest.mark.parametrize(
    ("row", "bits", "expected"),
    [
        ([0.5, -1.0, 0.0], 3, True),
        ([0.5, -1.0, 0.0], 2, False),
        ([1.0, -1.0], 1, True),
        ([1.0, 0.0], 1, False),
        ([2 / 7, 5 / 7, 0.0], 4, True),
        ([1.0, 0.3, 0.77], 4, False),
        ([0.0, 0.0], 2, True),
    ],
)
def test_what_has_levels(row, bits, expected):
    assert has_levels(np.array([row]), bits) is expected


def test_channels_of_very_different_size_lose_little(rng):
    """What channels differ by goes into the weights before they are rounded: 4 bits would not hold both otherwise."""
    model = keras.Sequential([keras.Input((8,)), L.Dense(32, "relu"), L.Dense(4)])
    factor = np.exp(rng.uniform(-4, 4, 32))
    first, second = model.layers
    first.kernel.assign(first.kernel.numpy() * factor)
    second.kernel.assign(second.kernel.numpy() / factor[:, None])
    x = rng.random((400, 8), "float32")
    y = model.predict(x, verbose=0).argmax(1)
    model_snn = snn.convert_keras(model, x[:200], timesteps=64, weight_bits=4)
    assert (model_snn.predict(x[200:], verbose=0).argmax(1) == y[200:]).mean() > 0.9


def test_thresholds_are_told_in_units_of_the_source(rng):
    model = dense_model(rng)
    x = rng.random((200, 6), "float32")
    found = snn.convert_keras(model, x, timesteps=32, weight_bits=8).thresholds()
    for name, theta in snn.convert_keras(model, x, timesteps=32, threshold_rule="maximum").thresholds().items():
        assert found[name].size == theta.size
        assert 0.3 < np.median(found[name] / theta) < 1.5
    compared = snn.compare(model, snn.convert_keras(model, x, timesteps=64, weight_bits=8), x)
    assert all(part.relative_error < 0.2 for part in compared.populations)


def test_populations_that_one_layer_reads_together_share_a_threshold():
    model = zoo.build(zoo.branches)
    x = zoo.data_for(model, 48)
    model_snn = snn.convert_keras(model, x, timesteps=8, weight_bits=4, form="unnormalized")
    thresholds = [float(node.threshold.max()) for node in model_snn.network.graph.of_type(Population)]
    assert all(np.ptp(node.threshold) == 0 for node in model_snn.network.graph.of_type(Population))
    assert len(set(thresholds)) < len(thresholds)


def test_windows_of_recurrent_layers_have_the_same_weights(rng):
    model = keras.Sequential([keras.Input((4, 3)), L.SimpleRNN(8, activation="relu"), L.Dense(2)])
    x = rng.random((40, 4, 3), "float32")
    model_snn = snn.convert_keras(model, x, timesteps=16, weight_bits=4)
    assert levels_of(model_snn) <= most_levels(4)
    error = np.abs(model_snn.predict(x, verbose=0) - model.predict(x, verbose=0)).max()
    assert error < 0.3 * np.abs(model.predict(x, verbose=0)).max()


@pytest.mark.parametrize("bits", [8, 1])
@pytest.mark.parametrize("mean", [0.0, 1000.0])
def test_inputs_far_from_zero_lose_no_digits(mean, bits, rng):
    """The spread of the input is what counts, not its mean: with a bias that takes it off, all is as without."""
    model = dense_model(rng)
    x = rng.normal(size=(200, 6)).astype(np.float32)
    first = model.layers[0]
    first.bias.assign(first.bias.numpy() - mean * first.kernel.numpy().sum(axis=0))
    model_snn = snn.convert_keras(model, x + np.float32(mean), timesteps=32, weight_bits=bits)
    expected = model.predict(x + np.float32(mean), verbose=0)
    error = np.abs(model_snn.predict(x + np.float32(mean), verbose=0) - expected).mean() / np.abs(expected).mean()
    assert error < (0.05 if bits == 8 else 0.6)


@pytest.mark.parametrize("samples", [1, 2, 20])
def test_few_samples_or_all_alike_do(samples, rng):
    model = dense_model(rng)
    x = rng.random((samples, 6), "float32")
    for data in (x, np.ones_like(x)):
        assert levels_of(snn.convert_keras(model, data, timesteps=8, weight_bits=4)) <= most_levels(4)


def test_a_layer_that_never_changes_does_no_harm(rng):
    model = dense_model(rng)
    model.layers[0].kernel.assign(np.zeros((6, 16)))
    model.layers[0].bias.assign(np.ones(16))
    x = rng.random((60, 6), "float32")
    model_snn = snn.convert_keras(model, x, timesteps=64, weight_bits=8)
    np.testing.assert_allclose(model_snn.predict(x, verbose=0), model.predict(x, verbose=0), atol=0.1)


@pytest.mark.parametrize("joined", ["input", "bounded"])
def test_levels_that_stay_are_rounded_where_populations_are_read_together(joined, rng):
    """Thresholds that have to be the same for two populations change the units of weights."""
    inputs = keras.Input((6,))
    hidden = L.Dense(8, "relu")(inputs)
    other = inputs if joined == "input" else L.ReLU(6.0)(L.Dense(8)(inputs))
    model = keras.Model(inputs, L.Dense(3)(L.Concatenate()([other, hidden])))
    for variable in model.trainable_variables:
        variable.assign(rng.integers(-1, 2, variable.shape) * (5.0 if variable.shape.rank > 1 else 0.1))
    x = rng.random((300, 6), "float32")
    expected = model.predict(x, verbose=0)
    model_snn = snn.convert_keras(model, x, timesteps=128, weight_bits=8)
    assert np.abs(model_snn.predict(x, verbose=0) - expected).max() < 0.05 * np.abs(expected).max()


def test_it_is_saved_with_the_network_and_training_is_refused(tmp_path, rng):
    model = dense_model(rng)
    model.compile("adam", "mse")
    x = rng.random((40, 6), "float32")
    model_snn = snn.convert_keras(model, x, timesteps=8, weight_bits="ternary")
    model_snn.save(tmp_path / "snn.keras")
    again = keras.saving.load_model(tmp_path / "snn.keras")
    assert again.conversion.weight_bits == 2
    assert "\nweights of 2 bits; thresholds: " in str(again.conversion)
    np.testing.assert_array_equal(again.predict(x, verbose=0), model_snn.predict(x, verbose=0))
    with pytest.raises(ValueError, match=r"have 2 bits; training would take them off their levels\. Train the source"):
        model_snn.fit(x, np.zeros((40, 3)), verbose=0)


# Messages


@pytest.mark.parametrize("bits", [0, 17, 2.5, "octal", True])
def test_what_is_no_number_of_bits_is_refused(bits, rng):
    with pytest.raises(ValueError, match=r"from 1 to 16, 'ternary' .*, or None. Received: weight_bits="):
        snn.convert_keras(dense_model(rng), rng.random((20, 6), "float32"), weight_bits=bits)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"per_channel": True}, "share one threshold; what channels differ by goes into the weights"),
        ({"corrections": ["weights"]}, r"Corrections \['weights'\] change what weights of few bits stand for"),
        ({"corrections": ["biases", "gains"]}, r"Corrections \['gains'\] change"),
        ({"calibration": "gradient"}, "Expected calibration='automatic' with weights of few bits"),
        ({"code": "latency"}, "weight_bits"),
    ],
)
def test_what_does_not_go_together_is_refused(options, message, rng):
    with pytest.raises(ValueError, match=message):
        snn.convert_keras(dense_model(rng), rng.random((20, 6), "float32"), weight_bits=4, **options)


def test_without_data_it_is_refused(rng):
    with pytest.raises(ValueError, match="Weights of few bits need `calibration_data`"):
        snn.convert_keras(dense_model(rng), weight_bits=4)


# The study


def test_memory_is_counted(rng):
    model = keras.Sequential([keras.Input((8, 8, 3)), L.Conv2D(5, 3, activation="relu"), L.Flatten(), L.Dense(2)])
    graph = snn.convert_keras(model, rng.random((20, 8, 8, 3), "float32")).network.graph_with_weights()
    weights = 3 * 3 * 3 * 5 + 6 * 6 * 5 * 2
    assert memory_of(graph, None) == (4 * weights, 4 * (5 + 2))
    assert memory_of(graph, 4) == (weights / 2 + 4 * (5 + 2), 4 * (5 + 2))


def test_a_study_finds_accuracy_by_bits_and_goes_on(tmp_path, rng):
    model = dense_model(rng)
    x = rng.random((120, 6), "float32")
    y = model.predict(x, verbose=0).argmax(1)
    told = []
    journal = snn.Journal(tmp_path / "study.json", told.append)
    arguments = {"calibration_data": x, "timesteps": 32, "threshold_rule": "percentile"}
    found = snn.weight_precision(model, x, y, bits=[None, 8, "binary"], journal=journal, **arguments)
    assert [point.bits for point in found.points] == [None, 8, 1]
    assert found.source_accuracy == 1.0
    assert found.points[1].ann_accuracy > 0.95
    assert found.points[2].weight_bytes < found.points[1].weight_bytes < found.points[0].weight_bytes
    assert told == ["float32", "8 bits", "1 bits", "source"]
    text = str(found)
    assert "weight bits" in text
    assert "float32" in text
    assert found.as_dict()["points"][2]["bits"] == 1
    assert found.plot().axes[0].get_xlabel() == "bits of a weight"

    again = snn.weight_precision(
        model, x, y, bits=[None, 8, "binary"], journal=snn.Journal(tmp_path / "study.json", told.append), **arguments
    )
    assert again == found
    assert len(told) == 4
    with pytest.raises(ValueError, match="belongs to another study: it differs in x"):
        snn.weight_precision(
            model, x + 1, y, bits=[8], journal=snn.Journal(tmp_path / "study.json", told.append), **arguments
        )


def test_bad_options_are_told_before_the_first_conversion(rng):
    model, x, told = dense_model(rng), rng.random((20, 6), "float32"), []
    journal = snn.Journal(tell=told.append)
    for options, message in [
        ({"corrections": ["weights"]}, "change what weights of few bits stand for"),
        ({"per_channel": True}, "share one threshold"),
        ({"weight_bits": 4}, r"`bits` says which `weight_bits` there are\. Received: weight_bits=4"),
    ]:
        with pytest.raises(ValueError, match=message):
            snn.weight_precision(model, x, np.zeros(20, int), x, [None, 4], journal=journal, **options)
    with pytest.raises(ValueError, match="used once per number of bits"):
        snn.weight_precision(model, x, np.zeros(20, int), iter([x]), [None, 4], journal=journal)
    assert not told


@pytest.mark.parametrize("bits", [[], "binary", 8, {8: 1}])
def test_a_study_needs_several_numbers_of_bits(bits, rng):
    x = rng.random((20, 6), "float32")
    with pytest.raises(
        ValueError, match=r"Expected `bits` to be several numbers of bits, for example \[None, 8, 4, 2, 1\]"
    ):
        snn.weight_precision(dense_model(rng), x, np.zeros(20, int), x, bits)


def test_a_study_needs_labels_of_one_output(rng):
    x = rng.random((20, 6), "float32")
    with pytest.raises(ValueError, match="`y` must hold one label per sample"):
        snn.weight_precision(dense_model(rng), x, np.zeros(19, int), x)
    with pytest.raises(TypeError, match=r"the source, a Keras model that was not converted\. Received: str"):
        snn.weight_precision("model", x, np.zeros(20, int), x)
    with pytest.raises(TypeError, match=r"not converted\. Received: SpikingModel"):
        snn.weight_precision(snn.convert_keras(dense_model(rng), x, threshold_rule="maximum"), x, np.zeros(20, int), x)
    inputs = keras.Input((6,))
    two = keras.Model(inputs, [L.Dense(2)(inputs), L.Dense(2)(inputs)])
    with pytest.raises(ValueError, match=r"A study of accuracy needs a source with one output `\[samples, classes\]`"):
        snn.weight_precision(two, x, np.zeros(20, int), x)
