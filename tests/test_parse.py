"""Keras models as graphs: wiring, sharing, refusals, and a source that stays as it was."""

import keras
import numpy as np
import pytest
import zoo
from conftest import mostly_slow
from convergence import assert_close, assert_converges

import snn_toolbox_tf as snn
from snn_toolbox_tf.graph import Activation, MaxPool, Synapse
from snn_toolbox_tf.parse import parse

L = keras.layers


def names(graph, *types):
    return [node.name for node in graph.of_type(*types)]


def test_fused_activation_becomes_a_node_of_its_own():
    graph = parse(keras.Sequential([keras.Input((4,)), L.Dense(3, "relu", name="d"), L.Dense(2, name="e")])).graph
    assert names(graph, Synapse, Activation) == ["d", "d_relu", "e"]
    assert graph["d"].layer.config["activation"] == "linear"
    assert graph["e"].inputs == ["d_relu"]


def test_an_activation_may_be_a_layer_or_a_function():
    relu6 = L.ReLU(6.0)
    inputs = keras.Input((4,))
    x = L.Dense(3, activation=relu6, name="a")(inputs)
    x = keras.ops.relu(L.Dense(3, name="b")(x))
    x = L.Activation(keras.activations.relu6, name="c")(L.Dense(3)(x))
    graph = parse(keras.Model(inputs, L.Dense(1)(x))).graph
    kinds = [(node.layer.class_name, node.layer.config.get("activation")) for node in graph.of_type(Activation)]
    assert kinds == [("ReLU", None), ("Activation", "relu"), ("Activation", "relu6")]


def test_shared_layers_and_nested_models_are_one_node_a_call():
    inputs = keras.Input((4,))
    nested = keras.Sequential([keras.Input((4,)), L.Dense(4, "relu", name="d")], name="nested")
    shared = L.Dense(4, "relu", name="shared")
    x = nested(nested(shared(shared(inputs))))
    graph = parse(keras.Model(inputs, L.Dense(1, name="out")(x))).graph
    assert names(graph, Synapse) == ["shared", "shared_2", "nested.d", "nested.d_2", "out"]
    np.testing.assert_array_equal(
        graph["nested.d"].layer.weights["kernel"], graph["nested.d_2"].layer.weights["kernel"]
    )


def test_inactive_layers_leave_no_node():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            L.RandomFlip(),
            L.GaussianNoise(1.0),
            L.Conv2D(2, 3),
            L.SpatialDropout2D(0.5),
            L.ReLU(),
        ]
    )
    assert len(list(parse(model).graph)) == 3


def test_operators_become_scales_and_sums():
    inputs = keras.Input((3,))
    x = (2.0 - inputs) * np.array([1.0, 2.0, 3.0], np.float32) / 4.0
    graph = parse(keras.Model(inputs, L.ReLU()(x + inputs))).graph
    kinds = [node.layer.class_name for node in graph.of_type(Synapse)]
    assert kinds == ["Scale", "Scale", "Scale", "Add"]
    first = graph.of_type(Synapse)[0].layer.weights
    assert (first["factor"], first["offset"]) == (-1.0, 2.0)


def test_structures_of_inputs_and_outputs_are_kept():
    graph = parse(zoo.multi_input()).graph
    assert set(graph.input_structure) == {"a", "b"}
    assert graph.output_structure == {"classes": "classes", "features": "features"}


@pytest.mark.parametrize(
    "builder",
    mostly_slow(zoo.BUILDERS, [zoo.channels_first, zoo.multi_input, zoo.resampled, zoo.trained_thresholds]),
    ids=lambda builder: builder.__name__,
)
def test_the_source_is_unchanged(builder):
    model = zoo.build(builder)
    model.compile("sgd", "mse")

    def flat_layers(model):
        for layer in model.layers:
            yield layer
            if isinstance(layer, keras.Model):
                yield from flat_layers(layer)

    def snapshot():
        return [
            (layer.name, layer.trainable, layer.built, len(layer._inbound_nodes), len(layer._outbound_nodes))
            for layer in flat_layers(model)
        ]

    before, weights, config = snapshot(), [w.copy() for w in model.get_weights()], model.get_config()
    trainable = len(model.trainable_variables)
    snn.convert_keras(model, zoo.data_for(model, 8), threshold_rule="percentile")
    assert snapshot() == before
    assert model.get_config() == config
    assert len(model.trainable_variables) == trainable
    for old, new in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert model.compiled


class _MyDense(L.Dense):
    pass


