"""What is in a `.keras` file: all that a network is, whatever its neurons, input, schedule and engine."""

import json
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from conftest import mostly_slow
from networks import CASES, load_images

import snn_toolbox_tf as snn
from snn_toolbox_tf.graph import Population
from snn_toolbox_tf.neurons import IntegrateAndFire, LeakyIntegrateAndFire


def converted(mlp, x, **options):
    return snn.convert_keras(mlp, x, **{"timesteps": 8, "threshold_rule": "percentile", **options})


def leaky(model_snn):
    graph = model_snn.network.graph_with_weights()
    for node in graph.of_type(Population):
        node.neuron = LeakyIntegrateAndFire(tau_m=7.0, reset="zero", v0=0.25)
    return snn.SpikingModel(graph, timesteps=8, conversion=model_snn.conversion)


def with_timed_bias(model_snn):
    graph = model_snn.network.graph_with_weights()
    for node in graph.of_type(Population):
        node.timed_bias = np.linspace(-0.3, 0.3, 2 * node.shape[-1]).reshape(2, -1)
    return snn.SpikingModel(graph, timesteps=8, engine="event", conversion=model_snn.conversion)


def late(model_snn):
    model_snn.readout_start = 3
    return model_snn


FRAMES = {"input": "frames"}
VARIANTS = {
    "dense, blocks of 4": ({"engine": "dense", "block_length": 4}, None),
    "event": ({"engine": "event", "v0": 0.25}, None),
    "chosen": ({"threshold_rule": None}, None),
    "corrected": ({"corrections": ["initial_potentials", "biases"]}, None),
    "hard reset": ({"reset": "zero", "per_channel": False}, None),
    "signed spikes": ({"signed_spikes": True}, None),
    "poisson": ({"input": "poisson", "seed": 7}, None),
    "layer-synchronous": ({"schedule": "layer_synchronous"}, None),
    "frames": (FRAMES, None),
    "unnormalized": ({"form": "unnormalized"}, None),
    "waiting": ({"population_starts": {"hidden_relu": 2}}, late),
    "leaky": ({}, leaky),
    "timed bias": ({}, with_timed_bias),
}


@pytest.mark.parametrize("variant", mostly_slow(VARIANTS, ["waiting", "leaky", "timed bias"]))
def test_settings_record_and_outputs_are_inside(mlp, x_mlp, tmp_path, variant):
    options, change = VARIANTS[variant]
    x = np.stack([x_mlp, 0.5 * x_mlp, x_mlp], axis=1) if options is FRAMES else x_mlp
    model_snn = converted(mlp, x, **options)
    model_snn = model_snn if change is None else change(model_snn)
    model_snn.save(tmp_path / "net.keras")
    loaded = keras.saving.load_model(tmp_path / "net.keras")
    as_json = [json.loads(json.dumps(model.get_config(), sort_keys=True)) for model in (model_snn, loaded)]
    assert as_json[0] == as_json[1]
    assert as_json[0]["conversion"]["thresholds"]
    for name in ("timesteps", "engine", "readout_start", "population_starts", "input_options"):
        assert getattr(loaded, name) == getattr(model_snn, name), name
    assert loaded.conversion.summary == model_snn.conversion.summary
    neurons = [[node.neuron for node in model.network.graph.of_type(Population)] for model in (model_snn, loaded)]
    assert neurons[0] == neurons[1]
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model_snn.predict(x, verbose=0))


KINDS = [
    {"neuron": IntegrateAndFire(reset="zero", v0=0.0), "threshold": 0.75},
    {"neuron": IntegrateAndFire(v0=0.25), "spike_height": "threshold", "threshold": [0.5, 1.0, 1.5, 2.0]},
    {"neuron": LeakyIntegrateAndFire(tau_m=3.0), "initial_potential": [0.1, 0.2, 0.3, 0.4]},
    {"neuron": LeakyIntegrateAndFire(tau_m=3.0, reset="zero"), "surrogate_gradient": "triangle"},
]


@pytest.mark.parametrize("kind", range(len(KINDS)))
def test_neurons_in_a_model_of_ones_own_are_inside(kind, rng, tmp_path):
    inputs = keras.Input((5, 3))
    spikes = keras.layers.RNN(snn.SpikingNeurons(**KINDS[kind]), return_sequences=True)(keras.layers.Dense(4)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2)(spikes))
    model.save(tmp_path / "own.keras")
    loaded, x = snn.load_model(tmp_path / "own.keras"), 3 * rng.random((6, 5, 3), dtype=np.float32)
    ours, theirs = (m.layers[2].cell.get_config() for m in (model, loaded))
    assert ours["neuron"] == theirs["neuron"] == KINDS[kind]["neuron"].get_config()
    np.testing.assert_array_equal(loaded(x), model(x))


IN_A_NEW_PROCESS = """
import sys, keras, numpy as np, snn_toolbox_tf as snn
with np.load(sys.argv[1] + "/x_and_outputs.npz") as file:
    x, expected = file["x"], file["outputs"]
for engine, load in (("dense", keras.saving.load_model), ("event", snn.load_model)):
    model = load(f"{sys.argv[1]}/{engine}.keras")
    assert model.engine == engine, model.engine
    np.testing.assert_array_equal(model.predict(x, verbose=0), expected)
print("equal")
"""


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("name", mostly_slow(CASES, ["lenet5_mnist"]))
def test_networks_of_the_data_folder_give_equal_outputs_in_a_new_process(name, data_dir, tmp_path):
    case = CASES[name]
    x_calibration, _ = load_images(data_dir / case.calibration, 64, case.prepare)
    x, _ = load_images(data_dir / case.test, 8, case.prepare)
    model_snn = converted(case.load(data_dir), x_calibration)
    for engine in ("dense", "event"):
        model_snn.engine = engine
        model_snn.save(tmp_path / f"{engine}.keras")
    np.savez(tmp_path / "x_and_outputs.npz", x=x, outputs=model_snn.predict(x, verbose=0))
    command = [sys.executable, "-c", IN_A_NEW_PROCESS, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.stdout.splitlines()[-1:] == ["equal"], done.stderr


#: The outputs that the versions which wrote these files gave for three samples.
EARLIER = {
    "format_2": [[0.6889029145, 0.3110970855], [0.7313782573, 0.2686217427], [0.6975187659, 0.3024812341]],
    "format_3": [[0.6986421943, 0.3013578057], [0.7277624011, 0.2722375989], [0.6891626120, 0.3108373880]],
    "format_3_sealed": [[0.6986421943, 0.3013578057], [0.7277624011, 0.2722375989], [0.6891626120, 0.3108373880]],
}


@pytest.mark.parametrize("name", EARLIER)
def test_files_that_earlier_versions_wrote_are_read(name):
    """None of these files is ever written anew: each is a promise."""
    loaded = snn.load_model(pathlib.Path(__file__).parent / "files" / f"{name}.keras")
    x = np.random.default_rng(0).random((32, 4, 4, 1), dtype=np.float32)
    np.testing.assert_allclose(loaded.predict(x[:3], verbose=0), EARLIER[name], atol=1e-6)
    assert loaded.conversion.calibration_samples == 32
    assert not loaded.conversion.fine_tuned
