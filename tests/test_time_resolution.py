"""dt against T: firing rates against continuous time, networks against NumPy, slopes, and what is kept."""

import dataclasses
import json
import math
import pathlib
import re

import keras
import numpy as np
import pytest

import snn_toolbox_tf as snn
from snn_toolbox_tf.neurons import IntegrateAndFire, LeakyIntegrateAndFire
from snn_toolbox_tf.studies.neuron_rate import has_closed_form, interval, rate_errors
from snn_toolbox_tf.studies.physical_network import PhysicalNetwork
from snn_toolbox_tf.studies.slopes import fitted_slope
from snn_toolbox_tf.studies.time_settings import TimeSettings

L = keras.layers
LENGTHS = [1.0, 0.5, 0.25]
LEAKY = LeakyIntegrateAndFire(tau_m=20.0)


@pytest.fixture(scope="module")
def network():
    """A network with one population, and its data."""
    keras.utils.set_random_seed(0)
    hidden = L.Dense(12, "relu", bias_initializer="uniform", name="hidden")
    model = keras.Sequential([keras.Input((6,)), hidden, L.Dense(3, "softmax", bias_initializer="uniform", name="out")])
    x = np.random.default_rng(1).random((40, 6)).astype(np.float32)
    return model, x


@pytest.fixture(scope="module")
def found(network):
    model, x = network
    return snn.time_resolution(model, x, x, LEAKY, dt=LENGTHS, timesteps=[16, 64, 256])


def settings(neuron, **changed):
    values = {
        "duration": None,
        "dt": LENGTHS,
        "reference_dt": None,
        "timesteps": (16, 64),
        "percentile": 100.0,
        "batch_size": 32,
    }
    return TimeSettings.checked(neuron, **{**values, **changed})


class TestSingleNeuron:
    @pytest.mark.parametrize(
        ("tau_m", "more"),
        [
            (20.0, {}),
            (7.0, {"v_rest": 0.25}),
            (12.0, {"reset": "zero", "v_reset": -0.5}),
            (12.0, {"tau_ref": 2.5, "refractory_input": "lost"}),
            (math.inf, {"reset": "zero", "v_reset": 0.25}),
        ],
    )
    def test_the_interval_is_that_of_the_differential_equation(self, tau_m, more):
        """Forward Euler with tiny steps, from one spike to the next."""
        neuron, step = LeakyIntegrateAndFire(tau_m=tau_m, **more), 1e-4
        for current in (0.2, 0.4):
            v, time = more.get("v_reset", 0.0), more.get("tau_ref", 0.0)
            while v < 1:
                v += step * ((more.get("v_rest", 0.0) - v) / tau_m + current)
                time += step
            assert interval(neuron, current) == pytest.approx(time, rel=1e-3)

    def test_integrated_input_waits_for_the_end_of_a_refractory_period_only(self):
        neuron = IntegrateAndFire(tau_ref=4.0)
        np.testing.assert_allclose(interval(neuron, [0.1, 0.25, 0.5, 0.0]), [10.0, 4.0, 4.0, np.inf])
        assert interval(LEAKY, 0.04) == np.inf
        assert not has_closed_form(IntegrateAndFire(adaptation=0.1))

    @pytest.mark.parametrize("dt", [1.0, 0.3])
    def test_a_hard_reset_rounds_intervals_up(self, dt):
        neuron = LeakyIntegrateAndFire(tau_m=20.0, reset="zero")
        charging = np.geomspace(3.1, 19.7, 64)
        rounded = np.ceil(charging / dt) * dt
        np.testing.assert_allclose(rate_errors(neuron, dt, 1.0), 1 - charging / rounded, atol=1e-6)

    def test_a_soft_reset_leaks_half_a_timestep_too_long(self):
        """What exceeds the threshold, from the spike on: on average half a timestep's leak of a threshold for each spike.

        A spike then costs 1 + dt / (2 tau_m) thresholds of charge; how much longer that takes is the slope of `interval`.
        """
        dt, charging, tau = 0.1, np.geomspace(3.1, 19.7, 64), 20.0
        aim = 1 / (1 - np.exp(-charging / tau))
        # What starts lower by dt / (2 tau) takes longer, the more the nearer the threshold is to where the potential goes.
        later = tau * np.log1p(dt / (2 * tau) / aim)
        assert rate_errors(LEAKY, dt, 1.0).mean() == pytest.approx((later / charging).mean(), rel=0.1)

    @pytest.mark.parametrize("neuron", [LEAKY, LeakyIntegrateAndFire(tau_m=20.0, tau_s=3.0, reset="zero")])
    def test_the_slope_is_one(self, neuron):
        lengths = [1.0, 0.5, 0.25, 0.125]
        slope = fitted_slope(lengths, [rate_errors(neuron, dt, 1.0) for dt in lengths])
        assert slope.low < 1 < slope.high
        assert slope.value == pytest.approx(1, abs=0.1)


