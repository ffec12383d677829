"""Samples that leave a run when they are sure of their class."""

import keras
import numpy as np
import pytest
import zoo

import snn_toolbox_tf as snn
from snn_toolbox_tf.simulation.early_exit import holds_logits
from snn_toolbox_tf.simulation.runner import Runner

L = keras.layers


def mlp_with(output, *, seed=0, units=3):
    """A network with random weights that is sure of some samples soon, and of others never."""
    wide = keras.initializers.RandomNormal(stddev=1.5, seed=seed)
    hidden = L.Dense(10, "relu", name="hidden")
    return keras.Sequential([keras.Input((6,)), hidden, L.Dense(units, output, kernel_initializer=wide, name="out")])


@pytest.fixture(scope="module")
def model_snn():
    """That network, converted for `x_mlp`; not to be changed."""
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).random((40, 6), dtype=np.float32)
    return snn.convert_keras(mlp_with("softmax"), x, timesteps=16, threshold_rule="percentile")


def exits_by_hand(outputs, confidence, *, criterion="probability", min_timesteps=1, patience=1, every=1):
    """Exit timesteps of a full run's probabilities `[timesteps, samples, classes]`, sample by sample, look by look."""
    exits = []
    for sample in np.moveaxis(outputs.astype(np.float64), 1, 0):
        looks = []
        for timestep, probabilities in enumerate(sample, start=1):
            if timestep < min_timesteps or timestep % every:
                continue
            *_, second, first = sorted(probabilities)
            sure = (first if criterion == "probability" else first - second) >= confidence
            looks.append((timestep, sure, int(np.argmax(probabilities))))
        exit_timestep = len(outputs)
        for place in range(patience - 1, len(looks)):
            run = looks[place - patience + 1 : place + 1]
            if all(sure for _, sure, _ in run) and len({chosen for _, _, chosen in run}) == 1:
                exit_timestep = run[-1][0]
                break
        exits.append(exit_timestep)
    return np.array(exits)


RULES = [
    {"confidence": 0.7},
    {"confidence": 0.5, "criterion": "margin"},
    {"confidence": 0.7, "min_timesteps": 5},
    {"confidence": 0.7, "patience": 3},
    {"confidence": 0.6, "every": 4},
    {"confidence": 0.6, "criterion": "margin", "min_timesteps": 3, "patience": 2, "every": 2},
    {"confidence": 0.0},
    {"confidence": 1.0},
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: " ".join(f"{key}={value}" for key, value in rule.items()))
def test_answers_are_those_of_the_full_run_at_the_exit(model_snn, x_mlp, rule):
    full = model_snn.simulate(x_mlp, record="spikes")
    exits = exits_by_hand(full.outputs, **rule)
    result = model_snn.simulate(x_mlp, early_exit=snn.EarlyExit(**rule), record="spike_counts", batch_size=16)
    np.testing.assert_array_equal(result.exit_timesteps, exits)
    assert result.mean_timesteps == exits.mean()
    assert (result.duration, result.samples) == (16, 40)
    samples = np.arange(40)
    for timestep in result.timesteps:
        np.testing.assert_array_equal(
            result.outputs[timestep - 1], full.outputs[np.minimum(timestep, exits) - 1, samples]
        )
    # Spikes and operations are counted until the exit.
    until = np.arange(1, 17)[:, None] <= exits
    spikes = full.spikes["hidden_relu"] * until[..., None]
    np.testing.assert_array_equal(result.sample_spike_counts["hidden_relu"], spikes.sum(axis=0))
    np.testing.assert_array_equal(result.spike_counts["hidden_relu"], spikes.sum(axis=(0, 1)))
    np.testing.assert_array_equal(result.synaptic_operations["out"], spikes.sum(axis=(0, 2)) * 3)
    np.testing.assert_array_equal(result.multiply_accumulates["hidden"], np.full(40, 60.0))
    assert result.firing_rates["hidden_relu"] == pytest.approx(spikes.sum() / 10 / exits.sum())


