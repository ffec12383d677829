"""NIR files: what is written, run by an interpreter of its own; what is read back; what is refused."""

import ast
import os
import pathlib
import resource
import signal
import sys

import h5py
import keras
import nir
import numpy as np
import pytest
import zoo
from nir_interpreter import Interpreter, slide

import snn_toolbox_tf as snn
from snn_toolbox_tf.graph import Population
from snn_toolbox_tf.neurons import IntegrateAndFire, LeakyIntegrateAndFire
from snn_toolbox_tf.nir_files.placement import AxisWindow, padded_kernel, with_equal_padding

L = keras.layers
T = 12


def windows():
    """Grouped, dilated, depthwise and strided convolutions with unequal padding, concatenation, a tensor added to itself."""
    inputs = keras.Input((9, 8, 4))
    x = L.Conv2D(6, 3, strides=2, padding="same", activation="relu")(inputs)
    y = L.Conv2D(6, 2, padding="same", groups=2, activation="relu")(x)
    y = L.DepthwiseConv2D((3, 1), depth_multiplier=2, padding="same", activation="relu")(y)
    x = L.Concatenate()([x, L.Conv2D(5, 3, dilation_rate=2, padding="same", activation="relu")(y)])
    x = L.ReLU()(L.Add()([x, x]))
    x = L.AveragePooling2D(2, strides=1, padding="same")(L.Cropping2D(((0, 1), (1, 0)))(x))
    return keras.Model(inputs, L.Dense(4, activation="softmax")(L.Flatten()(x)))


def channels_first():
    """Channels first, as PyTorch has them."""
    kwargs = {"data_format": "channels_first"}
    return keras.Sequential(
        [
            keras.Input((3, 7, 9)),
            L.Conv2D(5, 3, padding="same", use_bias=False, **kwargs),
            L.BatchNormalization(axis=1),
            L.ReLU(),
            L.AveragePooling2D(2, **kwargs),
            L.Conv2D(4, 2, activation="relu", **kwargs),
            L.Flatten(**kwargs),
            L.Dense(6, activation="relu"),
            L.Dense(3),
        ]
    )


def sound():
    """One spatial dimension: causal convolution, average pooling, Dense on the last axis."""
    inputs = keras.Input((12, 4))
    x = L.Conv1D(6, 3, activation="relu", padding="causal")(inputs)
    x = L.Dense(5, activation="relu")(L.AveragePooling1D(2)(L.ZeroPadding1D(1)(x)))
    return keras.Model(inputs, L.Dense(4)(L.GlobalAveragePooling1D()(L.Conv1D(4, 2, activation="relu")(x))))


BUILDERS = [windows, channels_first, sound, zoo.residual, zoo.separable, zoo.multi_input, zoo.preprocessing]


def converted(builder, **options):
    model = zoo.build(builder)
    x = zoo.data_for(model, 6)
    return snn.convert_keras(model, x, timesteps=T, threshold_rule="percentile", **options), x


@pytest.fixture(scope="module")
def model_snn():
    model = keras.Sequential(
        [keras.Input((6,)), L.Dense(10, "relu", name="hidden"), L.Dense(3, name="logits")], name="mlp"
    )
    return snn.convert_keras(model, zoo.data_for(model, 40), timesteps=T, threshold_rule="percentile")


def by_nir_name(graph, x):
    """The inputs of a network by the names that they have in a file, channels first where they are last."""
    axis = 1 if graph.metadata["data_format"] == "channels_first" else -1
    names = [name for name, node in graph.nodes.items() if isinstance(node, nir.Input)]
    arrays = x if isinstance(x, dict) else {names[0]: x}
    return {name: np.moveaxis(arrays[name], axis, 1) for name in names}


def sorted_counts(counts):
    """Counts of each sample in whichever order of neurons: a population behind a Flatten comes back in front of it."""
    return np.sort(counts.reshape(len(counts), -1), axis=1)


@pytest.mark.long
@pytest.mark.few(2)
@pytest.mark.parametrize("builder", BUILDERS)
def test_others_get_the_same_spikes_and_we_do_so_again(builder, tmp_path):
    model_snn, x = converted(builder)
    snn.export_nir(model_snn, tmp_path / "net.nir")
    ours = model_snn.simulate(x, record=["spike_counts"])
    again = snn.import_nir(tmp_path / "net.nir").simulate(x, record=["spike_counts"])
    graph = nir.read(tmp_path / "net.nir")
    counts, outputs = Interpreter(tmp_path / "net.nir").run(by_nir_name(graph, x), T)
    counts = {str(graph.metadata["nodes"][name].get("name", name)): count for name, count in counts.items()}
    assert set(counts) == set(again.sample_spike_counts) == set(ours.sample_spike_counts)
    assert sum(count.sum() for count in counts.values()) > 100
    for name, expected in ours.sample_spike_counts.items():
        np.testing.assert_array_equal(sorted_counts(counts[name]), sorted_counts(expected), err_msg=name)
        np.testing.assert_array_equal(sorted_counts(again.sample_spike_counts[name]), sorted_counts(expected))
    keras.tree.map_structure(np.testing.assert_array_equal, again.outputs, ours.outputs)
    if not isinstance(ours.outputs, dict) and not model_snn.network.graph.readouts[0].decoder:
        (output,) = outputs.values()
        np.testing.assert_allclose(output, ours.outputs[-1], rtol=1e-5, atol=1e-6)