class TestNetwork:
    def test_it_is_the_network_that_numpy_integrates(self, network, found):
        """In physical units: charges are currents times dt, thresholds and the charges of spikes are always the same."""
        model, x = network
        (kernel, bias), (out_kernel, out_bias) = (layer.get_weights() for layer in model.layers)
        current = x @ kernel + bias
        theta = np.maximum(current, 0).max(axis=0)

        def integrate(dt):
            retention = math.exp(-dt / 20.0)
            gain = 20.0 / dt * (1 - retention)
            # What makes up for the leak, (1/2) theta / tau_m per ms.
            charge = (current + theta * 0.5 / 20.0) * dt
            v, counts = np.full_like(charge, 0.5) * theta, np.zeros(charge.shape)
            for _ in range(round(64 / dt)):
                v = retention * v + gain * charge
                fired = v >= theta
                v, counts = v - fired * theta, counts + fired
            return counts, (theta * counts / 64) @ out_kernel + out_bias

        counts, outputs = integrate(found.reference_dt)
        ann = np.maximum(current, 0) @ out_kernel + out_bias
        for place, dt in enumerate(found.dt):
            ours, ours_out = integrate(dt)
            error = np.abs(ours - counts).mean() / counts.mean()
            assert found.errors["hidden_relu"][place] == pytest.approx(error, rel=0.02)
            error = np.abs(ours_out - outputs).mean() / np.abs(outputs).mean()
            assert found.errors["outputs"][place] == pytest.approx(error, rel=0.02)
            error = np.abs(ours_out - ann).mean() / np.abs(ann).mean()
            assert found.ann_errors[place] == pytest.approx(error, rel=0.02)

    @pytest.mark.parametrize(
        "neuron",
        [LEAKY, IntegrateAndFire(tau_ref=1.0), IntegrateAndFire(tau_ref=1.0, dt=0.5), IntegrateAndFire(burst=3)],
        ids=str,
    )
    def test_thresholds_in_ms_do_not_depend_on_dt(self, network, neuron):
        model, x = network
        chosen = settings(neuron, duration=64.0, dt=[1.0, 0.25])
        at_own = snn.convert_keras(model, x, neuron=neuron, percentile=100.0).thresholds()["hidden_relu"]
        for dt in chosen.dt:
            scale = chosen.threshold_scale(dt)
            other = snn.convert_keras(model, x, neuron=neuron, dt=dt, percentile=100.0, threshold_scale=scale)
            np.testing.assert_allclose(other.thresholds()["hidden_relu"] * dt, at_own * neuron.dt, rtol=1e-6)

    def test_errors_are_of_first_order(self, network):
        model, x = network
        filtered = LeakyIntegrateAndFire(tau_m=20.0, tau_s=2.0)
        result = snn.time_resolution(model, x, x, filtered, dt=[1.0, 0.5, 0.25, 0.125], timesteps=[16])
        for name in ("single neuron", "hidden_relu"):
            assert result.dt_slopes[name].value == pytest.approx(1, abs=0.15)
            assert result.errors[name][-1] < 0.2 * result.errors[name][0]
        assert math.isnan(result.timestep_slopes["neuron"].value)

    def test_rounding_falls_with_time_and_a_leak_stays(self, found):
        """Rounding to nearest is 1/T at most; IF neurons in one layer lose nothing else."""
        plain, leaky = found.timestep_errors["integrate-and-fire"], found.timestep_errors["neuron"]
        assert found.timestep_slopes["integrate-and-fire"].value == pytest.approx(-1, abs=0.15)
        assert found.timestep_slopes["neuron"].value > -0.6
        assert leaky[-1] > 4 * plain[-1]
        # At the neuron's own dt, T timesteps are the duration.
        assert leaky[1] == pytest.approx(found.ann_errors[0], rel=1e-6)

    def test_the_ann_is_the_source(self, network):
        model, x = network
        chosen = settings(LEAKY)
        ann = PhysicalNetwork(model, x, x, chosen).ann_outputs
        expected = np.asarray(keras.ops.softmax(ann.astype(np.float32)))
        np.testing.assert_allclose(expected, model.predict(x, verbose=0), atol=1e-4)

    def test_a_neuron_without_closed_form_has_no_series(self, network):
        model, x = network
        adapting = IntegrateAndFire(adaptation=0.2, tau_a=10.0)
        result = snn.time_resolution(model, x, x, adapting, dt=[1.0, 0.5], duration=16.0, timesteps=[16])
        assert list(result.errors) == ["hidden_relu", "outputs"]


