"""The time loop, its inputs, its records and its memory."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo
from conftest import mostly_slow

import snn_toolbox_tf as snn
from snn_toolbox_tf.simulation import blocking
from snn_toolbox_tf.simulation.event_plan import NOTHING_PLANNED, plan_events

L = keras.layers


@pytest.fixture
def model_snn(mlp, x_mlp):
    return snn.convert_keras(mlp, x_mlp, timesteps=16, threshold_rule="percentile")


@pytest.fixture
def known():
    """One neuron per input element, weights 1, thresholds 1, readout of weight 1: trains can be computed by hand."""
    model = keras.Sequential(
        [keras.Input((2,)), L.Dense(2, "relu", use_bias=False, name="hidden"), L.Dense(2, use_bias=False)]
    )
    for layer in model.layers:
        layer.set_weights([np.eye(2)])
    return snn.convert_keras(model, np.ones((4, 2)), percentile=100, v0=0.0)


def test_hand_computed_spikes_potentials_and_outputs(known):
    result = known.simulate(np.array([[0.5, 0.25]]), timesteps=4, record=["spikes", "membrane_potential"])
    assert result.spikes["hidden_relu"][:, 0].tolist() == [[0, 0], [1, 0], [0, 0], [1, 1]]
    assert result.membrane_potential["hidden_relu"][:, 0].tolist() == [[0.5, 0.25], [0, 0.5], [0.5, 0.75], [0, 0]]
    np.testing.assert_allclose(result.outputs[:, 0], [[0, 0], [1 / 2, 0], [1 / 3, 0], [2 / 4, 1 / 4]])
    assert result.timesteps.tolist() == [1, 2, 3, 4]
    assert result.firing_rates == {"hidden_relu": 3 / 8}
    assert result.neuron_firing_rates["hidden_relu"].tolist() == [0.5, 0.25]


def test_hard_reset_reaches_the_neurons(mlp, x_mlp):
    soft = snn.convert_keras(mlp, x_mlp).simulate(x_mlp, timesteps=64)
    hard = snn.convert_keras(mlp, x_mlp, reset="zero").simulate(x_mlp, timesteps=64)
    assert hard.firing_rates["hidden_relu"] < soft.firing_rates["hidden_relu"]


def test_outputs_last_and_listed_are_rows_of_all(model_snn, x_mlp):
    everything = model_snn.simulate(x_mlp, timesteps=13)
    assert everything.outputs.shape == (13, 40, 3)
    last = model_snn.simulate(x_mlp, timesteps=13, outputs="last")
    np.testing.assert_array_equal(last.outputs, everything.outputs[-1:])
    assert last.timesteps.tolist() == [13]
    listed = model_snn.simulate(x_mlp, outputs=[2, 5, 11])
    np.testing.assert_array_equal(listed.outputs, everything.outputs[[1, 4, 10]])
    assert listed.timesteps.tolist() == [2, 5, 11]
    assert listed.duration == 11
    longer = model_snn.simulate(x_mlp, timesteps=13, outputs=[2], record="spikes")
    assert longer.spikes["hidden_relu"].shape == (13, 40, 10)
    assert longer.duration == 13


@pytest.mark.long
@pytest.mark.parametrize(
    "builder",
    mostly_slow(
        [zoo.residual, zoo.operators, zoo.preprocessing, zoo.multi_input], [zoo.preprocessing, zoo.multi_input]
    ),
)
def test_what_does_not_change_in_time_is_kept_between_the_segments_of_a_run(builder):
    model = zoo.build(builder)
    x = zoo.data_for(model, 3)
    model_snn = snn.convert_keras(model, x, threshold_rule="percentile")
    graph, runner = model_snn.network.graph, model_snn._runner
    names = [keras.tree.flatten(graph.input_structure), keras.tree.flatten(x)]
    inputs = {name: tf.constant(array) for name, array in zip(*names, strict=True)}
    kept = runner.constants(inputs, runner.input_options)
    assert kept
    assert not set(kept) & graph.spiking_ancestry()
    everything = model_snn.simulate(x, timesteps=6, record="spikes")
    listed = model_snn.simulate(x, timesteps=6, outputs=[1, 4, 6], record="spikes")
    for name, spikes in everything.spikes.items():
        np.testing.assert_array_equal(listed.spikes[name], spikes)


def loops(graph):
    return sum(operation.type in ("While", "StatelessWhile") for operation in graph.get_operations())


def test_a_loop_that_would_have_nothing_to_do_is_not_traced(model_snn, x_mlp):
    """Tracing takes longer than a run: what blocks leave over has a loop of its own only where there is some."""
    expected = model_snn.simulate(x_mlp, record="spikes")
    for timesteps, block_length, count in ((16, 16, 1), (16, 4, 1), (16, 1, 1), (16, 5, 2), (15, 5, 1)):
        model_snn._runner.forget_traces()
        result = model_snn.simulate(x_mlp, timesteps=timesteps, block_length=block_length, record="spikes")
        np.testing.assert_array_equal(result.spikes["hidden_relu"], expected.spikes["hidden_relu"][:timesteps])
        np.testing.assert_array_equal(result.outputs, expected.outputs[:timesteps])
        assert sum(loops(function.graph) for function in model_snn._runner._traced) == count
    # One segment that leaves timesteps over is enough.
    model_snn._runner.forget_traces()
    listed = model_snn.simulate(x_mlp, outputs=[8, 13], block_length=4)
    np.testing.assert_array_equal(listed.outputs, expected.outputs[[7, 12]])
    assert max(loops(function.graph) for function in model_snn._runner._traced) == 2
    for timesteps, count in ((16, 1), (13, 2)):
        run = tf.function(lambda x, t=timesteps: model_snn._runner.run_all(x, t), autograph=False)
        model_snn._runner.block_length = 4
        name = model_snn.network.graph.input_structure
        assert loops(run.get_concrete_function({name: tf.constant(x_mlp)}).graph) == count
        np.testing.assert_array_equal(run({name: tf.constant(x_mlp)}), expected.outputs[timesteps - 1])


def test_traces_are_bounded(mlp, x_mlp, monkeypatch):
    """However many ways of running a network there are, it keeps those that were used last, and all of them work."""
    monkeypatch.setattr("snn_toolbox_tf.simulation.runner._MOST_KEPT", 3)
    model_snn = snn.convert_keras(mlp, x_mlp, timesteps=6, threshold_rule="percentile")
    expected = model_snn.simulate(x_mlp, outputs="last").outputs
    for block_length in (1, 2, 3, 6, 1):
        outputs = model_snn.simulate(x_mlp, block_length=block_length, outputs="last").outputs
        np.testing.assert_array_equal(outputs, expected)
        assert len(model_snn.runner._traced) <= 3
    for batch in range(1, 6):
        model_snn(x_mlp[:batch])
    assert model_snn._forward.experimental_get_tracing_count() <= 3


def test_another_seed_is_not_traced_anew(model_snn, x_mlp):
    runs = {seed: model_snn.simulate(x_mlp, input="poisson", seed=seed, record="spikes") for seed in (1, 2, 1)}
    traced = len(model_snn._runner._traced)
    again = model_snn.simulate(x_mlp, input="poisson", seed=3, record="spikes")
    assert len(model_snn._runner._traced) == traced
    assert len(model_snn._runner._loops) <= 2
    for run in runs.values():
        assert not np.array_equal(run.spikes["hidden_relu"], again.spikes["hidden_relu"])
    assert not np.array_equal(runs[1].spikes["hidden_relu"], runs[2].spikes["hidden_relu"])


def test_the_last_partial_batch_counts(model_snn, x_mlp):
    result = model_snn.simulate(x_mlp[:37], batch_size=16)
    assert result.samples == 37
    assert result.outputs.shape[1] == 37
    assert all(len(values) == 37 for values in result.synaptic_operations.values())


def test_streams_of_batches_equal_arrays(model_snn, x_mlp):
    expected = model_snn.simulate(x_mlp)
    for data in (
        tf.data.Dataset.from_tensor_slices((x_mlp, np.zeros(40))).batch(9),
        (x_mlp[start : start + 7] for start in range(0, 40, 7)),
    ):
        result = model_snn.simulate(data, batch_size=4)
        np.testing.assert_array_equal(result.outputs, expected.outputs)


def test_layer_synchronous_records_and_lists(model_snn, x_mlp):
    everything = model_snn.simulate(x_mlp, timesteps=8, schedule="layer_synchronous", record="spikes")
    spikes = everything.spikes["hidden_relu"].astype(int)
    assert (np.diff(spikes, axis=0) <= 0).all()
    listed = model_snn.simulate(x_mlp, timesteps=8, schedule="layer_synchronous", outputs=[4, 8])
    np.testing.assert_array_equal(listed.outputs, everything.outputs[[3, 7]])


def test_max_pooling_of_spikes_errs_less_with_time_where_pooling_each_step_does_not():
    """Two inputs that fire alternately: pooled per step they would look twice as active as either is."""
    inputs = keras.Input((2, 1))
    x = L.Conv1D(1, 1, use_bias=False, name="a")(inputs)
    x = L.Conv1D(1, 1, use_bias=False, name="b")(L.ReLU()(x))
    outputs = L.Flatten()(L.Conv1D(1, 1, use_bias=False)(L.ReLU()(L.MaxPooling1D(2)(x))))
    model = keras.Model(inputs, outputs)
    model.set_weights([np.ones((1, 1, 1))] * 3)
    model_snn = snn.convert_keras(model, np.ones((1, 2, 1)), percentile=100)
    x = np.array([[[0.3], [0.31]]], np.float32)
    errors = [abs(model_snn.simulate(x, timesteps=t, outputs="last").outputs.item() - 0.31) for t in (16, 512)]
    assert errors[1] < 0.005
    assert errors[1] < errors[0]


@pytest.mark.long
def test_frames_of_a_constant_input_equal_analog_input():
    for builder in (zoo.cnn, zoo.multi_input):
        model = zoo.build(builder)
        x = zoo.data_for(model, 5)
        model_snn = snn.convert_keras(model, x, threshold_rule="percentile")
        frames = keras.tree.map_structure(lambda a: np.repeat(a[:, None], 9, axis=1), x)
        expected = model_snn.simulate(x, timesteps=9, record="spikes")
        result = model_snn.simulate(frames, input="frames", record="spikes")
        for name, spikes in expected.spikes.items():
            np.testing.assert_array_equal(result.spikes[name], spikes)


def test_frames_change_with_time(known):
    frames = np.array([[[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]]], np.float32)
    for outputs in ("all", [1, 3]):
        result = known.simulate(frames, input="frames", record="spikes", outputs=outputs)
        assert result.spikes["hidden_relu"][:, 0].tolist() == [[1, 0], [0, 0], [0, 1]]


def test_frames_model_predicts_over_all_its_frames(mlp, x_mlp):
    model_snn = snn.convert_keras(mlp, x_mlp, input="frames", timesteps=3)
    frames = np.repeat(x_mlp[:, None], 7, axis=1)
    analog = snn.convert_keras(mlp, x_mlp, timesteps=7, threshold_rule="percentile")
    np.testing.assert_array_equal(model_snn.predict(frames, verbose=0), analog.predict(x_mlp, verbose=0))


def test_poisson_spikes_have_the_rate_and_sign_of_the_input():
    model = keras.Sequential([keras.Input((4,)), L.Dense(4, "relu", use_bias=False, name="hidden"), L.Dense(1)])
    model.layers[0].set_weights([np.eye(4)])
    calibration = np.array([[2.0, 1.0, 0.5, -2.0]])
    model_snn = snn.convert_keras(model, calibration, percentile=100, per_channel=False, v0=0.0)
    result = model_snn.simulate(calibration, timesteps=4000, input="poisson", outputs="last")
    # Standard deviation of a rate: at most 0.5 / sqrt(4000) = 0.008.
    np.testing.assert_allclose(result.neuron_firing_rates["hidden_relu"], [1.0, 0.5, 0.25, 0.0], atol=0.03)
    assert result.synaptic_operations["hidden"][0] == pytest.approx(4000 * (1 + 0.5 + 0.25 + 1) * 4, rel=0.03)
    assert result.multiply_accumulates == {}


def test_poisson_draws_depend_on_seed_and_sample_only(mlp, x_mlp):
    model_snn = snn.convert_keras(mlp, x_mlp, input="poisson", seed=3, threshold_rule="percentile")
    expected = model_snn.simulate(x_mlp, record="spikes")
    for batch_size, block_length in ((1, 1), (7, 5)):
        result = model_snn.simulate(x_mlp, record="spikes", batch_size=batch_size, block_length=block_length)
        np.testing.assert_array_equal(result.spikes["hidden_relu"], expected.spikes["hidden_relu"])
    other = model_snn.simulate(x_mlp, record="spikes", seed=4)
    assert (other.spikes["hidden_relu"] != expected.spikes["hidden_relu"]).any()
    twice = model_snn.simulate(np.concatenate([x_mlp[:1]] * 2), record="spikes").spikes["hidden_relu"]
    assert (twice[:, 0] != twice[:, 1]).any()


def test_splitmix_against_plain_python():
    """The counter-based generator, recomputed with Python's integers."""
    from snn_toolbox_tf.simulation.encoding import poisson_spikes

    mask, golden = 2**64 - 1, 0x9E3779B97F4A7C15

    def mix(z):
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        return z ^ (z >> 31)

    seed, salt, samples, first, timesteps, elements = 5, 1, [40, 7], 3, 4, 6
    x = np.full((2, elements), 0.5, np.float32)
    actual = poisson_spikes(
        tf.constant(x), 1.0, seed=seed, salt=salt, sample_index=tf.constant(samples, tf.int64),
        places=first + tf.range(timesteps)[:, tf.newaxis],
    ).numpy()  # fmt: skip
    for t in range(timesteps):
        for row, sample in enumerate(samples):
            for element in range(elements):
                key = mix((seed * 2 + 1 + salt * golden) & mask)
                key = mix((key + sample * golden) & mask)
                key = mix((key + (first + t) * golden) & mask)
                uniform = (mix((key + element * golden) & mask) >> 40) / 2**24
                assert actual[t, row, element] == float(uniform < 0.5)