def test_spikes_come_back_neuron_by_neuron(tmp_path):
    model_snn, x = converted(windows)
    snn.export_nir(model_snn, tmp_path / "net.nir", scales="scale")
    ours = model_snn.simulate(x, record=["spikes"])
    again = snn.import_nir(tmp_path / "net.nir").simulate(x, record=["spikes"])
    for name, spikes in ours.spikes.items():
        np.testing.assert_array_equal(again.spikes[name], spikes)
    assert any(isinstance(node, nir.Scale) for node in nir.read(tmp_path / "net.nir").nodes.values())


def test_settings_corrections_and_record_come_back(mlp, x_mlp, tmp_path):
    options = {"threshold_rule": "percentile", "corrections": ["neuron_potentials", "timed_biases"], "input": "poisson"}
    model_snn = snn.convert_keras(mlp, x_mlp, timesteps=T, **options, seed=3)
    model_snn.readout_start = 2
    snn.export_nir(model_snn, tmp_path / "net.nir", dt=0.003)
    again = snn.import_nir(tmp_path / "net.nir")
    assert again.conversion.as_dict() == model_snn.conversion.as_dict()
    assert (again.timesteps, again.readout_start, again.name) == (T, 2, model_snn.name)
    assert again.input_options == model_snn.input_options
    np.testing.assert_array_equal(again.simulate(x_mlp).outputs, model_snn.simulate(x_mlp).outputs)
    waiting = snn.convert_keras(mlp, x_mlp, timesteps=T, population_starts={"hidden_relu": 3}, reset="zero")
    snn.export_nir(waiting, tmp_path / "net.nir")
    again = snn.import_nir(tmp_path / "net.nir", timesteps=9, input="analog", name="renamed")
    assert again.population_starts == {"hidden_relu": 3}
    assert (again.timesteps, again.name) == (9, "renamed")
    np.testing.assert_array_equal(again.simulate(x_mlp).outputs, waiting.simulate(x_mlp, timesteps=9).outputs)


def test_metadata_says_what_nir_cannot(model_snn, tmp_path):
    snn.export_nir(model_snn, tmp_path / "net.nir")
    graph = nir.read(tmp_path / "net.nir")
    notes = graph.metadata["nodes"]["hidden_relu"]
    assert (notes["reset"], notes["comparison"], float(notes["v0"])) == ("subtract", ">=", 0.5)
    assert graph.metadata["dt"] == 1e-4
    assert set(np.unique(graph.nodes["hidden_relu"].r)) == {1e4}
    # nir 1.0.4 has no such field, and 0 is what later versions take it for.
    with h5py.File(tmp_path / "net.nir") as file:
        assert "v_reset" not in file["node/nodes/hidden_relu"]


@pytest.mark.parametrize("timesteps", [16, 7, 12])  # 1 / 14 and 1 / 24 are on no grid
def test_initial_potentials_as_biases(timesteps, tmp_path):
    """theta / 2T at every timestep: after T timesteps the same sum, so counts of constant currents are the same."""
    model = keras.Sequential([keras.Input((1,)), L.Dense(1, "relu", name="a"), L.Dense(1, name="out")])
    model.layers[0].set_weights([np.ones((1, 1)), np.zeros(1)])
    model.layers[1].set_weights([np.ones((1, 1)), np.zeros(1)])
    x = np.linspace(0, 1, 33, dtype="float32")[:, np.newaxis]
    model_snn = snn.convert_keras(model, x, timesteps=16, threshold_rule="maximum")
    snn.export_nir(model_snn, tmp_path / "v0.nir", initial_potential="bias", timesteps=timesteps)
    counts, _ = Interpreter(tmp_path / "v0.nir").run(_named(tmp_path / "v0.nir", x), timesteps)
    expected = model_snn.simulate(x, timesteps=timesteps, record=["spike_counts"]).sample_spike_counts["a_relu"]
    np.testing.assert_array_equal(counts["a_relu"], expected)
    assert float(nir.read(tmp_path / "v0.nir").metadata["nodes"]["a_relu"]["v0"]) == 0.0
    plain, _ = Interpreter(tmp_path / "v0.nir", use_metadata=False).run(_named(tmp_path / "v0.nir", x), timesteps)
    # Without metadata the neurons are NIR's: reset to 0 loses what exceeds the threshold.
    assert (plain["a_relu"] <= expected).all()
    assert (plain["a_relu"] < expected).any()


def _named(path, x):
    return {name: x for name, node in nir.read(path).nodes.items() if isinstance(node, nir.Input)}


