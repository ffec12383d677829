"""NIR files of neurons that leak, rest and filter: an interpreter of its own, the way back, files of others, refusals."""

import keras
import nir
import numpy as np
import pytest
from nir_interpreter import Interpreter

import snn_toolbox_tf as snn
from snn_toolbox_tf.graph import Population
from snn_toolbox_tf.neurons import IntegrateAndFire, LeakyIntegrateAndFire

L = keras.layers
T = 24

#: Each kind of node first; the rest is in `make test-slow`.
NEURONS = {
    "leaky, hard reset": (LeakyIntegrateAndFire(tau_m=9.0, v_rest=-0.25, reset="zero", v_reset=0.25), ["LIF"]),
    "filtered": (IntegrateAndFire(tau_s=2.0), ["LI", "IF"]),
    "leaky, filtered": (LeakyIntegrateAndFire(tau_m=20.0, tau_s=2.0, v_rest=0.125), ["CubaLIF"]),
    "leaky, alpha": (LeakyIntegrateAndFire(tau_m=20.0, tau_s=2.0, synapse="alpha", dt=0.5), ["CubaLI", "LIF"]),
    "leaky": (LeakyIntegrateAndFire(tau_m=20.0), ["LIF"]),
    "resting": (LeakyIntegrateAndFire(tau_m=20.0, v_rest=0.25), ["LIF"]),
    "hard reset": (IntegrateAndFire(reset="zero", v_reset=-0.25), ["IF"]),
    "alpha": (IntegrateAndFire(tau_s=1.5, synapse="alpha"), ["CubaLI", "IF"]),
}


@pytest.fixture(scope="module")
def source():
    keras.utils.set_random_seed(5)
    layers = [L.Conv2D(4, 3, padding="same", activation="relu", name="conv"), L.AveragePooling2D(2), L.Flatten()]
    model = keras.Sequential(
        [keras.Input((6, 6, 2)), *layers, L.Dense(8, "relu", name="dense"), L.Dense(3, name="out")]
    )
    return model, np.random.default_rng(5).random((10, 6, 6, 2), "float32")


def kinds(path):
    return {name: type(node).__name__ for name, node in nir.read(path).nodes.items()}


@pytest.mark.few(4)
@pytest.mark.parametrize(("neuron", "nodes"), NEURONS.values(), ids=NEURONS)
def test_others_get_the_same_spikes_and_we_do_so_again(neuron, nodes, source, tmp_path):
    model, x = source
    model_snn = snn.convert_keras(model, x, timesteps=T, threshold_rule="percentile", neuron=neuron)
    # The interpreter's outputs are those of all timesteps.
    model_snn.readout_start = 0
    snn.export_nir(model_snn, tmp_path / "net.nir", dt=1e-3)
    found = [kind for kind in kinds(tmp_path / "net.nir").values() if kind in ("IF", "LIF", "LI", "CubaLI", "CubaLIF")]
    assert sorted(found) == sorted(2 * nodes)
    ours = model_snn.simulate(x, record=["spikes", "spike_counts"])
    loaded = snn.import_nir(tmp_path / "net.nir")
    assert [node.neuron for node in loaded.network.graph.of_type(Population)] == [
        node.neuron for node in model_snn.network.graph.of_type(Population)
    ]
    again = loaded.simulate(x, record=["spikes"])
    for name, spikes in ours.spikes.items():
        assert spikes.any()
        np.testing.assert_array_equal(again.spikes[name], spikes)
    np.testing.assert_array_equal(again.outputs, ours.outputs)
    (name,) = [name for name, kind in kinds(tmp_path / "net.nir").items() if kind == "Input"]
    counts, outputs = Interpreter(tmp_path / "net.nir").run({name: np.moveaxis(x, -1, 1)}, T)
    for name, expected in ours.sample_spike_counts.items():
        expected = expected if expected.ndim == 2 else np.moveaxis(expected, -1, 1)
        np.testing.assert_array_equal(counts[name].reshape(expected.shape), expected)
    np.testing.assert_allclose(next(iter(outputs.values())), ours.outputs[-1], rtol=1e-4, atol=1e-5)


def test_units_are_explicit(source, tmp_path):
    """Time constants in seconds, whatever the length of a timestep in ms was."""
    model, x = source
    neuron = LeakyIntegrateAndFire(tau_m=20.0, tau_s=2.0, v_rest=0.125, reset="zero", v_reset=-0.5, dt=0.5)
    model_snn = snn.convert_keras(model, x, timesteps=T, threshold_rule="percentile", neuron=neuron)
    snn.export_nir(model_snn, tmp_path / "net.nir", dt=5e-4)
    graph = nir.read(tmp_path / "net.nir")
    node = graph.nodes["dense_relu"]
    fields = {
        name: float(np.unique(getattr(node, name))[0]) for name in ("tau_mem", "tau_syn", "r", "v_leak", "v_reset")
    }
    assert fields == pytest.approx({"tau_mem": 0.02, "tau_syn": 0.002, "r": 40.0, "v_leak": 0.125, "v_reset": -0.5})
    assert (node.w_in == 1).all()
    assert (float(graph.metadata["dt"]), graph.metadata["nodes"]["dense_relu"]["reset"]) == (5e-4, "zero")
    assert int(graph.metadata["format"]) == 2


