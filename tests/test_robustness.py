"""Adversarial attacks against closed forms and NumPy; what they leave of networks, and whether gradients are masked."""

import importlib.resources
import pathlib
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits

import snn_toolbox_tf as snn
from snn_toolbox_tf.studies import loss_gradients
from snn_toolbox_tf.studies.attacks import Ball, fgsm, noise, pgd, sizes, whole_range
from snn_toolbox_tf.studies.gradient_masking import signs_of_masking
from snn_toolbox_tf.studies.robustness_result import Attack, Outcome, Target

L = keras.layers
UNIT = (np.float32(0), np.float32(1))


def linear_model(units, activation):
    """A model whose gradient is known: its hidden neurons are read with weights that are 0."""
    inputs = keras.Input((5,))
    idle = L.Dense(units, use_bias=False, kernel_initializer="zeros")(L.Dense(4, "relu")(inputs))
    return keras.Model(inputs, L.Activation(activation)(L.Add()([L.Dense(units, name="out")(inputs), idle])))


@pytest.fixture(scope="module")
def linear():
    """Such a model, and its spiking network."""
    keras.utils.set_random_seed(0)
    model = linear_model(3, "softmax")
    x = np.random.default_rng(0).random((12, 5), "float32")
    return model, snn.convert_keras(model, x, timesteps=4), x, np.arange(12) % 3


@pytest.fixture(scope="module")
def digits():
    """A trained network, its spiking network for 8 timesteps, and test images."""
    model = keras.saving.load_model(importlib.resources.files("snn_toolbox_tf") / "example_files/digits_cnn.keras")
    images, labels = load_digits(return_X_y=True)
    x = images.reshape(-1, 8, 8, 1).astype("float32") / 16
    return model, snn.convert_keras(model, x[:200], timesteps=8), x[1200:1260], labels[1200:1260]


@pytest.fixture(scope="module")
def found(digits):
    return snn.robustness(*digits, epsilons=[0.1, 0.3, 0], inputs=["analog", "poisson"], steps=5)


def closed_form(model, x, labels):
    """The gradient of the cross entropy of softmax(x W + b): (p - 1_y) W^T."""
    kernel, bias = model.get_layer("out").get_weights()
    logits = x.astype(np.float64) @ kernel + bias
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    return (p - np.eye(kernel.shape[1])[labels]) @ kernel.T


def test_gradients_of_a_linear_model_are_its_closed_form(linear):
    model, model_snn, x, labels = linear
    expected = closed_form(model, x, labels)
    of_source = loss_gradients.source_gradient(model, model_snn.network.graph, batch_size=5)
    np.testing.assert_allclose(of_source(x, labels), expected, rtol=1e-4, atol=1e-6)
    # Its neurons change nothing: the spiking network is the same function.
    of_network = loss_gradients.surrogate_gradient(model_snn, 4, "arctan", batch_size=5)
    np.testing.assert_allclose(of_network(x, labels), expected, rtol=1e-3, atol=1e-5)


def test_probabilities_that_round_to_one_leave_a_gradient(linear):
    model, _, x, _ = linear
    steep = keras.models.clone_model(model)
    steep.set_weights([60 * value for value in model.get_weights()])
    labels = steep.predict(x, verbose=0).argmax(1)
    assert (steep.predict(x, verbose=0).max(1) == 1).any()
    model_snn = snn.convert_keras(steep, x, timesteps=4)
    expected = np.sign(closed_form(steep, x, labels))
    for gradient in (
        loss_gradients.source_gradient(steep, model_snn.network.graph, 12),
        loss_gradients.surrogate_gradient(model_snn, 4, "arctan", 12),
    ):
        np.testing.assert_array_equal(np.sign(gradient(x, labels)), expected)


def test_a_sigmoid_has_the_gradient_of_its_closed_form():
    model = linear_model(1, "sigmoid")
    x, labels = np.random.default_rng(0).random((6, 5), "float32"), np.arange(6) % 2
    model_snn = snn.convert_keras(model, x, timesteps=4)
    kernel, bias = model.get_layer("out").get_weights()
    expected = (1 / (1 + np.exp(-(x @ kernel + bias))) - labels[:, None]) * kernel.T
    actual = loss_gradients.source_gradient(model, model_snn.network.graph, 6)(x, labels)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-6)


