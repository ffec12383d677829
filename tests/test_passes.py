"""Each pass alone on a tiny model, and the traps that other converters fell into."""

import keras
import numpy as np
import pytest
import zoo

import snn_toolbox_tf as snn
from snn_toolbox_tf.analysis.closed_form import closed_form
from snn_toolbox_tf.graph import MaxPool, Population, Synapse
from snn_toolbox_tf.grid import Observed, quantize, reproducibility_exceptions
from snn_toolbox_tf.network import Network, inputs_of
from snn_toolbox_tf.parse import parse
from snn_toolbox_tf.passes import to_spiking
from snn_toolbox_tf.passes.fold_scales import fold_scales
from snn_toolbox_tf.passes.normalize import normalize
from snn_toolbox_tf.passes.sink_relu import sink_relu_below_pooling

L = keras.layers


def scales_left(model):
    graph = parse(zoo._randomize(model)).graph
    fold_scales(graph)
    return [node.name for node in graph.of_type(Synapse) if node.layer.class_name == "Scale"]


def test_batch_norm_folds_into_the_layer_in_front():
    for layer in (L.Conv2D(4, 3), L.DepthwiseConv2D(3), L.Conv2DTranspose(4, 3), L.SeparableConv2D(4, 3), L.Dense(4)):
        assert scales_left(keras.Sequential([keras.Input((8, 8, 3)), layer, L.BatchNormalization(), L.ReLU()])) == []


def test_batch_norm_folds_to_the_exact_weights():
    model = zoo._randomize(
        keras.Sequential([keras.Input((3,)), L.Dense(2, name="d"), L.BatchNormalization(name="bn"), L.ReLU()])
    )
    graph = parse(model).graph
    fold_scales(graph)
    kernel, bias = (np.asarray(w, np.float64) for w in model.get_layer("d").get_weights())
    gamma, beta, mean, variance = (np.asarray(w, np.float64) for w in model.get_layer("bn").get_weights())
    factor = gamma / np.sqrt(variance + 1e-3)
    np.testing.assert_allclose(graph["d"].layer.weights["kernel"], kernel * factor, rtol=1e-12)
    np.testing.assert_allclose(graph["d"].layer.weights["bias"], (bias - mean) * factor + beta, rtol=1e-12)


def test_batch_norm_is_never_folded_through_a_nonlinearity():
    model = keras.Sequential([keras.Input((8,)), L.Dense(4, "relu"), L.BatchNormalization(name="bn"), L.Dense(2)])
    assert scales_left(model) == ["bn"]


def test_batch_norm_is_never_folded_into_a_layer_with_other_readers():
    inputs = keras.Input((8,))
    x = L.Dense(4)(inputs)
    model = keras.Model(inputs, L.Add()([L.ReLU()(x), L.ReLU()(L.BatchNormalization(name="bn")(x))]))
    assert scales_left(model) == ["bn"]


def test_batch_norm_over_another_axis_is_not_folded():
    model = keras.Sequential([keras.Input((5, 8)), L.Dense(8), L.BatchNormalization(axis=1, name="bn"), L.ReLU()])
    assert scales_left(model) == ["bn"]


def test_relu_sinks_below_max_pooling_and_other_readers_keep_it():
    inputs = keras.Input((8, 8, 3))
    relu = L.ReLU(name="relu")(L.Conv2D(4, 3, padding="same", name="conv")(inputs))
    pooled = L.MaxPooling2D(2, name="pool")(relu)
    graph = parse(keras.Model(inputs, [L.Flatten(name="after")(pooled), L.Flatten()(relu)])).graph
    sink_relu_below_pooling(graph)
    assert graph["pool"].inputs == ["conv"]
    assert graph["relu"].inputs == ["conv"]
    assert graph["relu_pool"].inputs == ["pool"]
    assert graph["after"].inputs == ["relu_pool"]


def test_a_relu_output_is_decoded_and_inner_readers_get_a_population():
    graph = to_spiking(parse(zoo.multi_input()).graph)
    readouts = {readout.name: readout for readout in graph.readouts}
    assert readouts["features"].node == "features"
    assert [spec.config["activation"] for spec in readouts["features"].decoder] == ["relu"]
    assert isinstance(graph["features_relu"], Population)
    assert [spec.config["activation"] for spec in readouts["classes"].decoder] == ["softmax"]


