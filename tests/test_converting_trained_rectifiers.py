"""What conversion makes of ReLUs with trained thresholds: the same function, exactly where numbers are exact."""

import warnings

import keras
import numpy as np
import pytest

import snn_toolbox_tf as snn
from snn_toolbox_tf.analysis.closed_form import closed_form
from snn_toolbox_tf.conversion import ConversionOptions, convert_graph
from snn_toolbox_tf.graph import Population
from snn_toolbox_tf.layers import QuantizationClipFloorShift, ThresholdReLU
from snn_toolbox_tf.parse import parse
from snn_toolbox_tf.passes import to_spiking

L = keras.layers
LEVELS = 4


def dyadic(values, bits):
    return np.round(np.asarray(values) * 2.0**bits) / 2.0**bits


def on_a_grid(model, seed=5):
    """Gives a model weights of few bits, thresholds aside, with which float32 is exact."""
    generator = np.random.default_rng(seed)
    for weight in model.trainable_variables:
        if not weight.path.endswith("threshold"):
            weight.assign(dyadic(generator.normal(size=weight.shape) * 0.5, 4))
    return model


def quantised_cnn():
    """Max pooling behind one threshold for all, and behind one per channel."""
    return on_a_grid(
        keras.Sequential(
            [
                keras.Input((6, 6, 2)),
                L.Conv2D(4, 3, padding="same"),
                QuantizationClipFloorShift(LEVELS, 1.5, name="first"),
                L.MaxPooling2D(2, 1),
                L.Conv2D(5, 2),
                QuantizationClipFloorShift(LEVELS, [0.5, 1.0, 1.5, 2.0, 0.75], name="second"),
                L.MaxPooling2D(2),
                L.Flatten(),
                L.Dense(6),
                QuantizationClipFloorShift(LEVELS, 1.0, name="third"),
                L.Dense(3),
            ]
        )
    )


@pytest.fixture
def x_cnn(rng):
    return dyadic(rng.random((30, 6, 6, 2)), 3).astype(np.float32)


def dense_model(*rectifiers, units=5, name="tuned"):
    layers = [layer for rectifier in rectifiers for layer in (L.Dense(units), rectifier)]
    return keras.Sequential([keras.Input((6,)), *layers, L.Dense(3)], name=name)


@pytest.mark.parametrize("form", ["normalized", "unnormalized"])
def test_a_network_with_dyadic_weights_is_the_quantised_ann_to_the_bit(form, x_cnn):
    model = quantised_cnn()
    model_snn = snn.convert_keras(model, x_cnn, timesteps=LEVELS, form=form)
    expected = model.predict(x_cnn, verbose=0)
    assert np.unique(expected).size > 30
    result = model_snn.simulate(x_cnn, timesteps=LEVELS, schedule="layer_synchronous")
    np.testing.assert_array_equal(result.outputs[-1], expected)
    assert model_snn.conversion.pass_error == 0.0
    if form == "normalized":
        np.testing.assert_array_equal(closed_form(model_snn, x_cnn, LEVELS)[1], expected)


def test_as_an_ann_the_network_has_the_steps_of_its_source(x_cnn):
    model = quantised_cnn()
    network = snn.convert_keras(model, x_cnn, form="unnormalized").network
    (name,) = (
        network.graph.input_structure
        if isinstance(network.graph.input_structure, list)
        else [network.graph.input_structure]
    )
    np.testing.assert_array_equal(network.decoded_ann_outputs({name: x_cnn}), model.predict(x_cnn, verbose=0))
    clipped = keras.Sequential([keras.Input((6, 6, 2)), *map(_clipped, model.layers)])
    for layer, copy in zip(model.layers, clipped.layers, strict=True):
        copy.set_weights(layer.get_weights())
    smooth = network.decoded_ann_outputs({name: x_cnn}, shift=None)
    np.testing.assert_allclose(smooth, clipped.predict(x_cnn, verbose=0), atol=1e-6)


def _clipped(layer):
    config = layer.get_config()
    if not isinstance(layer, QuantizationClipFloorShift):
        return type(layer).from_config(config)
    del config["levels"]
    return ThresholdReLU.from_config(config)


def test_comparing_finds_unevenness_only_at_the_trained_number_of_timesteps(x_cnn):
    model = quantised_cnn()
    fidelity = snn.compare(model, snn.convert_keras(model, x_cnn), x_cnn, timesteps=LEVELS)
    for row in fidelity.populations:
        assert max(row.clipping, row.quantisation) < 1e-6
    assert max(fidelity.output_synchronous.values()) < 1e-6 < max(fidelity.output_error.values())