def test_probabilities_whose_softmax_is_out_of_sight_have_a_gradient(linear):
    """A layer behind it hides it: then logits are what a softmax would need to give the same."""
    model, model_snn, x, labels = linear
    behind = keras.Model(model.inputs, L.Identity()(L.Reshape((3,))(model.outputs[0])))
    actual = loss_gradients.source_gradient(behind, model_snn.network.graph, 12)(x, labels)
    np.testing.assert_allclose(actual, closed_form(model, x, labels), rtol=1e-4, atol=1e-6)


def test_surrogate_gradients_are_those_of_training(digits):
    _, model_snn, x, labels = digits
    actual = loss_gradients.surrogate_gradient(model_snn, 8, "triangle", 4)(x[:8], labels[:8])
    inputs = tf.constant(x[:8])
    with model_snn.fine_tuning("triangle"), tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = model_snn(inputs, training=True)
        loss = tf.reduce_sum(-tf.math.log(tf.gather(outputs, labels[:8], batch_dims=1)))
    np.testing.assert_allclose(actual, tape.gradient(loss, inputs), rtol=1e-3, atol=1e-5)


def test_a_spiking_softmax_has_the_gradient_of_a_softmax(digits):
    model, _, x, labels = digits
    drawn = snn.convert_keras(model, x, timesteps=8, softmax="spiking", threshold_rule="percentile")
    plain = snn.convert_keras(model, x, timesteps=8, threshold_rule="percentile")
    actual, expected = (
        loss_gradients.surrogate_gradient(network, 8, "arctan", 8)(x[:8], labels[:8]) for network in (drawn, plain)
    )
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-7)


def test_channels_first_has_the_gradient_of_channels_last():
    def model(order, shape):
        layers = [L.Conv2D(3, 3, activation="relu"), L.MaxPooling2D(), L.GlobalAveragePooling2D(), L.Dense(2)]
        keras.config.set_image_data_format(order)
        try:
            rebuilt = [type(layer).from_config({**layer.get_config(), "data_format": order}) for layer in layers[:3]]
        finally:
            keras.config.set_image_data_format("channels_last")
        return keras.Sequential([keras.Input(shape), *rebuilt, layers[3]])

    last, first = model("channels_last", (6, 6, 2)), model("channels_first", (2, 6, 6))
    first.set_weights(last.get_weights())
    x, labels = np.random.default_rng(0).random((4, 6, 6, 2), "float32"), np.arange(4) % 2
    turned = x.transpose(0, 3, 1, 2)
    expected, actual = (
        loss_gradients.source_gradient(source, snn.convert_keras(source, data, timesteps=4).network.graph, 4)(
            data, labels
        )
        for source, data in ((last, x), (first, turned))
    )
    np.testing.assert_allclose(actual.transpose(0, 2, 3, 1), expected, rtol=1e-4, atol=1e-6)


def test_fgsm_on_a_linear_model_by_hand(linear):
    model, model_snn, x, labels = linear
    gradient = loss_gradients.source_gradient(model, model_snn.network.graph, 12)
    expected = closed_form(model, x, labels)
    moved = fgsm(gradient, x, labels, Ball("linf", 0.25, *UNIT))
    np.testing.assert_allclose(moved, np.clip(x + 0.25 * np.sign(expected), 0, 1), atol=1e-6)
    moved = fgsm(gradient, x, labels, Ball("l2", 0.25, np.float32(-9), np.float32(9)))
    direction = expected / np.sqrt((expected**2).sum(1, keepdims=True))
    np.testing.assert_allclose(moved, x + 0.25 * direction, atol=1e-5)


def test_pgd_goes_step_by_step_from_its_start():
    """Against the same in a loop by hand, with a loss that is linear."""
    slope = np.array([[3.0, -4.0], [0.0, 0.0]])
    x, ball = np.full((2, 2), 0.5, "float32"), Ball("l2", 0.3, *UNIT)
    place = ball.random_start(x, 7).astype(np.float64)
    for _ in range(4):
        place[0] += 0.3 * 0.2 * np.array([0.6, -0.8])
        change = place - 0.5
        place = 0.5 + change * np.minimum(1, 0.3 / np.sqrt((change**2).sum(1, keepdims=True)))
    moved = pgd(lambda moved, labels: slope, x, np.zeros(2, int), ball, steps=4, step_size=0.2, seed=7)
    np.testing.assert_allclose(moved, place, atol=1e-6)
    # By default it gets to the end of the ball wherever it starts.
    moved = pgd(lambda moved, labels: slope, x, np.zeros(2, int), Ball("linf", 0.3, *UNIT), steps=10)
    np.testing.assert_allclose(moved[0], [0.8, 0.2], atol=1e-6)


