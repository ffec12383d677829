"""Networks that fail for a reason that was built in: the right population is named, and the right next step."""

import re

import keras
import numpy as np
import pytest

import snn_toolbox_tf as snn

L = keras.layers
NAMES = ("layer0_relu", "layer1_relu", "layer2_relu")


@pytest.fixture
def model():
    keras.utils.set_random_seed(0)
    hidden = [L.Dense(32, "relu", kernel_initializer="he_normal", name=f"layer{n}") for n in range(3)]
    return keras.Sequential([keras.Input((16,), name="x"), *hidden, L.Dense(4, name="out")], name="deep")


@pytest.fixture
def x(rng):
    return rng.random((64, 16), dtype=np.float32)


def diagnosis(model, x, timesteps=64, calibration=None, **options):
    model_snn = snn.convert_keras(model, x if calibration is None else calibration, **options)
    fidelity = snn.compare(model, model_snn, x, timesteps)
    assert fidelity.fails == (max(fidelity.output_error.values()) > 0.1)
    shown = str(fidelity).splitlines()[-1]
    assert (shown == fidelity.diagnosis) == fidelity.fails
    return fidelity.diagnosis if fidelity.fails else ""


def is_at(name, text):
    return text.startswith(f"Most is lost at population '{name}'")


def test_a_network_that_works_gets_no_diagnosis(model, x):
    assert diagnosis(model, x) == ""


def test_calibration_data_too_small(model, x):
    text = diagnosis(model, x, calibration=x / 16)
    assert is_at("layer0_relu", text)
    assert "thresholds are too low" in text
    assert "Next: prepare the calibration data like the test data (largest value of input 'x': 0.06" in text


def test_calibration_data_too_large(model, x):
    text = diagnosis(model, x, calibration=16 * x)
    assert is_at("layer0_relu", text)
    assert "thresholds are too high, its largest activation is 0.063 of its threshold" in text
    assert "Next: prepare the calibration data like the test data (largest value of input 'x': 16 in" in text


def test_no_calibration_data(model, x):
    with pytest.warns(UserWarning, match="No `calibration_data`"):
        model_snn = snn.convert_keras(model)
    text = snn.compare(model, model_snn, x, 64).diagnosis
    # Bounds from the weights grow from layer to layer.
    assert is_at("layer2_relu", text)
    assert "Next: convert with calibration data" in text


@pytest.mark.parametrize("name", NAMES)
def test_one_clipped_layer(model, x, name):
    def low_for_one(statistics):
        return {key: histogram.maximum / (8 if key == name else 1) for key, histogram in statistics.items()}

    text = diagnosis(model, x, threshold_rule=low_for_one)
    assert is_at(name, text)
    assert "the largest by a factor of 8.00" in text
    assert "Next: give this population higher thresholds: they come from a threshold rule of your own" in text


def test_one_input_of_two_was_scaled_otherwise_in_calibration(rng):
    a, b = keras.Input((6,), name="a"), keras.Input((6,), name="b")
    hidden = [L.Dense(20, "relu", name=f"of_{part.name}")(part) for part in (a, b)]
    model = keras.Model([a, b], L.Dense(3, name="out")(L.Concatenate()(hidden)))
    x = [rng.random((40, 6), dtype=np.float32) for _ in range(2)]
    text = diagnosis(model, x, calibration=[x[0], x[1] / 255])
    assert is_at("of_b_relu", text)
    assert "'of_a_relu'" not in text
    assert "largest value of input 'b': 0.0039" in text


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({"percentile": 50}, "Next: percentile=99.9, which is 50."),
        ({"threshold_scale": 0.1}, r"Next: threshold_scale=1 (v_thresh in a configuration), which is 0.1."),
        ({"threshold_scale": 30}, r"Next: threshold_scale=1 (v_thresh in a configuration), which is 30."),
    ],
)
def test_thresholds_that_were_asked_for(model, x, options, advice):
    text = diagnosis(model, x, **options)
    assert is_at("layer0_relu", text)
    assert text.endswith(advice)


def test_one_outlier_decides_about_the_maximum(model, x):
    outlier = x.copy()
    # Within the scale of the others, but made for one neuron.
    outlier[0] = 3.9 * (np.asarray(model.layers[0].kernel)[:, 0] > 0)
    text = diagnosis(model, x, 4, calibration=outlier, percentile=100, per_channel=False)
    assert is_at("layer0_relu", text)
    assert text.endswith("Next: percentile=99.9, which is 100: one outlier decides.")


def test_few_samples_to_calibrate_with(model, x):
    dim = (x / 3)[:5]
    assert diagnosis(model, x, calibration=dim).endswith("Next: more calibration data; there were 5 samples.")


def test_calibration_data_that_are_none_of_the_above(model, x):
    text = diagnosis(model, x, calibration=x / 3)
    assert is_at("layer0_relu", text)
    assert "Next: calibrate with samples like these. Thresholds that clip none of them are threshold_scale=3." in text
    text = diagnosis(model, x, 4, threshold_rule=lambda s: {key: 5 * h.maximum for key, h in s.items()})
    assert text.endswith("Next: calibrate with samples like these.")