def test_step_equals_simulate_and_reset_starts_again(model_snn, x_mlp):
    expected = model_snn.simulate(x_mlp[:3], timesteps=5).outputs
    for _ in range(2):
        model_snn.reset_state()
        for timestep in range(5):
            np.testing.assert_array_equal(model_snn.step(x_mlp[:3]), expected[timestep])


def test_step_equals_simulate_with_max_pooling_and_poisson_input():
    model = zoo.build(zoo.cnn)
    x = zoo.data_for(model, 2)
    for mode in ("analog", "poisson"):
        model_snn = snn.convert_keras(model, x, input=mode, threshold_rule="percentile")
        expected = model_snn.simulate(x, timesteps=6).outputs
        for timestep in range(6):
            np.testing.assert_array_equal(model_snn.step(x), expected[timestep])


def test_step_refuses_another_batch_size_without_reset(model_snn, x_mlp):
    model_snn.step(x_mlp[:3])
    with pytest.raises(ValueError, match=r"keeps the state of 3 samples.*frame with 2 samples.*reset_state\(\)"):
        model_snn.step(x_mlp[:2])
    model_snn.reset_state()
    assert model_snn.step(x_mlp[:2]).shape == (2, 3)


def test_recording_names_populations(x_mlp):
    model = zoo.build(zoo.cnn)
    x = zoo.data_for(model, 3)
    result = snn.convert_keras(model, x, threshold_rule="percentile").simulate(
        x, timesteps=4, record={"spikes": ["relu1"], "membrane_potential": ["conv2_relu"]}
    )
    assert set(result.spikes) == {"relu1"}
    assert set(result.membrane_potential) == {"conv2_relu"}
    assert result.spikes["relu1"].dtype == np.uint8
    assert result.membrane_potential["conv2_relu"].dtype == np.float32


