"""Calibration by gradient: its gradients, its training, what it writes, and what it refuses."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo

import snn_toolbox_tf as snn
from snn_toolbox_tf.corrections.automatic import Agreement
from snn_toolbox_tf.distillation import distill
from snn_toolbox_tf.distillation.loss import output_loss
from snn_toolbox_tf.distillation.spikes import fire
from snn_toolbox_tf.distillation.student import Student
from snn_toolbox_tf.distillation.training import CANDIDATES, State
from snn_toolbox_tf.distillation.variables import PopulationVariables
from snn_toolbox_tf.distillation.write import write_student
from snn_toolbox_tf.graph import Population, Synapse
from snn_toolbox_tf.model import SpikingModel
from snn_toolbox_tf.network.adam import warm_cosine
from snn_toolbox_tf.simulation.inputs import InputOptions


def tangents(currents, theta, start, charge, direction):
    """Runs one neuron in units of the source while all that it depends on moves: what it gives, and how that changes.

    Forward differentiation by hand, with the triangle for the derivative of a spike.
    """
    steps = len(currents)
    d_current, d_theta, d_start, d_charge = direction
    v, d_v = start * theta, d_start * theta + start * d_theta
    given, d_given = 0.0, 0.0
    for current in currents:
        u = v + current + charge * theta / steps
        d_u = d_v + d_current + (d_charge * theta + charge * d_theta) / steps
        x, d_x = u / theta - 1, d_u / theta - u * d_theta / theta**2
        spike, d_spike = float(x >= 0), max(1 - abs(x), 0) * d_x
        given, d_given = given + theta * spike, d_given + theta * d_spike + d_theta * spike
        v, d_v = u - theta * spike, d_u - theta * d_spike - d_theta * spike
    return given, d_given


CURRENTS, THETA, START, CHARGE = [0.5, 1.25, -0.25, 0.75, 2.0], 1.5, 0.4, -0.3


@pytest.mark.parametrize("number", range(4), ids=["current", "threshold", "initial potential", "bias"])
def test_gradients_equal_forward_differentiation_by_hand(number):
    variables = [tf.Variable(0.0), tf.Variable(np.log(THETA)), tf.Variable(START), tf.Variable(CHARGE)]
    variables = [tf.Variable(float(variable), dtype=tf.float32) for variable in variables]
    extra, log_theta, start, charge = variables
    with tf.GradientTape() as tape:
        theta = tf.exp(log_theta)
        current = (tf.reshape(tf.constant(CURRENTS), [5, 1, 1]) + extra) / theta + charge / 5
        spikes, _ = fire(current, tf.reshape(start, [1, 1]), 5)
        given = tf.reduce_sum(spikes * theta)
    # The logarithm of theta moves theta by theta.
    direction = np.eye(4)[number] * [1, THETA, 1, 1]
    expected = tangents(CURRENTS, THETA, START, CHARGE, direction)
    assert float(given) == pytest.approx(expected[0])
    assert float(tape.gradient(given, variables)[number]) == pytest.approx(expected[1], rel=1e-5)


def test_a_constant_current_has_the_gradient_of_one_at_every_step():
    gradients = []
    for constant in (True, False):
        value = tf.Variable([[0.3, 0.9, -0.2]])
        with tf.GradientTape() as tape:
            current = tf.identity(value) if constant else tf.tile(value[tf.newaxis], [6, 1, 1])
            spikes, potential = fire(current, tf.fill([1, 3], 0.5), 6)
            loss = tf.reduce_sum(spikes * tf.reshape(tf.range(6.0), [6, 1, 1])) + tf.reduce_sum(potential**2)
        gradients.append(tape.gradient(loss, value).numpy())
    np.testing.assert_allclose(*gradients, rtol=1e-5)


def test_the_gradient_of_a_number_of_spikes_is_at_most_one_per_current():
    current = tf.Variable(np.random.default_rng(0).normal(0.3, 0.5, (64, 1, 100)).astype("float32"))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(fire(current, tf.zeros([1, 100]), 64)[0])
    gradient = tape.gradient(loss, current).numpy()
    assert gradient.min() >= 0
    assert gradient.max() <= 1


@pytest.fixture(scope="module")
def task():
    """Blobs of a few classes, and a network that was trained to tell them apart."""
    generator = np.random.default_rng(0)
    centres = generator.normal(0, 1, (6, 12))
    y = generator.integers(6, size=1600)
    x = (centres[y] + generator.normal(0, 1.0, (1600, 12))).astype("float32")
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((12,)),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dense(6, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=12, verbose=0)
    return (
        model,
        x,
        (centres[generator.integers(6, size=1000)] + generator.normal(0, 1.0, (1000, 12))).astype("float32"),
    )


def agreed(model, model_snn, x):
    return np.mean(model.predict(x, verbose=0).argmax(-1) == model_snn.predict(x, verbose=0).argmax(-1))


@pytest.fixture(scope="module")
def automatic(task):
    """That network, calibrated without gradients for two timesteps."""
    return snn.convert_keras(*task[:2], timesteps=2)


@pytest.mark.long
def test_the_network_agrees_more_with_its_source_on_samples_that_nobody_has_seen(task, automatic):
    model, x, unseen = task
    before = [weight.copy() for weight in model.get_weights()]
    learnt = snn.convert_keras(model, x, timesteps=2, calibration="gradient")
    assert agreed(model, learnt, unseen) > agreed(model, automatic, unseen) + 0.01
    record = learnt.conversion
    assert record.calibration == "gradient"
    assert record.agreement > record.agreement_before
    assert record.learning_rate in CANDIDATES
    assert 1 <= record.epochs <= snn.GradientCalibration().epochs
    assert record.calibrated_timesteps == 2
    for weight, same in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, same)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_network(mlp, rng):
    model, x = mlp, rng.random((200, 6), dtype=np.float32)
    settings = snn.GradientCalibration(epochs=1, samples=150, learning_rate=3e-3)
    one, other = (snn.convert_keras(model, x, timesteps=2, calibration=settings) for _ in range(2))
    for weight, same in zip(one.weights, other.weights, strict=True):
        np.testing.assert_array_equal(weight.numpy(), same.numpy())


@pytest.mark.slow
def test_a_rate_that_destroys_ends_no_worse_than_it_began(task, automatic):
    model, x, unseen = task
    settings = snn.GradientCalibration(epochs=2, samples=400, learning_rate=1.0)
    learnt = snn.convert_keras(model, x, timesteps=2, calibration=settings)
    assert learnt.conversion.agreement >= learnt.conversion.agreement_before
    # The first state, as it was.
    np.testing.assert_allclose(
        learnt.predict(unseen, verbose=0), automatic.predict(unseen, verbose=0), rtol=1e-3, atol=1e-3
    )


@pytest.fixture(scope="module")
def calibrated(task):
    """What learning by gradient is given: the source, the calibrated graph, and the samples."""
    model, x, _ = task
    kept = {}

    def keep(source, graph, reservoir, *args, **kwargs):
        kept.update(source=source, graph=graph.copy(), reservoir=reservoir)
        raise StopIteration

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("snn_toolbox_tf.conversion.learning.distill", keep)
        with pytest.raises(StopIteration):
            snn.convert_keras(model, x, timesteps=4, calibration="gradient")
    return kept


@pytest.fixture
def graphs(calibrated):
    """The same, with a graph that may be changed."""
    return {**calibrated, "graph": calibrated["graph"].copy()}


@pytest.mark.slow
@pytest.mark.long
def test_recomputed_blocks_give_the_gradient_of_one_block(graphs):
    student = Student(graphs["graph"], 3, InputOptions())
    variables = [one.variable for one in student.trained(weights=True)]
    inputs = {name: tf.constant(array) for name, array in graphs["reservoir"].samples(16).items()}

    @tf.function
    def gradients(block_length):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            outputs, _, activations = student.run(
                inputs, tf.range(16, dtype=tf.int64), block_length=block_length, differentiable=True
            )
            losses = [tf.reduce_sum(tf.square(activation)) for activation in activations.values()]
            loss = tf.reduce_sum(tf.square(outputs)) + tf.add_n(losses)
        return loss, tape.gradient(loss, variables)

    loss, expected = gradients(3)
    # All alike, and two of which the second is shorter.
    for block_length in (1, 2):
        same, actual = gradients(block_length)
        assert float(same) == pytest.approx(float(loss), rel=1e-5)
        for one, other in zip(actual, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4 * np.abs(other).max())


def test_blocks_are_as_long_as_memory_allows(graphs):
    graph = graphs["graph"]
    assert Student(graph, 30, InputOptions()).block_length(32) == 30
    assert Student(graph, 30, InputOptions(), memory=1).block_length(32) == 1
    # 16 timesteps of 32 samples fit, three floats for each unit of a layer or population: two blocks of 15.
    assert Student(graph, 30, InputOptions(), memory=16 * 32 * 3 * 4 * (6 * 32 + 6)).block_length(32) == 15


def test_without_weights_only_populations_learn(graphs):
    graph, before = graphs["graph"], graphs["graph"].copy()
    settings = snn.GradientCalibration(epochs=1, samples=200, learning_rate=1e-3, train_weights=False)
    distill(graphs["source"], graph, graphs["reservoir"], settings, timesteps=4, input_options=InputOptions())
    for node, same in zip(graph, before, strict=True):
        if isinstance(node, Population):
            assert (node.threshold != same.threshold).any()
            np.testing.assert_array_equal(node.v0 * 2**8, np.round(node.v0 * 2**8))
        if isinstance(node, Synapse):
            np.testing.assert_array_equal(node.layer.weights["kernel"], same.layer.weights["kernel"])


def test_progress_is_a_line_per_pass(graphs, capsys):
    for verbose in (True, False):
        settings = snn.GradientCalibration(epochs=2, samples=64, learning_rate=1e-3, verbose=verbose)
        arguments = {"timesteps": 2, "input_options": InputOptions()}
        distill(graphs["source"], graphs["graph"].copy(), graphs["reservoir"], settings, **arguments)
        lines = capsys.readouterr().out.strip().splitlines()
        assert len(lines) == (2 if verbose else 0)
        assert all("held_out_agreement" in line for line in lines)


def test_a_state_is_better_that_agrees_clearly_more_or_is_closer():
    def state(decisions, loss):
        return State([], Agreement(400, decisions, 0.1), loss)

    first = state(0.8, 1.0)
    assert state(0.9, 1.5).beats(first, first)
    assert state(0.805, 0.9).beats(first, first)
    assert not state(0.805, 1.1).beats(first, first)
    assert not state(0.795, 0.5).beats(first, first)
    assert not state(0.82, 0.8).beats(state(0.9, 0.9), first)
    assert not state(0.9, float("nan")).beats(first, first)


def test_the_rate_rises_and_falls():
    rates = [warm_cosine(step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert np.argmax(rates) == 9
    assert rates[-1] < 1e-3


def test_a_student_is_the_network_that_is_written(graphs):
    graph = graphs["graph"]
    student = Student(graph, 4, InputOptions())
    generator = np.random.default_rng(0)
    for one in student.trained(weights=True):
        one.variable.assign_add(0.1 * one.unit * generator.normal(size=one.variable.shape))
    inputs = graphs["reservoir"].samples(100)
    expected, _, _ = student.run(
        {name: tf.constant(array) for name, array in inputs.items()},
        tf.range(100, dtype=tf.int64),
        block_length=2,
        differentiable=False,
    )
    write_student(graph, student, weights=True)
    model_snn = SpikingModel(graph, timesteps=4)
    actual = model_snn.predict(next(iter(inputs.values())), verbose=0)
    # A current within rounding of its threshold may be on its other side.
    assert np.mean(np.abs(actual - expected).max(axis=-1) < 1e-4) > 0.9


def test_thresholds_stay_below_the_bound_of_the_source(graphs):
    node = graphs["graph"].of_type(Population)[0]
    node.max_value = np.asarray(node.threshold.max())
    variables = PopulationVariables(node, 4)
    variables.log_threshold.assign_add(tf.ones_like(variables.log_threshold))
    assert variables.threshold.numpy().max() == pytest.approx(float(node.max_value))


def two_inputs():
    """Inputs and outputs by name, of which one is a ReLU and an inner node."""
    a, b = keras.Input((4,), name="a"), keras.Input((5,), name="b")
    features = keras.layers.Dense(6, "relu", name="features")(keras.layers.Concatenate()([a, b]))
    classes = keras.layers.Dense(3, "softmax", name="classes")(features)
    return keras.Model({"a": a, "b": b}, {"classes": classes, "features": features})


@pytest.mark.few(1)
@pytest.mark.long
@pytest.mark.parametrize(
    ("build", "arguments"),
    [
        pytest.param(zoo.cnn, {}, marks=pytest.mark.slow),
        (zoo.cnn, {"input": "poisson"}),
        (zoo.channels_first, {"form": "unnormalized"}),
        (zoo.branches, {"max_pooling": "winner_take_all", "corrections": ["shift"]}),
        (two_inputs, {}),
        pytest.param(zoo.multi_input, {}, marks=pytest.mark.slow),
        pytest.param(zoo.resampled, {}, marks=pytest.mark.slow),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_networks_of_all_kinds_learn(build, arguments):
    model = zoo.build(build)
    settings = snn.GradientCalibration(epochs=1, samples=64, batch_size=16, learning_rate=1e-3)
    x = zoo.data_for(model, 64)
    model_snn = snn.convert_keras(model, x, timesteps=2, calibration=settings, **arguments)
    record = model_snn.conversion
    assert record.agreement >= record.agreement_before
    assert record.epochs == 1
    outputs = keras.tree.flatten(model_snn.predict(x, verbose=0))
    assert all(np.isfinite(output).all() for output in outputs)


@pytest.mark.parametrize(
    ("outputs", "expected", "loss"),
    [
        # Probabilities: sum of p log(p / q).
        ([[0.5, 0.5]], [[0.25, 0.75]], 0.25 * np.log(0.5) + 0.75 * np.log(1.5)),
        ([[1.0, 2.0, 5.0]], [[1.0, 2.0, 5.0]], 0.0),
        # Values: the squared error over the mean square.
        ([[1.0], [2.0]], [[2.0], [4.0]], 0.25),
    ],
)
def test_the_loss_of_outputs_by_hand(outputs, expected, loss):
    assert float(output_loss(tf.constant(outputs), tf.constant(expected))) == pytest.approx(loss, abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"calibration": "gradients"}, "Expected one of .*'gradient'.*Did you mean 'gradient'"),
        ({"calibration": 3}, "Unknown `calibration`"),
        ({"calibration": "gradient", "calibration_data": None}, "learns from samples. Expected `calibration_data`"),
        ({"calibration": "gradient", "reset": "zero"}, "reset='subtract': a hard reset loses the charge"),
        ({"calibration": "gradient", "input": "frames"}, "no output for a sequence of frames"),
        ({"calibration": "gradient", "signed_spikes": True}, "for binary spikes, step by step.*signed_spikes=True"),
        ({"calibration": "gradient", "schedule": "layer_synchronous"}, "step by step.*schedule='layer_synchronous'"),
        ({"calibration": "gradient", "corrections": ["timed_biases"]}, "corrections without 'timed_biases'"),
        ({"calibration": "gradient", "calibration_data": np.ones((20, 12))}, "needs 64 calibration samples.*: 20"),
    ],
)
def test_what_cannot_learn_is_refused(task, arguments, message):
    with pytest.raises(ValueError, match=message):
        snn.convert_keras(task[0], **{"calibration_data": task[1], **arguments})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epochs": 0}, "`epochs` to be a positive integer"),
        ({"batch_size": 1.5}, "`batch_size` to be a positive integer"),
        ({"samples": 10}, "`samples` to be 64 at least"),
        ({"train_weights": 1}, "`train_weights` to be True or False"),
        ({"verbose": "auto"}, "`verbose` to be True or False"),
        ({"learning_rate": 2.0}, r"`learning_rate` to be in \(0, 1\]"),
        ({"learning_rate": float("nan")}, r"`learning_rate` to be in \(0, 1\]"),
    ],
)
def test_settings_that_are_not_usable(arguments, message):
    with pytest.raises(ValueError, match=message):
        snn.GradientCalibration(**arguments)
