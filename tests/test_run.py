"""Runs: folders that are whole or not there, resumed evaluations, numbers that agree with what they are made of."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import keras
import numpy as np
import pytest
import zoo
from conftest import mostly_slow

import snn_toolbox_tf as snn
from snn_toolbox_tf import experiment
from snn_toolbox_tf.experiment import evaluation as evaluation_module
from snn_toolbox_tf.experiment.run_folder import RunFolder

L = keras.layers


@pytest.fixture
def classifier():
    """A small network with known, seeded weights."""
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            L.Conv2D(4, 3, activation="relu", name="conv"),
            L.Flatten(),
            L.Dense(3, "softmax", name="dense"),
        ],
        name="classifier",
    )


@pytest.fixture
def data(rng):
    return {
        "x_test": rng.random((50, 6, 6, 1), dtype=np.float32),
        "y_test": rng.integers(0, 3, 50),
        "x_norm": rng.random((40, 6, 6, 1), dtype=np.float32),
    }


@pytest.fixture
def settings(tmp_path):
    """Thresholds that need no search: what finds them is not the business of a run."""
    return snn.Settings().replace(
        path_wd=str(tmp_path), duration=12, batch_size=8, plot_vars=[], threshold_rule="percentile"
    )


def folder_of(settings):
    return pathlib.Path(settings.paths.path_wd) / "classifier_snn"


def entries(settings):
    """Folders of runs, and what unfinished ones leave beside them."""
    parent = folder_of(settings).parent
    return sorted(path.name for path in parent.iterdir() if path.is_dir() or path.name.startswith("."))


def test_a_run_agrees_with_convert_and_simulate(classifier, data, settings):
    finished = snn.run(settings.replace(threshold_rule=None), model=classifier, **data)
    model_snn = snn.convert_keras(classifier, data["x_norm"], timesteps=12)
    result = model_snn.simulate(data["x_test"], record=["spike_counts"])
    ann = classifier.predict(data["x_test"], verbose=0)
    (output,) = finished.record.outputs
    np.testing.assert_array_equal(output.accuracy, result.accuracy(data["y_test"]))
    assert output.ann_accuracy == (ann.argmax(-1) == data["y_test"]).mean()
    np.testing.assert_array_equal(output.agreement, (result.outputs.argmax(-1) == ann.argmax(-1)).mean(-1))
    error = [np.linalg.norm(out - ann) / np.linalg.norm(ann) for out in result.outputs]
    np.testing.assert_allclose(output.relative_error, error, rtol=1e-5)
    assert output.confusion.sum() == 50
    assert np.trace(output.confusion) == round(50 * output.accuracy[-1])
    right = np.diag(output.confusion)
    np.testing.assert_allclose(output.class_scores["recall"], right / output.confusion.sum(1))
    (population,) = finished.record.populations
    assert population.firing_rate == pytest.approx(result.firing_rates["conv_relu"], rel=1e-12)
    operations = {synapse.name: synapse.synaptic_operations for synapse in finished.record.synapses}
    assert operations["dense"] == pytest.approx(result.synaptic_operations["dense"].mean(), rel=1e-12)
    assert {s.name: s.connections for s in finished.record.synapses} == {"conv": 16 * 9 * 4, "dense": 64 * 3}


def test_activity_is_compared_with_the_source(classifier, data, settings):
    finished = snn.run(settings.replace(duration=512, percentile=99.9), model=classifier, **data)
    (population,) = finished.record.populations
    activation = keras.Model(classifier.inputs, classifier.layers[0].output).predict(data["x_test"][:32], verbose=0)
    nearest = np.abs(population.activation[:, None] - np.unique(activation)[None]).min(axis=1)
    assert nearest.max() < 1e-5
    # Spike counts of constant input with v0 = theta/2 are rounded to nearest: half a spike at most, until rates saturate.
    theta = population.threshold[2]
    below = population.activation < population.threshold[0]
    assert np.abs(population.decoded - population.activation)[below].max() <= theta / 2 / 512 * 1.01
    assert population.correlation > 0.999


def test_the_folder_is_whole(classifier, data, settings):
    finished = snn.run(settings.replace(plot_vars=["all"]), model=classifier, **data)
    assert finished.folder == folder_of(settings)
    assert entries(settings) == ["classifier_snn"]
    names = {str(path.relative_to(finished.folder)) for path in finished.folder.rglob("*") if path.is_file()}
    assert {"config.ini", "classifier_snn.keras", "report.html", "report.json", "summary.txt", "trace.npz"} <= names
    assert {"plots/accuracy.png", "plots/membrane.png", "tables/timesteps.csv", "tables/synapses.csv"} <= names
    assert "evaluation.npz" not in names
    kept = keras.saving.load_model(finished.folder / "classifier_snn.keras")
    np.testing.assert_array_equal(
        kept.predict(data["x_test"], verbose=0), finished.model_snn.predict(data["x_test"], verbose=0)
    )
    report = json.loads((finished.folder / "report.json").read_text())
    assert report["outputs"][0]["accuracy"] == finished.record.outputs[0].accuracy.tolist()
    assert report["settings"]["simulation"]["seed"] == 0
    assert report["versions"]["keras"] == keras.__version__


def test_early_exit_in_the_record_is_that_of_simulations(classifier, data, settings):
    finished = snn.run(settings.replace(runlabel="exits"), model=classifier, **data)
    curve = finished.record.outputs[0].early_exit
    for place in (0, 8, 30):
        rule = snn.EarlyExit(confidence=curve["confidence"][place])
        result = finished.model_snn.simulate(data["x_test"], timesteps=12, early_exit=rule, outputs="last")
        assert curve["mean_timesteps"][place] == result.mean_timesteps
        assert curve["accuracy"][place] == result.accuracy(data["y_test"])[-1]
    assert curve["mean_timesteps"][0] == 1.0
    synchronous = settings.replace(runlabel="synchronous", schedule="layer_synchronous")
    assert snn.run(synchronous, model=classifier, **data).record.outputs[0].early_exit == {}
    unlabelled = {name: array for name, array in data.items() if name != "y_test"}
    assert (
        snn.run(settings.replace(runlabel="plain"), model=classifier, **unlabelled).record.outputs[0].early_exit == {}
    )


@pytest.mark.long
def test_files_and_arrays_give_the_same(classifier, data, settings, tmp_path):
    classifier.save(tmp_path / "net.keras")
    for name, array in data.items():
        one_hot = np.eye(3)[array] if name == "y_test" else array
        np.savez(tmp_path / f"{name}.npz", one_hot)
    from_files = snn.run(settings.replace(filename_ann="net"))
    from_arrays = snn.run(settings.replace(runlabel="arrays"), model=classifier, **data)
    np.testing.assert_array_equal(from_files.record.outputs[0].accuracy, from_arrays.record.outputs[0].accuracy)
    # The run's own configuration file repeats it.
    repeated = snn.run(snn.read_settings(from_files.folder / "config.ini").replace(runlabel="again"))
    assert comparable(repeated.folder) == comparable(from_files.folder)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_models_are_found_with_and_without_ending(classifier, data, settings, tmp_path, suffix):
    classifier.save(tmp_path / f"net{suffix}")
    for number, name in enumerate(["net", f"net{suffix}"]):
        finished = snn.run(settings.replace(filename_ann=name, runlabel=f"run{number}", simulate=False), **data)
        assert (finished.folder / "net_snn.keras").is_file()
        assert finished.record is None


@pytest.mark.long
def test_an_architecture_in_a_file_of_its_own(classifier, data, settings, tmp_path):
    classifier.save(tmp_path / "net.h5")
    (tmp_path / "net.json").write_text(classifier.to_json().replace('"classifier"', '"from_json"'))
    finished = snn.run(settings.replace(filename_ann="net", num_to_test=4), **data)
    assert finished.record.title == "from_json"
    expected = snn.run(settings.replace(runlabel="direct", num_to_test=4), model=classifier, **data)
    np.testing.assert_array_equal(finished.record.outputs[0].accuracy, expected.record.outputs[0].accuracy)


def test_a_converted_network_is_loaded(classifier, data, settings, tmp_path):
    snn.convert_keras(classifier, data["x_norm"], timesteps=12, threshold_rule="percentile").save(
        tmp_path / "own.keras"
    )
    loaded = snn.run(settings.replace(convert=False, threshold_rule=None, filename_snn="own"), model=classifier, **data)
    converted = snn.run(settings.replace(runlabel="other"), model=classifier, **data)
    np.testing.assert_array_equal(loaded.record.outputs[0].accuracy, converted.record.outputs[0].accuracy)


def test_chosen_samples_and_top_k(classifier, data, settings):
    chosen = [7, 3, 40]
    finished = snn.run(
        settings.replace(sample_idxs_to_test=chosen, top_k=2, sample_to_plot=1), model=classifier, **data
    )
    result = snn.convert_keras(classifier, data["x_norm"], timesteps=12, threshold_rule="percentile").simulate(
        data["x_test"][chosen]
    )
    labels = data["y_test"][chosen]
    two_largest = np.argsort(-result.outputs, axis=-1, kind="stable")[..., :2]
    expected = (two_largest == labels[:, None]).any(-1).mean(-1)
    np.testing.assert_array_equal(finished.record.outputs[0].accuracy, expected)
    np.testing.assert_array_equal(result.accuracy(labels, top_k=2), expected)
    assert finished.record.trace.sample == 3


def test_several_inputs_and_outputs(settings):
    inputs = [keras.Input((4,), name="a"), keras.Input((3,), name="b")]
    hidden = L.Dense(8, "relu", name="hidden")(L.Concatenate()(inputs))
    outputs = {"kind": L.Dense(2, "softmax", name="kind")(hidden), "size": L.Dense(1, name="size")(hidden)}
    model = keras.Model(inputs, outputs)
    x = {"a": np.random.default_rng(0).random((20, 4)), "b": np.random.default_rng(1).random((20, 3))}
    y = {"kind": np.arange(20) % 2, "size": np.linspace(0, 9, 20)}
    finished = snn.run(settings, model=model, x_test=x, y_test=y, x_norm=x)
    by_name = {output.name: output for output in finished.record.outputs}
    assert by_name["kind"].accuracy is not None
    assert by_name["size"].accuracy is None
    assert any("'size' is taken for regression" in note for note in finished.record.notes)


def test_a_shared_head_may_be_two_outputs(settings):
    inputs = [keras.Input((4,), name="a"), keras.Input((4,), name="b")]
    hidden, head = L.Dense(8, "relu", name="hidden"), L.Dense(2, name="head")
    model = keras.Model(inputs, [head(hidden(tensor)) for tensor in inputs])
    x = [np.random.default_rng(seed).random((10, 4)) for seed in (0, 1)]
    finished = snn.run(settings, model=model, x_test=x, y_test={"head_2": np.arange(10) % 2}, x_norm=x)
    first, second = finished.record.outputs
    assert (first.name, second.name) == ("head", "head_2")
    result = snn.convert_keras(model, x, timesteps=12, threshold_rule="percentile").simulate(x)
    np.testing.assert_array_equal(second.accuracy, result.accuracy([None, np.arange(10) % 2])[1])


@pytest.mark.long
def test_labels_may_be_named_by_the_keys_of_dict_outputs(settings):
    inputs = keras.Input((4,))
    hidden = L.Dense(8, "relu", name="hidden")(inputs)
    model = keras.Model(inputs, {"z": L.Dense(2, name="one")(hidden), "y": L.Dense(3, name="two")(hidden)})
    x = np.random.default_rng(0).random((12, 4))
    labels = {"z": np.arange(12) % 2, "y": np.arange(12) % 3}
    finished = snn.run(settings, model=model, x_test=x, y_test=labels, x_norm=x)
    expected = snn.convert_keras(model, x, timesteps=12, threshold_rule="percentile").simulate(x).accuracy(labels)
    found = {output.name: output.accuracy for output in finished.record.outputs}
    np.testing.assert_array_equal(found["one"], expected["z"])
    np.testing.assert_array_equal(found["two"], expected["y"])


def test_an_output_of_zeros_has_no_relative_error(settings):
    model = keras.Sequential(
        [keras.Input((4,)), L.Dense(8, "relu", name="hidden"), L.Dense(2, kernel_initializer="zeros", name="zero")]
    )
    x = np.random.default_rng(0).random((5, 4))
    finished = snn.run(settings, model=model, x_test=x, x_norm=x)
    assert np.isnan(finished.record.outputs[0].relative_error).all()
    assert json.loads((finished.folder / "report.json").read_text())["outputs"][0]["relative_error"] == [None] * 12


@pytest.mark.long
def test_the_frames_that_are_not_simulated_do_not_count(classifier, data, settings):
    frames = np.random.default_rng(0).random((50, 12, 6, 6, 1), dtype=np.float32)
    later = np.concatenate([frames, 5 * frames], axis=1)
    records = [
        snn.run(
            settings.replace(frame_input=True, runlabel=str(number)), model=classifier, **{**data, "x_test": x}
        ).record
        for number, x in enumerate((frames, later))
    ]
    for field in ("relative_error", "accuracy"):
        np.testing.assert_array_equal(*(getattr(record.outputs[0], field) for record in records))
    assert records[0].populations[0].correlation == records[1].populations[0].correlation


def test_calibration_sequences_are_counted_as_samples(classifier, data, settings):
    sequences = np.random.default_rng(0).random((9, 4, 6, 6, 1), dtype=np.float32)
    finished = snn.run(
        settings.replace(frame_input=True, num_samples=3, simulate=False), model=classifier, x_norm=sequences
    )
    expected = snn.convert_keras(classifier, sequences[:3].reshape(-1, 6, 6, 1), input="frames")
    np.testing.assert_array_equal(finished.model_snn.thresholds()["conv_relu"], expected.thresholds()["conv_relu"])
    with pytest.raises(snn.ConfigurationError, match="num_samples = 10, but x_norm has only 9 samples"):
        snn.run(settings.replace(frame_input=True, num_samples=10), model=classifier, **{**data, "x_norm": sequences})


@pytest.mark.long
def test_chosen_samples_have_the_spikes_that_they_have_among_all(classifier, data, settings):
    settings = settings.replace(poisson_input=True, log_vars=["spiketrains_n_b_l_t"])
    every = snn.run(settings, model=classifier, **data)
    some = snn.run(settings.replace(runlabel="some", sample_idxs_to_test=[7, 30]), model=classifier, **data)

    def spikes(finished):
        files = sorted((finished.folder / "recordings").glob("*.npz"))
        return snn.SimulationResult.join([snn.SimulationResult.load(path) for path in files]).spikes["conv_relu"]

    np.testing.assert_array_equal(spikes(every)[:, [7, 30]], spikes(some))
    neurons, traced = some.record.trace.rasters["conv_relu"]
    np.testing.assert_array_equal(traced, spikes(every)[:, 7].reshape(12, -1)[:, neurons])


def test_a_converted_network_is_not_said_to_be_another(classifier, data, settings, tmp_path):
    snn.convert_keras(classifier, data["x_norm"], timesteps=3, v0=0.25, percentile=99).save(tmp_path / "own.keras")
    settings = settings.replace(convert=False, threshold_rule=None, filename_snn="own", evaluate_ann=False)
    arrays = {key: data[key] for key in ("x_test", "y_test")}
    finished = snn.run(settings, **arrays)
    assert finished.record.settings["cell"]["v0"] == 0.25
    assert finished.record.settings["normalization"]["percentile"] == 99
    assert finished.model_snn.timesteps == 12
    with pytest.raises(
        snn.ConfigurationError, match=r"\[cell\] v_thresh = 5.0 cannot change a network that is converted"
    ):
        snn.run(settings.replace(v_thresh=5), **arrays)
    with pytest.raises(snn.ConfigurationError, match="cannot change a network that is converted"):
        snn.sweep(settings, "v_thresh", [0.5, 2], **arrays)


def test_names_of_networks_lead_nowhere_else(classifier, data, settings, tmp_path):
    (tmp_path / "nets").mkdir()
    own = tmp_path / "nets" / "own.keras"
    snn.convert_keras(classifier, data["x_norm"], timesteps=3).save(own)
    before = own.read_bytes()
    finished = snn.run(
        settings.replace(convert=False, threshold_rule=None, filename_snn=str(own)), model=classifier, **data
    )
    assert own.read_bytes() == before
    assert (finished.folder / "own.keras").is_file()


@pytest.mark.long
def test_memory_is_bounded_for_large_networks(classifier, data, settings, monkeypatch):
    """As if the network were large: fewer samples compared, populations traced one by one, fewer timesteps reported."""
    from snn_toolbox_tf.experiment import comparison, sample_trace

    whole = snn.run(settings.replace(runlabel="whole"), model=classifier, **data).record
    monkeypatch.setattr(comparison, "_BUDGET", 64 * 96 * 5)
    monkeypatch.setattr(sample_trace, "_BUDGET", 64 * 48 * 5)
    monkeypatch.setattr(evaluation_module, "_LARGEST_BATCH_OUTPUT", 8 * 3 * 4)
    small = snn.run(settings, model=classifier, **data).record
    assert small.compared_samples == 5
    assert small.timesteps.tolist() == [3, 6, 9, 12]
    np.testing.assert_array_equal(small.outputs[0].accuracy, whole.outputs[0].accuracy[2::3])
    np.testing.assert_array_equal(small.trace.rasters["conv_relu"][1], whole.trace.rasters["conv_relu"][1])
    for module in (comparison, sample_trace):
        monkeypatch.setattr(module, "_BUDGET", 64)
    none = snn.run(settings.replace(runlabel="none"), model=classifier, **data).record
    assert none.compared_samples == 1
    assert none.trace.rasters == {}


def test_warnings_are_notes(classifier, data, settings):
    with pytest.warns(UserWarning, match="No `calibration_data` was given"):
        finished = snn.run(settings.replace(normalize=False, threshold_rule=None), model=classifier, **data)
    assert sum("No `calibration_data` was given" in note for note in finished.record.notes) == 1


@pytest.fixture(scope="module")
def trained_once():
    """A network that tells whether the first half of its input is larger than the second, and its data."""
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).random((300, 8), dtype=np.float32)
    y = (x[:, :4].sum(1) > x[:, 4:].sum(1)).astype(int)
    model = keras.Sequential([keras.Input((8,), name="x"), L.Dense(16, "relu", name="hidden"), L.Dense(2, name="side")])
    model.compile(keras.optimizers.Adam(0.02), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x, y, epochs=10, verbose=0)
    return {"model": model, "x_test": x[:100], "y_test": y[:100], "x_norm": x[100:]}


@pytest.fixture
def trained(trained_once):
    """The same, in a dictionary that may be changed."""
    return dict(trained_once)


@pytest.mark.few(4)
@pytest.mark.parametrize(
    ("change", "note"),
    [
        (lambda given: None, None),
        (
            lambda given: given.update(x_norm=255 * given["x_norm"]),
            r"largest test input for 'x' is [0-9.]+, that of.* 255",
        ),
        (lambda given: given.update(x_norm=2000 * given["x_norm"]), r"Nearly all neurons of hidden_relu never spike"),
        (
            lambda given: given.update(x_norm=given["x_norm"] / 3),
            r"does not fall.*Most is lost at population 'hidden_relu'.*thresholds are too low.*Next: calibrate with samples",
        ),
        (
            lambda given: given.update(y_test=given["y_test"][::-1]),
            r"right on \d+.\d % of the samples, which is chance",
        ),
        (lambda given: given.update(x_norm=given["x_norm"][:3]), r"come from 3 calibration samples only"),
        (lambda given: given.update(x_norm=30 * given["x_norm"]), r"points below the ANN's"),
    ],
)
def test_what_looks_wrong_is_noted(trained, settings, change, note):
    change(trained)
    notes = snn.run(settings, **trained).record.notes
    if note is None:
        assert notes == []
    else:
        assert re.search(note, "\n".join(notes)), notes


def test_the_network_in_the_folder_can_be_evaluated(trained, settings, tmp_path):
    trained.pop("model").save(tmp_path / "net.keras")
    finished = snn.run(settings.replace(filename_ann="net"), **trained)
    kept = keras.saving.load_model(finished.folder / "net_snn.keras")
    assert kept.evaluate(trained["x_test"], trained["y_test"], verbose=0) > 0


def test_a_run_is_no_sweep(classifier, data, settings):
    with pytest.raises(snn.ConfigurationError, match=r"Use `snn.sweep\(settings\)`"):
        snn.run(settings.replace(param_values=["1", "2"]), model=classifier, **data)


@pytest.mark.few(1)
@pytest.mark.long
@pytest.mark.parametrize("mode", ["poisson_input", "frame_input"])
def test_other_inputs_do_not_depend_on_the_division_into_batches(classifier, data, settings, mode):
    if mode == "frame_input":
        data["x_test"] = np.random.default_rng(0).random((50, 12, 6, 6, 1), dtype=np.float32)
    settings = settings.replace(**{mode: True})
    curves = [
        snn.run(settings.replace(runlabel=str(size), batch_size=size), model=classifier, **data).record.outputs[0]
        for size in (7, 32)
    ]
    np.testing.assert_array_equal(curves[0].accuracy, curves[1].accuracy)
    encoding = mode[:-6].replace("frame", "frames")
    result = snn.convert_keras(classifier, data["x_norm"], input=encoding, timesteps=12, threshold_rule="percentile")
    np.testing.assert_array_equal(curves[0].accuracy, result.simulate(data["x_test"]).accuracy(data["y_test"]))


def test_recordings_hold_all_samples(classifier, data, settings):
    finished = snn.run(settings.replace(log_vars=["all"]), model=classifier, **data)
    files = sorted((finished.folder / "recordings").glob("samples_??????-??????.npz"))
    result = snn.SimulationResult.join([snn.SimulationResult.load(path) for path in files])
    expected = finished.model_snn.simulate(data["x_test"], record=["spikes", "membrane_potential"])
    np.testing.assert_array_equal(result.spikes["conv_relu"], expected.spikes["conv_relu"])
    np.testing.assert_array_equal(result.membrane_potential["conv_relu"], expected.membrane_potential["conv_relu"])
    np.testing.assert_array_equal(result.synaptic_operations["dense"], expected.synaptic_operations["dense"])
    with np.load(files[0].with_name(f"{files[0].stem}_activations.npz")) as file:
        source = keras.Model(classifier.inputs, classifier.layers[0].output).predict(data["x_test"][:8], verbose=0)
        np.testing.assert_allclose(file["activations/conv_relu"], source, atol=1e-5)


def test_chosen_neurons_are_traced(classifier, data, settings):
    finished = snn.run(
        settings.replace(neurons_to_plot=["conv_relu/5"], plot_vars=["v_mem"], sample_to_plot=2),
        model=classifier,
        **data,
    )
    ((name, place, potential, spikes),) = finished.record.trace.membranes
    result = finished.model_snn.simulate(data["x_test"][2:3], record=["spikes", "membrane_potential"])
    assert (name, place) == ("conv_relu", "0, 1, 1")
    np.testing.assert_array_equal(potential, result.membrane_potential["conv_relu"][:, 0, 0, 1, 1])
    np.testing.assert_array_equal(spikes, result.spikes["conv_relu"][:, 0, 0, 1, 1])
    # The equation of the neuron: v(t) = v(t-1) + current - spike, with a constant current.
    current = np.diff(np.concatenate([[0.5], potential])) + spikes
    np.testing.assert_allclose(current, current[0], atol=1e-6)


def test_a_finished_run_is_not_overwritten_unless_asked(classifier, data, settings):
    finished = snn.run(settings, model=classifier, **data)
    before = (finished.folder / "report.json").read_bytes()
    with pytest.raises(snn.ConfigurationError, match=r"holds a finished run.*--overwrite"):
        snn.run(settings.replace(seed=1), model=classifier, **data)
    assert (finished.folder / "report.json").read_bytes() == before
    snn.run(settings.replace(seed=1, overwrite=True), model=classifier, **data)
    assert (finished.folder / "report.json").read_bytes() != before
    assert entries(settings) == ["classifier_snn"]


def test_other_things_are_not_overwritten_at_all(classifier, data, settings):
    folder = folder_of(settings)
    folder.mkdir(parents=True)
    (folder / "thesis.tex").write_text("years of work")
    with pytest.raises(snn.ConfigurationError, match="exists and holds no run"):
        snn.run(settings.replace(overwrite=True), model=classifier, **data)
    assert (folder / "thesis.tex").read_text() == "years of work"


class Interrupting(experiment.Progress):
    """Interrupts after some samples."""

    def __init__(self, after):
        self.left = after

    def advance(self, samples):
        self.left -= samples
        if self.left <= 0:
            raise KeyboardInterrupt


def comparable(folder):
    """What a run's report says, without times."""
    report = json.loads((folder / "report.json").read_text())
    report.pop("seconds")
    for key in ("batch_size", "overwrite"):
        report["settings"]["simulation"].pop(key, None)
        report["settings"]["output"].pop(key, None)
    report["settings"].pop("paths")
    return report


