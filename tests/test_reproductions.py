"""Reproductions of papers: what their scripts compute, and the formula behind the shift."""

import importlib.resources

import deng_gu_2021
import deng_gu_2021_figures
import keras
import numpy as np
import pytest
import rueckauer_2017
from deng_gu_2021 import MAXIMUM, THRESHOLDS, TRAINED, Way
from sklearn.datasets import load_digits

import snn_toolbox_tf as snn


@pytest.fixture(scope="module")
def digits():
    """A trained network, and the images and labels."""
    path = importlib.resources.files("snn_toolbox_tf") / "example_files/digits_cnn.keras"
    images, labels = load_digits(return_X_y=True)
    return keras.saving.load_model(path), images.reshape(-1, 8, 8, 1).astype("float32") / 16, labels


@pytest.fixture(scope="module")
def sources(digits):
    """The network with ReLUs, and with threshold ReLUs."""
    keras.utils.set_random_seed(0)
    model, x, _ = digits
    return deng_gu_2021.learn(model, x[:200], percentile=95, epochs=1)


def spike_counts(current, threshold, timesteps, v0):
    """Spikes of neurons with soft reset and a constant current."""
    neurons = snn.SpikingNeurons(threshold, snn.neurons.IntegrateAndFire(v0=v0))
    state = neurons.get_initial_state(batch_size=1, input_shape=(None, current.shape[1]))
    counts = 0
    for _ in range(timesteps):
        spikes, state = neurons(current, state)
        counts += keras.ops.convert_to_numpy(spikes)
    return counts


@pytest.mark.parametrize("timesteps", [4, 16])
def test_area_between_relu_and_spikes_is_that_of_the_paper(timesteps, rng):
    # The staircase has T steps; at each, ReLU and staircase enclose two triangles, with legs of shift and theta / T - shift.
    # Together that is T / 2 ((theta / T - shift)^2 + shift^2), least where both are alike: theta^2 / (4 T).
    theta = 3.0
    activation = rng.uniform(0, theta, (1, 200_000)).astype("float32")
    areas = {}
    for part in (0.0, 0.25, 0.5, 0.75, 1.0):
        counts = spike_counts(activation, theta, timesteps, part)
        areas[part] = theta * float(np.abs(activation - theta * counts / timesteps).mean())
        shift = part * theta / timesteps
        expected = timesteps / 2 * ((theta / timesteps - shift) ** 2 + shift**2)
        assert areas[part] == pytest.approx(expected, rel=0.01)
    assert min(areas, key=areas.get) == 0.5
    assert areas[0.5] == pytest.approx(theta**2 / (4 * timesteps), rel=0.01)


def test_an_initial_potential_is_the_shift_of_every_timestep(rng):
    theta, timesteps = 2.0, 8
    activation = rng.uniform(0, theta, (1, 10_000)).astype("float32")
    shift = np.float32(theta / (2 * timesteps))
    at_first = spike_counts(activation, theta, timesteps, 0.5)
    # What rounding does at the edges of steps is left out.
    assert (at_first != spike_counts(activation + shift, theta, timesteps, 0.0)).mean() < 1e-3


def test_largest_activations(digits, sources):
    model, x, _ = digits
    found = deng_gu_2021.largest_activations(sources, x[:100])
    relus = [model.get_layer(name) for name in ("relu1", "conv2", "dense")]
    outputs = keras.Model(model.inputs, [layer.output for layer in relus]).predict(x[:100], verbose=0)
    assert [row["ReLU"] for row in found.values()] == pytest.approx(
        [float(output.max()) for output in outputs], rel=1e-5
    )
    for name, row in found.items():
        assert 0 < row["threshold ReLU"] <= float(sources.threshold_relu.get_layer(name).threshold[0])
    assert sum(row["threshold ReLU"] < row["ReLU"] for row in found.values()) >= len(found) - 1


def test_softmax_is_taken_off(digits, sources):
    model, x, _ = digits
    logits = sources.relu.predict(x[:20], verbose=0)
    np.testing.assert_allclose(keras.ops.softmax(logits), model.predict(x[:20], verbose=0), atol=1e-6)