def test_rules_tell_samples_apart(model_snn, x_mlp):
    """The rules above are worth something only if samples leave at different times."""
    result = model_snn.simulate(x_mlp, early_exit=snn.EarlyExit(confidence=0.7))
    assert len(np.unique(result.exit_timesteps)) > 4


def test_kept_outputs_may_be_few(model_snn, x_mlp):
    rule = snn.EarlyExit(confidence=0.7, every=3)
    everything = model_snn.simulate(x_mlp, early_exit=rule)
    for outputs, rows in (("last", [15]), ([2, 7, 16], [1, 6, 15])):
        result = model_snn.simulate(x_mlp, early_exit=rule, outputs=outputs)
        np.testing.assert_array_equal(result.outputs, everything.outputs[rows])
        np.testing.assert_array_equal(result.exit_timesteps, everything.exit_timesteps)


def test_samples_that_have_answered_are_not_stepped_any_longer(model_snn, x_mlp, monkeypatch):
    stepped = []
    advance = Runner.advance

    def counted(self, inputs, state, steps, **options):
        stepped.append(steps * len(options["sample_index"]))
        return advance(self, inputs, state, steps, **options)

    monkeypatch.setattr(Runner, "advance", counted)
    for every in (1, 4):
        stepped.clear()
        result = model_snn.simulate(x_mlp, early_exit=snn.EarlyExit(confidence=0.7, every=every), outputs="last")
        assert sum(stepped) == result.exit_timesteps.sum() < 16 * 40
    stepped.clear()
    model_snn.simulate(x_mlp, early_exit=snn.EarlyExit(confidence=0.0), outputs="last")
    assert stepped == [32, 8]


@pytest.mark.parametrize("mode", ["frames", "poisson"])
def test_other_input_goes_on_with_the_samples_that_are_left(x_mlp, rng, mode):
    data = rng.random((40, 12, 6)).astype(np.float32) if mode == "frames" else x_mlp
    model_snn = snn.convert_keras(mlp_with("softmax"), data, timesteps=12, input=mode, threshold_rule="percentile")
    full = model_snn.simulate(data, record="spikes")
    exits = exits_by_hand(full.outputs, 0.7)
    result = model_snn.simulate(data, early_exit=snn.EarlyExit(confidence=0.7), outputs="last", batch_size=16)
    np.testing.assert_array_equal(result.exit_timesteps, exits)
    np.testing.assert_array_equal(result.outputs[-1], full.outputs[exits - 1, np.arange(40)])
    if mode == "frames":
        # Real-valued frames cost the first synapse at every timestep until the exit.
        np.testing.assert_array_equal(result.multiply_accumulates["hidden"], 60.0 * exits)
    else:
        assert (result.synaptic_operations["hidden"] < full.synaptic_operations["hidden"]).any()


def test_max_pooling_and_streams_of_batches():
    model = zoo.build(zoo.cnn)
    x = zoo.data_for(model, 12)
    model_snn = snn.convert_keras(model, x, timesteps=10, threshold_rule="percentile")
    full = model_snn.simulate(x)
    exits = exits_by_hand(full.outputs, 0.5)
    assert len(np.unique(exits)) > 2
    batches = (x[start : start + 5] for start in range(0, 12, 5))
    result = model_snn.simulate(batches, early_exit=snn.EarlyExit(confidence=0.5), outputs="last")
    np.testing.assert_array_equal(result.exit_timesteps, exits)
    np.testing.assert_array_equal(result.outputs[-1], full.outputs[exits - 1, np.arange(12)])


def test_logits_are_judged_by_their_softmax(x_mlp):
    model = mlp_with(None)
    model_snn = snn.convert_keras(model, x_mlp, timesteps=16, threshold_rule="percentile")
    logits = model_snn.simulate(x_mlp).outputs.astype(np.float64)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    result = model_snn.simulate(x_mlp, early_exit=snn.EarlyExit(confidence=0.7), outputs="last")
    np.testing.assert_array_equal(result.exit_timesteps, exits_by_hand(probabilities, 0.7))
    assert result.from_logits is True