@pytest.mark.long
def test_an_interrupted_run_is_resumed_and_gives_the_same(classifier, data, settings):
    settings = settings.replace(poisson_input=True)
    whole = snn.run(settings.replace(runlabel="whole"), model=classifier, **data)
    with pytest.raises(KeyboardInterrupt):
        snn.run(settings, model=classifier, **data, progress=Interrupting(after=17))
    assert entries(settings) == [".classifier_snn.unfinished", "whole"]
    with pytest.raises(snn.ConfigurationError, match=r"unfinished run.*--resume"):
        snn.run(settings, model=classifier, **data)
    with pytest.raises(
        snn.ConfigurationError, match=r"cannot be resumed.*\[simulation\] duration: 12.0 then, 20.0 now"
    ):
        snn.run(settings.replace(duration=20), model=classifier, **data, resume=True)
    other = {**data, "x_test": data["x_test"] + 1}
    with pytest.raises(snn.ConfigurationError, match=r"cannot be resumed.*test data"):
        snn.run(settings, model=classifier, **other, resume=True)

    class Counting(experiment.Progress):
        done_before = None

        def stage(self, name, total=None, done=0):
            if total:
                Counting.done_before = done

    resumed = snn.run(settings, model=classifier, **data, resume=True, progress=Counting())
    assert Counting.done_before == 24  # three whole batches of 8
    assert entries(settings) == ["classifier_snn", "whole"]
    assert comparable(resumed.folder) == comparable(whole.folder)


