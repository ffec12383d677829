"""Latency code: event times against an independent event-driven simulator, the source, and the quantised closed form."""

import dataclasses
import itertools

import keras
import numpy as np
import pytest
import zoo
from conftest import mostly_slow

import snn_toolbox_tf as snn
from snn_toolbox_tf.latency import quantized_values

L = keras.layers
FEW = (zoo.residual, zoo.branches)


def dense_model():
    keras.utils.set_random_seed(3)
    layers = [keras.Input((5,)), L.Dense(7, "relu", name="a"), L.Dense(6, "relu", name="b"), L.Dense(3, name="out")]
    model = keras.Sequential(layers)
    for name in ("a", "b", "out"):
        bias = model.get_layer(name).bias
        bias.assign(np.random.default_rng(4).normal(0, 0.3, bias.shape))
    return model


def integrate(arrivals, weights, bias, start, end):
    """One neuron, event by event: returns when it spikes, or infinity, and its potential when its window begins.

    Each spike that arrives before `start` adds its weight to the slope; from `start` on the slope is 1.
    """
    potential, slope, now = bias, 0.0, 0.0
    for place in np.argsort(arrivals):
        if not np.isfinite(arrivals[place]):
            continue
        potential += slope * (arrivals[place] - now)
        now, slope = arrivals[place], slope + weights[place]
    potential += slope * (start - now)
    threshold = end - start
    crossing = start if potential >= threshold else start + (threshold - potential)
    return (crossing if crossing < end else np.inf), potential