@pytest.mark.few(1)
@pytest.mark.parametrize("timesteps", [7, 8])
def test_initial_potentials_as_biases_where_a_sum_is_read_twice(timesteps, tmp_path):
    model_snn, x = converted(zoo.residual)
    snn.export_nir(model_snn, tmp_path / "net.nir", initial_potential="bias", timesteps=timesteps)
    again = snn.import_nir(tmp_path / "net.nir")
    assert (again.timesteps, model_snn.timesteps) == (timesteps, T)
    assert snn.import_nir(tmp_path / "net.nir", timesteps=3).timesteps == 3
    graph = nir.read(tmp_path / "net.nir")
    biased, _ = Interpreter(tmp_path / "net.nir").run(by_nir_name(graph, x), timesteps)
    counts = again.simulate(x, record=["spike_counts"]).sample_spike_counts
    for name, count in counts.items():
        np.testing.assert_array_equal(sorted_counts(biased[name]), sorted_counts(count))


@pytest.mark.parametrize("neuron", [IntegrateAndFire(reset="zero"), LeakyIntegrateAndFire(tau_m=4.0)])
def test_biases_stand_for_initial_potentials_only_where_sums_count(neuron, mlp, x_mlp, tmp_path):
    model_snn = snn.convert_keras(mlp, x_mlp, timesteps=T, threshold_rule="percentile")
    for node in model_snn.network.graph.of_type(Population):
        node.neuron = neuron
    with pytest.raises(
        snn.UnsupportedModelError,
        match=r"a bias stands for its initial potential only without leak and with reset='subtract', and it has "
        rf"{type(neuron).__name__}\(.*\). Export with initial_potential='metadata'",
    ):
        snn.export_nir(model_snn, tmp_path / "net.nir", initial_potential="bias")
    assert not (tmp_path / "net.nir").exists()
    snn.export_nir(model_snn, tmp_path / "net.nir")


