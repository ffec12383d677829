"""`compare`: where a spiking network departs from its source, and why."""

import keras
import numpy as np
import pytest
import zoo
from conftest import mostly_slow

import snn_toolbox_tf as snn
from snn_toolbox_tf.analysis.closed_form import closed_form

L = keras.layers


@pytest.fixture
def pair(rng):
    """A source of two hidden layers, its spiking network with thresholds that clip, and data."""
    model = keras.Sequential(
        [
            keras.Input((6,)),
            L.Dense(20, "relu", name="first"),
            L.Dense(12, "relu", name="second"),
            L.Dense(3, name="out"),
        ]
    )
    x = rng.random((50, 6), dtype=np.float32)
    return model, snn.convert_keras(model, x, percentile=90, per_channel=False), x


def test_every_number_is_what_it_says(pair):
    model, model_snn, x = pair
    fidelity = snn.compare(model, model_snn, x, 24, batch_size=16)
    result = model_snn.simulate(x, timesteps=24, record=["spike_counts"])
    even, _ = closed_form(model_snn, x, 24)
    theta = {name: float(value.max()) for name, value in model_snn.thresholds().items()}
    inner = keras.Model(model.inputs, [layer.output for layer in model.layers[:2]])
    activations = dict(zip(theta, inner.predict(x, verbose=0), strict=True))
    second = model.layers[1]
    clipped_first = np.minimum(activations["first_relu"], theta["first_relu"])
    clipped_second = np.minimum(np.maximum(clipped_first @ second.kernel + second.bias, 0), theta["second_relu"])
    clipped = {"first_relu": clipped_first, "second_relu": clipped_second}
    rates = result.sample_spike_counts["first_relu"] * theta["first_relu"] / 24
    received = {
        "first_relu": activations["first_relu"],
        "second_relu": np.maximum(rates @ np.asarray(second.kernel, float) + np.asarray(second.bias), 0),
    }
    for row in fidelity.populations:
        a, c = activations[row.name].astype(float), clipped[row.name].astype(float)
        e = even[row.name] * theta[row.name] / 24
        d = result.sample_spike_counts[row.name] * theta[row.name] / 24
        norm = np.linalg.norm(a)
        assert row.relative_error == pytest.approx(np.linalg.norm(d - a) / norm, rel=1e-3)
        assert row.clipping == pytest.approx(np.linalg.norm(c - a) / norm, rel=1e-3)
        assert row.quantisation == pytest.approx(np.linalg.norm(e - c) / norm, rel=1e-3)
        assert row.unevenness == pytest.approx(np.linalg.norm(d - e) / norm, rel=1e-3, abs=1e-12)
        assert row.correlation == pytest.approx(np.corrcoef(a.ravel(), d.ravel())[0, 1], rel=1e-5)
        assert row.clipped == (a > theta[row.name]).mean()
        assert row.largest == pytest.approx(a.max() / theta[row.name], rel=1e-5)
        r = received[row.name]
        assert row.added == pytest.approx(np.linalg.norm(d - r) / max(norm, np.linalg.norm(r)), rel=1e-3)
        assert row.firing_rate == pytest.approx(result.firing_rates[row.name])
        assert row.dead == (result.spike_counts[row.name] == 0).mean()
    expected = model.predict(x, verbose=0)
    error = np.linalg.norm(result.outputs[-1] - expected) / np.linalg.norm(expected)
    assert fidelity.output_error == {"out": pytest.approx(error, rel=1e-5)}


def test_the_first_population_has_no_unevenness_and_inherits_nothing(pair):
    first, second = snn.compare(*pair, 24).populations
    assert first.unevenness == 0
    assert first.added == pytest.approx(first.relative_error)
    assert 0 < second.added < second.relative_error