@pytest.mark.long
def test_a_batch_counts_whole_or_not_at_all(classifier, data, settings, monkeypatch):
    """Ctrl-C while a batch is added to what there is."""
    whole = snn.run(settings.replace(runlabel="whole"), model=classifier, **data)
    plus = evaluation_module.Evaluation.plus
    calls = []

    def interrupted(self, batch):
        both = plus(self, batch)
        calls.append(both.done)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return both

    with monkeypatch.context() as patch:
        patch.setattr(evaluation_module.Evaluation, "plus", interrupted)
        with pytest.raises(KeyboardInterrupt):
            snn.run(settings, model=classifier, **data)
    resumed = snn.run(settings, model=classifier, **data, resume=True)
    assert comparable(resumed.folder) == comparable(whole.folder)


@pytest.mark.slow
def test_a_run_is_resumed_with_an_equal_model(classifier, data, settings):
    """The notebook's case: everything is made anew, and Keras gives the layers other names."""
    whole = snn.run(settings.replace(runlabel="whole"), model=classifier, **data)
    with pytest.raises(KeyboardInterrupt):
        snn.run(settings, model=classifier, **data, progress=Interrupting(after=17))
    again = keras.Sequential(
        [keras.Input((6, 6, 1)), L.Conv2D(4, 3, activation="relu"), L.Flatten(), L.Dense(3, "softmax")]
    )
    again.set_weights(classifier.get_weights())
    again.compile("adam", "sparse_categorical_crossentropy")
    resumed = snn.run(settings, model=again, **data, resume=True)
    for field in ("accuracy", "agreement", "relative_error", "confusion"):
        np.testing.assert_array_equal(*(getattr(run.record.outputs[0], field) for run in (resumed, whole)))
    for one, other in zip(resumed.record.populations, whole.record.populations, strict=True):
        assert one.name != other.name
        assert one.firing_rate == other.firing_rate


