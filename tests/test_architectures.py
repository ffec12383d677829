"""The architectures people use convert: parsing and passes of all of them, simulation of some."""

import functools

import keras
import numpy as np
import pytest
from architectures import APPLICATIONS, OWN, alive, data_for
from conftest import mostly_slow
from fidelity import measure, ratio_per_doubling

import snn_toolbox_tf as snn
from snn_toolbox_tf.conversion import verification
from snn_toolbox_tf.graph import Population
from snn_toolbox_tf.network import Network, inputs_of
from snn_toolbox_tf.network.source_function import SourceFunction
from snn_toolbox_tf.parse import parse
from snn_toolbox_tf.passes import to_spiking


def error_of_the_passes(model):
    """What parsing and passes change, on random input."""
    arrays = keras.tree.flatten(data_for(model, 2))
    graph = to_spiking(parse(model).graph)
    names = [node.name for node in inputs_of(graph)]
    assert graph.of_type(Population)
    source = SourceFunction(model, graph)
    return verification.check_same_function(source, Network(graph), dict(zip(names, arrays, strict=True)))


#: The smallest of their kinds; the others take many seconds each.
SMALL = ["ResNet50", "MobileNet", "MobileNetV2"]


@functools.lru_cache(maxsize=1)
def application(name):
    """A model that several tests in a row look at, and none changes."""
    return alive(name)[0]


@pytest.mark.few(1)
@pytest.mark.long
@pytest.mark.parametrize("name", mostly_slow(APPLICATIONS, SMALL))
def test_keras_applications_keep_their_function(name):
    """Within 1e-4, or what rounding does: the deepest of these amplify a change of the input a hundred times and more."""
    model = application(name)
    assert error_of_the_passes(model) < 1e-3


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("name", mostly_slow(["ResNet50", "ResNet101"], ["ResNet50"]))
def test_a_wrong_graph_is_found_in_a_deep_network(name):
    """What rounding explains is no excuse for a change of the function."""
    model = application(name)
    x = data_for(model, 2)
    graph = to_spiking(parse(model).graph)
    network = Network(graph)
    layer = next(layer for layer in network.layers.values() if isinstance(layer, keras.layers.Conv2D))
    kernel = layer.kernel.numpy()
    kernel[..., 0] *= 1.01
    layer.kernel.assign(kernel)
    with pytest.raises(snn.ConversionError, match="differs from its source"):
        verification.check_same_function(SourceFunction(model, graph), network, {inputs_of(graph)[0].name: x})


@pytest.mark.parametrize("name", mostly_slow(OWN, ["audio_cnn", "unet", "two_in_two_out"]))
def test_other_architectures_converge_to_their_source(name):
    model, x = alive(name)
    model_snn = snn.convert_keras(model, x, percentile=100)
    fidelity = [snn.compare(model, model_snn, x, timesteps) for timesteps in (32, 256)]
    for output, error in fidelity[1].output_error.items():
        # Eight times the timesteps: an error that falls as 1 / sqrt(T), as that of random spikes does, is too much.
        assert error < fidelity[0].output_error[output] / np.sqrt(8), f"{fidelity[0]}\n{fidelity[1]}"
    assert all(row.correlation > 0.99 for row in fidelity[1].populations), str(fidelity[1])


@pytest.mark.slow
def test_mobilenet_of_others_converts(data_dir):
    model = keras.saving.load_model(data_dir / "models" / "mobilenet_vww96.keras", compile=False)
    x = np.random.default_rng(0).random((8, 96, 96, 3), dtype=np.float32)
    model_snn = snn.convert_keras(model, x, percentile=100)
    outputs = model_snn.simulate(x, timesteps=256, outputs="last").outputs[-1]
    expected = model.predict(x, verbose=0)
    assert np.corrcoef(outputs.ravel(), expected.ravel())[0, 1] > 0.99


@pytest.mark.slow
@pytest.mark.parametrize("name", [*APPLICATIONS, *OWN])
def test_the_error_falls_with_time(name):
    """Where the source is not chaotic. Without clipping the error falls about as 1 / T, the closed form's to nothing."""
    row = measure(name, samples=16)
    assert all(np.isfinite(list(row["error"].values())))
    if row["amplification"] < 10:
        # Random spikes would make it fall as 1 / sqrt(T).
        assert ratio_per_doubling(row) < 2**-0.5, row
        closed = row["closed_form_error"]
        assert closed[4096] < 1e-2, row
        assert closed[4096] * 6 <= closed[512], row


def test_an_architecture_is_measured():
    """The benchmark's row of a small network: what the slow tests hold for all of them."""
    row = measure("mlp", samples=16)
    assert ratio_per_doubling(row) < 2**-0.5, row
    assert row["closed_form_error"][4096] * 6 <= row["closed_form_error"][512]
    assert row["populations"] == 2
    assert 0.5 < row["amplification"] < 10
    (error,), (clipping,) = row["default_error"].values(), row["default_clipping"].values()
    assert 0 < clipping < error
