"""Studies by one call and one command: a folder with page, table, figure and data; interrupted ones go on."""

import json

import keras
import numpy as np
import pytest

import snn_toolbox_tf as snn
from snn_toolbox_tf.cli import main
from snn_toolbox_tf.config.study_section import NORMS, STUDIES
from snn_toolbox_tf.experiment import study_kinds
from snn_toolbox_tf.report.study import QUESTIONS

L = keras.layers
FILES = {"report.html", "study.json", "study.txt", "study.png", "config.ini", "run.json"}


@pytest.fixture
def given(rng):
    """A classifier and its data."""
    model = keras.Sequential(
        [keras.Input((6,)), L.Dense(10, "relu", name="hidden"), L.Dense(3, name="out")], name="net"
    )
    x = rng.random((30, 6), "float32")
    return {"model": model, "x_test": x, "y_test": model.predict(x, verbose=0).argmax(1), "x_norm": x}


@pytest.fixture
def settings(tmp_path):
    return snn.Settings().replace(
        path_wd=str(tmp_path), duration=8, threshold_rule="percentile", study_timesteps=[4, 8], study_seeds=2
    )


def test_names_are_those_of_the_settings():
    assert set(study_kinds.STUDY_KINDS) == set(STUDIES) == set(QUESTIONS)
    assert NORMS == ("linf", "l2")


@pytest.mark.parametrize("name", STUDIES)
def test_each_study_writes_its_folder(settings, given, name):
    changes = {"study_epsilons": [0.1], "study_dt": [1.0, 0.5], "study_bits": [4]}
    settings = settings.replace(**changes, threshold_rule=None if name == "time-resolution" else "percentile")
    finished = snn.study(settings, name, **given)
    assert finished.folder.name == f"net_{name.replace('-', '_')}"
    assert {path.name for path in finished.folder.iterdir()} == FILES
    assert (finished.folder / "study.txt").read_text() == f"{finished.result}\n"
    data = json.loads((finished.folder / "study.json").read_text())
    assert data["study"] == name
    assert data["settings"]["study"]["study_bits"] == [4]
    page = finished.report.read_text()
    assert QUESTIONS[name] in page
    assert str(finished.result).splitlines()[0].strip()[:20] in page


@pytest.mark.usefixtures("undrawn")
def test_what_settings_vary_arrives(settings, given):
    curve = snn.study(settings.replace(energy=["loihi"]), "energy", **given).result
    assert curve.timesteps == (4, 8)
    assert curve.energies[0].hardware.name == "Loihi"
    precision = snn.study(settings.replace(study_bits=[8, 1]), "weight-precision", **given).result
    assert [point.bits for point in precision.points] == [None, 8, 1]
    assert precision.timesteps == 8
    bias = snn.study(settings, "bias-variance", **given).result
    assert (bias.timesteps, bias.seeds) == ((4, 8), (0, 1))
    time = snn.study(
        settings.replace(neuron="leaky_integrate_and_fire", tau_m=10, study_dt=[1, 0.5]), "time-resolution", **given
    )
    assert time.result.dt == (1.0, 0.5)


@pytest.mark.usefixtures("undrawn")
def test_what_conversions_say_is_shown(settings, given, capsys):
    """Agreement that is poor, and corrections for another number of timesteps."""
    few = settings.replace(threshold_rule=None, duration=1, study_timesteps=[4])
    found = snn.study(few, "bias-variance", **given)
    assert any("were made for 1 timesteps" in note for note in found.notes)
    assert "were made for 1 timesteps" in found.report.read_text()


@pytest.mark.usefixtures("undrawn")
def test_it_is_the_result_of_the_function(settings, given):
    found = snn.study(settings, "energy", **given).result
    model, x = given["model"], given["x_test"]

    def convert(steps):
        return snn.convert_keras(model, given["x_norm"], timesteps=steps, threshold_rule="percentile")

    expected = snn.energy_curve(convert, x, given["y_test"], [4, 8], model=model, memory=settings.output.energy_memory)
    assert found.accuracy == expected.accuracy
    assert [one.energy for one in found.energies] == pytest.approx([one.energy for one in expected.energies])