def test_channels_first_neighbours_share_their_permutes():
    graph = to_spiking(parse(zoo.channels_first()).graph)
    permutes = [node for node in graph.of_type(Synapse) if node.layer.class_name == "Permute"]
    # In front of conv1; behind the pooling; around the depthwise; around the pointwise; in front of Flatten.
    assert len(permutes) == 1 + 1 + 2 + 2 + 1
    assert all(node.channel_axis == 0 for node in graph.of_type(Population))


def normalized(model, seed=0):
    """The original and the normalised graph with random thresholds, one per channel."""
    original = to_spiking(parse(model).graph)
    generator = np.random.default_rng(seed)
    for node in original.of_type(Population):
        theta = generator.uniform(0.5, 3.0, node.shape[node.channel_axis])
        node.threshold = node.channel_vector(theta)
    graph = original.copy()
    normalize(graph)
    return original, graph


def run(graph, x):
    network = Network(graph, dtype="float64")
    inputs = {node.name: a.astype(np.float64) for node, a in zip(inputs_of(graph), keras.tree.flatten(x), strict=True)}
    return network, network.run_as_ann(inputs)


@pytest.mark.parametrize("builder", zoo.BUILDERS, ids=lambda builder: builder.__name__)
def test_normalizing_changes_the_form_and_not_the_function(builder):
    """Every activation of the normalised graph is the original one's divided by its threshold."""
    model = zoo.build(builder)
    original, graph = normalized(model)
    x = zoo.data_for(model, 4)
    _, expected = run(original, x)
    _, actual = run(graph, x)
    for node in original.of_type(Population):
        assert (graph[node.name].threshold == 1).all()
        scaled = actual[node.name].numpy() * node.threshold[np.newaxis]
        np.testing.assert_allclose(scaled, expected[node.name].numpy(), rtol=1e-9, atol=1e-9)
    for ours, theirs in zip(graph.readouts, original.readouts, strict=True):
        np.testing.assert_allclose(actual[ours.node], expected[theirs.node], rtol=1e-9, atol=1e-9)


def test_a_scale_node_stands_on_identity_shortcuts_only():
    original, graph = normalized(zoo.build(zoo.residual))
    added = {node.name for node in graph} - {node.name for node in original}
    assert len(added) == 1
    assert graph[added.pop()].layer.class_name == "Scale"


def test_per_element_thresholds_behind_flatten_are_absorbed_by_a_scale():
    inputs = keras.Input((6, 6, 2))
    x = L.ReLU(name="relu")(L.Flatten()(L.Conv2D(3, 3)(inputs)))
    model = keras.Model(inputs, L.Dense(2)(x))
    original, graph = normalized(model)
    x = zoo.data_for(model, 3)
    _, expected = run(original, x)
    _, actual = run(graph, x)
    np.testing.assert_allclose(actual[graph.readouts[0].node], expected[original.readouts[0].node], rtol=1e-9)


def all_seen(graph, value):
    """As if calibration had seen this value everywhere."""
    values = dict.fromkeys((node.name for node in graph), value)
    return Observed(values, values)


def test_weights_that_read_spikes_lie_on_a_dyadic_grid():
    _, graph = normalized(zoo.build(zoo.residual))
    quantize(graph, all_seen(graph, 3.0))
    for node in graph.of_type(Synapse):
        if node.name in graph.spiking_ancestry() and node.layer.weights:
            for array in node.layer.weights.values():
                scaled = array * 2.0**24
                np.testing.assert_array_equal(scaled, np.round(scaled))
                if node.dtype == "float32":
                    np.testing.assert_array_equal(array, array.astype(np.float32))


def test_chains_end_in_a_rounding_node():
    """A pointwise behind a depthwise convolution and an average over nine have no room in 24 bits.

    The dense layer at the end runs in float64 too, but readouts are summed in float64 anyway.
    """
    _, graph = normalized(zoo.build(zoo.separable))
    quantize(graph, all_seen(graph, 3.0))
    double = [n.name for n in graph.of_type(Synapse) if n.dtype == "float64" and n.name in graph.spiking_ancestry()]
    assert [graph[name].layer.class_name for name in double] == ["Conv2D", "Conv2D", "AveragePooling2D", "Dense"]
    for name in double[:-1]:
        assert [reader.layer.class_name for reader in graph.consumers(name)] == ["RoundToGrid"]