@pytest.mark.long
def test_a_run_is_resumed_with_another_batch_size(classifier, data, settings):
    """Memory was short."""
    settings = settings.replace(log_vars=["spiketrains_n_b_l_t"])
    whole = snn.run(settings.replace(runlabel="whole"), model=classifier, **data)
    with pytest.raises(KeyboardInterrupt):
        snn.run(settings, model=classifier, **data, progress=Interrupting(after=17))
    unfinished = folder_of(settings).with_name(".classifier_snn.unfinished")
    # As if the process had been killed before its last checkpoint, with half a file on its way.
    (unfinished / "recordings" / "samples_000024-000039.npz").write_bytes(b"behind the checkpoint")
    left = unfinished / ".evaluation.npz-x1y2z3w4"
    left.mkdir()
    (left / ".lock").touch()
    (left / "evaluation.npz").write_bytes(b"half")
    resumed = snn.run(settings.replace(batch_size=5), model=classifier, **data, resume=True)
    accuracies = [finished.record.outputs[0].accuracy for finished in (resumed, whole)]
    np.testing.assert_array_equal(*accuracies)
    files = sorted((resumed.folder / "recordings").iterdir())
    result = snn.SimulationResult.join([snn.SimulationResult.load(path) for path in files])
    assert result.samples == 50
    assert not list(resumed.folder.rglob(".*"))