@pytest.mark.long
def test_networks_that_came_back_are_saved_and_trained(tmp_path):
    model_snn, x = converted(channels_first)
    snn.export_nir(model_snn, tmp_path / "net.nir")
    again = snn.import_nir(tmp_path / "net.nir")
    again.save(tmp_path / "net.keras")
    loaded = keras.saving.load_model(tmp_path / "net.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model_snn.predict(x, verbose=0))
    again.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    again.fit(x, np.arange(len(x)) % 3, epochs=1, verbose=0)
    assert again.conversion.fine_tuned
    snn.export_nir(again, tmp_path / "trained.nir")
    trained = snn.import_nir(tmp_path / "trained.nir")
    np.testing.assert_array_equal(trained.predict(x, verbose=0), again.predict(x, verbose=0))
    assert (trained.predict(x, verbose=0) != model_snn.predict(x, verbose=0)).any()


REFUSED = {
    "max pooling": (
        lambda x: L.Flatten()(L.MaxPooling2D()(x)),
        {},
        "'pool' .*NIR has no max pooling. Train .* average pooling",
    ),
    "transposed": (
        lambda x: L.Flatten()(L.Conv2DTranspose(2, 2, name="pool")(x)),
        {},
        "'pool' .*NIR has no node for it",
    ),
    "bilinear": (lambda x: L.UpSampling2D(2, interpolation="bilinear", name="pool")(x), {}, "'pool' .*no node for it"),
    "repeats": (
        lambda x: L.Conv2D(2, 1)(L.UpSampling2D(2)(x)),
        {},
        r"rearranged to \(4, 12, 12\) as no NIR node does it",
    ),
    "window": (lambda x: L.Conv2D(2, (1, 2))(x), {}, r"its window \(1, 2\) cannot be made square with equal padding"),
    "unequal padding": (
        lambda x: L.Conv2D(2, 1)(
            L.Concatenate()([L.ZeroPadding2D(((2, 0), (0, 1)))(y) for y in (x, L.Conv2D(4, 1, activation="relu")(x))])
        ),
        {},
        r"it reads values of '.*' with padding or cropping of \[\(2, 0\), \(0, 1\)\] .* Pad and crop both axes alike",
    ),
    "signed": (
        lambda x: L.Flatten()(x),
        {"signed_spikes": True},
        "takes spikes back. Convert with signed_spikes=False",
    ),
    "refractory": (
        lambda x: L.Flatten()(x),
        {"neuron": snn.neurons.IntegrateAndFire(tau_ref=1.0)},
        r"no NIR node has refractory periods, .*IntegrateAndFire\(tau_ref=1.0\). Convert with neurons without them",
    ),
    "form": (
        lambda x: L.Flatten()(x),
        {"form": "unnormalized"},
        "worth their threshold.* Convert with form='normalized'",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name, tmp_path):
    tail, options, message = REFUSED[name]
    inputs = keras.Input((6, 6, 3))
    x = tail(L.Conv2D(4, 3, padding="same", activation="relu")(inputs))
    for place, layer in enumerate(keras.Model(inputs, x).layers):
        if "pool" in layer.name or place == 2:
            layer.name = "pool"
    model = keras.Model(inputs, L.Dense(2)(L.Flatten()(L.ReLU()(x)) if len(x.shape) > 2 else x))
    model_snn = snn.convert_keras(model, zoo.data_for(model, 4), timesteps=4, threshold_rule="percentile", **options)
    (tmp_path / "net.nir").write_bytes(b"was there")
    with pytest.raises(snn.UnsupportedModelError, match=f"(?s)NIR cannot hold SpikingModel '.*{message}"):
        snn.export_nir(model_snn, tmp_path / "net.nir")
    assert (tmp_path / "net.nir").read_bytes() == b"was there"


def test_volumes_are_refused(tmp_path):
    model_snn, _ = converted(zoo.volume)
    with pytest.raises(
        snn.UnsupportedModelError, match=r"'conv3d.*' \(Conv3D\): it has 3 spatial dimensions"
    ) as caught:
        snn.export_nir(model_snn, tmp_path / "net.nir")
    assert str(caught.value).count("Conv3D") == 2  # all of it at once


def test_arguments(model_snn, mlp, tmp_path, monkeypatch):
    with pytest.raises(TypeError, match=r"`filepath` to be the path of a NIR file.*`nir.write`. Received: NIRGraph"):
        snn.import_nir(nir.NIRGraph.from_list(nir.Linear(np.ones((1, 1)))))
    file = tmp_path / "net.nir"
    with pytest.raises(TypeError, match=r"`model_snn` to be a SpikingModel.*Received: Sequential"):
        snn.export_nir(mlp, file)
    for dt in (0, 1e-320):
        with pytest.raises(ValueError, match=rf"`dt` to be a positive number .* finite 1 / dt. Received: dt={dt}"):
            snn.export_nir(model_snn, file, dt=dt)
    with pytest.raises(ValueError, match=r"Expected a file name that ends in '.nir'. Received: '.*net.keras'"):
        snn.export_nir(model_snn, tmp_path / "net.keras")
    (tmp_path / "folder.nir").mkdir()
    with pytest.raises(IsADirectoryError, match=r"folder.nir' is a folder. Expected a file name that ends in '.nir'"):
        snn.export_nir(model_snn, tmp_path / "folder.nir")
    with pytest.raises(ValueError, match=r"Unknown `initial_potential`.*\('metadata', 'bias'\)"):
        snn.export_nir(model_snn, file, initial_potential="none")
    with pytest.raises(ValueError, match="Unknown `scales`"):
        snn.export_nir(model_snn, file, scales="node")
    with pytest.raises(ValueError, match="`timesteps` to be a positive integer"):
        snn.export_nir(model_snn, file, timesteps=0, initial_potential="bias")
    with pytest.raises(
        ValueError, match=r"`timesteps` is for initial_potential='bias'. Received: timesteps=8, .*'meta"
    ):
        snn.export_nir(model_snn, file, timesteps=8)
    snn.export_nir(model_snn, tmp_path / "ours.nir")
    with pytest.raises(
        ValueError, match=r"`dt`, `reset` is for files from other tools: '.*ours.nir' was written by snn_toolbox_tf"
    ):
        snn.import_nir(tmp_path / "ours.nir", dt=1.0, reset="zero")
    for name, value in (("dt", -1), ("reset", "soft"), ("input", "smell"), ("timesteps", 1.5), ("name", "a b")):
        with pytest.raises(ValueError, match=f"`{name}`"):
            snn.import_nir(file, **{name: value})
    monkeypatch.setitem(sys.modules, "nir", None)
    for call in (lambda: snn.export_nir(model_snn, file), lambda: snn.import_nir(file)):
        with pytest.raises(ImportError, match=r'pip install "snn_toolbox_tf\[nir\]"'):
            call()
    assert not file.exists()


def test_nir_is_imported_where_it_is_used_only():
    package = pathlib.Path(snn.__file__).parent
    for path in package.rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [getattr(node, "module", None)]
            )
            assert "nir" not in names, path


def test_a_full_disk_and_an_interruption_leave_the_file_that_was_there(model_snn, tmp_path, monkeypatch):
    file = tmp_path / "net.nir"
    snn.export_nir(model_snn, file)
    before = file.read_bytes()
    handler, limits = signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            snn.export_nir(model_snn, file, dt=1.0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)

    def killed(source, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        snn.export_nir(model_snn, file, dt=1.0)
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["net.nir"]


def test_damaged_files(model_snn, tmp_path):
    file = tmp_path / "net.nir"
    with pytest.raises(snn.ModelFileError, match=r"There is no file '.*net.nir'. Expected a NIR file"):
        snn.import_nir(file)
    snn.export_nir(model_snn, file)
    whole = file.read_bytes()
    for content in (b"", b"PK\x03\x04", whole[: len(whole) // 2], whole[:100] + bytes(400) + whole[500:]):
        file.write_bytes(content)
        with pytest.raises(
            snn.ModelFileError, match=rf"cannot read '.*' \({len(content):,} bytes\) as NIR: .*export_nir"
        ):
            snn.import_nir(file)
    with h5py.File(file, "w") as other:
        other["weights"] = np.ones(3)
    with pytest.raises(snn.ModelFileError, match="as NIR: KeyError"):
        snn.import_nir(file)


EDITS = {
    "numbers": ("nodes/hidden/weight", lambda data: np.full_like(data, np.nan), "`weight` of node 'hidden' .* NaN"),
    "weights": (
        "nodes/logits/weight",
        lambda data: data * 1.234,
        r"the kernel of 'logits' was changed: it holds values that are no multiples of 2\^-\d+, as its metadata says",
    ),
    "format": ("metadata/format", lambda data: 9, "its metadata has format .*9.*; this version reads"),
    "format in words": ("metadata/format", lambda data: "one", "its metadata has format 'one'.*; this version reads"),
    "timesteps": (
        "metadata/network",
        lambda data: data.decode().replace('"timesteps": 12', '"timesteps": -3'),
        "`timesteps` to be a positive integer.*Received: timesteps=-3",
    ),
    "network": ("metadata/network", lambda data: "{", "its metadata was changed: JSONDecodeError"),
    "structure": (
        "metadata/network",
        lambda data: data.decode().replace("logits", "x"),
        "the outputs are .* structure names x",
    ),
    "layout": ("metadata/data_format", lambda data: "sideways", "Unknown `data_format`"),
    "decoder": (
        "metadata/nodes/logits_2/decoder",
        lambda data: '[{"class_name": "Lambda", "config": {}, "weights": {}}]',
        "its decoder has a layer 'Lambda'",
    ),
    "edges": (
        "edges",
        lambda data: np.array([["a", "b"]], dtype=object),
        r"its edges name \['a', 'b'\], which are no nodes",
    ),
    "record": ("metadata/conversion", lambda data: '{"luck": 1}', "record of the conversion holds 'luck'"),
}


@pytest.mark.parametrize("name", EDITS)
def test_files_that_were_edited(name, model_snn, tmp_path):
    snn.export_nir(model_snn, tmp_path / "net.nir")
    place, change, message = EDITS[name]
    with h5py.File(tmp_path / "net.nir", "r+") as file:
        data = file["node"][place][()]
        del file["node"][place]
        file["node"][place] = change(data)
    error = snn.UnsupportedModelError if name == "decoder" else snn.ModelFileError
    with pytest.raises(error, match=rf"'.*net.nir'(?s:.*){message}"):
        snn.import_nir(tmp_path / "net.nir")


# Files from other tools


def written(path, *nodes, edges=None):
    """Writes nodes in a row (or a dict of nodes with edges) as a file, as other tools would."""
    graph = nir.NIRGraph.from_list(*nodes) if edges is None else nir.NIRGraph(nodes[0], edges, type_check=False)
    nir.write(path, graph)
    return path


def neurons(size=1, **values):
    fields = {"r": 1.0, "v_threshold": 1.0, "v_reset": 0.0, **values}
    return nir.IF(**{key: np.broadcast_to(np.float32(value), (size,)).copy() for key, value in fields.items()})


def train(model_snn, x, steps=8):
    (spikes,) = model_snn.simulate(x, timesteps=steps, record=["spikes"]).spikes.values()
    return spikes[:, 0, 0].astype(int).tolist()


@pytest.mark.parametrize(
    ("current", "values", "expected"),
    [
        (0.75, {}, [0, 1, 0, 1, 0, 1, 0, 1]),  # 1.5, reset to 0
        (0.5, {}, [0, 0, 1, 0, 0, 1, 0, 0]),  # at the threshold after two timesteps, above it after three
        (0.75, {"v_threshold": 2.0}, [0, 0, 1, 0, 0, 1, 0, 0]),
        (0.75, {"v_threshold": 2.0, "v_reset": 1.0}, [0, 0, 1, 0, 1, 0, 1, 0]),  # 2.25; 1, 1.75, 2.5
        (0.75, {"v_reset": -0.5}, [0, 1, 0, 0, 1, 0, 0, 1]),  # 1.5; -0.5, 0.25, 1, 1.75: fires above 1 only
    ],
)
def test_neurons_of_others_follow_nirs_rules(current, values, expected, tmp_path):
    file = written(tmp_path / "net.nir", nir.Linear(np.float32([[current]])), neurons(**values))
    counts, _ = Interpreter(file, use_metadata=False).run({"input": np.ones((1, 1))}, 8)
    assert counts["if"].item() == sum(expected)
    assert train(snn.import_nir(file), np.ones((1, 1))) == expected


def test_reset_by_subtraction_may_be_asked_for(tmp_path):
    file = written(tmp_path / "net.nir", nir.Linear(np.float32([[0.75]])), neurons())
    assert train(snn.import_nir(file, reset="subtract"), np.ones((1, 1))) == [0, 1, 1, 0, 1, 1, 1, 0]


def test_reset_by_subtraction_subtracts_the_threshold_and_no_more(tmp_path):
    """2^-20 above 1, then 1 each time: it stays above the threshold for good."""
    file = written(tmp_path / "net.nir", nir.Linear(np.float32([[1.0]])), neurons())
    frames = np.ones((1, 40, 1))
    assert train(snn.import_nir(file, reset="subtract", input="frames"), frames, 40) == [0] + 39 * [1]
    frames[0, 0] += 2.0**-20
    assert train(snn.import_nir(file, reset="subtract", input="frames"), frames, 40) == 40 * [1]


def test_potentials_at_the_threshold_and_reset_by_subtraction(rng, tmp_path):
    """Sums of quarters end at the threshold all the time: against NumPy, also behind a sum of currents."""
    weights = [(rng.integers(-2, 6, shape) / 4).astype("float32") for shape in ((8, 4), (6, 8), (6, 4))]
    nodes = {
        "input": nir.Input({"input": np.array([4])}),
        **{f"linear_{place}": nir.Linear(weight) for place, weight in enumerate(weights)},
        "first": neurons(8),
        "second": neurons(6, v_threshold=[0.5, 1.0, 1.0, 1.0, 2.0, 1.0]),
        "output": nir.Output({"output": np.array([6])}),
    }
    edges = [("input", "linear_0"), ("linear_0", "first"), ("first", "linear_1"), ("input", "linear_2")]
    edges += [("linear_1", "second"), ("linear_2", "second"), ("second", "output")]
    model_snn = snn.import_nir(written(tmp_path / "net.nir", nodes, edges=edges), reset="subtract")
    x = rng.integers(0, 3, (5, 4)) / 2
    spikes = model_snn.simulate(x, timesteps=30, record=["spikes"]).spikes
    v, u, ties, theta = np.zeros((5, 8)), np.zeros((5, 6)), 0, nodes["second"].v_threshold
    for step in range(30):
        v += x @ weights[0].T
        fired = v > 1
        u += fired @ weights[1].T + x @ weights[2].T
        both = u > theta
        ties += (v == 1).sum() + (u == theta).sum()
        np.testing.assert_array_equal(spikes["first"][step], fired)
        np.testing.assert_array_equal(spikes["second"][step], both)
        v, u = v - fired, u - theta * both
    assert ties > 20


def test_leaking_neurons(tmp_path):
    """Against the exact solution, by the interpreter, with a leak potential and several thresholds."""
    values = {"v_threshold": [0.6, 1.0, 1.5], "v_leak": 0.2, "tau": 0.004, "v_reset": 0.1, "r": [1.0, 2.0, 3.0]}
    lif = nir.LIF(**{key: np.broadcast_to(np.float64(value), (3,)).copy() for key, value in values.items()})
    file = written(tmp_path / "net.nir", nir.Affine(np.float32([[1.0], [0.9], [0.8]]), np.float32([0, 0.1, 0])), lif)
    interpreter = Interpreter(file, use_metadata=False)
    interpreter.dt = 0.001
    x = np.linspace(0, 1, 7)[:, np.newaxis]
    counts, _ = interpreter.run({"input": x}, 50)
    model_snn = snn.import_nir(file, dt=0.001)
    ours = model_snn.simulate(x, timesteps=50, record=["spike_counts"]).sample_spike_counts["lif"]
    np.testing.assert_array_equal(ours, counts["lif"])
    assert 0 < ours.sum() < 50 * ours.size
    snn.export_nir(model_snn, tmp_path / "again.nir")
    again = snn.import_nir(tmp_path / "again.nir")
    assert again.network.graph.of_type(Population)[0].neuron == model_snn.network.graph.of_type(Population)[0].neuron
    np.testing.assert_array_equal(again.simulate(x, timesteps=50).outputs, model_snn.simulate(x, timesteps=50).outputs)


def test_layers_of_others(rng, tmp_path):
    """Groups, strides, padding, both poolings, per-element scales, several edges into one node."""
    weight = rng.normal(size=(6, 2, 3, 3)).astype("float32")
    nodes = {
        "input": nir.Input({"input": np.array([4, 8, 8])}),
        "conv": nir.Conv2d((8, 8), weight, (2, 2), (1, 1), (1, 1), 2, rng.normal(size=6).astype("float32")),
        "fire": nir.IF(*(np.full((6, 4, 4), value, np.float32) for value in (1.0, 1.5, 0.0))),
        "sum": nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        "average": nir.AvgPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        "scale": nir.Scale(rng.normal(size=(6, 2, 2)).astype("float32")),
        "flat": nir.Flatten({"input": np.array([6, 2, 2])}, 0, -1),
        "linear": nir.Linear(rng.normal(size=(3, 24)).astype("float32")),
        "output": nir.Output({"output": np.array([3])}),
    }
    edges = [("input", "conv"), ("conv", "fire"), ("fire", "sum"), ("fire", "average"), ("sum", "scale")]
    edges += [("scale", "flat"), ("average", "flat"), ("flat", "linear"), ("linear", "output")]
    model_snn = snn.import_nir(written(tmp_path / "net.nir", nodes, edges=edges), rng.normal(size=(20, 4, 8, 8)))
    x = rng.normal(size=(5, 4, 8, 8)).astype("float32")
    result = model_snn.simulate(x, timesteps=10, record=["spikes"], outputs="last")
    spikes = result.spikes["fire"].astype(float)
    assert spikes.shape == (10, 5, 6, 4, 4)
    # The first layer, group by group, by the interpreter's convolution; then neurons and readout by hand.
    dense = np.zeros((6, 4, 3, 3))
    dense[:3, :2], dense[3:, 2:] = weight[:3], weight[3:]
    current = slide(x.astype(float), dense, [2, 2], [1, 1], [1, 1]) + nodes["conv"].bias[:, None, None]
    v, differing = np.zeros_like(current), 0
    for step in range(10):
        v = v + current
        fired = v > 1.5
        v = np.where(fired, 0.0, v)
        differing += int((fired != spikes[step]).sum())
    assert differing == 0
    windows_of = spikes.reshape(10, 5, 6, 2, 2, 2, 2)
    pooled = windows_of.sum((4, 6)) * nodes["scale"].scale + windows_of.mean((4, 6))
    expected = (pooled.reshape(10, 5, 24) @ nodes["linear"].weight.T).mean(0)
    np.testing.assert_allclose(result.outputs[-1], expected, rtol=1e-4, atol=1e-4)


def _square(value):
    return np.full((1,), value, np.float32)


FOREIGN = {
    "cycle": (
        {"a": nir.Linear(np.ones((1, 1))), "b": neurons()},
        [("input", "a"), ("a", "b"), ("b", "a"), ("b", "output")],
        "is recurrent: .* A SpikingModel has no cycles",
    ),
    "delay": ({"a": nir.Delay(_square(0.1))}, None, r"'a' \(Delay\): no current is delayed here. Leave it out"),
    "integrator": ({"a": nir.LI(_square(1), _square(1), _square(0))}, None, r"'a' \(LI\): only spiking neurons"),
    "synapse": (
        {"a": nir.CubaLIF(*(_square(1) for _ in range(5)))},
        None,
        r"'a' \(CubaLIF\): its time constants are 1 seconds. Pass `dt`",
    ),
    "leak without dt": (
        {"a": nir.LIF(_square(0.02), _square(1), _square(0), _square(1))},
        None,
        r"'a' \(LIF\): its time constant is 0.02 seconds. Pass `dt`",
    ),
    "thresholds": ({"a": neurons(v_reset=2.0)}, None, r"v_threshold 1 and v_reset 2. Expected v_threshold > v_reset"),
    "sizes": (
        {"a": nir.Linear(np.ones((2, 3)))},
        None,
        r"its weights \(2, 3\) want a vector of 3 values, and it reads \(1,\)",
    ),
    "no image": (
        {"a": nir.SumPool2d(np.array([1, 1]), np.array([1, 1]), np.array([0, 0]))},
        None,
        r"'a' \(SumPool2d\): it pools images, and reads \(1,\)",
    ),
    "neurons": (
        {"a": nir.IF(np.ones(3), np.arange(1.0, 4), np.zeros(3))},
        None,
        r"parameters of shape \(3,\) for input .*\(1,\)",
    ),
    "resistance": ({"a": neurons(r=-1.0)}, None, r"'a' \(IF\): its resistance is -1. Expected a positive one"),
    "channels": (
        {"input": nir.Input({"input": np.array([2, 3, 2])}), "a": neurons(2, v_threshold=[1.0, 2.0])},
        None,
        r"'a' \(IF\): it has parameters of shape \(2,\) for input of shape \(2, 3, 2\)",
    ),
    "dimensions": (
        {"a": nir.Flatten({"input": np.array([1])}, 5, 6)},
        None,
        r"'a' \(Flatten\): it flattens dimensions 5 to 6 of \(1,\). Check the shapes",
    ),
    "no neurons": (
        {"a": nir.Linear(np.ones((1, 1)))},
        None,
        "net.nir' holds no spiking neurons, only input, a, output. A SpikingModel has some. Expected .* IF or LIF",
    ),
}


@pytest.mark.parametrize("edge", [("output", "b"), ("b", "input")])
def test_edges_that_lead_nowhere(edge, tmp_path):
    ends = {"input": nir.Input({"input": np.array([1])}), "output": nir.Output({"output": np.array([1])})}
    edges = [("input", "a"), ("a", "output"), edge]
    written(tmp_path / "net.nir", {**ends, "a": neurons(), "b": nir.Linear(np.ones((1, 1)))}, edges=edges)
    where = "out of Output" if "output" in edge else "into Input"
    with pytest.raises(snn.ModelFileError, match=rf"it has edges {where} nodes: \[\('{edge[0]}', '{edge[1]}'\)\]"):
        snn.import_nir(tmp_path / "net.nir")


DAMAGED = {
    "complex": ("weight", np.ones((2, 1, 1), np.complex64), r"`weight` of node '0' \(Conv1d\) holds complex64"),
    "words": ("weight", np.full((2, 1, 1), b"one"), r"`weight` of node '0' \(Conv1d\) holds (object|\|S3)"),
    "stride": ("stride", 0, "OverflowError"),
    "groups": ("groups", "one", "ValueError: invalid literal"),
    "window": ("weight", np.ones((2, 1, 0), np.float32), "TypeError: .*`kernel_size`"),
}


@pytest.mark.parametrize("name", DAMAGED)
@pytest.mark.parametrize("calibration_data", [None, np.ones((4, 1, 3))])
def test_damage_is_an_error_of_the_file_with_calibration_data_too(name, calibration_data, tmp_path):
    conv = nir.Conv1d(3, np.ones((2, 1, 1), np.float32), 1, 0, 1, 1, np.zeros(2, np.float32))
    nodes = {"input": nir.Input({"input": np.array([1, 3])}), "0": conv, "1": neurons(1)}
    nodes["output"] = nir.Output({"output": np.array([2, 3])})
    file = written(tmp_path / "net.nir", nodes, edges=[("input", "0"), ("0", "1"), ("1", "output")])
    snn.import_nir(file, calibration_data)
    field, value, message = DAMAGED[name]
    with h5py.File(file, "r+") as opened:
        del opened["node/nodes/0"][field]
        opened["node/nodes/0"][field] = value
    with pytest.raises(snn.ModelFileError, match=rf"cannot read '.*net.nir' .* as NIR: {message}"):
        snn.import_nir(file, calibration_data)


@pytest.mark.parametrize("name", FOREIGN)
def test_what_files_of_others_hold_and_no_spiking_model_has(name, tmp_path):
    nodes, edges, message = FOREIGN[name]
    nodes = {"input": nir.Input({"input": np.array([1])}), **nodes, "output": nir.Output({"output": np.array([1])})}
    edges = edges or [("input", "a"), ("a", "output")]
    written(tmp_path / "net.nir", nodes, edges=edges)
    with pytest.raises(snn.UnsupportedModelError, match=message):
        snn.import_nir(tmp_path / "net.nir")


def test_sums_with_unequal_strides_are_refused(tmp_path):
    pool = nir.SumPool2d(np.array([1, 1]), np.array([1, 2]), np.array([0, 0]))
    nodes = {
        "input": nir.Input({"input": np.array([1, 4, 4])}),
        "a": pool,
        "output": nir.Output({"output": np.array([1])}),
    }
    written(tmp_path / "net.nir", nodes, edges=[("input", "a"), ("a", "output")])
    with pytest.raises(snn.UnsupportedModelError, match=r"it has strides \[1, 2\], and TensorFlow wants equal ones"):
        snn.import_nir(tmp_path / "net.nir")


def test_strides_of_0_are_damage(tmp_path):
    pool = nir.AvgPool2d(np.array([1, 1]), np.array([0, 0]), np.array([0, 0]))
    ends = {"input": nir.Input({"input": np.array([1, 4, 4])}), "output": nir.Output({"output": np.array([1])})}
    written(tmp_path / "net.nir", {**ends, "a": pool}, edges=[("input", "a"), ("a", "output")])
    with pytest.raises(snn.ModelFileError, match=r"cannot read '.*net.nir' .* as NIR: ZeroDivisionError"):
        snn.import_nir(tmp_path / "net.nir")


def test_several_resistances_need_dt(tmp_path):
    file = written(tmp_path / "net.nir", nir.Linear(np.ones((2, 1))), neurons(2, r=[1.0, 0.5]))
    with pytest.raises(
        snn.UnsupportedModelError, match=r"several resistances, 0.5 to 1, so dt cannot be told .* Pass `dt`"
    ):
        snn.import_nir(file)
    counts = snn.import_nir(file, dt=0.5).simulate(np.ones((1, 1)), timesteps=12).spike_counts["if"]
    assert counts.tolist() == [4, 2]  # 0.5 a timestep: above 1 at the third; 0.25: at the fifth


def test_resistances_that_differ_between_populations_need_dt(tmp_path):
    layers = nir.Linear(np.float32([[2.0]])), neurons(r=1.0), nir.Linear(np.float32([[1.0]])), neurons(r=0.25)
    file = written(tmp_path / "net.nir", *layers)
    with pytest.raises(snn.UnsupportedModelError, match=r"'if_1' \(IF\): .* several resistances, 0.25 to 1, .*`dt`"):
        snn.import_nir(file)
    counts = snn.import_nir(file, dt=1.0).simulate(np.ones((1, 1)), timesteps=20).spike_counts
    assert {name: int(count.sum()) for name, count in counts.items()} == {"if": 20, "if_1": 4}


# Windows


def test_windows_with_equal_padding_give_the_same(rng):
    for _ in range(60):
        size, taps, stride, dilation = rng.integers(6, 12), rng.integers(1, 4), rng.integers(1, 4), rng.integers(1, 3)
        before, after = rng.integers(0, 3, 2)
        reach = dilation * (taps - 1) + 1
        outputs = (size + before + after - reach) // stride + 1
        if outputs < 1:
            continue
        window = AxisWindow(int(size), int(outputs), int(taps), int(stride), int(dilation), -int(before))
        (padded,) = with_equal_padding([window])
        kernel, x = rng.normal(size=(2, 3, taps)), rng.normal(size=(1, 3, size))
        expected = slide(np.pad(x, [(0, 0), (0, 0), (before, after)]), kernel, [stride], [0], [dilation])
        larger = padded_kernel(kernel, [window], [padded])
        got = slide(x, larger, [stride], [padded.padding], [padded.dilation])
        np.testing.assert_allclose(got, expected, atol=1e-12)