def test_timesteps_can_be_changed_after_predict(model_snn, x_mlp):
    model_snn.predict(x_mlp, verbose=0)
    model_snn.timesteps = 4
    expected = model_snn.simulate(x_mlp, timesteps=4, outputs="last").outputs[-1]
    np.testing.assert_array_equal(model_snn.predict(x_mlp, verbose=0), expected)


def test_a_result_above_the_memory_limit_is_refused_before_the_simulation(model_snn, x_mlp):
    with pytest.raises(MemoryError, match=r'40 samples.*`?outputs.*outputs="last"'):
        model_snn.simulate(x_mlp, timesteps=10_000_000, memory_limit=2**20)
    assert model_snn.simulate(x_mlp, timesteps=100, outputs="last", memory_limit=2**20).samples == 40
    with pytest.raises(MemoryError, match=r"most of it for 'spikes'.*record="):
        model_snn.simulate(x_mlp, timesteps=1000, outputs="last", record="spikes", memory_limit=2**16)
    with pytest.raises(MemoryError, match=r"samples would take"):
        model_snn.simulate(iter([x_mlp] * 100), timesteps=1000, memory_limit=2**20)


@pytest.mark.slow
@pytest.mark.long
def test_memory_does_not_grow_with_timesteps_or_samples():
    """Peak memory of a fresh process after a short run, and after one of 60 times the timesteps and 8 times the samples.

    Held in full, the spikes of the long run would take 4 GB as float32.
    """
    code = """
import resource, keras, numpy as np, snn_toolbox_tf as snn
layers = keras.layers
model = keras.Sequential([
    keras.Input((16, 16, 3)), layers.Conv2D(16, 3, padding="same", activation="relu"), layers.MaxPooling2D(2),
    layers.Conv2D(16, 3, padding="same", activation="relu"), layers.Flatten(), layers.Dense(4)])
x = np.random.default_rng(0).random((512, 16, 16, 3), dtype=np.float32)
model_snn = snn.convert_keras(model, x[:64], threshold_rule="percentile")
peak = []
for samples, timesteps in ((64, 16), (512, 960)):
    model_snn.simulate(x[:samples], timesteps=timesteps, outputs="last")
    peak.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print((peak[1] - peak[0]) / 1024)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.splitlines()[-1]) < 100


def test_block_length_and_micro_batch_follow_batch_size_and_caches(monkeypatch):
    network = snn.convert_keras(zoo.build(zoo.cnn), zoo.data_for(zoo.cnn(), 8), threshold_rule="percentile").network
    graph = network.graph
    # The largest tensor behind the encoder: the first population's, pooled (4 x 4 x 8), or its current (8 x 8 x 8 floats).
    spiking = graph.spiking_ancestry()
    largest = max(4 * int(np.prod(node.shape)) for node in graph if node.name in spiking)

    def choose(cache, plan=NOTHING_PLANNED, **kwargs):
        monkeypatch.setattr(blocking, "last_cache_size", lambda: cache)
        return blocking.choose_blocking(graph, plan, **{"segments": [64], "block_length": None, **kwargs})

    cache = 4 * 256 * largest
    assert choose(cache, batch_size=16) == blocking.Blocking(16, 16)
    assert choose(cache, batch_size=1) == blocking.Blocking(32, 8)
    assert choose(cache, batch_size=10**6) == blocking.Blocking(4, 64)
    assert choose(cache, batch_size=None) == choose(cache, batch_size=32)
    assert choose(cache, batch_size=16, block_length=8) == blocking.Blocking(8, 32)
    assert choose(cache, batch_size=16, segments=[5]) == blocking.Blocking(5, 51)
    assert choose(1, batch_size=16) == blocking.Blocking(8, 16)
    # Blocks that leave many single timesteps over are not worth their length.
    assert choose(cache, batch_size=16, segments=[31]).block_length == 15
    assert choose(cache, batch_size=16, segments=[8, 8, 16, 32]).block_length == 8
    monkeypatch.setattr(blocking, "LARGEST_TENSOR", 2 * largest)
    assert choose(cache, batch_size=16) == blocking.Blocking(2, 1)
    monkeypatch.undo()
    # Spikes that travel as bits take 32 times less: 4 x 4 x 8 of the first population, as much as the output's four floats.
    plan = plan_events(network, "event")
    held = {node.name: plan.bytes_held(node) for node in graph if node.name in spiking}
    assert held["relu1"] == 16
    assert max(held.values()) == 16
    assert {held[name] for name in plan.deferred} == {0.0}
    assert choose(4 * 256 * 16, plan, batch_size=16) == blocking.Blocking(16, 16)


@pytest.mark.parametrize("count", [0, 1, 5, 12])
def test_a_batch_that_runs_in_parts_gives_the_same_outputs(monkeypatch, mlp, x_mlp, count):
    model_snn = snn.convert_keras(mlp, x_mlp, timesteps=6, threshold_rule="percentile")
    expected = model_snn.predict(x_mlp, verbose=0)[:count]
    monkeypatch.setattr(blocking, "MOST_SAMPLES", 10)
    again = keras.models.clone_model(model_snn)
    again.set_weights(model_snn.get_weights())
    blocks = again._runner.blocking([6], count)
    assert blocks.micro_batch == (1 if count == 1 else 3)
    np.testing.assert_array_equal(again(x_mlp[:count]), expected)


def test_evaluate_works_without_a_loss_and_with_the_sources(mlp, x_mlp, rng):
    y = rng.integers(0, 3, 40)
    model_snn = snn.convert_keras(mlp, x_mlp, threshold_rule="percentile")
    model_snn.compile(metrics=["accuracy"])
    scores = model_snn.evaluate(x_mlp, y, verbose=0, return_dict=True)
    assert scores["accuracy"] == pytest.approx(model_snn.simulate(x_mlp, outputs="last").accuracy(y)[-1])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    mlp.compile("adam", loss=loss, metrics=["accuracy"])
    taken = snn.convert_keras(mlp, x_mlp, timesteps=256, percentile=100)
    ours, theirs = (m.evaluate(x_mlp, y, verbose=0, return_dict=True) for m in (taken, mlp))
    assert ours["loss"] == pytest.approx(theirs["loss"], rel=0.05)
    taken.compile(metrics=["accuracy"])
    assert taken.loss is None


def test_losses_and_metrics_by_output_name_are_taken_over():
    model = zoo.build(zoo.multi_input)
    x = zoo.data_for(model, 20)
    y = {"classes": np.zeros(20), "features": np.zeros((20, 8))}
    model.compile(
        "adam",
        loss={"classes": "sparse_categorical_crossentropy", "features": "mse"},
        metrics={"classes": "accuracy", "features": "mae"},
    )
    model_snn = snn.convert_keras(model, x, timesteps=512, percentile=100)
    ours, theirs = (m.evaluate(x, y, verbose=0, return_dict=True) for m in (model_snn, model))
    assert set(ours) == set(theirs)
    assert ours["loss"] == pytest.approx(theirs["loss"], rel=0.1)


def test_a_custom_loss_function_is_taken_from_the_model(mlp, x_mlp):
    mlp.compile("adam", loss=lambda y, prediction: keras.ops.mean(keras.ops.abs(prediction), axis=-1))
    model_snn = snn.convert_keras(mlp, x_mlp, threshold_rule="percentile")
    assert model_snn.loss is mlp.loss
    assert model_snn.evaluate(x_mlp, np.zeros(40), verbose=0) > 0


def my_metric(y, prediction):
    return keras.ops.mean(prediction)


def test_what_cannot_be_taken_over_is_named_in_one_warning(mlp, x_mlp):
    mlp.compile("adam", loss="mse", metrics=["mae", my_metric])
    with pytest.warns(UserWarning, match=r"Could not take over all of metrics of model 'mlp'.*compile") as caught:
        model_snn = snn.convert_keras(mlp, x_mlp, threshold_rule="percentile")
    assert len([w for w in caught if "Could not take over" in str(w.message)]) == 1
    scores = model_snn.evaluate(x_mlp, np.zeros((40, 3)), verbose=0, return_dict=True)
    assert set(scores) == {"loss", "mae"}


def test_an_uncompiled_source_gives_an_uncompiled_network(mlp, x_mlp):
    assert not snn.convert_keras(mlp, x_mlp).compiled


def test_a_global_reduced_precision_policy_does_not_reach_the_network(mlp, x_mlp):
    expected = snn.convert_keras(mlp, x_mlp, threshold_rule="percentile").predict(x_mlp, verbose=0)
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model_snn = snn.convert_keras(mlp, x_mlp, threshold_rule="percentile")
        np.testing.assert_array_equal(model_snn.predict(x_mlp, verbose=0), expected)
    finally:
        keras.config.set_dtype_policy("float32")


def test_summary_lists_every_layer(model_snn):
    lines = []
    model_snn.summary(print_fn=lines.append)
    text = "\n".join(lines)
    for name in ("hidden", "hidden_relu", "logits", "SpikingNeurons"):
        assert name in text