def test_projection_onto_a_ball_against_numpy(rng):
    x, moved = rng.random((50, 4, 3), "float32"), rng.normal(size=(50, 4, 3)).astype("float32")
    lengths = np.linalg.norm((moved - x).reshape(50, -1), axis=1)[:, None, None]
    wide = (np.float32(-99), np.float32(99))
    for epsilon in (0.5, 3.0, 50.0):
        expected = np.where(lengths <= epsilon, moved, x + (moved - x) * epsilon / lengths)
        np.testing.assert_allclose(Ball("l2", epsilon, *wide).projected(x, moved), expected, atol=1e-5)
        np.testing.assert_allclose(Ball("l2", epsilon, *UNIT).projected(x, moved), np.clip(expected, 0, 1), atol=1e-5)
        expected = np.minimum(np.maximum(moved, x - epsilon), x + epsilon)
        np.testing.assert_allclose(Ball("linf", epsilon, *wide).projected(x, moved), expected, atol=1e-5)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_nothing_leaves_the_ball_or_the_valid_range(norm, rng):
    x = rng.random((40, 6), "float32")
    x[:10], x[10:20] = 0, 1
    low, high = np.zeros(6, "float32"), np.array([1, 1, 1, 1, 1, 2], "float32")
    slope = rng.normal(size=x.shape)
    for epsilon in (1e-3, 0.1, 5.0):
        ball = Ball(norm, epsilon, low, high)
        for moved in (
            noise(x, ball, 1),
            ball.random_start(x, 2),
            fgsm(lambda moved, labels: slope, x, np.zeros(40, int), ball),
            pgd(lambda moved, labels: slope * moved, x, np.zeros(40, int), ball, steps=7, step_size=0.7),
        ):
            assert sizes(x, moved, norm).max() <= epsilon + 1e-6
            assert (moved >= low).all()
            assert (moved <= high).all()
            assert moved.dtype == np.float32


def test_noise_is_as_large_as_attacks_and_starts_fill_the_ball():
    x, wide = np.zeros((2000, 3), "float32"), (np.float32(-9), np.float32(9))
    np.testing.assert_allclose(np.abs(noise(x, Ball("linf", 0.5, *wide), 0)), 0.5)
    np.testing.assert_allclose(sizes(x, noise(x, Ball("l2", 0.5, *wide), 0), "l2"), 0.5, rtol=1e-5)
    # The mean radius in a ball of n dimensions is n / (n + 1) of the largest.
    radius = sizes(x, Ball("l2", 0.5, *wide).random_start(x, 0), "l2")
    assert radius.mean() == pytest.approx(0.5 * 3 / 4, rel=0.02)
    assert np.abs(Ball("linf", 0.5, *wide).random_start(x, 0)).mean() == pytest.approx(0.25, rel=0.05)
    assert whole_range("l2", *UNIT, (4, 4)) == 4
    assert whole_range("linf", np.zeros(2), np.array([1.0, 3.0]), (2,)) == 3


def test_tiny_and_missing_gradients_have_a_direction_or_none():
    ball = Ball("l2", 1.0, *UNIT)
    np.testing.assert_allclose(ball.steepest(np.array([[3e-30, 4e-30], [0, 0]])), [[0.6, 0.8], [0, 0]])