class TestSlopes:
    def test_a_power_law_is_found_exactly(self):
        scale, factors = np.array([1.0, 2.0, 8.0]), np.array([1.0, 3.0, 0.5, 2.0])
        slope = fitted_slope(scale, np.outer(scale**-0.5, factors))
        assert slope == pytest.approx((-0.5, -0.5, -0.5))
        assert str(slope) == "-0.50 (-0.50 to -0.50)"

    def test_the_interval_holds_the_slope_as_often_as_it_says(self, rng):
        scale = np.array([1.0, 2.0, 4.0, 8.0])
        held = 0
        for _ in range(400):
            slope = fitted_slope(scale, scale[:, np.newaxis] * rng.gamma(2.0, 1.0, (4, 30)))
            held += slope.low < 1 < slope.high
        assert 0.91 < held / 400 < 0.99

    def test_where_there_is_none(self):
        assert math.isnan(fitted_slope([1.0], [[1.0, 2.0, 3.0]]).value)
        assert math.isnan(fitted_slope([1.0, 2.0], [[1.0, 2.0], [0.0, 0.0]]).value)
        assert math.isnan(fitted_slope([1.0, 2.0], [[1.0, 2.0], [2.0, 4.0]]).low)


def test_it_is_shown_as_table_dictionary_and_figure(found):
    text = str(found)
    assert text.startswith("LeakyIntegrateAndFire(tau_m=20.0), 40 samples")
    assert "64 ms, errors against continuous time (networks: dt = 0.03125 ms)" in text
    header = next(line for line in text.splitlines() if line.startswith("dt (ms)"))
    assert header.split() == ["dt", "(ms)", "T", "single", "neuron", "hidden_relu", "outputs", "against", "the", "ANN"]
    assert "integrate-and-fire: slope -" in text
    plain = json.loads(json.dumps(found.as_dict()))
    assert plain["dt"] == LENGTHS
    assert plain["dt_slopes"]["hidden_relu"]["low"] < found.dt_slopes["hidden_relu"].value
    left, right = found.plot().axes
    assert len(left.lines) == 4
    assert len(right.lines) == 2


