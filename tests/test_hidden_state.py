"""Neurons that keep more than a membrane potential: closed forms, both implementations, blocks, layers, gradients."""

import itertools
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import IMPLEMENTATIONS, needs_native

import snn_toolbox_tf as snn
from snn_toolbox_tf import ops
from snn_toolbox_tf.graph import Population
from snn_toolbox_tf.neurons import IntegrateAndFire, LeakyIntegrateAndFire, neuron_from_config

KINDS = [
    {"reset": reset, "v_reset": -0.25 if reset == "zero" else 0.0, "tau_s": tau_s, "synapse": synapse, **rest}
    for reset, (tau_s, synapse), rest in itertools.product(
        ("subtract", "zero"),
        ((0.0, "exponential"), (3.0, "exponential"), (3.0, "alpha")),
        (
            {},
            {"tau_ref": 2.0},
            {"tau_ref": 3.0, "refractory_input": "lost"},
            {"adaptation": 0.5, "tau_a": 5.0},
            {"tau_ref": 1.0, "adaptation": 0.25},
        ),
    )
]


def spikes_of(neuron, currents):
    """The spike train of one neuron from potential 0 on, with threshold 1."""
    current = tf.constant(np.asarray(currents, np.float32)[:, np.newaxis, np.newaxis])
    block = ops.integrate_fire(current, tf.zeros([1, 1]), tf.constant(1.0), timesteps=len(currents), neuron=neuron)
    return block.spikes.numpy().ravel()


def intervals(neuron, current, timesteps):
    return set(np.diff(np.flatnonzero(spikes_of(neuron, [current] * timesteps))))