def test_attacks_through_the_surrogate_do_more_than_noise_and_transferred_noise(found):
    """The issue's criterion, on a trained network: with analog input as much as the source's gradients do."""
    source, analog, poisson = found.targets
    for epsilon in found.epsilons:
        for target in (analog, poisson):
            white = found.accuracy(target, "pgd", "snn", epsilon)
            assert white <= found.accuracy(target, "noise", epsilon=epsilon)
            assert white <= found.accuracy(target, "fgsm", "snn", epsilon) + 0.05
            assert found.accuracy(target, "strongest", epsilon=epsilon) <= white
        assert found.accuracy(source, "pgd", "ann", epsilon) <= found.accuracy(source, "noise", epsilon=epsilon)
    assert found.accuracy(analog) > 0.9
    assert found.accuracy(analog, "pgd", "snn", 0.3) < 0.1
    assert all(one.accuracy < 0.05 for one in found.unbounded)
    assert found.warnings == ()
    assert found.verdict == f"No sign of gradient masking in {found.checks} checks."


def test_it_is_shown_as_tables_dictionary_and_figure(found):
    text = str(found)
    assert found.epsilons == (0.1, 0.3)
    assert "60 samples, perturbations of at most epsilon (linf)" in text
    assert "SNN, T = 8, Poisson input" in text
    assert text.endswith(found.verdict)
    assert found.attack_names == ["noise", "FGSM (ANN)", "FGSM (SNN)", "PGD (ANN)", "PGD (SNN)"]
    data = found.as_dict()
    assert len(data["outcomes"]) == 3 + 2 * (3 + 2 * (3 + 3))
    assert {"target", "attack", "accuracy", "absorbed", "unmoved"} == set(data["outcomes"][0])
    figure = found.plot()
    assert len(figure.axes) == 2
    assert len(figure.axes[0].lines) == 6
    with pytest.raises(
        KeyError, match=r"no attack kind='pgd', gradient='', epsilon=0\.1 on ANN\. Epsilons: \[0\.1, 0\.3\]"
    ):
        found.accuracy(found.targets[0], "pgd", epsilon=0.1)


def test_finished_points_are_kept(digits, tmp_path):
    options = {"epsilons": [0.1], "inputs": ["analog"], "attacks": ["fgsm"], "norm": "l2", "steps": 2}
    told = []
    first = snn.robustness(*digits, **options, journal=snn.Journal(tmp_path / "j.json", told.append))
    # The inputs as they are, noise, and two gradients with a bound and without.
    assert len(told) == len(set(told)) == 6
    assert "FGSM (SNN) at T = 8, epsilon 0.1 (l2), on ANN, SNN, T = 8, analog input" in told
    told.clear()
    again = snn.robustness(*digits, **options, journal=snn.Journal(tmp_path / "j.json", told.append))
    assert told == []
    assert again.as_dict() == first.as_dict()
    # Of a study that has more sizes, only these are computed.
    more = {**options, "epsilons": [0.1, 0.2]}
    snn.robustness(*digits, **more, journal=snn.Journal(tmp_path / "j.json", told.append))
    assert len(told) == 3
    with pytest.raises(ValueError, match="belongs to another study: it differs in options"):
        snn.robustness(*digits, **{**options, "steps": 3}, journal=snn.Journal(tmp_path / "j.json"))