def test_one_unit_is_as_sure_of_no_as_of_yes(x_mlp):
    model_snn = snn.convert_keras(
        mlp_with("sigmoid", units=1, seed=3), x_mlp, timesteps=16, threshold_rule="percentile"
    )
    p = model_snn.simulate(x_mlp).outputs.astype(np.float64)
    for criterion in ("probability", "margin"):
        result = model_snn.simulate(x_mlp, early_exit=snn.EarlyExit(confidence=0.7, criterion=criterion))
        # Two classes, of which the second is decided for above one half.
        expected = exits_by_hand(np.concatenate([1 - p, p], axis=-1), 0.7, criterion=criterion)
        np.testing.assert_array_equal(result.exit_timesteps, expected)
    assert result.from_logits is False


@pytest.mark.parametrize("criterion", ["probability", "margin"])
def test_the_curve_holds_what_runs_with_early_exit_give(model_snn, x_mlp, rng, criterion):
    y = rng.integers(0, 3, 40)
    full = model_snn.simulate(x_mlp)
    confidences = [0.0, 0.2, 0.5, 0.7, 0.9, 1.0]
    curve = full.accuracy_latency_curve(y, confidences, criterion=criterion, min_timesteps=2)
    assert curve.confidences.tolist() == confidences
    for confidence, mean, accuracy in zip(*curve, strict=True):
        rule = snn.EarlyExit(confidence=confidence, criterion=criterion, min_timesteps=2)
        result = model_snn.simulate(x_mlp, early_exit=rule, outputs="last")
        assert (mean, accuracy) == (result.mean_timesteps, result.accuracy(y)[-1])
    assert (np.diff(curve.mean_timesteps) >= 0).all()
    assert curve.mean_timesteps[[0, -1]].tolist() == [2.0, 16.0]


def test_a_hand_computed_curve():
    outputs = np.array([[[0.6, 0.4], [0.7, 0.3]], [[0.8, 0.2], [0.4, 0.6]], [[0.9, 0.1], [0.1, 0.9]]], np.float32)
    result = snn.SimulationResult(outputs, [1, 2, 4], duration=4, samples=2, from_logits=False)
    curve = result.accuracy_latency_curve([0, 1], [0.5, 0.65, 0.75, 0.95])
    assert curve.mean_timesteps.tolist() == [1, (2 + 1) / 2, (2 + 4) / 2, 4]
    assert curve.accuracy.tolist() == [0.5, 0.5, 1, 1]
    assert result.accuracy_latency_curve([1, 1], [0.5], top_k=2).accuracy.tolist() == [1]
    default = result.accuracy_latency_curve([0, 1])
    assert default.mean_timesteps[[0, -1]].tolist() == [1, 4]


def test_files_and_joined_results_keep_the_exits(model_snn, x_mlp, tmp_path):
    rule = snn.EarlyExit(confidence=0.7)
    result = model_snn.simulate(x_mlp, early_exit=rule, outputs="last")
    result.save(tmp_path / "run.npz")
    loaded = snn.SimulationResult.load(tmp_path / "run.npz")
    parts = [model_snn.simulate(x, early_exit=rule, outputs="last") for x in (x_mlp[:9], x_mlp[9:])]
    for same in (loaded, snn.SimulationResult.join(parts)):
        np.testing.assert_array_equal(same.exit_timesteps, result.exit_timesteps)
        assert same.from_logits is False
        assert same.firing_rates == pytest.approx(result.firing_rates)


def test_without_early_exit_every_sample_takes_all_timesteps(model_snn, x_mlp):
    result = model_snn.simulate(x_mlp)
    assert result.exit_timesteps.tolist() == [16] * 40
    assert result.mean_timesteps == 16.0