def test_event_times_are_those_of_an_event_driven_simulation():
    model = dense_model()
    x = np.random.default_rng(0).random((20, 5), "float32")
    assert (model.get_layer("a").kernel.numpy() < 0).any()
    model_snn = snn.convert_keras(model, x, code=snn.LatencyCode(precision="float64"))
    result = model_snn.simulate(x, record="all")
    windows = model_snn.windows.by_name
    names = list(windows)
    for sample in range(len(x)):
        times = np.where(x[sample] > 0, windows[names[0]].end - x[sample].astype(np.float64), np.inf)
        np.testing.assert_allclose(result.spike_times[names[0]][sample], times, rtol=1e-12)
        for name, layer in zip(names[1:], ("a", "b"), strict=True):
            kernel, bias = (weight.numpy().astype(np.float64) for weight in model.get_layer(layer).weights)
            window = windows[name]
            times = np.array(
                [integrate(times, kernel[:, i], bias[i], window.start, window.end)[0] for i in range(len(bias))]
            )
            np.testing.assert_allclose(result.spike_times[name][sample], times, rtol=1e-9)
        kernel, bias = (weight.numpy().astype(np.float64) for weight in model.get_layer("out").weights)
        outputs = [integrate(times, kernel[:, i], bias[i], model_snn.latency, 1e9)[1] for i in range(3)]
        np.testing.assert_allclose(result.outputs[sample], outputs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rounding", ["nearest", "down"])
def test_clocked_spikes_are_those_of_a_simulation_timestep_by_timestep(rounding):
    model = dense_model()
    x = np.random.default_rng(0).random((20, 5), "float32")
    steps = 8
    code = snn.LatencyCode(timesteps_per_window=steps, rounding=rounding)
    model_snn = snn.convert_keras(model, x, code=code)
    result = model_snn.simulate(x, record="all")
    names, ranges = list(result.spike_times), model_snn.conversion.ranges
    graph = model_snn.network.graph_with_weights()
    half = 0.5 if rounding == "nearest" else 0.0
    for before, name in itertools.pairwise(names):
        layer = graph[graph[name].inputs[0]].layer
        arrived = result.spike_times[before]
        start = model_snn.windows[name].start
        unit, unit_before = ranges[name] / steps, ranges[before] / steps
        potential = np.tile(layer.weights["bias"].astype(np.float64), (len(x), 1))
        for now in range(int(start) - steps, int(start)):
            potential += unit_before * (
                (arrived <= now).astype(np.float64) @ layer.weights["kernel"].astype(np.float64)
            )
        times = np.full(potential.shape, np.inf)
        for k in range(steps):
            # With slope 1, a timestep adds its length; thresholds are lower by half of it where values are rounded.
            fires = (potential + k * unit >= ranges[name] - half * unit) & np.isinf(times)
            times[fires] = start + k
        np.testing.assert_array_equal(result.spike_times[name], times)


@pytest.fixture(scope="module", params=mostly_slow(zoo.BUILDERS, FEW), ids=lambda builder: builder.__name__)
def network(request):
    keras.utils.set_random_seed(0)
    model = zoo.build(request.param)
    return model, zoo.data_for(model, 64), zoo.data_for(model, 10, seed=2)


def test_continuous_time_gives_the_outputs_of_the_source(network):
    model, calibration, x = network
    model_snn = snn.convert_keras(model, calibration, code="latency")
    result = model_snn.simulate(x)
    expected = keras.tree.flatten(model.predict(x, verbose=0))
    for ours, theirs in zip(keras.tree.flatten(result.outputs), expected, strict=True):
        assert np.abs(ours - theirs).max() < 1e-5 * np.abs(theirs).max()
    assert not any(result.clipped.values())
    assert max(counts.max() for counts in result.spike_counts.values()) <= result.samples
    assert 0 < result.spikes_per_neuron < 1


def test_a_clocked_network_is_its_closed_form_exactly(network):
    model, calibration, x = network
    model_snn = snn.convert_keras(model, calibration, code="latency", timesteps_per_window=16)
    result = model_snn.simulate(x, record="all", batch_size=3)
    counts, outputs = quantized_values(model_snn, x)
    for name, times in result.spike_times.items():
        early = np.where(np.isinf(times), 0, model_snn.windows[name].end - times)
        signed = name in model_snn.conversion.signed_inputs
        np.testing.assert_array_equal(early[..., 0] - early[..., 1] if signed else early, counts[name])
    for ours, theirs in zip(keras.tree.flatten(result.outputs), keras.tree.flatten(outputs), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_skipped_windows_delay_spikes():
    inputs = keras.Input((4,))
    first = L.Dense(4, "relu", name="first")(inputs)
    second = L.Dense(4, "relu", name="second")(first)
    model = keras.Model(inputs, L.Dense(2)(L.ReLU(name="sum")(L.Add()([first, L.Dense(4)(second)]))))
    x = np.random.default_rng(0).random((20, 4), "float32")
    model_snn = snn.convert_keras(model, x, code="latency", timesteps_per_window=10)
    window = model_snn.windows["sum"]
    assert (window.start, window.end, window.depth) == (30, 40, 3)
    assert dict(window.delays) == {"first_relu": 10, "second_relu": 0}
    assert model_snn.latency == 40
    assert model_snn.windows.depth == 4


def test_operations_are_spikes_times_fan_out():
    model = dense_model()
    x = np.random.default_rng(0).random((20, 5), "float32")
    model_snn = snn.convert_keras(model, x, code="latency")
    result = model_snn.simulate(x)
    spikes = list(result.sample_spike_counts.values())
    for operations, count, fan_out in zip(result.synaptic_operations.values(), spikes, (7, 6, 3), strict=True):
        np.testing.assert_array_equal(operations, fan_out * count)
    assert not result.multiply_accumulates
    assert model_snn.ann_multiply_accumulates == 5 * 7 + 7 * 6 + 6 * 3
    analog = snn.convert_keras(model, x, code=snn.LatencyCode(input="analog")).simulate(x)
    assert {name: values[0] for name, values in analog.multiply_accumulates.items()} == {"a": 35}


def test_values_larger_than_their_windows_are_clipped_and_counted():
    model = dense_model()
    x = np.random.default_rng(0).random((20, 5), "float32")
    model_snn = snn.convert_keras(model, x, code=snn.LatencyCode(headroom=1.0))
    result = model_snn.simulate(3 * x, record="all")
    (name,) = keras.tree.flatten(model_snn.network.graph.input_structure)
    share = float((3 * x > model_snn.conversion.ranges[name]).mean())
    assert share > 0
    assert result.clipped[name] == pytest.approx(share)
    assert result.spike_times[name].min() == 0
    negative = model_snn.simulate(-x)
    assert negative.clipped[name] == 1.0
    assert negative.spike_counts[name].sum() == 0


def test_a_loaded_model_is_the_saved_one(tmp_path):
    model = dense_model()
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    x = np.random.default_rng(0).random((20, 5), "float32")
    y = model.predict(x, verbose=0).argmax(-1)
    model_snn = snn.convert_keras(model, x, code="latency", timesteps_per_window=64)
    model_snn.save(tmp_path / "latency.keras")
    loaded = keras.saving.load_model(tmp_path / "latency.keras")
    assert loaded.conversion == model_snn.conversion
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model_snn.simulate(x).outputs)
    accuracy = model_snn.simulate(x).accuracy(y)
    assert loaded.evaluate(x, y, verbose=0)[1] == pytest.approx(accuracy)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"code": "latency", "v0": 0.1, "reset": "zero"}, r"options of rate code mean nothing.*v0=0.1, reset='zero'"),
        ({"code": "ttfs"}, r"Expected `code` to be one of \['rate', 'latency'\]"),
        ({"timesteps_per_window": 8}, "`timesteps_per_window` is for code='latency'"),
        ({"code": snn.LatencyCode(), "timesteps_per_window": 8}, "Expected one of both"),
        ({"code": "latency", "timesteps_per_window": 0}, "timesteps_per_window"),
    ],
)
def test_what_means_nothing_is_refused(arguments, message):
    model, x = dense_model(), np.ones((4, 5), "float32")
    with pytest.raises(ValueError, match=message):
        snn.convert_keras(model, x, **arguments)


