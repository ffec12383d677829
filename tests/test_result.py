"""SimulationResult: accuracy, files, and what is wrong with labels."""

import numpy as np
import pytest

import snn_toolbox_tf as snn


def result_with(outputs):
    outputs = np.asarray(outputs, np.float32)
    return snn.SimulationResult(outputs, range(1, len(outputs) + 1), duration=len(outputs), samples=outputs.shape[1])


def test_accuracy_over_time_for_indices_and_one_hot():
    result = result_with([[[1, 0], [1, 0], [0, 1]], [[0, 1], [1, 0], [0, 1]]])
    expected = [2 / 3, 1.0]
    np.testing.assert_allclose(result.accuracy([1, 0, 1]), expected)
    np.testing.assert_allclose(result.accuracy(np.array([[1], [0], [1]])), expected)
    np.testing.assert_allclose(result.accuracy(np.eye(2)[[1, 0, 1]]), expected)


def test_accuracy_of_one_unit_decides_at_one_half():
    result = result_with([[[0.2], [0.7], [0.5]]])
    np.testing.assert_allclose(result.accuracy([0, 1, 1]), [2 / 3])


def test_accuracy_of_several_outputs_has_their_structure():
    outputs = {"a": np.eye(2, dtype=np.float32)[None], "b": np.eye(2, dtype=np.float32)[None]}
    result = snn.SimulationResult(outputs, [1], duration=1, samples=2)
    accuracy = result.accuracy({"a": [0, 1], "b": [1, 1]})
    assert (accuracy["a"].item(), accuracy["b"].item()) == (1.0, 0.5)
    with pytest.raises(ValueError, match="structure of the outputs"):
        result.accuracy({"a": [0, 1], "c": [0, 1]})
    assert set(result.accuracy({"a": [0, 1]})) == {"a"}
    pair = snn.SimulationResult(list(outputs.values()), [1], duration=1, samples=2)
    assert pair.accuracy([None, [0, 1]])[0] is None
    with pytest.raises(ValueError, match="a list of 2 entries"):
        pair.accuracy([0, 1, 1])


def test_repr_says_what_there_is():
    text = repr(result_with(np.zeros((2, 3, 2))))
    assert (
        text == "<SimulationResult: 3 samples, 2 timesteps, outputs after 2 of them, 0 populations, recorded: nothing>"
    )


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1], r"one label per sample. Expected 3 labels. Received shape: \(2,\)"),
        (0, r"Expected 3 labels"),
        (np.zeros((3, 4)), r"2 columns, one per class.*\(3, 4\)"),
        ([0, 1, 2], r"class indices from 0 to 1"),
        ([0.5, 0, 1], r"class indices"),
        ([0, 1, float("nan")], r"class indices"),
        (["cat", "dog", "cat"], r"class indices"),
    ],
)
def test_bad_labels(labels, message):
    result = result_with(np.zeros((2, 3, 2)))
    with pytest.raises(ValueError, match=message):
        result.accuracy(labels)


def test_accuracy_needs_classes():
    with pytest.raises(ValueError, match=r"needs an output \[samples, classes\].*\(3, 4, 4, 2\)"):
        result_with(np.zeros((2, 3, 4, 4, 2))).accuracy([0, 0, 0])


def test_save_and_load_round_trip(tmp_path, mlp, x_mlp):
    result = snn.convert_keras(mlp, x_mlp, threshold_rule="percentile").simulate(
        x_mlp, timesteps=5, record=["spikes", "membrane_potential"]
    )
    result.save(tmp_path / "run")
    loaded = snn.SimulationResult.load(tmp_path / "run")
    np.testing.assert_array_equal(loaded.outputs, result.outputs)
    np.testing.assert_array_equal(loaded.spikes["hidden_relu"], result.spikes["hidden_relu"])
    assert loaded.firing_rates == result.firing_rates
    assert loaded.timesteps.tolist() == [1, 2, 3, 4, 5]
    for field in ("synaptic_operations", "multiply_accumulates", "membrane_potential", "spike_counts"):
        assert set(getattr(loaded, field)) == set(getattr(result, field))


def test_several_outputs_keep_their_structure_in_the_file(tmp_path):
    outputs = {"a": np.zeros((1, 2, 3), np.float32), "b": np.ones((1, 2, 1), np.float32)}
    snn.SimulationResult(outputs, [1], duration=1, samples=2).save(tmp_path / "run.npz")
    loaded = snn.SimulationResult.load(tmp_path / "run.npz")
    assert set(loaded.outputs) == {"a", "b"}
    assert loaded.outputs["b"].sum() == 2


def test_a_failed_save_leaves_the_old_file_whole(tmp_path, monkeypatch):
    first = result_with(np.zeros((1, 1, 2)))
    first.save(tmp_path / "run.npz")
    before = (tmp_path / "run.npz").read_bytes()

    def fail(file, **arrays):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(OSError, match="disk full"):
        result_with(np.ones((1, 1, 2))).save(tmp_path / "run.npz")
    assert (tmp_path / "run.npz").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["run.npz"]


def test_existing_files_are_kept_if_asked(tmp_path):
    result_with(np.zeros((1, 1, 2))).save(tmp_path / "run.npz")
    with pytest.raises(FileExistsError, match=r"exists.*overwrite=True"):
        result_with(np.zeros((1, 1, 2))).save(tmp_path / "run.npz", overwrite=False)


def test_loading_what_is_no_result(tmp_path):
    with pytest.raises(FileNotFoundError, match="No simulation result at"):
        snn.SimulationResult.load(tmp_path / "nothing")
    (tmp_path / "broken.npz").write_bytes(b"not a zip file")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    for name in ("broken.npz", "other.npz"):
        with pytest.raises(ValueError, match="is not a simulation result"):
            snn.SimulationResult.load(tmp_path / name)


def test_top_k_counts_what_comes_before_in_a_stable_order(rng):
    from snn_toolbox_tf.tasks.classes import correct

    outputs = rng.integers(0, 4, (5, 30, 7)).astype(np.float32)
    labels = rng.integers(0, 7, 30)
    for top_k in range(1, 8):
        largest = np.argsort(-outputs, axis=-1, kind="stable")[..., :top_k]
        np.testing.assert_array_equal(correct(outputs, labels, top_k), (largest == labels[:, None]).any(-1))
    assert (correct(outputs, labels) == (outputs.argmax(-1) == labels)).all()
    assert not correct(np.full((1, 30, 7), np.nan), labels).any()


def test_what_was_not_recorded_says_how_to_get_it():
    result = snn.SimulationResult(np.zeros((1, 1, 2), "float32"), [1], duration=1, samples=1)
    with pytest.raises(
        KeyError, match=r"No 'spikes' of 'conv_relu'.*Recorded: none.*record={'spikes': \['conv_relu'\]}"
    ):
        result.spikes["conv_relu"]
