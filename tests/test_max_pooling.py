"""Max pooling in time: of accumulated currents, and by winners, wherever it may stand in a network."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import mostly_slow
from convergence import assert_close, assert_converges

import snn_toolbox_tf as snn
from snn_toolbox_tf import analysis
from snn_toolbox_tf.analysis.closed_form import ClosedForm
from snn_toolbox_tf.graph import MaxPool, Population

L = keras.layers
RULES = ("accumulated", "winner_take_all")


def data(shape, samples=12):
    return np.random.default_rng(0).random((samples, *shape), dtype=np.float32)


def finished(inputs, x):
    return keras.Model(inputs, L.Dense(3, name="readout")(L.Flatten()(x)))


def pool_then_concatenate():
    inputs = keras.Input((8, 8, 2))
    x = L.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    both = L.Concatenate()([L.MaxPooling2D(2)(x), L.Conv2D(3, 3, strides=2, padding="same", activation="relu")(x)])
    return finished(inputs, L.Conv2D(4, 1, activation="relu")(both))


def pool_on_a_residual_sum():
    inputs = keras.Input((8, 8, 2))
    x = L.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    total = L.Add()([x, L.Conv2D(4, 3, padding="same")(x)])
    return finished(inputs, L.ReLU()(L.MaxPooling2D(2)(total)))


def pool_of_what_others_read():
    inputs = keras.Input((8, 8, 2))
    x = L.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    return finished(inputs, L.Concatenate()([L.GlobalMaxPooling2D()(x), L.GlobalAveragePooling2D()(x)]))


def overlapping_windows():
    inputs = keras.Input((9, 9, 2))
    x = L.MaxPooling2D(3, strides=2, padding="same")(L.Conv2D(4, 3, activation="relu")(inputs))
    return finished(inputs, L.Conv2D(4, 2, activation="relu")(x))


def pool_of_the_input():
    inputs = keras.Input((8, 8, 2))
    return finished(inputs, L.Conv2D(4, 3, activation="relu")(L.MaxPooling2D(2)(inputs)))


def pool_of_pool():
    inputs = keras.Input((12, 2))
    x = L.MaxPooling1D(2)(L.MaxPooling1D(3, strides=1)(L.Conv1D(4, 3, activation="relu")(inputs)))
    return finished(inputs, x)


def pool_in_three_dimensions():
    inputs = keras.Input((6, 6, 4, 1))
    x = L.MaxPooling3D(2)(L.Conv3D(3, 3, padding="same", activation="relu")(inputs))
    return finished(inputs, L.GlobalMaxPooling3D()(L.Conv3D(4, 2, activation="relu")(x)))


def pool_a_volume_to_one_place():
    inputs = keras.Input((4, 4, 4, 2))
    x = L.GlobalMaxPooling3D(keepdims=True)(L.Conv3D(3, 2, activation="relu")(inputs))
    return finished(inputs, L.Conv3D(4, 1, activation="relu")(x))


def pool_channels_first():
    inputs = keras.Input((2, 8, 8))
    x = L.Permute((3, 1, 2))(L.Conv2D(4, 3, activation="relu")(L.Permute((2, 3, 1))(inputs)))
    return finished(inputs, L.MaxPooling2D(2, data_format="channels_first")(x))


PLACES = {
    builder.__name__: builder
    for builder in (
        pool_then_concatenate,
        pool_on_a_residual_sum,
        pool_of_what_others_read,
        overlapping_windows,
        pool_of_the_input,
        pool_of_pool,
        pool_in_three_dimensions,
        pool_a_volume_to_one_place,
        pool_channels_first,
    )
}


CASES = [(place, rule) for place in PLACES for rule in RULES]
WINNERS = ["pool_then_concatenate", "overlapping_windows", "pool_of_pool", "pool_in_three_dimensions"]


@pytest.mark.few(2)
@pytest.mark.parametrize(
    "case",
    mostly_slow(CASES, [(place, rule) for place, rule in CASES if rule == "accumulated" or place in WINNERS]),
    ids="-".join,
)
def test_max_pooling_converges_wherever_it_stands(case):
    """Winners take longer: a neuron that is ahead for a while passes its spikes, and near ties are decided late."""
    place, rule = case
    keras.utils.set_random_seed(1)
    model = PLACES[place]()
    x = data(model.inputs[0].shape[1:])
    if rule == "accumulated":
        assert_converges(model, x)
    else:
        # No bound: it depends on when spikes come which neuron wins.
        assert_close(model, snn.convert_keras(model, x, percentile=100, max_pooling=rule), x, 2048, tolerance=0.06)


def reference(spikes, counts, pool, strides):
    """A loop over everything: what the winner of each window puts out, one row of columns per sample."""
    passed = []
    for current in spikes:
        counts = counts + current
        rows = []
        for start in range(0, current.shape[1] - pool + 1, strides):
            winner = start + np.argmax(counts[:, start : start + pool], axis=1)
            rows.append(np.take_along_axis(current, winner[:, None], axis=1)[:, 0])
        passed.append(np.stack(rows, axis=1))
    return np.stack(passed), counts


def test_a_hand_computed_spike_train():
    """Two neurons: 1 0 1 0 1 and 0 1 1 1 0. At t = 4 the second leads; counts tie at t = 2, 3 and 5, and the first wins."""
    spikes = np.array([[1, 0], [0, 1], [1, 1], [0, 1], [1, 0]], np.float32).reshape(5, 1, 1, 2, 1)
    passed, sums = snn.ops.winner_take_all(spikes, tf.zeros((1, 1, 2, 1), tf.float64), snn.ops.Window((1, 2), (1, 2)))
    assert passed.numpy().ravel().tolist() == [1, 0, 1, 1, 1]
    assert sums.numpy().ravel().tolist() == [3, 3]


@pytest.mark.parametrize(("pool", "strides"), [(2, 2), (3, 1), (4, 3)])
def test_winners_are_those_of_a_loop(rng, pool, strides):
    spikes = rng.integers(0, 2, (20, 6, 10)).astype(np.float32)
    counts = rng.integers(0, 5, (6, 10)).astype(np.float64)
    expected, after = reference(spikes, counts, pool, strides)
    window = snn.ops.Window((1, pool), (1, strides))
    passed, sums = snn.ops.winner_take_all(
        tf.constant(spikes[:, :, None, :, None]), tf.constant(counts[:, None, :, None]), window
    )
    np.testing.assert_array_equal(passed.numpy()[:, :, 0, :, 0], expected)
    np.testing.assert_array_equal(sums.numpy()[:, 0, :, 0], after)


def test_only_spikes_pass_and_blocks_do_not_matter():
    """The population stays in front of the pooling, at full size, and what passes is spikes of its own."""
    keras.utils.set_random_seed(1)
    model = overlapping_windows()
    x = data((9, 9, 2))
    model_snn = snn.convert_keras(model, x, max_pooling="winner_take_all", timesteps=20, threshold_rule="percentile")
    graph = model_snn.network.graph
    (pool,) = graph.of_type(MaxPool)
    assert isinstance(graph[pool.inputs[0]], Population)
    assert graph[pool.inputs[0]].shape == (7, 7, 4)
    assert snn.convert_keras(model, x, threshold_rule="percentile").network.graph.of_type(Population)[0].shape == (
        4,
        4,
        4,
    )
    runs = [model_snn.simulate(x, block_length=length, record="spikes") for length in (1, 7, 20)]
    for run in runs[1:]:
        for name, spikes in run.spikes.items():
            np.testing.assert_array_equal(spikes, runs[0].spikes[name])


def test_the_rule_is_kept_in_the_file(tmp_path):
    keras.utils.set_random_seed(0)
    model, x = pool_of_pool(), data((12, 2))
    model_snn = snn.convert_keras(model, x, max_pooling="winner_take_all", timesteps=16, threshold_rule="percentile")
    model_snn.save(tmp_path / "snn.keras")
    loaded = keras.saving.load_model(tmp_path / "snn.keras")
    assert [node.rule for node in loaded.network.graph.of_type(MaxPool)] == ["winner_take_all"] * 2
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model_snn.predict(x, verbose=0))
    assert loaded.conversion.max_pooling == "winner_take_all"


def test_there_is_no_closed_form_of_winners():
    keras.utils.set_random_seed(0)
    model, x = pool_of_pool(), data((12, 2))
    model_snn = snn.convert_keras(model, x, max_pooling="winner_take_all", threshold_rule="percentile")
    with pytest.raises(ValueError, match=r"no closed form of max pooling by winners \(max_pooling1d"):
        ClosedForm(model_snn)
    fidelity = snn.compare(model, model_snn, x)
    assert np.isnan(fidelity.populations[0].quantisation)
    assert analysis.closed_form.ClosedForm.holds_for(
        snn.convert_keras(model, x, threshold_rule="percentile").network.graph
    )


def test_an_unknown_rule_is_refused():
    with pytest.raises(ValueError, match=r"`max_pooling`.*Received: .*'largest'"):
        snn.convert_keras(pool_of_pool(), data((12, 2)), max_pooling="largest")


def test_the_check_and_the_report_know_the_rule(tmp_path):
    keras.utils.set_random_seed(0)
    model, x = pool_of_pool(), data((12, 2))
    rows = snn.check(model, max_pooling="winner_take_all").rows
    assert [row.reason for row in rows if row.becomes == "population"] == ["10 x 4 integrate-and-fire neurons"]
    reasons = [row.reason for row in rows if row.class_name == "MaxPooling1D"]
    assert reasons == ["passes the spikes of the neuron that fires most"] * 2
    assert {row.reason for row in snn.check(model).rows if row.class_name == "MaxPooling1D"} == {
        "pools accumulated currents"
    }
    settings = snn.Settings().replace(duration=8, path_wd=str(tmp_path), maxpool_type="fir_max", plot_vars=[])
    notes = snn.run(settings, model=model, x_test=x, x_norm=x).simulated.notes
    assert any("passes the spikes of winners (maxpool_type = winner_take_all)" in note for note in notes)
    with pytest.raises(ValueError, match="`max_pooling`"):
        snn.check(model, max_pooling="largest")
