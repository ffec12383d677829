"""Settings of neurons: files and flags, what contradicts itself, snn_toolbox's keys, whole runs, networks that are there."""

import json
import math

import keras
import numpy as np
import pytest

import snn_toolbox_tf as snn
from snn_toolbox_tf import neurons
from snn_toolbox_tf.cli.main import main
from snn_toolbox_tf.config import cell, write_settings
from snn_toolbox_tf.experiment.options import conversion_options
from snn_toolbox_tf.graph import Population
from snn_toolbox_tf.neurons import IntegrateAndFire, LeakyIntegrateAndFire

LEAKY = {"neuron": "LIF", "tau_m": 20.0}
EVERYTHING = {
    "neuron": "leaky_integrate_and_fire", "tau_m": 20.0, "v_rest": 0.125, "tau_ref": 1.0, "refractory_input": "lost",
    "tau_s": 2.0, "synapse": "alpha", "adaptation": 0.25, "tau_a": 50.0, "reset": "zero", "v_reset": -0.5,
}  # fmt: skip


def read(folder, text):
    path = folder / "config.ini"
    path.write_text(text)
    return snn.read_settings(path)


def test_names_are_those_of_the_neurons():
    assert set(cell.NEURONS.values()) == set(neurons.MODELS)
    assert cell.RESETS.keys() >= set(neurons.RESETS)
    assert (cell.REFRACTORY_INPUTS, cell.SYNAPSES) == (neurons.REFRACTORY_INPUTS, neurons.SYNAPSES)


def test_a_file_says_all_that_python_says(tmp_path):
    text = "[simulation]\ndt = 0.5\n[cell]\n" + "".join(f"{key} = {value}\n" for key, value in EVERYTHING.items())
    settings = read(tmp_path, text)
    expected = LeakyIntegrateAndFire(
        tau_m=20.0, v_rest=0.125, tau_ref=1.0, refractory_input="lost", tau_s=2.0, synapse="alpha",
        adaptation=0.25, tau_a=50.0, reset="zero", v_reset=-0.5, dt=0.5,
    )  # fmt: skip
    assert conversion_options(settings).neuron == expected
    assert read(tmp_path, write_settings(settings)).cell == settings.cell


def test_what_needs_no_neuron_of_its_own_has_none():
    """Plain neurons are given as before, and so all that is found for them."""
    options = conversion_options(snn.Settings().replace(reset="zero", synapse="alpha", refractory_input="lost"))
    assert options.neuron is None
    assert options.reset == "zero"
    assert conversion_options(snn.Settings().replace(neuron="LIF", tau_m=math.inf)).neuron.retention == 1.0


def test_initial_potentials_that_are_given_stay_as_they_are():
    """As for plain neurons: nothing is found then, thresholds come from the percentile."""
    options = conversion_options(snn.Settings().replace(tau_ref=1.0, v0=0.25))
    assert (options.automatic, options.neuron.v0, options.threshold_rule) == (False, 0.25, "percentile")
    assert conversion_options(snn.Settings().replace(tau_ref=1.0)).automatic
    ruled = conversion_options(snn.Settings().replace(tau_ref=1.0, v0=0.25, threshold_rule="maximum"))
    assert ruled.threshold_rule == "maximum"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"neuron": "leaky"}, r"\[cell\] neuron: Expected one of 'integrate_and_fire', .*Received: 'leaky'"),
        ({"tau_s": -1.0}, r"\[cell\] tau_s: Expected a number of ms, 0 or more. Received: -1.0"),
        (
            {**LEAKY, "tau_m": 0.0},
            r"\[cell\] tau_m: Expected a positive number of ms, or inf. Received: 0.0",
        ),
        ({**LEAKY, "tau_m": math.nan}, r"\[cell\] tau_m: Expected a positive number of ms, or inf.*Received: nan"),
        ({"v_reset": 1.0, "reset": "zero"}, r"\[cell\] v_reset: Expected a number less than 1. Received: 1.0"),
        ({"neuron": "LIF"}, r"\[cell\] neuron = leaky_integrate_and_fire needs tau_m.*Received: no tau_m"),
        ({"tau_m": 20.0}, r"\[cell\] tau_m = 20: this is for neurons that leak. Received: neuron = integrate_and_fire"),
        (
            {"v_rest": 0.5},
            r"\[cell\] v_rest = 0.5: this is for neurons that leak.*Set neuron = leaky_integrate_and_fire",
        ),
        (
            {"v_reset": -0.5},
            r"\[cell\] v_reset = -0.5 is what a hard reset.*Received: reset = subtract. Set reset = zero",
        ),
        (
            {"tau_ref": 2.0, "signed_spikes": True},
            r"signed_spikes = True: neurons that take spikes back have none of these. Received: tau_ref = 2.0",
        ),
        (
            {"tau_ref": 2.0, "schedule": "layer_synchronous"},
            r"layer_synchronous needs neurons that integrate all.*Received: \[cell\] tau_ref = 2.0. Set schedule = step",
        ),
        (
            {**LEAKY, "calibration": "gradient"},
            r"calibration = gradient is for integrate-and-fire neurons.*\[cell\] neuron = leaky_integrate_and_fire",
        ),
        (
            {"tau_s": 2.0, "spike_code": "latency"},
            r"spike_code = latency has neurons of its own.*Received: \[cell\] tau_s = 2.0. Set spike_code = rate",
        ),
    ],
)
def test_what_contradicts_itself_is_refused(changes, message):
    with pytest.raises(snn.ConfigurationError, match=message):
        snn.Settings().replace(**changes)