def test_an_unfinished_run_is_discarded_if_asked(classifier, data, settings):
    with pytest.raises(KeyboardInterrupt):
        snn.run(settings, model=classifier, **data, progress=Interrupting(after=1))
    snn.run(settings.replace(overwrite=True), model=classifier, **data)
    assert entries(settings) == ["classifier_snn"]


def test_a_run_that_fails_before_it_has_anything_leaves_nothing(classifier, data, settings, monkeypatch):
    def fail(*args, **kwargs):
        raise snn.ConversionError("it differs")

    monkeypatch.setattr("snn_toolbox_tf.experiment.conversion_stage.convert_graph", fail)
    with pytest.raises(snn.ConversionError):
        snn.run(settings, model=classifier, **data)
    assert entries(settings) == []


SCRIPT = """
import sys, keras, numpy as np, snn_toolbox_tf as snn
folder = sys.argv[1]
snn.run(folder + "/config.ini", resume="--resume" in sys.argv)
"""


@pytest.mark.long
def test_a_killed_process_leaves_nothing_half_written(classifier, data, settings, tmp_path, monkeypatch):
    """A real process, killed without warning in the middle of a long evaluation, and resumed."""
    classifier.save(tmp_path / "net.keras")
    long = {**data, "x_test": np.tile(data["x_test"], (100, 1, 1, 1)), "y_test": np.tile(data["y_test"], 100)}
    for name, array in long.items():
        np.savez(tmp_path / f"{name}.npz", array)
    (tmp_path / "config.ini").write_text(
        "[paths]\nfilename_ann = net\n[simulation]\nduration = 12\nbatch_size = 4\n[output]\nplot_vars = {}\n"
    )
    script = tmp_path / "script.py"
    # A checkpoint after every batch, so that the process can be killed soon.
    script.write_text(
        "import snn_toolbox_tf.experiment.evaluator as e; e._SECONDS_BETWEEN_CHECKPOINTS = 0.0\n" + SCRIPT
    )
    environment = {**os.environ, "PYTHONPATH": str(pathlib.Path(snn.__file__).parents[1])}
    process = subprocess.Popen([sys.executable, script, tmp_path], env=environment, stderr=subprocess.DEVNULL)
    checkpoint = folder_of(settings).parent / ".net_snn.unfinished" / "evaluation.npz"
    deadline = time.monotonic() + 120
    while not checkpoint.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert set(entries(settings)) == {".net_snn.lock", ".net_snn.unfinished"}
    with np.load(checkpoint) as file:
        done = int(file["done"])
    assert 0 < done < 5_000
    assert done % 4 == 0
    resumed = snn.run(snn.read_settings(tmp_path / "config.ini").replace(batch_size=500), resume=True)
    assert entries(settings) == ["net_snn"]
    expected = resumed.model_snn.simulate(data["x_test"]).accuracy(data["y_test"])
    np.testing.assert_allclose(resumed.record.outputs[0].accuracy, expected, rtol=1e-12)