def test_results_of_earlier_versions_can_be_read(tmp_path):
    snn.SimulationResult(np.zeros((1, 2, 3), np.float32), [5], duration=5, samples=2).save(tmp_path / "run.npz")
    with np.load(tmp_path / "run.npz") as file:
        arrays = {name: array for name, array in file.items() if name != "exit_timesteps"}
    np.savez(tmp_path / "old.npz", **arrays)
    loaded = snn.SimulationResult.load(tmp_path / "old.npz")
    assert loaded.exit_timesteps.tolist() == [5, 5]
    assert loaded.from_logits is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"confidence": 1.5}, r"`confidence` to be a number from 0 to 1. Received: 1.5"),
        ({"confidence": -0.1}, r"from 0 to 1"),
        ({"confidence": float("nan")}, r"from 0 to 1"),
        ({"confidence": True}, r"from 0 to 1"),
        ({"confidence": "sure"}, r"from 0 to 1. Received: 'sure'"),
        ({"criterion": "entropy"}, r"Unknown `criterion`.*'margin'"),
        ({"min_timesteps": 0}, r"`min_timesteps` to be a positive integer"),
        ({"patience": 0}, r"`patience` to be a positive integer"),
        ({"every": 1.5}, r"`every` to be a positive integer"),
    ],
)
def test_what_is_no_rule(arguments, message):
    with pytest.raises(ValueError, match=message):
        snn.EarlyExit(**arguments)


def test_what_goes_with_no_early_exit(model_snn, x_mlp):
    rule = snn.EarlyExit()
    with pytest.raises(TypeError, match=r"`early_exit` to be `snn_toolbox_tf.EarlyExit\(...\)`. Received: 0.9"):
        model_snn.simulate(x_mlp, early_exit=0.9)
    with pytest.raises(ValueError, match="layer-synchronous run there is no early exit"):
        model_snn.simulate(x_mlp, early_exit=rule, schedule="layer_synchronous")
    with pytest.raises(ValueError, match=r"keeps nothing for every timestep. Record 'spike_counts'.*\['spikes'\]"):
        model_snn.simulate(x_mlp, early_exit=rule, record="spikes")


@pytest.mark.parametrize("output", ["relu", "sigmoid", "linear of one"])
def test_outputs_that_are_no_classes(x_mlp, output):
    model = mlp_with(None, units=1) if output == "linear of one" else mlp_with(output)
    model_snn = snn.convert_keras(model, x_mlp, timesteps=4, threshold_rule="percentile")
    assert holds_logits(model_snn.network.graph) is None
    with pytest.raises(ValueError, match=r"needs one output of class probabilities.*Received outputs of shape: {'out"):
        model_snn.simulate(x_mlp, early_exit=snn.EarlyExit())
    with pytest.raises(ValueError, match=r"needs class probabilities or logits of one output"):
        model_snn.simulate(x_mlp).accuracy_latency_curve(np.zeros(40))


def test_several_outputs_have_no_early_exit():
    model = zoo.build(zoo.multi_input)
    x = zoo.data_for(model, 3)
    with pytest.raises(ValueError, match=r"one output.*'classes': \(3,\), 'features': \(8,\)"):
        snn.convert_keras(model, x, threshold_rule="percentile").simulate(x, early_exit=snn.EarlyExit())


def test_a_curve_needs_runs_to_the_end():
    outputs = np.array([[[0.0, 1.0]], [[0.0, 1.0]]], "float32")
    result = snn.SimulationResult(outputs, [1, 2], duration=2, samples=1, exit_timesteps=[1], from_logits=False)
    with pytest.raises(ValueError, match=r"simulate without `early_exit`. Received: 1 of 1 samples answered earlier"):
        result.accuracy_latency_curve([1])


def test_a_curve_needs_several_timesteps_and_confidences(model_snn, x_mlp):
    with pytest.raises(ValueError, match=r'after several timesteps: `simulate\(outputs="all"\)`'):
        model_snn.simulate(x_mlp, outputs="last").accuracy_latency_curve(np.zeros(40))
    with pytest.raises(ValueError, match=r"from 0 to 1. Received: \[0.5, 2\]"):
        model_snn.simulate(x_mlp).accuracy_latency_curve(np.zeros(40), [0.5, 2])


def test_softmax_layers_and_functions_are_probabilities(x_mlp):
    inputs = keras.Input((6,))
    hidden = L.Dense(5, "relu")(inputs)
    for outputs in (L.Softmax()(L.Dense(3)(hidden)), keras.ops.softmax(L.Dense(3)(hidden))):
        assert (
            holds_logits(
                snn.convert_keras(keras.Model(inputs, outputs), x_mlp, threshold_rule="percentile").network.graph
            )
            is False
        )
