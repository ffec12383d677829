"""Energy: counts against NumPy, balances against sums made by hand and against other tools' formulae."""

import dataclasses
import json
import math

import keras
import numpy as np
import pytest

import snn_toolbox_tf as snn
from snn_toolbox_tf.config import output_sections
from snn_toolbox_tf.costs.ann import activation_bits, baselines
from snn_toolbox_tf.costs.energy import energy_of
from snn_toolbox_tf.costs.hardware import HARDWARE, access_energy, hardware_of
from snn_toolbox_tf.costs.lines import total
from snn_toolbox_tf.report.summary import summarize
from snn_toolbox_tf.report.sweep_table import sweep_as_text
from snn_toolbox_tf.simulation.workload import PopulationWork, SynapseWork, Workload

L = keras.layers


@pytest.fixture(scope="module")
def network():
    """A network with borders, strides, pooling and a dense layer, its data and its simulation."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            L.Conv2D(3, 3, activation="relu", padding="same", name="first"),
            L.MaxPooling2D(name="pool"),
            L.Conv2D(5, 3, strides=2, padding="same", activation="relu", bias_initializer="uniform", name="second"),
            L.Flatten(),
            L.Dense(4, name="out"),
        ]
    )
    x = np.random.default_rng(0).random((10, 8, 8, 1)).astype(np.float32)
    model_snn = snn.convert_keras(model, x, timesteps=12, corrections=())
    return model_snn, x, model_snn.simulate(x, record=["spikes"], batch_size=4)


def entry(workload, name):
    """Synapses before populations and outputs, which may have the same name."""
    return next(one for one in (*workload.synapses, *workload.populations) if one.name == name)


class TestCounts:
    def test_spikes_that_arrive_are_those_that_were_fired(self, network):
        _, _, result = network
        fired = {name: spikes.sum(axis=(0, 2, 3, 4)).mean() for name, spikes in result.spikes.items()}
        workload = result.workload
        assert entry(workload, "second").arriving_spikes == pytest.approx(fired["first_relu"])
        assert entry(workload, "out").arriving_spikes == pytest.approx(fired["second_relu"])
        assert entry(workload, "first_relu").spikes == pytest.approx(fired["first_relu"])

    def test_active_connections_are_those_behind_neurons_that_fired(self, network):
        _, _, result = network
        fired = result.spikes["first_relu"].any(axis=0).astype(np.float64)
        # Of a window of 3 with stride 2 and padding on one side only, a pixel is in one or two windows along each axis.
        along = np.array([1, 1, 2, 1])
        connections = np.einsum("nhwc,h,w->n", fired, along, along) * 5
        assert entry(result.workload, "second").active_connections == pytest.approx(connections.mean())
        fired = result.spikes["second_relu"].any(axis=0).sum(axis=(1, 2, 3))
        assert entry(result.workload, "out").active_connections == pytest.approx((fired * 4).mean())

    def test_what_the_network_consists_of(self, network):
        _, _, result = network
        second = entry(result.workload, "second")
        assert (second.inputs, second.outputs, second.weights, second.stored_biases) == (4 * 4 * 3, 2 * 2 * 5, 135, 5)
        assert (second.dimensions, second.biased_outputs) == (2, 20)
        first = entry(result.workload, "first")
        assert (first.reads, first.synaptic_operations) == ("constant", 0)
        assert first.multiply_accumulates == pytest.approx(22 * 22 * 3)
        assert entry(result.workload, "out").dimensions == 0
        assert [one.neurons for one in result.workload.populations] == [4 * 4 * 3, 2 * 2 * 5, 4]
        assert [one.spiking for one in result.workload.populations] == [True, True, False]
        assert result.workload.timesteps == 12

    def test_they_are_the_means_of_what_each_sample_has(self, network):
        _, _, result = network
        for synapse in result.workload.synapses:
            if synapse.reads == "spikes":
                assert synapse.synaptic_operations == pytest.approx(result.synaptic_operations[synapse.name].mean())

    def test_they_do_not_depend_on_batches_and_outlive_files(self, network, tmp_path):
        model_snn, x, result = network
        again = model_snn.simulate(x, batch_size=10)
        for one, other in zip(result.workload.synapses, again.workload.synapses, strict=True):
            for key, value in dataclasses.asdict(one).items():
                assert getattr(other, key) == (value if isinstance(value, str) else pytest.approx(value)), key
        result.save(tmp_path / "result.npz")
        assert snn.SimulationResult.load(tmp_path / "result.npz").workload == result.workload

    def test_samples_that_exit_early_count_until_then(self, network):
        model_snn, x, _ = network
        result = model_snn.simulate(x, early_exit=snn.EarlyExit(confidence=0.3))
        assert result.mean_timesteps < 12
        assert result.workload.timesteps == pytest.approx(result.mean_timesteps)

    def test_poisson_input_arrives(self, network):
        model_snn, x, _ = network
        result = model_snn.simulate(x, input="poisson", timesteps=50)
        largest = x.max()
        expected = 50 * (x / largest).sum(axis=(1, 2, 3)).mean()
        assert entry(result.workload, "first").arriving_spikes == pytest.approx(expected, rel=0.05)

    def test_leaks_are_known(self):
        model = keras.Sequential([keras.Input((4,)), L.Dense(6, "relu"), L.Dense(2)])
        x = np.random.default_rng(0).random((10, 4)).astype(np.float32)
        neuron = snn.neurons.LeakyIntegrateAndFire(tau_m=20.0)
        result = snn.convert_keras(model, x, timesteps=4, neuron=neuron, corrections=()).simulate(x)
        assert [one.leaky for one in result.workload.populations] == [True, False]
        (line,) = [line for line in snn.energy(result).lines if line.name == "leaks"]
        assert (line.count, line.energy) == (6 * 4, pytest.approx(6 * 4 * 4.6))


#: A dense layer that reads the analog input, one that reads spikes, one population and one output.
BY_HAND = Workload(
    (
        SynapseWork("a", "constant", 3, 5, 15.0, 15, 5, 5, 0, multiply_accumulates=15.0),
        SynapseWork("b", "spikes", 5, 2, 10.0, 10, 2, 2, 0, 7.0, 14.0, 0.0, 8.0),
    ),
    (PopulationWork("n", 5, leaky=False, spiking=True, spikes=7.0), PopulationWork("o", 2, leaky=False, spiking=False)),
    timesteps=4.0,
)


class TestByHand:
    def test_operations_at_45_nm(self):
        found = energy_of(BY_HAND, "45nm")
        # 15 MACs, 14 events, 4 * (5 + 2) biases, as many updates, 7 resets.
        assert found.energy == pytest.approx(15 * 4.6 + (14 + 28 + 28 + 7) * 0.9)
        assert {line.name: (line.count, line.grows) for line in found.lines} == {
            "synaptic events": (14, "spikes"),
            "biases": (28, "timesteps"),
            "MACs of the input": (15, "once"),
            "neuron updates": (28, "timesteps"),
            "resets": (7, "spikes"),
        }

    def test_baselines(self):
        fp32, int8, few_bits = energy_of(BY_HAND).baselines
        assert (fp32.energy, int8.energy) == (pytest.approx(25 * 4.6), pytest.approx(25 * 0.23))
        # ceil(log2(4 + 1)) = 3 bits.
        assert few_bits.name == "ANN with 3-bit activations"
        assert few_bits.energy == pytest.approx(25 * (0.2 * 3 / 8 + 0.03))

    def test_zeros_are_skipped_where_spikes_are_read(self):
        assert energy_of(BY_HAND, zero_skipping=True).baselines[0].energy == pytest.approx((15 + 8) * 4.6)

    def test_memory(self):
        """All memories here are smaller than 8 kB: 10 pJ an access."""
        found = energy_of(BY_HAND, "45nm", memory=True)
        accesses = (
            2 * 15  # input and weight of each MAC
            + 14 + 2 * 14  # of each event the weight, and the potential read and written
            + 7 + 7  # spikes written and read
            + 28  # biases
            + 2 * 28  # potentials at updates
        )  # fmt: skip
        assert found.energy - energy_of(BY_HAND, "45nm").energy == pytest.approx(accesses * 10 + 14 * 0.1)

    def test_memory_of_the_ann(self):
        (fp32, *_), (without, *_) = (
            baselines(BY_HAND, memory=with_it, zero_skipping=False) for with_it in (True, False)
        )
        accesses = 25 + (3 + 5) + (5 + 2) + (5 + 2)  # weights, inputs read once, outputs, biases
        assert fp32.energy - without.energy == pytest.approx(accesses * 10 + 25 * 0.1)

    def test_chips_take_a_host_for_real_valued_input(self):
        found = energy_of(BY_HAND, "loihi")
        # KerasSpiking's ModelEnergy: events times energy of an event, neurons times timesteps times energy of an update.
        assert found.energy == pytest.approx(14 * 27.1 + 28 * 81 + 15 * 4.6)
        assert "MACs of the input, by a host" in str(found)

    def test_hardware_of_ones_own(self):
        found = energy_of(BY_HAND, {"synaptic_event": 2.0, "neuron_update": 3.0, "multiply_accumulate": 5.0})
        assert found.energy == 14 * 2 + 28 * 3 + 15 * 5
        assert found.hardware.name == "stated by the user"

    def test_break_even(self):
        found = energy_of(BY_HAND, "45nm")
        fp32 = found.baselines[0]
        steps = found.break_even_timesteps(fp32)
        growing = (14 + 28 + 28 + 7) * 0.9
        assert 15 * 4.6 + growing * steps / 4 == pytest.approx(fp32.energy)
        spikes = found.break_even_spikes(fp32)
        share = spikes / (14 / 10)
        assert 15 * 4.6 + (28 + 28) * 0.9 + share * (14 + 7) * 0.9 == pytest.approx(fp32.energy) or spikes == 0
        assert found.workload.spikes_per_synapse == pytest.approx(1.4)


def test_lemaire_s_equations_for_a_convolution():
    """As their authors' public tool has them, of a convolution without borders and strides: every spike has a whole window.

    Events: spikes * window * outputs (1.4); weights (7); potentials (14), which we also read; addresses (16).
    """
    spikes, window, channels, neurons, steps = 11.0, 9, 4, 100, 8
    events = spikes * window * channels
    work = Workload(
        (SynapseWork("c", "spikes", 100, neurons, 900.0, 36, 0, 0, 2, spikes, events),),
        (PopulationWork("n", neurons, leaky=False, spiking=True, spikes=5.0),),
        float(steps),
    )
    found = {line.name: line for line in energy_of(work, "45nm", memory=True).lines}
    small = access_energy(1, 32)
    assert found["memory: weights"].energy == pytest.approx(events * small)
    potentials = found["memory: potentials of events"].energy + found["memory: potentials of updates"].energy
    assert potentials == pytest.approx(2 * (events + neurons * steps) * small)
    assert found["addresses"].energy == pytest.approx(events * 0.1 + 2 * spikes * (0.1 + 3.1))
    assert found["synaptic events"].count + found["neuron updates"].count + found["resets"].count == pytest.approx(
        events + steps * neurons + 5
    )


@pytest.mark.parametrize(
    ("elements", "bits", "expected"),
    [(1, 32, 10.0), (2048, 32, 10.0), (8192, 32, 20.0), (262144, 32, 100.0), (5120, 32, 15.0), (10**9, 32, 1300.0)],
)
def test_accesses_cost_what_horowitz_lists(elements, bits, expected):
    assert access_energy(elements, bits) == pytest.approx(expected)


def test_bits_that_say_as_much_as_timesteps():
    assert [activation_bits(steps) for steps in (1, 2, 3, 7, 8, 255)] == [1, 2, 2, 3, 4, 8]


@pytest.mark.parametrize("name", HARDWARE)
def test_every_hardware_has_a_source(name):
    assert hardware_of(name.upper()).source
    assert energy_of(BY_HAND, name).energy > 0


@pytest.mark.parametrize(
    ("workload", "hardware", "verdict"),
    [
        (BY_HAND, "45nm", "It pays against none of them. Against the ANN in FP32 it would pay with up to 2 timesteps at"),
        (BY_HAND, "45nm-int8", "It pays against the ANN in FP32, and not against the ANN in INT8 and the ANN with 3-bit"),
        (BY_HAND, {"synaptic_event": 1e-3, "neuron_update": 1e-3, "multiply_accumulate": 1e-3}, "It pays against all"),
        (BY_HAND, "spinnaker", "it never would: a single timestep at these firing rates costs more"),
        (BY_HAND, {"synaptic_event": 1.0, "neuron_update": 1.0, "multiply_accumulate": 99.0},
         "it never would: what depends neither on spikes nor on time costs more already"),
        (dataclasses.replace(BY_HAND, synapses=BY_HAND.synapses[1:]), {"synaptic_event": 9.0, "neuron_update": 0.0},
         "it would pay with up to 1 timestep at these firing rates, or up to 0.51 spikes a synapse in 4 timesteps"),
    ],
)  # fmt: skip
def test_the_verdict_is_said_in_words(workload, hardware, verdict):
    found = energy_of(workload, hardware)
    assert verdict in found.verdict
    assert found.verdict in str(found)


def test_results_are_plain_data_and_drawn(network, tmp_path):
    _, _, result = network
    found = snn.energy(result, "45nm", memory=True)
    data = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert data["energy"] == pytest.approx(sum(line["energy"] for line in data["lines"]))
    assert [one["name"] for one in data["baselines"]] == [one.name for one in found.baselines]
    found.plot().savefig(tmp_path / "energy.png")
    assert (tmp_path / "energy.png").stat().st_size > 1000


def test_accuracy_against_energy(network, tmp_path):
    model_snn, x, _ = network
    y = model_snn.simulate(x, timesteps=200).outputs[-1].argmax(1)
    curve = snn.energy_curve(model_snn, x, y, [24, 6, 24], "loihi")
    assert curve.timesteps == (6, 24)
    assert curve.ann_accuracy is None
    assert curve.cheapest() is None
    once = total(curve.energies[0].lines, "once")
    assert curve.energies[1].energy - once == pytest.approx(4 * (curve.energies[0].energy - once), rel=0.3)
    nearest = dataclasses.replace(curve, ann_accuracy=curve.accuracy[1])
    assert nearest.cheapest() == (6 if curve.accuracy[0] >= curve.accuracy[1] - 0.01 else 24)
    nearest.plot().savefig(tmp_path / "curve.png")
    assert str(curve).count("x") >= 6
    assert math.isfinite(curve.as_dict()["operations"][0])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"hardware": "45mn"}, ValueError, r"Unknown `hardware`.*Received: hardware='45mn'.*Did you mean '45nm'"),
        ({"hardware": 45}, TypeError, "Expected `hardware` to be a name.*Received: int"),
        ({"hardware": {"synaptic_event": 1.0}}, ValueError, "'synaptic_event' and 'neuron_update'"),
        ({"hardware": {"synaptic_event": 1.0, "neuron_update": 1.0, "mac": 1.0}}, ValueError, "Received: .*'mac'"),
        ({"hardware": {"synaptic_event": -1.0, "neuron_update": 1.0}}, ValueError, "`synaptic_event` .* 0 or more"),
        ({"hardware": {"synaptic_event": math.nan, "neuron_update": 1.0}}, ValueError, "Received: nan"),
        ({"hardware": {"synaptic_event": 1, "neuron_update": 1, "bits": 0}}, ValueError, "`bits`.*positive integer"),
        ({"hardware": "loihi", "memory": True}, ValueError, "'Loihi' contain its memory.*Received: memory=True"),
    ],
)
def test_what_is_refused(network, arguments, error, message):
    with pytest.raises(error, match=message):
        snn.energy(network[2], **arguments)


def test_other_results_are_refused(network):
    with pytest.raises(TypeError, match=r"Expected `result` to be what `simulate` gave. Received: dict"):
        snn.energy({})
    old = snn.SimulationResult(np.zeros((1, 2, 3)), [1], duration=1, samples=2)
    with pytest.raises(ValueError, match=r"does not say what was counted.*Simulate again"):
        snn.energy(old)
    with pytest.raises(ValueError, match=r"several numbers of timesteps.*Received: timesteps=\[\]"):
        snn.energy_curve(network[0], network[1], np.zeros(10), [])


@pytest.fixture
def run_of_its_own(tmp_path, rng):
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            L.Conv2D(4, 3, activation="relu", name="conv"),
            L.Flatten(),
            L.Dense(3, "softmax", name="dense"),
        ],
        name="net",
    )
    x, y = rng.random((20, 6, 6, 1), dtype=np.float32), rng.integers(0, 3, 20)
    data = {"model": model, "x_test": x, "y_test": y, "x_norm": x}
    settings = snn.Settings().replace(
        path_wd=str(tmp_path), duration=6, batch_size=8, plot_vars=[], threshold_rule="percentile"
    )
    return settings, data


def test_runs_estimate_what_the_simulation_would_spend(run_of_its_own):
    settings, data = run_of_its_own
    finished = snn.run(settings.replace(energy=["45nm", "loihi"]), **data)
    model_snn = snn.convert_keras(data["model"], data["x_norm"], timesteps=6, threshold_rule="percentile")
    result = model_snn.simulate(data["x_test"])
    expected = snn.energy(result, "45nm", memory=True), snn.energy(result, "loihi")
    for ours, theirs in zip(finished.record.energies, expected, strict=True):
        assert ours.hardware == theirs.hardware
        assert ours.energy == pytest.approx(theirs.energy)
        assert [one.energy for one in ours.baselines] == pytest.approx([one.energy for one in theirs.baselines])
    folder = finished.folder
    written = json.loads((folder / "report.json").read_text())["energies"]
    assert [entry["energy"] for entry in written] == pytest.approx([found.energy for found in expected])
    page = (folder / "report.html").read_text()
    assert page.count("Break-even spikes a synapse") == 2
    assert "Loihi, all-in figures of a chip" in page
    assert "On Loihi, a sample takes" in summarize(finished.record)


def test_sweeps_have_a_column_of_energy(run_of_its_own):
    settings, data = run_of_its_own
    swept = snn.sweep(settings.replace(energy=["loihi"]), "duration", [3, 6], **data)
    first, second = (row["energy/Loihi"] for row in swept.table)
    assert 0 < first < second
    assert "energy (Loihi)" in sweep_as_text("duration", swept.table)


def test_no_hardware_no_energy(run_of_its_own):
    settings, data = run_of_its_own
    finished = snn.run(settings.replace(energy=[]), **data)
    assert finished.record.energies == []
    assert 'id="energy"' not in (finished.folder / "report.html").read_text()
    with pytest.raises(snn.ConfigurationError, match=r"\[output\] energy: .*'lohi'.*Did you mean 'loihi'"):
        settings.replace(energy=["lohi"])


def test_settings_know_all_hardware():
    assert set(output_sections.HARDWARE) == set(HARDWARE)


def test_a_curve_of_networks_converted_for_each_number_of_timesteps(network):
    _, x, _ = network
    model = keras.Sequential([keras.Input((8, 8, 1)), L.Flatten(), L.Dense(8, "relu"), L.Dense(4)])
    made = []

    def convert(timesteps):
        made.append(snn.convert_keras(model, x, timesteps=timesteps, threshold_rule="percentile"))
        return made[-1]

    curve = snn.energy_curve(convert, x, model.predict(x, verbose=0).argmax(1), [4, 16], model=model)
    assert curve.ann_accuracy == 1
    for model_snn, found in zip(made, curve.energies, strict=True):
        assert found.energy == pytest.approx(snn.energy(model_snn.simulate(x)).energy)
    for wrong in (model, lambda timesteps: model, 3):
        with pytest.raises(TypeError, match="Expected `model_snn` to be a SpikingModel"):
            snn.energy_curve(wrong, x, np.zeros(10), [4])


def test_a_curve_needs_one_output(network):
    _, x, _ = network
    inputs = keras.Input((8, 8, 1))
    hidden = L.Dense(4, "relu")(L.Flatten()(inputs))
    model = keras.Model(inputs, [L.Dense(3)(hidden), L.Dense(2)(hidden)])
    with pytest.raises(ValueError, match=r"one output, of classes. Received: 2 outputs"):
        snn.energy_curve(snn.convert_keras(model, x, timesteps=4, corrections=()), x, np.zeros(10), [4])
