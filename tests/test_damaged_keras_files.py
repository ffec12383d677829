"""What is told of a `.keras` file that is damaged, altered, of another version, or holds code."""

import io
import json
import zipfile

import h5py
import keras
import numpy as np
import pytest

import snn_toolbox_tf as snn

WEIGHTS, CONFIG = "model.weights.h5", "config.json"


@pytest.fixture
def model_snn(mlp, x_mlp):
    return snn.convert_keras(mlp, x_mlp, timesteps=8, threshold_rule="percentile")


def parts_of(path):
    """The parts of an archive by name."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path, parts):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def edited_weights(parts, change):
    """The parts with weights that were changed by `change(file, name of the readout's kernel)`."""
    buffer = io.BytesIO(parts[WEIGHTS])
    with h5py.File(buffer, "r+") as file:
        change(file, "layers/dense_1/vars/0")
    return {**parts, WEIGHTS: buffer.getvalue()}


def edited_description(parts, change):
    description = json.loads(parts[CONFIG])
    change(description["config"])
    return {**parts, CONFIG: json.dumps(description).encode()}


def test_truncated_files(model_snn, tmp_path):
    model_snn.save(tmp_path / "net.keras")
    whole = (tmp_path / "net.keras").read_bytes()
    cuts = [0, 1, 30, *range(500, len(whole), len(whole) // 12), len(whole) - 60, len(whole) - 1]
    for length in cuts:
        (tmp_path / "cut.keras").write_bytes(whole[:length])
        with pytest.raises(snn.ModelFileError, match=rf"cut.keras' \({length:,} bytes\).*damaged, or something else"):
            snn.load_model(tmp_path / "cut.keras")
    parts = parts_of(tmp_path / "net.keras")
    for name in (CONFIG, WEIGHTS, "metadata.json"):
        for half in (b"", parts[name][: len(parts[name]) // 2]):
            write(tmp_path / "cut.keras", {**parts, name: half})
            with pytest.raises(snn.ModelFileError, match=r"cannot read '.*cut.keras'.* as a model: "):
                snn.load_model(tmp_path / "cut.keras")


def test_a_flipped_byte_is_told_or_of_no_consequence(model_snn, tmp_path):
    """Of no consequence are those of dates and attributes of an archive's parts."""
    model_snn.save(tmp_path / "net.keras")
    whole, told = (tmp_path / "net.keras").read_bytes(), 0
    for place in range(7, len(whole), len(whole) // 40):
        (tmp_path / "flipped.keras").write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        try:
            loaded = snn.load_model(tmp_path / "flipped.keras")
        except snn.ModelFileError as error:
            told += "flipped.keras" in str(error)
            continue
        assert loaded.get_config() == keras.saving.load_model(tmp_path / "net.keras").get_config()
        for weight, other in zip(loaded.get_weights(), model_snn.get_weights(), strict=True):
            np.testing.assert_array_equal(weight, other)
    assert told > 30


def scaled(file, kernel):
    file[kernel][...] *= 1.0001


def not_a_number(file, kernel):
    file[kernel][0, 0] = np.nan


ALTERED_WEIGHTS = {"scaled": scaled, "NaN": not_a_number}
ALTERED_DESCRIPTIONS = {
    "threshold": lambda c: c["graph"]["nodes"][3].update(threshold=[2.0]),
    "timesteps": lambda c: c.update(timesteps=9),
    "grid": lambda c: c["graph"]["nodes"][4]["layer"]["fractional_bits"].update(bias=[3, 3, 3]),
    "record": lambda c: c["conversion"].update(agreement=1.0),
}


@pytest.mark.parametrize("load", [keras.saving.load_model, snn.load_model])
def test_what_was_altered_is_told(model_snn, x_mlp, tmp_path, load):
    model_snn.save(tmp_path / "net.keras")
    parts = parts_of(tmp_path / "net.keras")
    altered = [("weights are not what", edited_weights(parts, change)) for change in ALTERED_WEIGHTS.values()]
    altered += [("description are not", edited_description(parts, change)) for change in ALTERED_DESCRIPTIONS.values()]
    model_snn.set_weights([2 * weight for weight in model_snn.get_weights()])
    model_snn.save(tmp_path / "other.keras")
    altered.append(("description are not", {**parts, WEIGHTS: parts_of(tmp_path / "other.keras")[WEIGHTS]}))
    for message, changed in altered:
        write(tmp_path / "altered.keras", changed)
        with pytest.raises(ValueError, match=rf"(?s)In the file of SpikingModel 'mlp_snn', {message}.*unaltered copy"):
            load(tmp_path / "altered.keras")
    # What is packed anew is the same.
    assert load(write(tmp_path / "altered.keras", parts)).conversion.calibration_samples == len(x_mlp)


def test_altered_weights_alone_are_told_and_the_old_ones_kept(model_snn, tmp_path):
    model_snn.save_weights(tmp_path / "a.weights.h5")
    before = model_snn.get_weights()
    with h5py.File(tmp_path / "a.weights.h5", "r+") as file:
        scaled(file, "layers/dense_1/vars/0")
    with pytest.raises(ValueError, match=r"weights are not what was saved"):
        model_snn.load_weights(tmp_path / "a.weights.h5")
    (tmp_path / "a.weights.h5").write_bytes((tmp_path / "a.weights.h5").read_bytes()[:3000])
    with pytest.raises(ValueError, match=r"a.weights.h5': it is damaged, or holds no weights"):
        model_snn.load_weights(tmp_path / "a.weights.h5")
    for weight, other in zip(model_snn.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, other)


def newer(config):
    config["graph"].update(format=99, written_by="9.1.0")
    config["novelty"] = 1


@pytest.mark.parametrize("load", [keras.saving.load_model, snn.load_model])
def test_newer_formats_are_named(model_snn, tmp_path, load):
    model_snn.save(tmp_path / "net.keras")
    parts = parts_of(tmp_path / "net.keras")
    with pytest.raises(
        ValueError, match=r"stored in format 99, by snn_toolbox_tf 9.1.0; this is .* reads formats 2, 3 and 4. Install"
    ):
        load(write(tmp_path / "newer.keras", edited_description(parts, newer)))


def test_files_from_before_there_were_seals_are_read(model_snn, x_mlp, tmp_path):
    def older(config):
        del config["graph"]["written_by"]
        config["graph"]["format"] = 2

    model_snn.save(tmp_path / "net.keras")
    parts = edited_description(parts_of(tmp_path / "net.keras"), older)
    parts = edited_weights(parts, lambda file, _: file.__delitem__("_file_seal"))
    loaded = snn.load_model(write(tmp_path / "older.keras", parts))
    np.testing.assert_array_equal(loaded.predict(x_mlp, verbose=0), model_snn.predict(x_mlp, verbose=0))
    assert not loaded.conversion.fine_tuned
    # Of such a file nobody knows what was saved; but weights that are no numbers, or on no grid, do not run as they are.
    write(tmp_path / "older.keras", edited_weights(parts, not_a_number))
    with pytest.raises(FloatingPointError, match="NaN were put into the weights of 'logits'"):
        snn.load_model(tmp_path / "older.keras").predict(x_mlp, verbose=0)
    write(tmp_path / "older.keras", edited_weights(parts, scaled))
    loaded = snn.load_model(tmp_path / "older.keras")
    whole, halves = loaded.predict(x_mlp, verbose=0), [loaded.predict(x_mlp[i::2], verbose=0) for i in (0, 1)]
    np.testing.assert_array_equal(whole[::2], halves[0])
    np.testing.assert_array_equal(whole[1::2], halves[1])
    assert loaded.conversion.fine_tuned


@pytest.mark.parametrize("name", ["folder.keras", "gone.keras", "net.zip", "closed.keras"])
def test_what_is_no_file_of_a_model(model_snn, tmp_path, name, monkeypatch):
    (tmp_path / "folder.keras").mkdir()
    model_snn.save(tmp_path / "closed.keras")
    (tmp_path / "net.zip").write_bytes((tmp_path / "closed.keras").read_bytes())
    message = {
        "folder.keras": "folder.keras' is a folder",
        "gone.keras": "There is no file",
        "net.zip": "Rename it to end in '.keras'",
        "closed.keras": r"cannot read '.*closed.keras'.*Permission denied",
    }[name]
    if name == "closed.keras":

        def denied(*args, **kwargs):
            raise PermissionError(13, "Permission denied")

        # Whoever is root may read everything.
        monkeypatch.setattr("pathlib.Path.open", denied)
    with pytest.raises(snn.ModelFileError, match=message):
        snn.load_model(tmp_path / name)


def with_layer(**layer):
    return lambda c: c["graph"]["nodes"][1]["layer"].update(layer)


def decoded_by(**layer):
    return lambda c: c["graph"]["readouts"][0]["decoder"].append(layer)


CODE = {"class_name": "__lambda__", "config": {"code": "", "defaults": None, "closure": None}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_layer(class_name="Lambda", config={"function": CODE}), "is a layer Lambda, which no spiking network has"),
        (with_layer(class_name="TFSMLayer", config={"filepath": "x"}), "is a layer TFSMLayer, which no spiking"),
        (decoded_by(class_name="Lambda", config={"function": CODE}), "is decoded by code .Lambda., which is not run"),
        (decoded_by(class_name="Activation", config={"activation": CODE}), "is decoded by code .Activation."),
    ],
)
def test_code_in_files_is_not_run_whatever_the_safe_mode(model_snn, tmp_path, change, message):
    model_snn.save(tmp_path / "net.keras")
    write(tmp_path / "code.keras", edited_description(parts_of(tmp_path / "net.keras"), change))
    for safe_mode in (True, False):
        with pytest.raises(ValueError, match=message):
            keras.saving.load_model(tmp_path / "code.keras", safe_mode=safe_mode)
    with pytest.raises(snn.ModelFileError, match=f"{message}|a Lambda layer in it holds Python code, which is not run"):
        snn.load_model(tmp_path / "code.keras")


def test_other_classes_in_files_are_named_and_not_called(model_snn, tmp_path):
    model_snn.save(tmp_path / "net.keras")
    parts = parts_of(tmp_path / "net.keras")
    made = {"module": "os", "class_name": "mkdir", "config": {"path": str(tmp_path / "made")}, "registered_name": None}
    write(tmp_path / "code.keras", {**parts, CONFIG: json.dumps(made).encode()})
    with pytest.raises(snn.ModelFileError, match=r"code.keras' .* Keras .* says: .*'mkdir'"):
        snn.load_model(tmp_path / "code.keras")
    assert not (tmp_path / "made").exists()
