"""Files that are damaged, edited by hand, or in the way: one clear error, and nothing of the user's is lost."""

import json
import zipfile

import keras
import numpy as np
import pytest

import snn_toolbox_tf as snn
from snn_toolbox_tf.cli import main

L = keras.layers
UNUSABLE = "description of a spiking network cannot be used: "


@pytest.fixture
def model_snn(mlp, x_mlp):
    return snn.convert_keras(mlp, x_mlp, timesteps=8, threshold_rule="percentile")


def edited(model_snn, folder, change):
    """Saves the model, changes its configuration, and loads it."""
    model_snn.save(folder / "a.keras")
    with zipfile.ZipFile(folder / "a.keras") as source, zipfile.ZipFile(folder / "b.keras", "w") as target:
        for name in source.namelist():
            data = source.read(name)
            if name == "config.json":
                config = json.loads(data)
                change(config["config"])
                data = json.dumps(config).encode()
            target.writestr(name, data)
    return keras.saving.load_model(folder / "b.keras")


def node(config, kind):
    return next(item for item in config["graph"]["nodes"] if item["kind"] == kind)


EDITS = {
    "nothing": (lambda c: None, None),
    "mode of input": (lambda c: c.update(input="smell"), "Unknown `input`.*'smell'"),
    "timesteps": (lambda c: c.update(timesteps="many"), "`timesteps` to be a positive integer"),
    "no graph": (lambda c: c.update(graph=None), "it is stored in format None"),
    "format": (lambda c: c["graph"].update(format=1), r"it is stored in format 1; this version .* reads format"),
    "no nodes": (lambda c: c["graph"].pop("nodes"), "KeyError: 'nodes'"),
    "kind of node": (lambda c: node(c, "Synapse").update(kind="Synapsis"), "Unknown `kind of node`.*Did you mean"),
    "no kind": (lambda c: node(c, "Synapse").pop("kind"), "KeyError: 'kind'"),
    "no name": (lambda c: node(c, "Synapse").pop("name"), "missing 1 required positional argument: 'name'"),
    "ghost": (lambda c: node(c, "Population").update(inputs=["ghost"]), r"reads \['ghost'\], which no node before it"),
    "itself": (lambda c: node(c, "Population").update(inputs=["hidden_relu"]), "'hidden_relu' reads .* no node before"),
    "no input": (lambda c: node(c, "Synapse").update(inputs=[]), "node 'hidden' .Synapse. reads nothing"),
    "twice": (lambda c: c["graph"]["nodes"].append(node(c, "InputNode")), "two nodes are called"),
    "output of a ghost": (lambda c: c["graph"]["readouts"][0].update(node="ghost"), r"outputs read \['ghost'\]"),
    "structure": (lambda c: c["graph"].update(input_structure="x"), r"the inputs are .* structure names \['x'\]"),
    "outputs": (lambda c: c["graph"].update(output_structure=["a", "b"]), r"the outputs are \['logits'\], but their"),
    "layer": (lambda c: node(c, "Synapse")["layer"].update(class_name="Dance"), "no layer class 'Dance'"),
    "units": (lambda c: node(c, "Synapse")["layer"]["config"].update(units=-3), "units=-3"),
    "threshold": (lambda c: node(c, "Population").update(threshold="high"), "could not convert string to float"),
    "neuron": (lambda c: node(c, "Population").update(neuron={"model": "x"}), "Unknown `model`"),
    "record": (lambda c: c["conversion"].update(luck=1), "record of the conversion holds 'luck'"),
}


@pytest.mark.parametrize("name", EDITS)
def test_models_that_were_edited(model_snn, tmp_path, name):
    change, message = EDITS[name]
    if message is None:
        assert edited(model_snn, tmp_path, change).timesteps == 8
        return
    with pytest.raises(ValueError, match=f"(?s){UNUSABLE}.*{message}.*convert the source model again"):
        edited(model_snn, tmp_path, change)


