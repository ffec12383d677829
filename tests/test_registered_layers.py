"""Layers of users that `register_layer` makes known: converted, simulated, saved and counted like Keras's own."""

import keras
import numpy as np
import pytest

import snn_toolbox_tf as snn
from snn_toolbox_tf.analysis.closed_form import closed_form
from snn_toolbox_tf.synapses import registry


@keras.saving.register_keras_serializable("tests")
class Linear(keras.layers.Layer):
    """What Keras's Dense does, as a user might write it."""

    def __init__(self, units, use_bias=True, **kwargs):
        super().__init__(**kwargs)
        self.units, self.use_bias = units, use_bias

    def build(self, input_shape):
        self.kernel = self.add_weight(name="kernel", shape=(input_shape[-1], self.units))
        self.bias = self.add_weight(name="bias", shape=(self.units,)) if self.use_bias else None

    def call(self, inputs):
        product = keras.ops.matmul(inputs, self.kernel)
        return product if self.bias is None else product + self.bias

    def get_config(self):
        return {**super().get_config(), "units": self.units, "use_bias": self.use_bias}


@keras.saving.register_keras_serializable("tests")
class NeighbourDifference(keras.layers.Layer):
    """Each element less its left neighbour, channel by channel, with a weight that can be trained."""

    def build(self, input_shape):
        self.weight = self.add_weight(name="weight", shape=(), initializer="ones", trainable=False)

    def call(self, inputs):
        return inputs - self.weight * keras.ops.pad(inputs, [[0, 0], [1, 0], [0, 0]])[:, :-1]

    def compute_output_shape(self, input_shape):
        return input_shape


@keras.saving.register_keras_serializable("tests")
class Square(Linear):
    """Not affine."""

    def call(self, inputs):
        return keras.ops.square(super().call(inputs))


@keras.saving.register_keras_serializable("tests")
class AlwaysBiased(keras.layers.Dense):
    """Its configuration does not say that it has a bias."""

    def __init__(self, units, **kwargs):
        super().__init__(units, **kwargs)

    def get_config(self):
        return {key: value for key, value in super().get_config().items() if key != "use_bias"}


@keras.saving.register_keras_serializable("tests")
class Pair(keras.layers.Layer):
    """Two inputs."""

    def call(self, inputs):
        return inputs[0] + inputs[1]

    def compute_output_shape(self, input_shape):
        return input_shape[0]


@pytest.fixture
def registered():
    """A function that registers a layer for one test."""
    before = dict(registry.REGISTERED_CLASSES), dict(registry.FAMILIES)
    yield snn.register_layer
    for table, old in zip((registry.REGISTERED_CLASSES, registry.FAMILIES), before, strict=True):
        table.clear()
        table.update(old)


def two_layers(kind, **kwargs):
    return keras.Sequential(
        [keras.Input((6,)), kind(8, name="first", **kwargs), keras.layers.ReLU(name="relu"), kind(3)]
    )


@pytest.mark.parametrize("use_bias", [True, False])
def test_a_weighted_layer_spikes_as_dense_does(registered, rng, use_bias):
    registered(Linear)
    own, dense = two_layers(Linear, use_bias=use_bias), two_layers(keras.layers.Dense, use_bias=use_bias)
    dense.set_weights(own.get_weights())
    x = rng.random((30, 6), dtype=np.float32)
    results = [
        snn.convert_keras(model, x, threshold_rule="percentile").simulate(
            x, timesteps=20, record=["spikes"], batch_size=7
        )
        for model in (own, dense)
    ]
    np.testing.assert_array_equal(results[0].spikes["relu"], results[1].spikes["relu"])
    np.testing.assert_array_equal(results[0].outputs, results[1].outputs)
    for first, second in zip(*(result.synaptic_operations.values() for result in results), strict=True):
        np.testing.assert_array_equal(first, second)


def test_a_layer_of_another_family_meets_the_oracle_and_is_saved(registered, rng, tmp_path):
    registered(NeighbourDifference, snn.synapses.SynapseFamily())
    model = keras.Sequential(
        [
            keras.Input((8, 2)),
            keras.layers.Conv1D(4, 3, activation="relu", name="conv"),
            NeighbourDifference(),
            keras.layers.ReLU(name="edges"),
            keras.layers.Flatten(),
            keras.layers.Dense(3),
        ]
    )
    x = rng.random((20, 8, 2), dtype=np.float32)
    model_snn = snn.convert_keras(model, x, percentile=100)
    result = model_snn.simulate(x, timesteps=16, schedule="layer_synchronous", record=["spikes"])
    counts, _ = closed_form(model_snn, x, timesteps=16)
    for name in ("conv_relu", "edges"):
        np.testing.assert_array_equal(result.spikes[name].sum(axis=0), counts[name])
    errors = [np.abs(closed_form(model_snn, x, t)[1] - model.predict(x, verbose=0)).max() for t in (64, 1024)]
    assert errors[1] < errors[0] / 4, errors
    model_snn.save(tmp_path / "net.keras")
    loaded = keras.saving.load_model(tmp_path / "net.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model_snn.predict(x, verbose=0))


def test_what_is_not_registered_or_not_affine_is_refused(registered):
    with pytest.raises(snn.UnsupportedModelError, match=r"first.*Linear"):
        snn.convert_keras(two_layers(Linear))
    registered(Square)
    with pytest.raises(snn.UnsupportedModelError, match=r"is not affine: on random input f\(a \+ b\) differs"):
        snn.convert_keras(two_layers(Square))
    registered(AlwaysBiased)
    with pytest.raises(
        snn.UnsupportedModelError, match=r"its configuration has no 'use_bias'.*return it from `get_config"
    ):
        snn.convert_keras(two_layers(AlwaysBiased))
    registered(Pair)
    inputs = keras.Input((6,))
    hidden = keras.layers.Dense(6, "relu")(inputs)
    pair = keras.Model(inputs, keras.layers.Dense(3)(Pair()([hidden, hidden])))
    with pytest.raises(snn.UnsupportedModelError, match=r"does not make one tensor of one tensor"):
        snn.convert_keras(pair)


def test_wrong_arguments_are_refused(registered):
    class Unnamed(Linear):
        pass

    with pytest.raises(TypeError, match=r"to be a subclass of keras.layers.Layer. Received: 'Linear'"):
        registered("Linear")
    with pytest.raises(TypeError, match=r"to be an object of a class in `snn_toolbox_tf.synapses`.*Received: <class"):
        registered(Linear, snn.synapses.SynapseFamily)
    with pytest.raises(ValueError, match=r"cannot save 'Unnamed'.*register_keras_serializable"):
        registered(Unnamed)


def test_a_file_with_a_layer_that_is_not_registered_says_so(registered, rng, tmp_path):
    registered(Linear)
    x = rng.random((30, 6), dtype=np.float32)
    snn.convert_keras(two_layers(Linear), x, threshold_rule="percentile").save(tmp_path / "net.keras")
    registry.REGISTERED_CLASSES.clear()
    with pytest.raises(ValueError, match=r"no layer class 'tests>Linear'.*register_layer\(TheClass\)` first"):
        keras.saving.load_model(tmp_path / "net.keras")