@needs_native
@pytest.mark.few(8)
@pytest.mark.parametrize("leak", [{}, {"tau_m": 7.0, "v_rest": 0.125}], ids=["perfect", "leaky"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: "-".join(map(str, kind.values())))
def test_native_equals_reference_over_blocks(kind, leak, rng):
    neuron = LeakyIntegrateAndFire(**leak, **kind) if leak else IntegrateAndFire(**kind)
    current = tf.constant(rng.normal(0.3, 0.5, (12, 3, 37)), tf.float32)
    theta = tf.constant(rng.uniform(0.5, 1.5, 37), tf.float32)
    found = {}
    for name in ("native", "reference"):
        with ops.use(name):
            parts, v, hidden = [], tf.fill([3, 37], 0.5), None
            for block in (current[:5], current[5:6], current[6:]):
                part = ops.integrate_fire(
                    block, v, theta, timesteps=len(block), neuron=neuron, hidden=hidden, return_trace=True
                )
                parts.append(part)
                v, hidden = part.membrane_potential, part.hidden
            found[name] = parts
    assert sum(part.spikes.numpy().sum() for part in found["native"]) > 20
    for ours, theirs in zip(found["native"], found["reference"], strict=True):
        np.testing.assert_array_equal(ours.spikes, theirs.spikes)
        np.testing.assert_array_equal(ours.trace, theirs.trace)
        for name, tensor in theirs.hidden.items():
            np.testing.assert_array_equal(ours.hidden[name], tensor, err_msg=name)
    whole = ops.integrate_fire(current, tf.fill([3, 37], 0.5), theta, timesteps=12, neuron=neuron).spikes.numpy()
    np.testing.assert_array_equal(whole, np.concatenate([part.spikes.numpy() for part in found["native"]]))


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_interspike_interval_of_a_leaky_neuron_with_refractory_period(implementation):
    """t_ref + tau ln((R I - v_reset) / (R I - theta)), R = tau, the charging time rounded up to whole timesteps."""
    for tau, current, v_reset, t_ref in ((20.0, 0.06, 0.0, 3.0), (10.0, 0.2, -0.5, 2.0)):
        charging = tau * math.log((tau * current - v_reset) / (tau * current - 1.0))
        neuron = LeakyIntegrateAndFire(
            tau_m=tau, tau_ref=t_ref, refractory_input="lost", reset="zero", v_reset=v_reset, v0=0.0
        )
        with ops.use(implementation):
            assert intervals(neuron, current, 400) == {math.ceil(charging) + int(t_ref)}


def test_error_against_dt_has_slope_one():
    """The firing rate of a leaky neuron with hard reset, in spikes per ms, against its closed form."""
    tau, current, t_ref, duration = 20.0, 0.0817, 2.0, 4000.0
    exact = 1.0 / (t_ref + tau * math.log(tau * current / (tau * current - 1.0)))
    steps, errors = np.array([2.0, 1.0, 0.5, 0.25, 0.125]), []
    for dt in steps:
        neuron = LeakyIntegrateAndFire(tau_m=tau, dt=dt, tau_ref=t_ref, refractory_input="lost", reset="zero", v0=0.0)
        (interval,) = intervals(neuron, current * dt, int(duration / dt))
        errors.append(abs(1.0 / (interval * dt) - exact))
    # An interval is rounded up by less than one timestep.
    assert all(error <= exact**2 * dt for error, dt in zip(errors, steps, strict=True))
    assert 0.5 < np.polyfit(np.log(steps), np.log(np.maximum(errors, 1e-9)), 1)[0] < 1.6


def test_the_refractory_period_bounds_the_rate_and_keeps_or_loses_charge():
    """Current 0.5, threshold 1, two refractory timesteps: by hand."""
    integrating, losing = (IntegrateAndFire(tau_ref=2.0, refractory_input=word) for word in ("integrated", "lost"))
    assert spikes_of(integrating, [0.5] * 8).tolist() == [0, 1, 0, 0, 1, 0, 0, 1]
    assert spikes_of(losing, [0.5] * 10).tolist() == [0, 1, 0, 0, 0, 1, 0, 0, 0, 1]
    # What waits is not lost: it comes out when the current has gone.
    assert spikes_of(integrating, [2.0, 0, 0, 0, 0]).tolist() == [1, 0, 0, 1, 0]
    assert spikes_of(integrating, [5.0] * 9).mean() == pytest.approx(integrating.highest_rate)


@pytest.mark.parametrize("synapse", ["exponential", "alpha"])
def test_a_synaptic_filter_keeps_charge_and_delays_it(synapse):
    neuron = IntegrateAndFire(tau_s=3.0, synapse=synapse, v0=0.0)
    charge = tf.constant([[[1.0]]] + [[[0.0]]] * 199)
    trace = (
        ops.integrate_fire(charge, tf.zeros([1, 1]), tf.constant(9.0), timesteps=200, neuron=neuron, return_trace=True)
        .trace.numpy()
        .ravel()
    )
    arriving = np.diff([0.0, *trace])
    assert trace[-1] == pytest.approx(1.0, abs=1e-5)
    assert (arriving * np.arange(200)).sum() == pytest.approx(neuron.synaptic_delay, rel=1e-4)
    if synapse == "exponential":
        np.testing.assert_allclose(arriving[1:20] / arriving[:19], math.exp(-1 / 3), rtol=1e-4)


def test_an_adapting_threshold_slows_a_neuron_down():
    """Each spike raises the threshold by half of itself, for good: spikes cost 1, 1.5, 2, ..."""
    train = spikes_of(IntegrateAndFire(adaptation=0.5), [0.5] * 25)
    # Charges of 1, then 1.5, then 2, 2.5, 3, 3.5 more.
    assert (1 + np.flatnonzero(train)).tolist() == [2, 5, 9, 14, 20]


def test_without_time_constants_nothing_changes():
    assert IntegrateAndFire(tau_ref=0.0, tau_s=0.0, adaptation=0.0).is_plain
    neuron = IntegrateAndFire(tau_ref=2.5, dt=1.0)
    assert neuron.refractory_timesteps == 3
    assert LeakyIntegrateAndFire(tau_m=10.0, dt=0.5).retention == pytest.approx(math.exp(-0.05))
    assert neuron_from_config(neuron.get_config()) == neuron
    assert not neuron.integrates_perfectly


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"tau_ref": -1.0}, "Expected `tau_ref` to be a finite number of ms, 0 or more. Received: tau_ref=-1.0"),
        ({"tau_s": math.inf}, "Expected `tau_s` to be a finite number of ms"),
        ({"tau_a": 0.0}, "Expected `tau_a` to be a positive number of ms, or infinite"),
        ({"dt": math.nan}, "Expected `dt` to be a positive number of ms"),
        ({"adaptation": "much"}, "Expected `adaptation` to be a finite number, 0 or more. Received: adaptation='much'"),
        ({"synapse": "beta"}, "Unknown `synapse`"),
        ({"refractory_input": "kept"}, "Unknown `refractory_input`"),
        ({"v_reset": 0.5}, "Expected reset='zero' with it, or v_reset=0"),
        ({"v_reset": 1.0, "reset": "zero"}, "Expected `v_reset` to be less than 1"),
        ({"signed_spikes": True, "tau_s": 1.0}, "Expected signed_spikes=False with any of them"),
    ],
)
def test_parameters_out_of_range_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        IntegrateAndFire(**parameters)


