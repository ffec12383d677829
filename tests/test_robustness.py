"""What attacks leave of networks, and whether gradients are masked."""

import pathlib
import re

import attacked_networks
import keras
import numpy as np
import pytest

import snn_toolbox_tf as snn
from snn_toolbox_tf.studies.attacks import Ball
from snn_toolbox_tf.studies.gradient_masking import signs_of_masking
from snn_toolbox_tf.studies.robustness_result import Attack, Outcome, Target

L = keras.layers


@pytest.fixture(name="linear")
def _linear():
    return attacked_networks.linear()


@pytest.fixture(name="digits")
def _digits():
    return attacked_networks.digits()


@pytest.fixture(scope="module")
def found():
    return snn.robustness(*attacked_networks.digits(), epsilons=[0.1, 0.3, 0], inputs=["analog", "poisson"], steps=5)


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
    assert found.verdict.startswith(f"No sign of gradient masking in {found.checks} checks.")
    assert "With 60 samples they find little: an attack counts as weaker if 10 samples or more" in found.verdict


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
    exec(code.replace("1200", "300").replace("1260", "320").replace("[4, 16]", "[4]"), names)
    assert [str(target) for target in names["found"].targets][-1] == "SNN, T = 4, Poisson input"
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
        Ball("l2", -1, np.float32(0), np.float32(1))


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