def test_hard_reset_with_large_currents(model, x):
    text = diagnosis(model, x, reset="zero")
    assert is_at("layer0_relu", text)
    assert "a hard reset throws away what exceeds the threshold" in text
    assert "Next: reset='subtract'" in text
    # More timesteps are no remedy, and none are advised.
    assert "more timesteps, for example" not in text
    assert is_at("layer0_relu", diagnosis(model, x, 1024, reset="zero"))


@pytest.mark.slow
def test_too_few_timesteps(model, x):
    text = diagnosis(model, x, 2)
    assert is_at("layer0_relu", text)
    assert "but 2 timesteps are too few" in text
    assert text.endswith("Next: more timesteps, for example 8 (now 2).")
    assert diagnosis(model, x, 32) == ""


@pytest.mark.slow
def test_not_all_populations_of_a_deep_network_are_named(x):
    keras.utils.set_random_seed(0)
    hidden = [L.Dense(32, "relu", kernel_initializer="he_normal", name=f"layer{n}") for n in range(8)]
    model = keras.Sequential([keras.Input((16,)), *hidden, L.Dense(4, name="out")])
    text = diagnosis(model, x, 4)
    assert re.search(r"^Most is lost at .*by similar amounts at '\w+', '\w+', '\w+' and \d more\)", text), text


def test_initial_potential_that_rounds_down(model, x):
    assert diagnosis(model, x, 2, v0=0.0).endswith(
        "for example 8 (now 2), and v0=0.5, which rounds rates to nearest and not down (v0 is 0)."
    )


def test_spikes_that_arrive_unevenly():
    """All rates are multiples of 1/8, and nothing is above its threshold: only the order of spikes is left."""
    model = keras.Sequential(
        [
            keras.Input((2,)),
            L.Dense(2, "relu", kernel_initializer="identity", name="first"),
            L.Dense(1, "relu", kernel_initializer=keras.initializers.Constant([[8.0], [-16.0]]), name="second"),
            L.Dense(1, kernel_initializer="ones", name="out"),
        ]
    )
    eighths = np.arange(2, 9)
    x = np.stack([eighths / 8, eighths // 2 / 8], axis=1).astype(np.float32)
    model_snn = snn.convert_keras(model, x, percentile=100)
    fidelity = snn.compare(model, model_snn, x, 8)
    first, second = fidelity.populations
    assert first.added < 1e-6
    assert (second.clipped, second.clipping, second.quantisation) == (0, pytest.approx(0), pytest.approx(0, abs=1e-6))
    assert second.cause == "unevenness"
    assert is_at("second_relu", fidelity.diagnosis)
    assert "Next: more timesteps, for example 32 (now 8); or schedule='layer_synchronous'" in fidelity.diagnosis
    assert fidelity.output_synchronous["out"] < 1e-6
    synchronous = model_snn.simulate(x, timesteps=8, schedule="layer_synchronous", outputs="last").outputs[-1]
    np.testing.assert_allclose(synchronous, model.predict(x, verbose=0), atol=1e-5)


def centred(model, x):
    """The model with outputs whose mean is 0, so that samples differ in their class."""
    model.layers[-1].bias.assign(-model.predict(x, verbose=0).mean(axis=0))
    return model


@pytest.mark.slow
def test_poisson_input_is_noise_in_a_run(model, x, tmp_path):
    settings = snn.Settings().replace(path_wd=str(tmp_path), duration=4, poisson_input=True, plot_vars=[])
    record = snn.run(settings, model=centred(model, x), x_test=x, x_norm=x).simulated
    assert record.populations[0].cause == "noise"
    (note,) = [note for note in record.notes if "Most is lost" in note and "Next" in note]
    assert "'layer0_relu'" in note
    assert note.endswith("Next: analog input, or more timesteps, for example 16 (now 4).")


def test_leaky_neurons(model, x):
    model_snn = snn.convert_keras(model, x)
    for name in NAMES:
        neuron = snn.neurons.LeakyIntegrateAndFire(tau_m=3.0)
        model_snn.network.graph[name].neuron = neuron
        model_snn.network.layers[name].neuron = neuron
    model_snn._trace_anew()
    text = snn.compare(model, model_snn, x, 64).diagnosis
    assert "leak, so that currents which come slowly are forgotten" in text
    assert "Next: neurons without leak" in text


@pytest.mark.few(1)
@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("settings", "calibration", "expected"),
    [
        ({"duration": 64}, 1.0, ()),
        (
            {"duration": 64},
            1 / 16,
            ("does not fall with more timesteps", "'layer0_relu'", "prepare the calibration data"),
        ),
        ({"duration": 2}, 1.0, ("Its relative error still falls", "'layer0_relu'", "Next: more timesteps")),
        ({"duration": 64, "reset": "zero"}, 1.0, ("does not fall", "'layer0_relu'", "Next: reset='subtract'")),
    ],
)
def test_a_run_that_fails_says_where(model, x, tmp_path, settings, calibration, expected):
    chosen = snn.Settings().replace(path_wd=str(tmp_path), plot_vars=[], **settings)
    finished = snn.run(chosen, model=centred(model, x), x_test=x, x_norm=x * np.float32(calibration))
    found = [note for note in finished.simulated.notes if "Most is lost" in note and "held out" not in note]
    assert len(found) == bool(expected)
    for text in expected:
        assert text in found[0]
        assert found[0] in (finished.folder / "summary.txt").read_text()