def test_of_many_populations_the_table_has_the_first_and_the_last(found):
    populations = {f"p{number}": (0.1, 0.1, 0.1) for number in range(6)}
    errors = {"single neuron": (0.1, 0.1, 0.1), **populations, "outputs": (0.1, 0.1, 0.1)}
    many = dataclasses.replace(found, errors=errors, dt_slopes=dict.fromkeys(errors, found.dt_slopes["outputs"]))
    assert list(many.shown_errors) == ["single neuron", "p0", "p5", "outputs"]
    assert "p3: slope" in str(many)
    assert len(many.plot().axes[0].lines) == 5


@pytest.mark.long
def test_the_page_runs(tmp_path, monkeypatch):
    page = (pathlib.Path(__file__).parents[1] / "docs/dt-and-timesteps.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(code.replace("1200:1240", "1200:1210"), names)
    assert names["found"].dt_slopes["relu1"].value == pytest.approx(1, abs=0.2)
    assert (tmp_path / "time_resolution.png").is_file()


def test_an_interrupted_study_goes_on(network, tmp_path):
    model, x = network
    options = {"dt": [1.0, 0.5], "duration": 8.0, "timesteps": [4, 8]}
    whole = snn.time_resolution(model, x, x, LEAKY, **options)

    def interrupted(name):
        if name == "dt = 0.5 ms":
            raise KeyboardInterrupt

    path = tmp_path / "study.json"
    with pytest.raises(KeyboardInterrupt):
        snn.time_resolution(model, x, x, LEAKY, journal=snn.Journal(path, interrupted), **options)
    told = []
    again = snn.time_resolution(model, x, x, LEAKY, journal=snn.Journal(path, told.append), **options)
    assert told == ["dt = 0.5 ms", "timesteps", "timesteps of integrate-and-fire neurons"]
    assert str(again) == str(whole)
    told.clear()
    snn.time_resolution(model, x, x, LEAKY, journal=snn.Journal(path, told.append), **options)
    assert not told
    with pytest.raises(ValueError, match=r"study\.json' belongs to another study: it differs in settings"):
        snn.time_resolution(model, x, x, LeakyIntegrateAndFire(tau_m=30.0), journal=snn.Journal(path), **options)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"dt": [1.0]}, r"two or more lengths of a timestep in ms.*Received: dt=\[1.0\]"),
        ({"dt": 1.0}, r"two or more lengths.*Received: dt=1.0"),
        ({"dt": "1, 0.5"}, r"two or more lengths.*Received: dt='1, 0.5'"),
        ({"dt": [1.0, 1.0]}, r"each length once\. Received: dt=\[1.0, 1.0\]"),
        ({"dt": [1.0, -0.5]}, r"Expected `dt` to be a positive number of ms\. Received: dt=-0.5"),
        ({"dt": [1.0, 0.3]}, r"Received: duration=64 ms, which are 213.333 timesteps of dt = 0.3 ms"),
        ({"reference_dt": 0.25}, r"shorter than each `dt`.*Received: reference_dt=0.25, dt=\[1.0, 0.5, 0.25\]"),
        ({"reference_dt": 0.07}, r"timesteps of reference_dt = 0.07 ms"),
        ({"duration": 0.5}, r"0.5 timesteps of dt = 1 ms"),
        ({"duration": "long"}, r"Expected `duration` to be a positive number of ms\. Received: duration='long'"),
        ({"timesteps": []}, r"several numbers of timesteps.*Received: timesteps=\[\]"),
        ({"timesteps": [0]}, r"Expected `timesteps` to be a positive integer"),
        ({"percentile": 101.0}, r"percentile=101.0"),
        ({"batch_size": 0}, r"Expected `batch_size` to be a positive integer"),
    ],
)
def test_unusable_settings_are_told(network, changed, message):
    model, x = network
    with pytest.raises(ValueError, match=message):
        snn.time_resolution(model, x, x, LEAKY, **{"dt": LENGTHS, **changed})


def test_a_neuron_is_needed(network):
    model, x = network
    with pytest.raises(TypeError, match=r"Expected `neuron` to be a value of .*Received: neuron='lif'"):
        snn.time_resolution(model, x, x, "lif")