def test_all_offences_are_named_in_one_error():
    inputs = keras.Input((8, 8, 2), name="image")
    x = L.Conv2D(4, 3, activation="gelu", name="smooth")(inputs)
    x = L.ELU(name="elu")(x)
    x = L.LayerNormalization(name="norm")(x)
    x = L.Multiply(name="product")([x, x])
    x = L.CenterCrop(9, 9, name="stretched")(x)
    x = L.Activation(lambda value: value, name="own")(x)
    x = _MyDense(3, name="mine")(L.Flatten()(x))
    x = keras.ops.exp(x)
    model = keras.Model(inputs, L.Dense(2)(x), name="bad")
    with pytest.raises(snn.UnsupportedModelError, match=r"'bad' holds 8 node\(s\)") as caught:
        snn.convert_keras(model)
    message = str(caught.value)
    for part in (
        "'smooth_gelu' (Activation gelu): a spiking population stands for ReLU",
        "'elu' (ELU)",
        "'norm' (LayerNormalization): it normalises each sample by its own statistics",
        "remedy: retrain with BatchNormalization",
        "'product' (Multiply)",
        "'stretched' (CenterCrop): its input is smaller",
        "'own' (Activation custom function <lambda>)",
        "'mine' (test_parse._MyDense): the converter does not know this layer",
        "(Activation exponential): a spiking population stands for ReLU",
    ):
        assert part in message


@pytest.mark.few(4)
@pytest.mark.parametrize("function", ["softmax", "sigmoid", "tanh", "gelu", "silu", "selu", "softplus", "exponential"])
def test_an_output_may_have_any_activation_of_keras(function, rng):
    inputs = keras.Input((6,))
    model = keras.Model(inputs, L.Dense(3, function, name="out")(L.Dense(16, "relu")(inputs)))
    x = rng.random((8, 6), dtype=np.float32)
    if function == "exponential":
        # Its slope has no bound.
        assert_close(model, snn.convert_keras(model, x, percentile=100), x, 1000, tolerance=0.01)
    else:
        assert_converges(model, x)


def test_a_linear_activation_does_nothing():
    """Models end in one to compute their output in float32, and keras.applications have one where there is no softmax."""
    inputs = keras.Input((6,))
    x = L.Activation("linear", name="inner")(L.Dense(4, "relu")(inputs))
    model = keras.Model(inputs, L.Activation("linear", dtype="float32", name="outer")(L.Dense(3)(x)))
    assert [row.name for row in snn.check(model).rows if row.becomes == "removed"] == ["inner", "outer"]
    assert snn.convert_keras(model, np.eye(6), threshold_rule="percentile").conversion.pass_error < 1e-6


def test_softmax_inside_is_refused_but_at_the_output_it_is_decoded(mlp):
    inputs = keras.Input((6,))
    inner = L.Softmax(name="inner")(L.Dense(4, "relu")(inputs))
    with pytest.raises(snn.UnsupportedModelError, match=r"'inner' \(Softmax\)"):
        snn.convert_keras(keras.Model(inputs, L.Dense(2)(inner)))
    graph = parse(
        keras.Sequential([keras.Input((6,)), L.Dense(4, "relu"), L.Dense(3), L.Softmax(name="classes")])
    ).graph
    assert graph.readouts[0].name == "classes"


def test_pooling_classes_are_told_apart():
    model = keras.Sequential([keras.Input((8, 8, 1)), L.MaxPooling2D(), L.AveragePooling2D(2), L.GlobalMaxPooling2D()])
    assert len(names(parse(model).graph, MaxPool)) == 2
    assert len(names(parse(model).graph, Synapse)) == 1


class _Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = L.Dense(2)

    def call(self, inputs):
        return self.dense(inputs)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: "model.keras", TypeError, r"`model` to be a keras.Model.*builtins.str"),
        (lambda: keras.Sequential([L.Dense(2)]), ValueError, r"is not built.*keras.Input"),
        (_Subclassed, ValueError, r"is a subclassed model \(_Subclassed\)"),
        (
            lambda: keras.Sequential([keras.Input((None, None, 3)), L.Conv2D(2, 3, activation="relu")]),
            ValueError,
            r"must have a fixed size",
        ),
        (
            lambda: keras.Sequential([keras.Input((4,)), L.Dense(2, "relu", dtype="mixed_float16", name="half")]),
            ValueError,
            r"reduced precision in: 'half' \(mixed_float16\).*Expected float32",
        ),
        (
            lambda: keras.Sequential([keras.Input((4,)), L.Dense(2, "softmax")]),
            snn.UnsupportedModelError,
            r"no inner nonlinearity",
        ),
    ],
)
def test_models_that_cannot_be_read(make, error, message):
    with pytest.raises(error, match=message):
        snn.convert_keras(make())