def test_snn_toolbox_time_constants_do_what_its_simulator_does_with_them(tmp_path):
    """None of them leaks or filters there; the input of a refractory neuron is lost."""
    settings = read(tmp_path, "[cell]\ntau_m = 20\ntau_syn_E = 5\ncm = 0.5\n")
    assert settings.cell == snn.Settings().cell
    assert len(settings.notes) == 3
    assert any("tau_m = 20 has no effect, as in snn_toolbox's INI simulator" in note for note in settings.notes)
    assert any("tau_syn_E = 5 has no effect: currents are not filtered" in note for note in settings.notes)


@pytest.mark.parametrize(("tau_refrac", "dt", "timesteps"), [(1, 1, 0), (3, 1, 2), (2.5, 1, 2), (2, 0.5, 3)])
def test_refractory_periods_of_snn_toolbox(tau_refrac, dt, timesteps, tmp_path):
    """Its simulator masks the input where `refrac_until > time`, with refrac_until = time of the spike + tau_refrac."""
    times = dt * np.arange(1, 20)
    assert (tau_refrac > times).sum() == timesteps
    settings = read(tmp_path, f"[simulation]\ndt = {dt}\n[cell]\ntau_refrac = {tau_refrac}\n")
    assert settings.cell.refractory_input == "lost"
    assert IntegrateAndFire(tau_ref=settings.cell.tau_ref, dt=dt).refractory_timesteps == timesteps
    assert any(f"tau_refrac = {tau_refrac} is read as tau_ref" in note for note in settings.notes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tau_refrac = 2\ntau_ref = 2\n", r"tau_refrac = 2 and tau_ref = 2 are both refractory periods. Give one"),
        ("tau_refrac = long\n", r"\[cell\] tau_refrac: Expected a number of ms, 0 or more. Received: 'long'"),
        ("tau_refrac = -1\n", r"\[cell\] tau_refrac: Expected a number of ms, 0 or more. Received: '-1'"),
        ("leak = True\n", r"\[cell\] leak = True is not supported: .*neuron = leaky_integrate_and_fire, with tau_m"),
        ("neuron = leaky_integrate_and_fir\n", r"Did you mean 'leaky_integrate_and_fire'\?"),
    ],
)
def test_what_is_wrong_with_neurons_of_a_file(text, message, tmp_path):
    with pytest.raises(snn.ConfigurationError, match=message):
        read(tmp_path, f"[cell]\n{text}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model, and data beside it."""
    folder = tmp_path_factory.mktemp("neurons")
    keras.utils.set_random_seed(3)
    rng = np.random.default_rng(3)
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(6, "relu", name="hidden"), keras.layers.Dense(3)])
    model.save(folder / "net.keras")
    for name, count in (("x_test", 12), ("x_norm", 40)):
        np.savez(folder / f"{name}.npz", rng.random((count, 5), dtype=np.float32))
    return folder


FLAGS = ["--neuron", "LIF", "--tau-m", "20", "--tau-ref", "1", "--dt", "0.5", "--timesteps", "8"]


def test_a_run_has_these_neurons_and_says_so(folder, capsys):
    assert main(["run", str(folder / "net.keras"), "--runlabel", "leaky", "--percentile", "99.9", *FLAGS]) == 0
    expected = LeakyIntegrateAndFire(tau_m=20.0, tau_ref=1.0, dt=0.5)
    model_snn = snn.load_model(folder / "leaky/net_snn.keras")
    assert [node.neuron for node in model_snn.network.graph.of_type(Population)] == [expected]
    capsys.readouterr()
    # The network's own timestep, and so its own duration.
    assert main(["evaluate", str(folder / "leaky/net_snn.keras"), "--no-evaluate-ann", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["settings"]["simulation"]["dt"], record["settings"]["simulation"]["duration"]) == (0.5, 4.0)
    assert record["settings"]["cell"]["tau_m"] == 20.0
    assert record["settings"]["cell"]["neuron"] == "leaky_integrate_and_fire"


def test_a_network_keeps_the_length_of_its_timesteps(folder):
    neuron, x = IntegrateAndFire(tau_ref=1.0), np.load(folder / "x_norm.npz")["arr_0"]
    model_snn = snn.convert_keras(
        keras.saving.load_model(folder / "net.keras"), x, percentile=99.9, neuron=neuron, dt=0.5
    )
    model_snn.save(folder / "resting.keras")
    settings = snn.Settings().replace(path_wd=str(folder), filename_snn="resting", convert=False, evaluate_ann=False)
    with pytest.raises(
        snn.ConfigurationError, match=r"\[simulation\] dt = 1: the time constants.*of 0.5 ms. Set dt = 0.5"
    ):
        snn.run(settings)