def finish_run(target, text, **kwargs):
    with RunFolder(target, {"a": 1}, **kwargs) as folder:
        (folder.path / "result").write_text(text)
        folder.finish()


class Killed(BaseException):
    """As if the process had ended here."""


@pytest.mark.parametrize("place", range(1, 4))
@pytest.mark.parametrize("before_it", [True, False])
def test_a_process_killed_while_it_finishes_loses_no_run(tmp_path, monkeypatch, place, before_it):
    """At every call that moves or removes folders: afterwards there is the old run or the new one, whole."""
    target = tmp_path / "run"
    finish_run(target, "old")
    count = 0

    def killing(function):
        def call(*args, **kwargs):
            nonlocal count
            count += 1
            if count == place and before_it:
                raise Killed
            function(*args, **kwargs)
            if count == place:
                raise Killed

        return call

    folder = RunFolder(target, {"a": 1}, overwrite=True)
    folder.__enter__()
    (folder.path / "result").write_text("new")
    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", killing(os.rename))
        patch.setattr(shutil, "rmtree", killing(shutil.rmtree))
        with pytest.raises(Killed):
            folder.finish()
    # What the operating system does when a process ends; nothing else is tidied up.
    folder._lock.release()
    # The next run goes on with the new one if it is not in its place yet, and loses neither.
    if (tmp_path / ".run.unfinished").exists():
        with RunFolder(target, {"a": 1}, resume=True) as folder:
            assert folder.resumed
            assert (folder.path / "result").read_text() == "new"
            assert (target / "result").read_text() == "old"
            folder.finish()
    else:
        with pytest.raises(snn.ConfigurationError, match="holds a finished run"), RunFolder(target, {"a": 1}):
            pass
    assert (target / "result").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_what_comes_meanwhile_is_not_overwritten(tmp_path):
    target = tmp_path / "run"
    with RunFolder(target, {"a": 1}) as folder:
        (folder.path / "result").write_text("new")
        target.mkdir()
        (target / "thesis.tex").write_text("years")
        with pytest.raises(snn.ConfigurationError, match="exists and holds no run"):
            folder.finish()
    assert (target / "thesis.tex").read_text() == "years"
    assert (tmp_path / ".run.unfinished" / "result").read_text() == "new"