def test_models_without_weights(model_snn, tmp_path):
    model_snn.save(tmp_path / "a.keras")
    with zipfile.ZipFile(tmp_path / "a.keras") as source, zipfile.ZipFile(tmp_path / "b.keras", "w") as target:
        for name in source.namelist():
            if "weights" not in name:
                target.writestr(name, source.read(name))
    with pytest.raises((ValueError, KeyError), match=r"model\.weights\.h5"):
        keras.saving.load_model(tmp_path / "b.keras")


def test_weights_of_the_source_are_refused(mlp, model_snn, x_mlp, tmp_path):
    before = model_snn.predict(x_mlp, verbose=0)
    mlp.save_weights(tmp_path / "source.weights.h5")
    mlp.save(tmp_path / "source.keras")
    for name in ("source.weights.h5", "source.keras"):
        with pytest.raises(ValueError, match=r"not those of SpikingModel.*convert it again"):
            model_snn.load_weights(tmp_path / name)
    with pytest.raises(ValueError, match=r"from a '.weights.h5' file.*source.h5"):
        model_snn.load_weights(tmp_path / "source.h5")
    np.testing.assert_array_equal(model_snn.predict(x_mlp, verbose=0), before)


def test_its_own_weights_come_back(model_snn, x_mlp, tmp_path):
    before = model_snn.predict(x_mlp, verbose=0)
    model_snn.save_weights(tmp_path / "own.weights.h5")
    model_snn.set_weights([2 * weight for weight in model_snn.get_weights()])
    assert not np.array_equal(model_snn.predict(x_mlp, verbose=0), before)
    model_snn.load_weights(tmp_path / "own.weights.h5")
    np.testing.assert_allclose(model_snn.predict(x_mlp, verbose=0), before, atol=1e-5)