def test_more_timesteps_leave_the_clipping_only(pair):
    short, long = (snn.compare(*pair, timesteps) for timesteps in (16, 1024))
    for before, after in zip(short.populations, long.populations, strict=True):
        assert after.clipping == pytest.approx(before.clipping)
        assert after.quantisation < before.quantisation / 16
        assert after.relative_error == pytest.approx(after.clipping, rel=0.1)


def test_the_layer_that_loses_most_is_found(rng):
    model = keras.Sequential(
        [keras.Input((8,)), *(L.Dense(16, "relu", name=f"layer{n}") for n in range(4)), L.Dense(2, name="out")]
    )
    x = rng.random((40, 8), dtype=np.float32)
    model_snn = snn.convert_keras(model, x, form="unnormalized", percentile=100)
    layer = model_snn.network.layers["layer2_relu"]
    before = snn.compare(model, model_snn, x, 256).populations[2].added
    # A population of another reset loses charge with every spike.
    layer.neuron = snn.neurons.IntegrateAndFire(reset="zero")
    model_snn._trace_anew()
    fidelity = snn.compare(model, model_snn, x, 256)
    assert fidelity.worst[0] == "layer2_relu"
    assert fidelity.populations[2].added > 3 * before


@pytest.mark.parametrize("kwargs", [{"form": "unnormalized"}, {"reset": "zero"}])
def test_without_a_closed_form_the_error_is_not_split(pair, kwargs):
    model, _, x = pair
    fidelity = snn.compare(model, snn.convert_keras(model, x, **kwargs), x, 8)
    for row in fidelity.populations:
        assert np.isnan(row.quantisation)
        assert np.isnan(row.unevenness)
        assert row.relative_error > 0
    assert "–" in str(fidelity)  # noqa: RUF001


@pytest.mark.few(3)
@pytest.mark.parametrize(
    "make",
    mostly_slow(
        zoo.BUILDERS, [zoo.channels_first, zoo.branches, zoo.multi_input, zoo.sequence, zoo.trained_thresholds]
    ),
    ids=lambda make: make.__name__,
)
def test_all_kinds_of_networks_are_compared(make):
    model = zoo.build(make)
    x = zoo.data_for(model, 6)
    model_snn = snn.convert_keras(model, x, percentile=100)
    fidelity = snn.compare(model, model_snn, x, 128)
    assert all(row.correlation > 0.95 for row in fidelity.populations), str(fidelity)
    assert set(fidelity.output_error) == set(model_snn.output_names)


def test_it_is_a_table_data_and_a_plot(pair, tmp_path):
    fidelity = snn.compare(*pair, 24)
    lines = str(fidelity).splitlines()
    assert lines[0].split() == [
        "population", "rate", "dead", "clipped", "correlation", "error", "clipping", "quantisation", "unevenness", "added",
        "neuron", "by",
    ]  # fmt: skip
    assert lines[1].startswith("first_relu")
    assert f"adds most: {', '.join(fidelity.worst)}" in lines
    assert fidelity.as_dict()["populations"][0]["name"] == "first_relu"
    fidelity.plot().savefig(tmp_path / "plot.png")


def test_other_input_and_bad_data_are_refused(pair):
    model, model_snn, x = pair
    with pytest.raises(ValueError, match=r"needs constant input\. Received a network with input='poisson'"):
        snn.compare(model, snn.convert_keras(model, x, input="poisson", threshold_rule="percentile"), x)
    with pytest.raises(ValueError, match="`x` has the wrong shape"):
        snn.compare(model, model_snn, x[:, :3])
    with pytest.raises(ValueError, match="`timesteps` to be a positive integer"):
        snn.compare(model, model_snn, x, 0)


def test_swapped_models_are_told_apart():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3)])
    x = np.random.default_rng(0).random((8, 4), dtype=np.float32)
    model_snn = snn.convert_keras(model, x, threshold_rule="percentile")
    for first, second in ((model_snn, model), (model, model), (model_snn, model_snn)):
        with pytest.raises(TypeError, match=r"Expected `model` to be the source.*Received: \w+, \w+"):
            snn.compare(first, second, x)