def test_a_folder_with_a_configuration_file_is_no_run(tmp_path):
    """The user's own folder may well hold a config.ini."""
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "config.ini").write_text("[paths]")
    with (
        pytest.raises(snn.ConfigurationError, match="holds no run"),
        RunFolder(tmp_path / "project", {}, overwrite=True),
    ):
        pass


def test_a_run_never_replaces_its_model_and_data(classifier, data, settings, tmp_path):
    first = snn.run(settings, model=classifier, **data)
    again = settings.replace(
        path_wd=str(first.folder),
        log_dir_of_current_run=str(first.folder),
        overwrite=True,
        filename_ann="classifier_snn",
    )
    with pytest.raises(snn.ConfigurationError, match=r"holds \[paths\] path_wd"):
        snn.run(again, model=classifier, **data)
    assert first.report.is_file()


def test_an_empty_folder_is_used_and_kept(tmp_path):
    target = tmp_path / "run"
    target.mkdir()
    with pytest.raises(RuntimeError), RunFolder(target, {}):
        raise RuntimeError("it failed")
    assert target.is_dir()
    finish_run(target, "new")
    assert (target / "result").read_text() == "new"


def test_a_link_to_a_folder_stays_a_link(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "disk" / "run")
    for text in ("one", "two", "three"):
        finish_run(tmp_path / "run", text, overwrite=True)
    assert (tmp_path / "run").is_symlink()
    assert (tmp_path / "disk" / "run" / "result").read_text() == "three"
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["run"]