def test_other_wrong_uses_are_told():
    model, x = dense_model(), np.ones((4, 5), "float32")
    with pytest.raises(ValueError, match="Latency code needs `calibration_data`"):
        snn.convert_keras(model, code="latency")
    with pytest.raises(ValueError, match="Expected `headroom` to be a number of at least 1"):
        snn.LatencyCode(headroom=0.5)
    model_snn = snn.convert_keras(model, x, code="latency")
    with pytest.raises(ValueError, match=r"`record` names .'c'., which do not spike"):
        model_snn.simulate(x, record=["c"])
    with pytest.raises(RuntimeError, match="is not trained"):
        model_snn.fit(x, x)
    with pytest.raises(ValueError, match="runs in continuous time"):
        quantized_values(model_snn, x)


def test_a_run_in_latency_code_reports(tmp_path):
    model, x = dense_model(), np.random.default_rng(0).random((20, 5), "float32")
    y = model.predict(x, verbose=0).argmax(-1)
    settings = snn.Settings().replace(spike_code="latency", window_timesteps=64, path_wd=str(tmp_path))
    finished = snn.run(settings, model=model, x_test=x, y_test=y, x_norm=x)
    (output,) = finished.record.outputs
    assert output.ann_accuracy == 1.0
    assert output.agreement == output.accuracy > 0.9
    assert "Spikes per neuron" in finished.report.read_text()
    assert "latency code" in (finished.folder / "summary.txt").read_text()
    assert keras.saving.load_model(finished.network).timesteps_per_window == 64
    with pytest.raises(snn.ConfigurationError, match="options of rate code mean nothing"):
        snn.run(settings.replace(reset="zero"), model=model, x_test=x, x_norm=x)
    with pytest.raises(snn.ConfigurationError, match="window_timesteps = 64 is for spike_code = latency"):
        snn.run(settings.replace(spike_code="rate"), model=model, x_test=x, x_norm=x)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"log_vars": ["all"]}, r"do not support \[output\] log_vars. Expected one process, no recordings"),
        ({"executor": "ray"}, r"do not support \[tools\] executor = ray"),
        ({"export_format": "nir"}, r"do not support \[export\] export_format"),
        (
            {"normalize": False},
            r"normalize = False leaves .*without the largest activations.*Expected normalize = True",
        ),
    ],
)
def test_what_runs_in_latency_code_do_not_do(tmp_path, changes, message):
    model, x = dense_model(), np.random.default_rng(0).random((4, 5), "float32")
    settings = snn.Settings().replace(spike_code="latency", path_wd=str(tmp_path), **changes)
    with pytest.raises(snn.ConfigurationError, match=message):
        snn.run(settings, model=model, x_test=x, x_norm=x)
    assert list(tmp_path.iterdir()) == []


def test_a_run_of_numbers_has_no_agreement_of_decisions(tmp_path):
    model, x = dense_model(), np.random.default_rng(0).random((20, 5), "float32")
    settings = snn.Settings().replace(spike_code="latency", task="regression", path_wd=str(tmp_path))
    (output,) = snn.run(settings, model=model, x_test=x, x_norm=x).record.outputs
    assert output.agreement is None
    assert output.relative_error < 1e-4


def test_accuracy_of_several_outputs_is_refused():
    x = np.ones((2, 5), "float32")
    result = snn.convert_keras(dense_model(), x, code="latency").simulate(x)
    result = dataclasses.replace(result, outputs={"a": np.zeros((2, 3)), "b": np.zeros((2, 3))})
    with pytest.raises(
        ValueError, match=r"one output of classes. Expected an array .* Received outputs of \{'a': \(2, 3\)"
    ):
        result.accuracy([0, 1])