@pytest.mark.long
def test_the_page_runs(tmp_path, monkeypatch):
    page = (pathlib.Path(__file__).parents[1] / "docs/robustness.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(code.replace("1200", "300").replace("1260", "320"), names)
    assert [str(target) for target in names["found"].targets][-1] == "SNN, T = 16, Poisson input"
    assert (tmp_path / "robustness.png").is_file()


def test_small_perturbations_are_absorbed_by_neurons_and_by_nothing_else(digits, linear):
    few = {"inputs": ["analog"], "attacks": ["fgsm"], "gradients": ["ann"]}
    found = snn.robustness(*digits, epsilons=[1e-6], **few)
    assert found.of(found.targets[1], 1e-6)[0].absorbed > 0.9
    assert found.of(found.targets[0], 1e-6)[0].absorbed is None
    found = snn.robustness(*linear, epsilons=[1e-3], **few)
    assert [one.absorbed for one in found.of(found.targets[1], 1e-3)] == [0.0, 0.0]
    # Without its own gradient, a network cannot be said to mask it.
    assert {one.target for one in found.unbounded} == {Target()}


def test_a_network_that_masks_its_gradient_is_told(digits):
    """Logits that are 10,000 times as large leave no gradient where the answer is right."""
    model, _, x, labels = digits
    body = keras.Model(model.inputs, model.layers[-1].input)
    steep = keras.Sequential([keras.Input(x.shape[1:]), body, L.Dense(10, name="steep")])
    steep.layers[-1].set_weights([1e4 * value for value in model.layers[-1].get_weights()])
    model_snn = snn.convert_keras(steep, x, timesteps=4, threshold_rule="percentile")
    found = snn.robustness(steep, model_snn, x, labels, [0.3], inputs=["analog"], steps=3)
    assert f"Signs of gradient masking, in {found.checks} checks, by: ANN; SNN, T = 4, analog input." in found.verdict
    assert any("ANN: the gradient of the loss is 0 for" in text for text in found.warnings)
    assert any("ANN: PGD that may go anywhere in the valid range leaves" in text for text in found.warnings)
    assert "- ANN: the gradient of the loss" in str(found)


def outcomes(**correct):
    """Outcomes of the spiking network, of 40 samples, of which so many are right."""
    named = {
        "clean": Attack("clean"),
        "noise": Attack("noise", "", 0.1),
        "fgsm": Attack("fgsm", "snn", 0.1, 8),
        "pgd": Attack("pgd", "snn", 0.1, 8),
        "larger": Attack("pgd", "snn", 0.2, 8),
        "transferred": Attack("pgd", "ann", 0.1),
    }
    return [Outcome(Target(8, "analog"), named[name], np.arange(40) < count) for name, count in correct.items()]


@pytest.mark.parametrize(
    ("correct", "sign"),
    [
        (
            {"transferred": 10, "pgd": 20},
            r"weaker than those transferred .* \(PGD \(SNN\) at epsilon 0.1 leaves 50.0 %, PGD \(ANN\) 25.0 %\)\.",
        ),
        (
            {"noise": 15, "pgd": 30},
            r"weaker than noise of the same size \(PGD \(SNN\) at epsilon 0\.1 leaves 75\.0 %, noise 37\.5 %",
        ),
        ({"fgsm": 10, "pgd": 20}, r"PGD is weaker than the single step of FGSM"),
        (
            {"pgd": 10, "larger": 20},
            r"less with larger perturbations \(PGD \(SNN\) at epsilon 0.2 leaves 50.0 %, PGD \(SNN\) at epsilon 0.1 25.0 %",
        ),
        # Nine samples may be chance: 9 = 3 sqrt(9).
        ({"transferred": 10, "pgd": 19}, None),
        ({"noise": 35, "fgsm": 20, "transferred": 12, "pgd": 10, "larger": 2}, None),
    ],
)
def test_signs_of_masking(correct, sign):
    checks, signs = signs_of_masking(outcomes(clean=38, **correct), [])
    assert checks >= 1
    if sign is None:
        assert signs == ()
    else:
        with pytest.raises(RuntimeError, match=sign):
            raise RuntimeError(*map(str, signs))


def test_attacks_without_a_bound_should_always_succeed():
    clean = outcomes(clean=40)
    left = [Outcome(Target(8, "analog"), Attack("pgd", "snn", 1.0, 8), np.arange(40) < count) for count in (2, 3)]
    assert signs_of_masking(clean, left[:1]) == (1, ())
    assert "leaves 7.5 % of what was right" in signs_of_masking(clean, left[1:])[1][0].text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epsilons": 0.1}, r"several sizes of perturbations.*Received: epsilons=0\.1"),
        ({"epsilons": [0.1, -1]}, r"Received: epsilons=\[0\.1, -1\]"),
        ({"epsilons": [0]}, r"Received: epsilons=\[0\]"),
        ({"epsilons": [float("inf")]}, r"Received: epsilons=\[inf\]"),
        ({"norm": "l1"}, r"Unknown `norm`\. Expected one of \('linf', 'l2'\)\. Received: norm='l1'"),
        ({"attacks": ["pdg"]}, r"Unknown `attacks`\..*Did you mean 'pgd'\?"),
        ({"attacks": "pgd"}, r"`attacks` to be a list of any of \('fgsm', 'pgd'\)\. Received: attacks='pgd'"),
        ({"gradients": []}, r"`gradients` to be a list of any of \('ann', 'snn'\)\. Received: gradients=\[\]"),
        ({"inputs": ["frames"]}, r"Unknown `inputs`"),
        ({"timesteps": 8}, r"several numbers of timesteps, for example \[8, 16, 32\]\. Received: timesteps=8"),
        ({"steps": 0}, r"Expected `steps` to be a positive integer"),
        ({"step_size": -1}, r"Expected `step_size` to be a positive number.*Received: step_size=-1"),
        ({"surrogate_gradient": "arctn"}, r"Unknown `surrogate_gradient`.*Did you mean 'arctan'"),
        ({"seed": -1}, r"Expected `seed`"),
        ({"bounds": (1, 0)}, r"smallest and the largest valid value.*shape \(5,\).*Received: bounds=\(1, 0\)"),
        ({"bounds": 1}, r"Received: bounds=1"),
        ({"bounds": (np.zeros(4), np.ones(4))}, r"broadcast against a sample of shape \(5,\)"),
        ({"bounds": (0, 0.5)}, r"values outside of `bounds`, first in sample 0: from .* within bounds=\(0, 0\.5\)"),
        ({"y": [0, 1]}, r"one label per sample\. Expected 12 labels"),
        ({"y": np.full(12, 3)}, r"class indices from 0 to 2"),
        ({"x": iter([])}, r"Expected `x` to be an array, which is attacked several times\. Received: list_iterator"),
    ],
)
def test_unusable_arguments_are_told(linear, options, message):
    model, model_snn, x, y = linear
    arguments = {"x": x, "y": y, "epsilons": [0.1], **options}
    with pytest.raises(ValueError, match=message):
        snn.robustness(model, model_snn, **arguments)