def test_losses_are_those_against_the_own_source(digits, sources):
    _, x, y = digits
    ways = [Way(MAXIMUM), Way(TRAINED, 0.0, "zero")]
    lost = deng_gu_2021.losses(sources, x[300:350], y[300:350], [64, 4], ways)
    assert list(lost[ways[0]]) == [4, 64]
    decided = sources.convert(ways[1]).simulate(x[300:350], timesteps=4).outputs[-1].argmax(axis=-1)
    ann = deng_gu_2021.accuracy(sources.threshold_relu, x[300:350], y[300:350])
    assert lost[ways[1]][4] == pytest.approx(ann - 100 * (decided == y[300:350]).mean())
    assert abs(lost[ways[0]][64]) <= 2 < lost[ways[1]][4]
    assert str(ways[1]) == "threshold ReLU | no shift | hard"
    assert str(ways[0]) == "ReLU, maximum | shift 0.5 thresholds / T | soft"


def test_the_shift_lowers_the_error_of_outputs(digits, sources):
    _, x, _ = digits
    options = {"thresholds": TRAINED, "schedule": "layer_synchronous", "shifts": (0.0, 0.5, 1.0)}
    errors = deng_gu_2021.shift_errors(sources, x[300:330], [16], **options)
    assert min(errors[16], key=errors[16].get) == 0.5
    assert 0 < deng_gu_2021.best_shifts(errors)[16] < 1


def test_best_shift_is_the_lowest_point_of_a_parabola():
    errors = {8: {shift: (shift - 0.43) ** 2 + 1 for shift in deng_gu_2021.SHIFTS}}
    assert deng_gu_2021.best_shifts(errors)[8] == pytest.approx(0.43)
    assert deng_gu_2021.best_shifts({8: {0.0: 1.0, 0.5: 2.0, 1.0: 3.0}}) == {8: 0.0}


def test_figures_show_the_numbers():
    largest = {"conv": {"ReLU": 3.0, "threshold ReLU": 2.0}, "dense": {"ReLU": 5.0, "threshold ReLU": 4.0}}
    ways = [str(way) for way in deng_gu_2021.WAYS]
    lost = {way: {4: float(number), 8: number / 2} for number, way in enumerate(ways)}
    best = {("step", name): {4: 0.6, 8: 0.5} for name in THRESHOLDS}
    activations, shifts, soft, hard = deng_gu_2021_figures.draw(largest, lost, best).axes
    assert [patch.get_height() for patch in activations.patches] == [3.0, 5.0, 2.0, 4.0]
    drawn = {tuple(line.get_ydata()) for axes in (soft, hard) for line in axes.get_lines()}
    assert drawn >= {tuple(row.values()) for row in lost.values()}
    assert (0.6, 0.5) in {tuple(line.get_ydata()) for line in shifts.get_lines()}


def test_error_against_operations(digits):
    model, x, y = digits
    way = "percentile 99.9, soft reset"
    curve = rueckauer_2017.curves(model, x[:100], x[300:340], y[300:340], [2, 16], [way])[way]
    result = snn.convert_keras(model, x[:100], **rueckauer_2017.WAYS[way]).simulate(x[300:340], timesteps=2)
    counted = [*result.synaptic_operations.values(), *result.multiply_accumulates.values()]
    assert curve.operations[0] == pytest.approx(sum(float(values.mean()) for values in counted))
    assert curve.operations[1] > curve.operations[0]
    (error, _) = rueckauer_2017.errors(curve)
    assert error == pytest.approx(100 * (1 - float(result.accuracy(y[300:340])[-1])))
    ratio = curve.operations[0] / rueckauer_2017.operations_of_ann(curve)
    assert rueckauer_2017.operations_within(curve, 1.0) == (2, ratio)
    assert rueckauer_2017.operations_within(curve, -1.0) is None
    row = rueckauer_2017.error_table({way: curve}).splitlines()[2]
    assert row.startswith(f"| {way} | {error:.1f} % ({ratio:.2f}) |")
    (axes,) = rueckauer_2017.draw({"digits": {way: curve}}).axes
    assert list(axes.get_lines()[0].get_ydata()) == rueckauer_2017.errors(curve)