@pytest.mark.parametrize("options", [{}, {"percentile": 50}, {"threshold_scale": 3.0}, {"per_channel": False}])
def test_trained_thresholds_are_taken_as_they_are(options, rng):
    """However large currents are: what is possible is 1,000 times these thresholds and more."""
    rectifiers = ThresholdReLU([0.2, 1.0, 2.0, 3.0, 4.0]), QuantizationClipFloorShift(4, 0.3)
    x = 100 * rng.random((40, 6), dtype=np.float32)
    model_snn = snn.convert_keras(dense_model(*rectifiers), x, **options)
    for theta, rectifier in zip(model_snn.thresholds().values(), rectifiers, strict=True):
        np.testing.assert_array_equal(theta.reshape(-1), keras.ops.convert_to_numpy(rectifier.threshold))


def test_other_thresholds_of_the_network_are_still_found(x_mlp):
    model = dense_model(ThresholdReLU(0.125, name="trained"), L.ReLU(name="plain"))
    once, twice = (snn.convert_keras(model, x_mlp, threshold_scale=scale).thresholds() for scale in (1.0, 2.0))
    np.testing.assert_allclose(twice["plain"], 2 * once["plain"])
    assert once["trained"] == twice["trained"] == 0.125


def test_quantised_populations_start_at_half_the_threshold(x_mlp):
    model = dense_model(QuantizationClipFloorShift(4, name="steps"), ThresholdReLU(name="clip"))
    model_snn = snn.convert_keras(model, x_mlp, v0=0.125)
    nodes = {node.name: node.neuron.v0 for node in model_snn.network.graph.of_type(Population)}
    assert nodes == {"steps": 0.5, "clip": 0.125}


def test_a_threshold_relu_is_the_limit_of_many_timesteps(x_mlp):
    model = dense_model(ThresholdReLU(0.2), ThresholdReLU(0.05))
    model_snn = snn.convert_keras(model, x_mlp)
    outputs = model_snn.simulate(x_mlp, timesteps=4096, schedule="layer_synchronous").outputs[-1]
    np.testing.assert_allclose(outputs, model.predict(x_mlp, verbose=0), atol=1e-4)


@pytest.mark.few(2)
@pytest.mark.parametrize("axis", [1, 2, -1])
@pytest.mark.parametrize("form", ["normalized", "unnormalized"])
def test_thresholds_may_vary_along_any_axis(axis, form, rng):
    thetas = {1: [0.5, 1.0], 2: [0.25, 0.5, 1.0, 2.0], -1: [0.5, 2.0, 1.0]}[axis]
    steps = QuantizationClipFloorShift(LEVELS, thetas, axis=axis)
    model = on_a_grid(keras.Sequential([keras.Input((2, 4, 2)), L.Conv2D(3, 1), steps, L.Flatten(), L.Dense(2)]))
    x = dyadic(rng.random((20, 2, 4, 2)), 3).astype(np.float32)
    result = snn.convert_keras(model, x, form=form).simulate(x, timesteps=LEVELS, schedule="layer_synchronous")
    np.testing.assert_array_equal(result.outputs[-1], model.predict(x, verbose=0))


def test_an_output_is_quantised_by_a_population(x_mlp):
    model = on_a_grid(keras.Sequential([keras.Input((6,)), L.Dense(4), QuantizationClipFloorShift(4, 0.5)]))
    x = dyadic(x_mlp, 4).astype(np.float32)
    result = snn.convert_keras(model, x).simulate(x, timesteps=4, schedule="layer_synchronous")
    np.testing.assert_array_equal(result.outputs[-1], model.predict(x, verbose=0))


def test_one_threshold_for_all_goes_below_the_pooling_and_one_per_channel_stays(x_cnn):
    shapes = {row.name: row.reason for row in snn.check(quantised_cnn()).rows if row.becomes == "population"}
    assert shapes["first"].startswith("5 x 5 x 4 ")
    assert "behind the max pooling" in shapes["first"]
    assert shapes["second"] == "4 x 4 x 5 integrate-and-fire neurons"


def test_without_calibration_data_nothing_is_estimated(x_mlp):
    model = dense_model(ThresholdReLU(0.2), QuantizationClipFloorShift(4, 0.05))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model_snn = snn.convert_keras(model)
    assert [float(theta.reshape(())) for theta in model_snn.thresholds().values()] == pytest.approx([0.2, 0.05])
    with pytest.warns(UserWarning, match=r"No `calibration_data` was given.*thresholds are estimated"):
        snn.convert_keras(dense_model(ThresholdReLU(0.2), L.ReLU()))


