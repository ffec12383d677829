"""A network as a function from batch to batch: the numbers of `simulate`, whatever the batches; loaded once a process."""

import dataclasses
import pickle
import threading

import keras
import numpy as np
import pytest
from conftest import run_in_threads

import snn_toolbox_tf as snn
from snn_toolbox_tf.distributed import batch_predictor

L = keras.layers


@pytest.fixture(autouse=True)
def _nothing_loaded():
    batch_predictor._loaded.cache_clear()


@pytest.fixture
def loads(monkeypatch):
    """Paths of all networks that were read."""
    paths, load_model = [], batch_predictor.load_model

    def counted(path):
        paths.append(path)
        return load_model(path)

    monkeypatch.setattr(batch_predictor, "load_model", counted)
    return paths


@pytest.fixture
def model_snn(mlp, x_mlp):
    return snn.convert_keras(mlp, x_mlp, timesteps=8, threshold_rule="percentile")


@pytest.fixture
def path(model_snn, tmp_path):
    model_snn.save(tmp_path / "net_snn.keras")
    return tmp_path / "net_snn.keras"


def in_parts(predictor, batch, sizes):
    """The columns of a batch that is given in parts."""
    parts, start = [], 0
    for size in sizes:
        parts.append(predictor({name: array[start : start + size] for name, array in batch.items()}))
        start += size
    assert start == len(next(iter(batch.values())))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def test_it_gives_what_a_simulation_gives(model_snn, path, x_mlp):
    predictor = snn.BatchPredictor(path, operations=True, spike_counts=True, keep="label")
    label = np.arange(40) % 3
    got = in_parts(predictor, {"x": x_mlp, "label": label}, [1, 7, 32])
    result = model_snn.simulate(x_mlp, outputs="last", record="spike_counts")
    expected = {
        "label": label,
        "logits": result.outputs[0],
        "synaptic_operations/logits": result.synaptic_operations["logits"],
        "multiply_accumulates/hidden": result.multiply_accumulates["hidden"],
        "spike_counts/hidden_relu": result.sample_spike_counts["hidden_relu"].sum(axis=1),
    }
    assert set(got) == set(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(got[name], array, err_msg=name)
    assert got["logits"].dtype == np.float32
    assert got["spike_counts/hidden_relu"].sum() == result.spike_counts["hidden_relu"].sum() > 0


def test_timesteps_are_those_that_are_asked_for(model_snn, path, x_mlp):
    got = snn.BatchPredictor(path, timesteps=3)({"x": x_mlp})
    np.testing.assert_array_equal(got["logits"], model_snn.simulate(x_mlp, outputs=[3]).outputs[0])


def test_draws_of_poisson_input_follow_the_sample(mlp, x_mlp, tmp_path):
    model_snn = snn.convert_keras(mlp, x_mlp, timesteps=8, threshold_rule="percentile", input="poisson")
    model_snn.save(tmp_path / "net.keras")
    predictor = snn.BatchPredictor(tmp_path / "net.keras", columns={mlp.inputs[0].name: "image"}, index_column="row")
    order = np.random.default_rng(1).permutation(40)
    got = in_parts(predictor, {"image": x_mlp[order], "row": order}, [11, 29])
    np.testing.assert_array_equal(got["row"], order)
    np.testing.assert_array_equal(got["logits"], model_snn.simulate(x_mlp, outputs="last").outputs[0][order])
    with pytest.raises(
        ValueError, match=r"lacks the columns \['row'\]; .*`index_column`.* Received columns: \['image'\]"
    ):
        predictor({"image": x_mlp})


def test_early_exit_gives_the_timestep_of_the_answer(x_mlp, tmp_path):
    model = keras.Sequential([keras.Input((6,)), L.Dense(10, "relu"), L.Dense(3, "softmax", name="classes")])
    model_snn = snn.convert_keras(model, x_mlp, timesteps=8, threshold_rule="percentile")
    model_snn.save(tmp_path / "net.keras")
    rule = snn.EarlyExit(confidence=0.4, min_timesteps=2)
    got = snn.BatchPredictor(tmp_path / "net.keras", early_exit=rule)({"x": x_mlp})
    result = model_snn.simulate(x_mlp, outputs="last", early_exit=rule)
    np.testing.assert_array_equal(got["exit_timesteps"], result.exit_timesteps)
    (name,) = model_snn.output_names
    np.testing.assert_array_equal(got[name], result.outputs[0])
    assert len(set(result.exit_timesteps)) > 1


def test_several_inputs_and_outputs(tmp_path, rng):
    one, two = keras.Input((4,), name="one"), keras.Input((5,), name="two")
    hidden = L.Dense(8, "relu")(L.Concatenate()([one, two]))
    model = keras.Model({"one": one, "two": two}, [L.Dense(2, name="p")(hidden), L.Dense(3, name="q")(hidden)])
    x = {"one": rng.random((20, 4), dtype=np.float32), "two": rng.random((20, 5), dtype=np.float32)}
    model_snn = snn.convert_keras(model, x, timesteps=4, threshold_rule="percentile")
    model_snn.save(tmp_path / "net.keras")
    got = snn.BatchPredictor(tmp_path / "net.keras", columns={"two": "second"})(
        {"one": x["one"], "second": x["two"], "unused": np.zeros(20)}
    )
    outputs = keras.tree.flatten(model_snn.simulate(x, outputs="last").outputs)
    assert list(got) == ["p", "q"]
    for name, output in zip(got, outputs, strict=True):
        np.testing.assert_array_equal(got[name], output[0])


def test_it_is_sent_without_its_network_and_loads_it_once(path, x_mlp, loads, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    predictor = snn.BatchPredictor("net_snn.keras", batch_size=16)
    sent = pickle.dumps(predictor)
    assert len(sent) < 1000
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    received = pickle.loads(sent)
    assert received == predictor
    assert not loads
    first = received({"x": x_mlp})
    for other in (predictor, snn.BatchPredictor(path, spike_counts=True)):
        np.testing.assert_array_equal(other({"x": x_mlp})["logits"], first["logits"])
    assert loads == [str(path)]
    assert len(pickle.dumps(received)) == len(sent)


def test_threads_wait_for_the_one_that_loads(path, x_mlp, loads):
    predictor, together, got = snn.BatchPredictor(path), threading.Barrier(4), []

    def work():
        together.wait()
        got.append(predictor({"x": x_mlp})["logits"])

    run_in_threads(work, 4)
    assert len(loads) == 1
    assert len(got) == 4
    assert all((one == got[0]).all() for one in got)


def test_a_file_that_has_changed_is_read_again(mlp, x_mlp, path, loads):
    predictor = snn.BatchPredictor(path)
    before = predictor({"x": x_mlp})["logits"]
    mlp.layers[-1].kernel.assign(-mlp.layers[-1].kernel)
    snn.convert_keras(mlp, x_mlp, timesteps=8, threshold_rule="percentile", name="another").save(path)
    assert (predictor({"x": x_mlp})["logits"] != before).any()
    assert len(loads) == 2


def test_modules_of_layers_are_imported_first(path, x_mlp, tmp_path, monkeypatch):
    (tmp_path / "my_registered_layers.py").write_text("registered = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    snn.BatchPredictor(path, modules="my_registered_layers")({"x": x_mlp})
    with pytest.raises(ModuleNotFoundError, match="my_other_layers"):
        snn.BatchPredictor(path, modules=["my_other_layers"])({"x": x_mlp})


@pytest.mark.parametrize(
    ("options", "batch", "message"),
    [
        (
            {},
            {},
            r"lacks the columns \['{input}'\]; `columns=.* names the column of input '{input}'. Received columns: \[\]",
        ),
        ({}, {"x": None, "y": None}, r"lacks the columns \['{input}'\].* Received columns: \['x', 'y'\]"),
        ({"columns": {"image": "x"}}, {"x": None}, r"Expected some of \['{input}'\]. Received: \['image'\]"),
        ({"keep": "label"}, {"x": None}, r"lacks the columns \['label'\]; `keep` and"),
        ({"keep": "logits"}, {"x": None, "logits": None}, r"\['logits'\] cannot be kept: outputs have these names"),
    ],
)
def test_columns_that_are_wrong(path, x_mlp, mlp, options, batch, message):
    predictor = snn.BatchPredictor(path, **options)
    with pytest.raises(ValueError, match=message.replace("{input}", mlp.inputs[0].name)):
        predictor(dict.fromkeys(batch, x_mlp))


def test_data_that_are_wrong(path, x_mlp):
    predictor = snn.BatchPredictor(path)
    with pytest.raises(ValueError, match=r"wrong shape for input .* Received shape: \(40, 5\)"):
        predictor({"x": x_mlp[:, :5]})
    with pytest.raises(TypeError, match="must hold real numbers"):
        predictor({"x": x_mlp.astype(str)})


def test_files_that_are_wrong(path, x_mlp, mlp, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no network '.*none.keras' on this machine. Expected a .keras file"):
        snn.BatchPredictor(tmp_path / "none.keras")
    mlp.save(tmp_path / "source.keras")
    with pytest.raises(
        TypeError,
        match=r"holds a Sequential, and no spiking network in rate code. Expected a file that `model_snn.save`",
    ):
        snn.BatchPredictor(tmp_path / "source.keras")({"x": x_mlp})
    (tmp_path / "damaged.keras").write_bytes(b"PK")
    with pytest.raises(snn.ModelFileError, match=r"damaged.keras"):
        snn.BatchPredictor(tmp_path / "damaged.keras")({"x": x_mlp})
    # Somewhere else, or later, it may not be there.
    predictor = snn.BatchPredictor(path)
    path.unlink()
    with pytest.raises(FileNotFoundError, match="on this machine"):
        predictor({"x": x_mlp})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "`batch_size` to be a positive integer. Received: batch_size=0"),
        ({"timesteps": 0}, "`timesteps` to be a positive integer"),
        ({"early_exit": 0.9}, "`early_exit` to be an EarlyExit, or None. Received: 0.9"),
    ],
)
def test_options_that_are_wrong(path, options, message):
    with pytest.raises(ValueError, match=message):
        snn.BatchPredictor(path, **options)


def test_it_cannot_be_changed(path):
    with pytest.raises(dataclasses.FrozenInstanceError):
        snn.BatchPredictor(path).path = "other"