def test_real_valued_input_that_joins_spikes_and_is_summed_again_is_listed():
    inputs = keras.Input((6, 6, 2))
    spikes = L.Conv2D(2, 3, padding="same", activation="relu")(inputs)
    mixed = L.Add()([inputs, spikes])
    listed = L.ReLU()(L.Conv2D(2, 3, name="mixing")(mixed))
    _, graph = normalized(keras.Model(inputs, L.Dense(2)(L.Flatten()(listed))))
    quantize(graph, all_seen(graph, 3.0))
    (exception,) = reproducibility_exceptions(graph)
    assert exception.startswith("'mixing' sums real-valued input")
    _, graph = normalized(zoo.build(zoo.residual))
    quantize(graph, all_seen(graph, 3.0))
    assert reproducibility_exceptions(graph) == []


def test_max_pooling_accumulates_in_float64():
    graph = to_spiking(parse(zoo.cnn()).graph)
    (pool,) = graph.of_type(MaxPool)
    assert pool.dtype == "float64"


def test_what_rearranges_or_scales_behind_a_softmax_is_decoded_with_it(rng, tmp_path):
    """Softmax over one axis, then another shape and a percentage: all of it is applied to the time-averaged current."""
    inputs = keras.Input((8,))
    x = L.Reshape((4, 3), name="grid")(L.Dense(12, name="dense")(L.Dense(16, "relu")(inputs)))
    x = L.Rescaling(100.0, name="percent")(L.Permute((2, 1), name="turned")(L.Softmax(name="classes")(x)))
    model = keras.Model(inputs, L.Flatten(name="flat")(x))
    x = rng.normal(size=(16, 8)).astype(np.float32)
    model_snn = snn.convert_keras(model, x, percentile=100)
    (readout,) = model_snn.network.graph.readouts
    assert [spec.class_name for spec in readout.decoder] == ["Softmax", "Permute", "Scale", "Flatten"]
    result = model_snn.simulate(x, timesteps=512, outputs=[256, 512])
    expected = model.predict(x, verbose=0)
    assert np.linalg.norm(result.outputs[-1] - expected) < 0.01 * np.linalg.norm(expected)
    rows = {row.name: row.becomes for row in snn.check(model).rows}
    assert {rows[name] for name in ("classes", "turned", "percent", "flat")} == {"readout"}
    assert (rows["grid"], rows["dense"]) == ("synapse", "synapse")
    model_snn.save(tmp_path / "snn.keras")
    loaded = keras.saving.load_model(tmp_path / "snn.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model_snn.predict(x, verbose=0))
    _, closed = closed_form(model_snn, x, 4096)
    assert np.abs(closed - expected).max() < 0.5


def deep_affine_chain():
    """A residual stream that no population interrupts, and separable convolutions that read it, as in Xception."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 6, 8))
    stream = L.Conv2D(16, 1)(inputs)
    for _ in range(4):
        x = L.SeparableConv2D(16, 3, padding="same")(L.ReLU()(stream))
        stream = L.Add()(
            [stream, L.BatchNormalization(moving_variance_initializer=keras.initializers.Constant(1e-2))(x)]
        )
    for _ in range(3):
        stream = L.SeparableConv2D(32, 3, padding="same")(stream)
    return keras.Model(inputs, L.Dense(3)(L.GlobalAveragePooling2D()(L.ReLU(name="last")(stream))))


@pytest.mark.long
def test_affine_layers_in_a_row_do_not_coarsen_the_grid(rng):
    """Their worst case multiplies from layer to layer; what calibration has seen does not."""
    model = deep_affine_chain()
    x = rng.normal(size=(16, 6, 6, 8)).astype(np.float32)
    model_snn = snn.convert_keras(model, x, percentile=100)
    assert model_snn.conversion.grid_error < 1e-3
    assert [node for node in model_snn.network.graph.of_type(Synapse) if node.expected is not None]
    expected = model.predict(x, verbose=0)
    outputs = model_snn.simulate(x, timesteps=512, outputs="last").outputs[-1]
    assert np.linalg.norm(outputs - expected) < 0.05 * np.linalg.norm(expected)
    _, closed = closed_form(model_snn, x, 4096)
    assert np.linalg.norm(closed - expected) < 0.01 * np.linalg.norm(expected)
    # The threshold is that of the data, not one that the worst case asks for.
    last = keras.Model(model.inputs, model.get_layer("last").output).predict(x, verbose=0)
    np.testing.assert_allclose(model_snn.thresholds()["last"].ravel(), last.max(axis=(0, 1, 2)), rtol=1e-3)