def test_silent_data_says_nothing_of_trained_thresholds():
    model = dense_model(ThresholdReLU(0.2, name="trained"), L.ReLU(name="plain"))
    for layer in model.layers[::2]:
        layer.kernel.assign(-keras.ops.abs(layer.kernel))
    with pytest.warns(UserWarning, match=r"drives no neuron of plain: their thresholds are arbitrary"):
        snn.convert_keras(model, np.ones((8, 6), np.float32))


def test_files_keep_thresholds_and_levels(tmp_path, x_cnn):
    model_snn = snn.convert_keras(quantised_cnn(), x_cnn, timesteps=LEVELS)
    model_snn.save(tmp_path / "net.keras")
    loaded = snn.load_model(tmp_path / "net.keras")
    np.testing.assert_array_equal(loaded.predict(x_cnn, verbose=0), model_snn.predict(x_cnn, verbose=0))
    nodes = [model.network.graph.of_type(Population) for model in (model_snn, loaded)]
    for written, read in zip(*nodes, strict=True):
        assert (read.levels, read.neuron) == (LEVELS, written.neuron)
        np.testing.assert_array_equal(read.trained_threshold, written.trained_threshold)
        np.testing.assert_array_equal(
            np.broadcast_to(read.threshold, read.shape), read.trained_threshold + np.zeros(read.shape)
        )


# Verification


@pytest.mark.parametrize("levels", [2, 5, 8])
def test_other_levels_than_the_source_has_are_noticed(levels, x_cnn):
    model = quantised_cnn()
    graph = to_spiking(parse(model).graph)
    for node in graph.of_type(Population):
        node.levels = levels
    with pytest.raises(
        snn.ConversionError, match=r"quantised ReLUs of model '.*' have other steps.*expected less than"
    ):
        convert_graph(model, graph, x_cnn, ConversionOptions())


def test_another_threshold_than_the_source_has_is_noticed(x_cnn):
    model = quantised_cnn()
    graph = to_spiking(parse(model).graph)
    for node in graph.of_type(Population):
        node.max_value = node.trained_threshold = 1.25 * node.trained_threshold
    with pytest.raises(snn.ConversionError, match=r"The graph of model '.*' differs from its source"):
        convert_graph(model, graph, x_cnn, ConversionOptions())


def test_sums_that_lie_on_steps_fail_no_conversion(rng):
    """A batch norm makes whole numbers of fractions: rounding decides on which side of a step each one is."""
    model = keras.Sequential(
        [keras.Input((6,)), L.Dense(6), L.BatchNormalization(), QuantizationClipFloorShift(8, 8.0)]
    )
    model.add(L.Dense(3))
    dense, norm = model.layers[:2]
    primes = np.array([3, 5, 7, 11, 13, 17])
    dense.kernel.assign(np.diag(primes))
    norm.moving_mean.assign(np.full(6, 1 / 3))
    norm.moving_variance.assign(np.full(6, 7.0))
    norm.gamma.assign(np.sqrt(7.001) / primes)
    norm.beta.assign(0.5 + 1 / 3 / primes)
    x = rng.integers(0, 8, (40, 6)).astype(np.float32)
    model_snn = snn.convert_keras(model, x, form="unnormalized")
    assert model_snn.conversion.pass_error < 1e-6
    network = model_snn.network
    as_it_runs = network.decoded_ann_outputs({network.graph.input_structure: x})
    assert np.abs(as_it_runs - model.predict(x, verbose=0)).max() > 0.01


# Refusals


def test_thresholds_that_were_set_to_nothing_are_refused():
    model = dense_model(QuantizationClipFloorShift(4, name="steps"))
    model.layers[1].threshold.assign([0.0])
    with pytest.raises(snn.UnsupportedModelError, match=r"'steps' \(Quant.*is not positive.*remedy: set its weight"):
        snn.convert_keras(model)


def test_a_layer_derived_from_these_is_refused():
    class Own(ThresholdReLU):
        def call(self, inputs):
            return super().call(inputs) ** 2

    with pytest.raises(snn.UnsupportedModelError, match=r"'own' \(.*Own\)"):
        snn.convert_keras(dense_model(Own(name="own")))


def test_the_record_says_that_thresholds_were_trained(x_cnn):
    model = quantised_cnn()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        made = snn.convert_keras(model, x_cnn, timesteps=LEVELS).conversion
    assert (made.threshold_rule, made.percentile, made.corrections) == ("trained", None, ())
    assert "thresholds: trained per channel, no corrections" in str(made)
    message = r"All thresholds of model .* were trained with it.*Received: corrections=\['biases'\]. Leave them out"
    with pytest.warns(UserWarning, match=message):
        snn.convert_keras(model, x_cnn, timesteps=LEVELS, corrections=["biases"])