def test_hidden_state_must_fit():
    neuron, v = IntegrateAndFire(tau_s=2.0), tf.zeros([2, 3])
    with pytest.raises(ValueError, match=r"Expected `hidden` with \['synaptic_current'\]"):
        ops.integrate_fire(v, v, tf.constant(1.0), timesteps=1, neuron=neuron, hidden={"refractory": v})
    with pytest.raises(ValueError, match=r"Expected hidden\['synaptic_current'\] of shape \(2, 3\)"):
        ops.integrate_fire(v, v, tf.constant(1.0), timesteps=1, neuron=neuron, hidden={"synaptic_current": v[:1]})
    layer = snn.SpikingNeurons(neuron=neuron)
    with pytest.raises(ValueError, match="Expected a list of 2 tensors as `state`"):
        layer(v, [v])


def test_the_layer_keeps_hidden_state_alone_in_an_rnn_and_between_calls(rng):
    neuron = LeakyIntegrateAndFire(tau_m=10.0, tau_ref=1.0, tau_s=2.0, v0=0.0)
    currents = tf.constant(rng.uniform(0, 1, (2, 12, 5)), tf.float32)
    expected = ops.integrate_fire(
        tf.transpose(currents, [1, 0, 2]), tf.zeros([2, 5]), tf.constant(1.0), timesteps=12, neuron=neuron
    ).spikes.numpy()
    assert expected.any()
    in_rnn = keras.layers.RNN(snn.SpikingNeurons(neuron=neuron), return_sequences=True)(currents)
    np.testing.assert_array_equal(np.transpose(in_rnn, [1, 0, 2]), expected)
    stateful = snn.SpikingNeurons(neuron=neuron, stateful=True)
    for _ in range(2):
        np.testing.assert_array_equal([stateful(currents[:, t]) for t in range(12)], expected)
        stateful.reset_state()


@pytest.mark.parametrize("kind", [{"tau_s": 2.0}, {"tau_ref": 2.0, "refractory_input": "lost"}])
def test_gradients_pass_filters_and_stop_at_refractory_periods(kind):
    neuron, v = IntegrateAndFire(v0=0.0, **kind), tf.zeros([1, 1])
    current = tf.constant([[[1.0]], [[0.9]], [[0.1]]])
    with tf.GradientTape() as tape:
        tape.watch(current)
        block = ops.integrate_fire(
            current, v, tf.constant(1.0), timesteps=3, neuron=neuron, surrogate_gradient="triangle"
        )
        last = tf.reduce_sum(block.membrane_potential)
    gradient = tape.gradient(last, current).numpy().ravel()
    if "tau_s" in kind:
        passed = 1.0 - math.exp(-0.5)
        np.testing.assert_allclose(gradient, [1 - math.exp(-1.5), 1 - math.exp(-1.0), passed], rtol=1e-5)
    else:
        # The spike of the first timestep: what comes in the two behind it is lost.
        assert gradient.tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("engine", ["dense", "event"])
def test_a_network_carries_hidden_state_over_blocks_and_streams(engine, rng):
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16, "relu"), keras.layers.Dense(16, "relu")])
    x = rng.random((6, 8), dtype=np.float32)
    neuron = LeakyIntegrateAndFire(tau_m=20.0, tau_ref=1.0, tau_s=2.0)
    graph = snn.convert_keras(model, x, percentile=99.0, engine=engine).network.graph_with_weights()
    for node in graph.of_type(Population):
        node.neuron = neuron
    trains = []
    for length in (1, 5, 16):
        model_snn = snn.SpikingModel(graph.copy(), timesteps=16, block_length=length, engine=engine)
        trains.append(model_snn.simulate(x, record=["spikes"]).spikes)
    for name, train in trains[0].items():
        assert train.any()
        assert not (train[1:] * train[:-1]).any()  # refractory
        for other in trains[1:]:
            np.testing.assert_array_equal(train, other[name])
    outputs = [model_snn.step(x) for _ in range(16)][-1]
    np.testing.assert_array_equal(outputs, model_snn.predict(x, verbose=0))
