"""`compare` says how much of an error is the neuron's own: against plain neurons that receive the same currents."""

import keras
import numpy as np
import pytest

import snn_toolbox_tf as snn
from snn_toolbox_tf.analysis.plain_twins import error_of
from snn_toolbox_tf.graph import Population
from snn_toolbox_tf.neurons import IntegrateAndFire, LeakyIntegrateAndFire

L = keras.layers


def converted(model, x, neuron, **options):
    return snn.convert_keras(model, x, neuron=neuron, percentile=100, **options)


@pytest.fixture
def one_neuron():
    """Its activation is its input, its threshold the largest, 1, times the headroom for one refractory timestep, 2.5."""
    return keras.Sequential([keras.Input((1,)), L.Dense(1, "relu", kernel_initializer="ones", name="a"), L.Dense(1)])


def test_spikes_that_a_refractory_period_loses_are_the_neurons_own(one_neuron):
    """I = theta / 2 from v = theta / 2: plain neurons fire at 1, 3, 5, ...; of three timesteps, these lose one."""
    model_snn = converted(
        one_neuron, np.ones((4, 1), "float32"), IntegrateAndFire(tau_ref=1.0, refractory_input="lost")
    )
    assert float(model_snn.thresholds()["a_relu"].item()) == 2.5
    (row,) = snn.compare(one_neuron, model_snn, np.array([[1.25]], "float32"), timesteps=12).populations
    assert row.firing_rate == pytest.approx(4 / 12)
    assert row.added == pytest.approx((6 - 4) / 12 / 0.5)
    assert row.neuron == pytest.approx((6 - 4) / 12 / 0.5)
    assert row.cause == "refractory period"


def test_what_makes_up_for_a_leak_is_no_input_of_plain_neurons(one_neuron):
    """The current that compensates would have them fire more; without it, they give floor(T I / theta + 1/2) spikes."""
    x = np.linspace(0.1, 1.0, 10, dtype="float32")[:, np.newaxis]
    model_snn = converted(one_neuron, x, LeakyIntegrateAndFire(tau_m=10.0))
    assert model_snn.network.graph["a_relu"].added_bias is not None
    (row,) = snn.compare(one_neuron, model_snn, x, timesteps=33).populations
    counts = model_snn.simulate(x, timesteps=33, record="spike_counts").sample_spike_counts["a_relu"]
    plain = np.floor(33 * x.astype(float) + 0.5)
    assert row.neuron == pytest.approx(np.linalg.norm(counts - plain) / 33 / np.linalg.norm(x), rel=1e-5)
    assert row.added == pytest.approx(np.linalg.norm(counts / 33 - x) / np.linalg.norm(x), rel=1e-5)


def test_neurons_behind_others_are_compared_at_the_spikes_that_really_come(rng):
    """A plain population behind a leaky one loses nothing by its neuron, whatever comes."""
    model = keras.Sequential(
        [keras.Input((6,)), L.Dense(12, "relu", name="a"), L.Dense(8, "relu", name="b"), L.Dense(2)]
    )
    x = rng.random((20, 6), dtype=np.float32)
    model_snn = converted(model, x, {"a_relu": LeakyIntegrateAndFire(tau_m=5.0)})
    first, second = snn.compare(model, model_snn, x, 32).populations
    assert first.neuron > 0
    assert second.neuron == 0
    assert second.relative_error > 0
    # With the twins beside them, the neurons fire as they do alone.
    counts = model_snn.simulate(x, timesteps=32, record="spike_counts").sample_spike_counts
    assert second.firing_rate == pytest.approx(float(counts["b_relu"].mean() / 32))


def test_plain_neurons_lose_nothing_by_themselves(one_neuron):
    x = np.ones((4, 1), "float32")
    (row,) = snn.compare(one_neuron, snn.convert_keras(one_neuron, x, percentile=100), x, 8).populations
    assert row.neuron == 0


def test_a_perfect_neuron_in_other_words_is_a_plain_one(one_neuron):
    x = np.ones((4, 1), "float32")
    model_snn = converted(one_neuron, x, LeakyIntegrateAndFire(tau_m=float("inf")))
    assert model_snn.network.graph.of_type(Population)[0].neuron.integrates_perfectly
    assert snn.compare(one_neuron, model_snn, x, 8).populations[0].neuron == 0


@pytest.mark.parametrize(
    ("neuron", "name"),
    [
        (IntegrateAndFire(reset="zero"), "reset"),
        (LeakyIntegrateAndFire(tau_m=9.0), "leak"),
        (IntegrateAndFire(tau_ref=2.0), "refractory period"),
        (IntegrateAndFire(tau_s=2.0), "synaptic filter"),
        (IntegrateAndFire(adaptation=0.1), "adaptation"),
        (LeakyIntegrateAndFire(tau_m=9.0, tau_s=2.0), "neuron"),
    ],
)
def test_the_error_is_named_after_the_one_reason_for_it(neuron, name):
    assert error_of(neuron) == name


@pytest.mark.parametrize(
    ("neuron", "finding", "advice"),
    [
        (
            IntegrateAndFire(tau_ref=3.0, refractory_input="lost"),
            "rest after each spike",
            "a shorter refractory period",
        ),
        (IntegrateAndFire(tau_s=8.0), "pass currents on late", "a shorter tau_s"),
        (IntegrateAndFire(adaptation=1.0), "each spike raises its thresholds", "a smaller `adaptation`"),
        (
            LeakyIntegrateAndFire(tau_m=3.0, tau_s=4.0),
            "plain integrate-and-fire neurons would not lose it",
            "plain neurons",
        ),
    ],
)
def test_the_diagnosis_names_the_neuron(one_neuron, neuron, finding, advice):
    x = np.linspace(0.5, 1.0, 10, dtype="float32")[:, np.newaxis]
    diagnosis = snn.compare(one_neuron, converted(one_neuron, x, neuron), x, 16).diagnosis
    assert finding in diagnosis
    assert advice in diagnosis.partition("Next: ")[2]