def test_compare_decodes_spike_times(tmp_path):
    model, x = dense_model(), np.random.default_rng(0).random((40, 5), "float32")
    exact = snn.compare(model, snn.convert_keras(model, x, code="latency"), x, batch_size=16)
    assert max(row.relative_error for row in exact.populations) < 1e-5
    assert max(exact.output_error.values()) < 1e-5
    assert exact.samples == 40
    model_snn = snn.convert_keras(model, x, code="latency", timesteps_per_window=16)
    found = snn.compare(model, model_snn, x, batch_size=16)
    result, (counts, _) = model_snn.simulate(x), quantized_values(model_snn, x)
    activations = model_snn.network.run_as_ann({next(iter(model_snn.network.graph)).name: x}, shift=None)
    for row in found.populations:
        values = counts[row.name] * model_snn.conversion.ranges[row.name] / 16
        expected = np.asarray(activations[row.name], np.float64)
        error = np.sqrt(np.square(values - expected).mean() / np.square(expected).mean())
        assert row.relative_error == pytest.approx(error, rel=1e-4)
        assert row.correlation == pytest.approx(np.corrcoef(values.ravel(), expected.ravel())[0, 1], rel=1e-5)
        assert row.clipped == pytest.approx(result.clipped[row.name])
        assert row.spikes_per_neuron == pytest.approx(result.spike_counts[row.name].mean() / 40)
    assert found.worst[0] in str(found)
    found.plot().savefig(tmp_path / "figure.png")


def test_compare_has_the_timesteps_of_the_conversion():
    model, x = dense_model(), np.ones((4, 5), "float32")
    model_snn = snn.convert_keras(model, x, code="latency")
    with pytest.raises(ValueError, match=r"has the timesteps that it was converted for.*Received: timesteps=8"):
        snn.compare(model, model_snn, x, timesteps=8)
    with pytest.raises(TypeError, match="Expected `model` to be the source"):
        snn.compare(model_snn, model, x)


def test_a_sweep_over_timesteps_of_a_window(tmp_path):
    model, x = dense_model(), np.random.default_rng(0).random((20, 5), "float32")
    settings = snn.Settings().replace(spike_code="latency", path_wd=str(tmp_path))
    swept = snn.sweep(settings, "window_timesteps", [2, 32], model=model, x_test=x, x_norm=x)
    rough, fine = (
        float(
            np.abs(
                snn.convert_keras(model, x, code="latency", timesteps_per_window=steps).predict(x, verbose=0)
                - model.predict(x, verbose=0)
            ).max()
        )
        for steps in (2, 32)
    )
    largest = np.abs(model.predict(x, verbose=0)).max()
    assert [row["largest_error"] for row in swept.table] == pytest.approx([rough / largest, fine / largest], rel=1e-4)
    assert [row["latency"] for row in swept.table] == [6, 96]
    assert "spikes per neuron" in (swept.folder / "report.html").read_text()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda snn_model: snn_model.quantize("int8"),
            ValueError,
            "cannot be quantized by Keras.*before converting it",
        ),
        (
            lambda snn_model: snn_model.step(np.ones((1, 5))),
            RuntimeError,
            "does not run timestep by timestep.*code='rate'",
        ),
        (lambda snn_model: snn_model.reset_state(), RuntimeError, "keeps nothing from sample to sample"),
        (lambda snn_model: snn_model.export("x"), ValueError, "no form for model servers.*code='rate'"),
        (lambda snn_model: snn_model.fit(np.ones((1, 5))), RuntimeError, "is not trained.*Train the source"),
        (lambda snn_model: snn.export_nir(snn_model, "x.nir"), TypeError, "is in latency code.*code='rate'"),
        (lambda snn_model: snn.export_serving(snn_model, "x"), TypeError, "is in latency code.*code='rate'"),
    ],
)
def test_what_networks_in_latency_code_do_not_do(call, error, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model, x = dense_model(), np.ones((4, 5), "float32")
    model_snn = snn.convert_keras(model, x, code="latency", timesteps_per_window=8)
    before = model_snn.predict(x, verbose=0)
    with pytest.raises(error, match=message):
        call(model_snn)
    np.testing.assert_array_equal(model_snn.predict(x, verbose=0), before)
    assert list(tmp_path.iterdir()) == []


def test_recurrent_layers_have_a_window_a_step():
    keras.utils.set_random_seed(0)
    rnn = keras.layers.SimpleRNN(6, activation="relu", recurrent_initializer="orthogonal")
    model = keras.Sequential([keras.Input((5, 3)), rnn, keras.layers.Dense(2)])
    x = np.random.default_rng(0).random((20, 5, 3), "float32")
    exact = snn.convert_keras(model, x, code="latency")
    np.testing.assert_allclose(exact.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-4, atol=1e-5)
    assert exact.simulate(x).windows == 6