def test_a_ball_of_no_size_is_told():
    with pytest.raises(ValueError, match=r"Expected `epsilon` to be a number, 0 or more\. Received: epsilon=-1"):
        Ball("l2", -1, *UNIT)


def test_networks_that_cannot_be_attacked_are_told(linear):
    model, model_snn, x, y = linear
    with pytest.raises(TypeError, match="Received: SpikingModel, SpikingModel"):
        snn.robustness(model_snn, model_snn, x, y)
    with pytest.raises(TypeError, match="Expected `model_snn` to be a SpikingModel"):
        snn.robustness(model, model, x, y)
    with pytest.raises(TypeError, match="Expected `model_snn` to be a SpikingModel"):
        snn.robustness(model, lambda timesteps: None, x, y, timesteps=[4])
    with pytest.raises(ValueError, match=r"needs numbers of timesteps to convert for.*Received: timesteps=None"):
        snn.robustness(model, lambda timesteps: model_snn, x, y)
    hidden = keras.Sequential([keras.Input((5,)), L.Dense(4, "relu"), L.Dense(3)])
    latency = snn.convert_keras(hidden, x, code="latency")
    with pytest.raises(TypeError, match=r"in latency code.*convert with code='rate'"):
        snn.robustness(hidden, latency, x, y)
    at_once = snn.convert_keras(hidden, x, schedule="layer_synchronous", timesteps=4)
    with pytest.raises(
        ValueError, match=r"no surrogate gradient, because it has schedule='layer_synchronous'.*gradients=\['ann'\]"
    ):
        snn.robustness(hidden, at_once, x, y)
    few = {"gradients": ["ann"], "inputs": ["analog"], "attacks": ["fgsm"], "steps": 1}
    assert snn.robustness(hidden, at_once, x, y, [0.1], **few).samples == 12
    signed = snn.convert_keras(hidden, x, signed_spikes=True, timesteps=4)
    with pytest.raises(ValueError, match="because it has signed spikes in"):
        snn.robustness(hidden, signed, x, y)
    frames = snn.convert_keras(hidden, x, input="frames", timesteps=4)
    with pytest.raises(ValueError, match="reads frames, which are not attacked"):
        snn.robustness(hidden, frames, x, y)
    inputs = keras.Input((5,))
    both = keras.Model(inputs, [L.Dense(3, name="a")(inputs), L.Dense(2, name="b")(L.Dense(2, "relu")(inputs))])
    with pytest.raises(
        ValueError, match=r"one input and one output, of classes\. Received: inputs .*outputs \['a \(classes\)', 'b"
    ):
        snn.robustness(both, snn.convert_keras(both, x, timesteps=4), x, y)