def test_two_runs_at_once_do_not_collide(tmp_path):
    target = tmp_path / "run"
    entered, leave = threading.Event(), threading.Event()

    def first():
        with RunFolder(target, {"a": 1}) as folder:
            (folder.path / "result").write_text("first")
            entered.set()
            leave.wait(20)
            folder.finish()

    thread = threading.Thread(target=first)
    thread.start()
    entered.wait(20)
    for kwargs in ({}, {"resume": True}, {"overwrite": True}):
        with (
            pytest.raises(snn.ConfigurationError, match="Another process is writing"),
            RunFolder(target, {"a": 1}, **kwargs),
        ):
            pass
    leave.set()
    thread.join()
    assert (target / "result").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize(
    "make",
    mostly_slow(
        [zoo.residual, zoo.multi_input, zoo.sequence, zoo.volume, zoo.channels_first], [zoo.multi_input, zoo.volume]
    ),
)
def test_networks_of_all_kinds_run(make, settings):
    model = zoo.build(make)
    x = zoo.data_for(model, 6)
    finished = snn.run(settings.replace(duration=4), model=model, x_test=x, x_norm=x)
    assert finished.record.samples == 6
    assert finished.record.outputs[0].accuracy is None
    assert any("no labels" in note for note in finished.record.notes)