@pytest.mark.usefixtures("undrawn")
def test_an_interrupted_study_goes_on(settings, given, monkeypatch):
    calls = []

    def converted(self, **changes):
        calls.append(changes["timesteps"])
        if len(calls) == 2:
            raise KeyboardInterrupt
        return convert(self, **changes)

    convert = study_kinds.Subject.converted
    monkeypatch.setattr(study_kinds.Subject, "converted", converted)
    with pytest.raises(KeyboardInterrupt):
        snn.study(settings, "energy", **given)
    with pytest.raises(snn.ConfigurationError, match=r"An unfinished run of .* is there"):
        snn.study(settings, "energy", **given)
    with pytest.raises(snn.ConfigurationError, match="started with something else: study_timesteps"):
        snn.study(settings.replace(study_timesteps=[4, 16]), "energy", **given, resume=True)
    finished = snn.study(settings, "energy", **given, resume=True)
    assert calls == [4, 8, 8]
    assert finished.result.timesteps == (4, 8)
    with pytest.raises(snn.ConfigurationError, match="holds a finished run"):
        snn.study(settings, "energy", **given)


@pytest.mark.parametrize(
    ("changes", "name", "message"),
    [
        ({}, "entropy", r"Unknown `name`.*Received: name='entropy'\. Did you mean 'energy'"),
        ({"duration": "auto"}, "energy", r"Studies need a number of timesteps.*duration = auto"),
        ({"simulate": False}, "energy", r"convert, simulate and normalize to be True\. Received: simulate = False"),
        ({"normalize": False}, "energy", r"Received: normalize = False"),
        ({"frame_input": True}, "energy", r"input that does not change in time\. Received: \[input\] frame_input"),
        ({"param_values": [1, 2]}, "energy", r"Leave \[parameter_sweep\] param_values empty"),
        ({"executor": "ray"}, "energy", r"Expected executor = local\. Received: ray"),
        ({"energy": ["loihi", "45nm"]}, "energy", r"Expected one name in \[output\] energy"),
        ({"weight_bits": 4}, "weight-precision", r"Leave \[conversion\] weight_bits out"),
        ({"weight_bits": 4}, "time-resolution", r"Leave out what it would not do: .*weight_bits = 4"),
        ({"spike_code": "latency"}, "energy", r"temporal_mean_rate\. Received: spike_code = latency"),
        (
            {"per_channel": True, "study_bits": [4]},
            "weight-precision",
            r"all neurons of a population share one threshold",
        ),
    ],
)
def test_what_is_no_study_is_told(settings, given, changes, name, message):
    with pytest.raises(snn.ConfigurationError, match=message):
        snn.study(settings.replace(**changes), name, **given)


def test_data_are_needed(settings, given):
    with pytest.raises(snn.ConfigurationError, match=r"x_norm\.npz"):
        snn.study(settings, "energy", **{**given, "x_norm": None})


def test_labels_are_needed_for_accuracy(settings, given):
    with pytest.raises(snn.ConfigurationError, match=r"This study needs labels of classes, y_test\.npz"):
        snn.study(settings, "energy", **{**given, "y_test": None})


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("study_bits", "8, 17", r"study_bits: Expected a list of numbers of bits from 1 to 16"),
        ("study_epsilons", "0.1, -1", r"\[study\] study_epsilons: Expected a list of positive numbers"),
        ("study_dt", "1, 1", r"study_dt: Expected a list of positive numbers of ms .*each of them once"),
        ("study_dt", "soon", r"study_dt: Expected a list of positive numbers of ms"),
        ("study_seeds", "1", r"study_seeds: Expected an integer of 2 or more"),
        ("study_norm", "l1", r"study_norm: Expected one of 'linf', 'l2'"),
    ],
)
def test_unusable_settings_are_told(tmp_path, key, value, message):
    (tmp_path / "config.ini").write_text(f"[study]\n{key} = {value}\n")
    with pytest.raises(snn.ConfigurationError, match=message):
        snn.read_settings(tmp_path / "config.ini")


@pytest.mark.usefixtures("undrawn")
def test_the_command_prints_the_table_and_the_page(tmp_path, given, capsys):
    given["model"].save(tmp_path / "net.keras")
    for name in ("x_test", "y_test", "x_norm"):
        np.savez(tmp_path / f"{name}.npz", given[name])
    command = [
        "study",
        "energy",
        str(tmp_path / "net.keras"),
        "--study-timesteps",
        "4",
        "--threshold-rule",
        "percentile",
    ]
    assert main([*command, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["result"]["timesteps"] == [4]
    assert result["report"] == str(tmp_path / "net_energy" / "report.html")
    assert main([*command, "--overwrite"]) == 0
    out = capsys.readouterr().out
    assert "spikes/synapse" in out
    assert out.rstrip().endswith("report.html")
    assert main([*command]) == 2
    assert "holds a finished run" in capsys.readouterr().err