def test_a_loaded_model_is_used_as_it_was_saved(model_snn, x_mlp, tmp_path):
    keras.saving.save_model(model_snn, tmp_path / "a.keras")
    loaded = keras.saving.load_model(tmp_path / "a.keras")
    np.testing.assert_array_equal(loaded.simulate(x_mlp).outputs, model_snn.simulate(x_mlp).outputs)
    assert not loaded.conversion.fine_tuned
    for saved, weight in zip(model_snn.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(saved, weight)


@pytest.mark.parametrize("name", ["a.h5", "a.hdf5"])
def test_hdf5_files_are_refused_however_they_are_asked_for(model_snn, tmp_path, name):
    with pytest.raises(ValueError, match=r"cannot be saved as an HDF5 file. Expected a '.keras' file"):
        keras.saving.save_model(model_snn, tmp_path / name)
    with pytest.raises(ValueError, match=r"saved as a '.keras' file"):
        model_snn.save(tmp_path / name)


def test_a_full_disk_leaves_the_file_that_was_there(model_snn, tmp_path, monkeypatch):
    model_snn.save(tmp_path / "a.keras")
    before = (tmp_path / "a.keras").read_bytes()

    def full(self, filepath, **kwargs):
        with open(filepath, "wb") as file:
            file.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(keras.Model, "save", full)
    with pytest.raises(OSError, match="No space left on device"):
        model_snn.save(tmp_path / "a.keras")
    assert (tmp_path / "a.keras").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.keras"]


def test_no_file_replaces_a_folder(model_snn, x_mlp, tmp_path):
    for name in ("a.keras", "a.npz"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "thesis.tex").write_text("years of work")
    with pytest.raises(IsADirectoryError, match=r"a.keras' is a folder, and no saved model"):
        model_snn.save(tmp_path / "a.keras")
    with pytest.raises(IsADirectoryError, match=r"a.npz' is a folder, which no file replaces"):
        model_snn.simulate(x_mlp).save(tmp_path / "a.npz")
    for name in ("a.keras", "a.npz"):
        assert (tmp_path / name / "thesis.tex").read_text() == "years of work"


DAMAGES = {
    "empty": lambda data: b"",
    "one byte": lambda data: data[:1],
    "cut off": lambda data: data[: len(data) // 2],
    "the end is missing": lambda data: data[:-1],
    "a hole": lambda data: data[: len(data) // 2] + bytes(100) + data[len(data) // 2 + 100 :],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_results(model_snn, x_mlp, tmp_path, damage):
    path = tmp_path / "result.npz"
    model_snn.simulate(x_mlp, record="spikes").save(path)
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    with pytest.raises(ValueError, match=r"result.npz' is not a simulation result .* or it is damaged: "):
        snn.SimulationResult.load(path)


OTHERS = {
    "a list": {"meta": np.array("[]")},
    "half of it": {"meta": np.array('{"format": "snn_toolbox_tf.SimulationResult"}')},
    "another format": {"meta": np.array('{"format": "other"}')},
    "other arrays": {"x": np.zeros(3)},
    "objects": {"meta": np.array([None])},
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_files_are_no_results(tmp_path, name):
    np.savez(tmp_path / "result.npz", **OTHERS[name])
    with pytest.raises(ValueError, match=r"result.npz' is not a simulation result"):
        snn.SimulationResult.load(tmp_path / "result.npz")


def test_a_single_array_is_no_result(tmp_path):
    np.save(tmp_path / "result.npy", np.zeros(3))
    with pytest.raises(ValueError, match=r"is not a simulation result.*a single .npy array"):
        snn.SimulationResult.load(tmp_path / "result.npy")


@pytest.fixture
def folder(mlp, x_mlp, tmp_path, monkeypatch):
    mlp.save(tmp_path / "net.keras")
    for name in ("x_test", "x_norm"):
        np.savez(tmp_path / f"{name}.npz", x_mlp)
    monkeypatch.chdir(tmp_path)
    return tmp_path


RUN = ("run", "net.keras", "--duration=4", "--plot-vars={}")


HALF = b'{"format": "snn_toolbox_tf.Run"}'


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", HALF, HALF[:-1] + b', "fingerprint": 3}'])
def test_an_unfinished_run_whose_marker_is_damaged(folder, capsys, content):
    unfinished = folder / ".net_snn.unfinished"
    unfinished.mkdir(parents=True)
    (unfinished / "run.json").write_bytes(content)
    assert main([*RUN, "--resume"]) == 2
    assert "holds no unfinished run, or its run.json is damaged. Remove it, or choose" in capsys.readouterr().err
    assert (unfinished / "run.json").read_bytes() == content


@pytest.mark.parametrize("content", [b"", b"PK", b"damaged"])
def test_a_checkpoint_that_is_damaged_is_an_evaluation_of_nothing_yet(folder, content):
    from snn_toolbox_tf.experiment.evaluation import Evaluation

    (folder / "evaluation.npz").write_bytes(content)
    assert Evaluation.load(folder / "evaluation.npz", []).done == 0
    np.savez(folder / "evaluation.npz", done=3, names=["a", "b"])
    assert Evaluation.load(folder / "evaluation.npz", ["a"]).done == 0
    assert Evaluation.load(folder / "evaluation.npz", ["a", "c"]).done == 3


def test_what_is_in_the_way_of_a_run(folder, capsys):
    (folder / "loop").symlink_to("loop")
    assert main([*RUN, "--runlabel=loop"]) == 2
    assert "loop' is a link to itself" in capsys.readouterr().err
    (folder / ".net_snn.unfinished").write_text("mine")
    assert main([*RUN]) == 2
    assert ".net_snn.unfinished' is a file. Remove it" in capsys.readouterr().err
    (folder / "a.keras").mkdir()
    assert main(["convert", "net.keras", "--output=a.keras", "--overwrite"]) == 2
    assert "--output: 'a.keras' is a folder" in capsys.readouterr().err