@pytest.mark.parametrize(
    ("neuron", "message"),
    [
        (
            IntegrateAndFire(tau_ref=1.0),
            r"no NIR node has refractory periods, .*tau_ref=1.0\). Convert with neurons",
        ),
        (
            IntegrateAndFire(tau_ref=1.0, adaptation=0.5),
            r"no NIR node has refractory periods and thresholds that adapt",
        ),
    ],
)
def test_what_no_node_has_is_refused(neuron, message, source, tmp_path):
    model, x = source
    model_snn = snn.convert_keras(model, x, timesteps=4, threshold_rule="percentile", neuron={"dense_relu": neuron})
    with pytest.raises(snn.UnsupportedModelError, match=rf"(?s)NIR cannot hold.*'dense_relu'.*{message}"):
        snn.export_nir(model_snn, tmp_path / "net.nir")
    assert not (tmp_path / "net.nir").exists()


def write(path, *nodes):
    nir.write(path, nir.NIRGraph.from_list(*nodes))


def filter_of(n, seconds, **changes):
    return nir.LI(**{"tau": np.full(n, seconds), "r": np.ones(n), "v_leak": np.zeros(n), **changes})


def cuba_li(n, tau, **changes):
    fields = {"tau_syn": np.full(n, tau), "tau_mem": np.full(n, tau), "r": np.ones(n), "v_leak": np.zeros(n)}
    return nir.CubaLI(**{**fields, **changes})


def membrane(n, **changes):
    return nir.IF(**{"r": np.full(n, 1e3), "v_threshold": np.ones(n), "v_reset": np.zeros(n), **changes})


def cuba_lif(n, **changes):
    fields = {"tau_syn": 2e-3, "tau_mem": 2e-2, "r": 20.0, "v_leak": 0.1, "v_threshold": 1.5, "v_reset": -0.2}
    return nir.CubaLIF(**{name: np.full(n, value) for name, value in {**fields, "w_in": 1.25, **changes}.items()})


FOREIGN = {
    "filter": lambda n: [filter_of(n, 3e-3), membrane(n)],
    "filter with a gain": lambda n: [filter_of(n, 3e-3, r=np.linspace(0.5, 2, n)), membrane(n)],
    "alpha": lambda n: [cuba_li(n, 2e-3, w_in=np.full(n, 1.5)), membrane(n, v_reset=np.full(n, -0.25))],
    "current-based": lambda n: [cuba_lif(n)],
    "resistances": lambda n: [cuba_lif(n, r=np.linspace(10, 30, n))],
}


@pytest.mark.parametrize("nodes", FOREIGN.values(), ids=FOREIGN)
def test_files_of_other_tools(nodes, tmp_path):
    rng = np.random.default_rng(2)
    x = rng.random((8, 5)).astype("float32")
    weight, head = rng.normal(0.1, 0.4, (6, 5)), rng.normal(0, 1, (3, 6))
    write(tmp_path / "net.nir", nir.Linear(weight), *nodes(6), nir.Linear(head))
    model_snn = snn.import_nir(tmp_path / "net.nir", x, dt=1e-3, timesteps=T)
    interpreter = Interpreter(tmp_path / "net.nir")
    interpreter.dt = 1e-3
    (expected,) = interpreter.run({"input": x}, T)[0].values()
    (counts,) = model_snn.simulate(x, record=["spike_counts"]).sample_spike_counts.values()
    assert expected.sum() > 20
    # Weights are on a grid here: a spike may come a timestep earlier or later, and be missing at the end.
    assert abs(counts - expected).max() <= 1
    assert (counts != expected).mean() < 0.05


REFUSED = {
    "read by a layer": (
        lambda n: [filter_of(n, 3e-3), nir.Linear(np.ones((n, n))), membrane(n)],
        "a filter is a part of",
    ),
    "read by nothing": (
        lambda n: [membrane(n), filter_of(n, 3e-3)],
        "Expected it to be all that a node of type IF or LIF",
    ),
    "two time constants": (
        lambda n: [cuba_li(n, 2e-3, tau_mem=np.full(n, 9e-3)), membrane(n)],
        r"its filter has time constants 0.002 and 0.009. Expected one that is positive",
    ),
    "a time constant for each": (
        lambda n: [filter_of(n, 1.0, tau=np.linspace(1, 2, n)), membrane(n)],
        "its filter has time constants 1 to 2",
    ),
    "a leak potential": (
        lambda n: [filter_of(n, 3e-3, v_leak=np.ones(n)), membrane(n)],
        "its filter has a leak potential",
    ),
    "two filters": (lambda n: [filter_of(n, 3e-3), cuba_lif(n)], "it has a filter of its own, behind another one"),
    "rest": (
        lambda n: [cuba_lif(n, v_leak=np.linspace(0, 0.5, n))],
        "its neurons rest at .* above their reset potential, behind a filter. Expected v_leak",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_filters_that_no_neuron_has_are_refused(name, tmp_path):
    nodes, message = REFUSED[name]
    write(tmp_path / "net.nir", nir.Linear(np.ones((4, 3))), *nodes(4))
    with pytest.raises(snn.UnsupportedModelError, match=f"(?s)holds what no SpikingModel has:.*{message}"):
        snn.import_nir(tmp_path / "net.nir", dt=1e-3)


def test_filters_need_the_length_of_a_timestep(tmp_path):
    write(tmp_path / "net.nir", nir.Linear(np.ones((4, 3))), filter_of(4, 3e-3), membrane(4))
    with pytest.raises(snn.UnsupportedModelError, match=r"its time constants are 0.003 seconds. Pass `dt`"):
        snn.import_nir(tmp_path / "net.nir")
