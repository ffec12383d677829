"""Where a source, TensorFlow or float32 is to blame for a difference between a network and its source."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import snn_toolbox_tf as snn

L = keras.layers


def test_a_bias_that_keras_adds_along_the_wrong_axis_is_named(rng):
    """Of channels-first depthwise convolutions whose output has as many columns as channels."""
    inputs = keras.Input((3, 4, 3))
    layer = L.DepthwiseConv2D(
        2, padding="same", name="depthwise", bias_initializer="normal", data_format="channels_first"
    )
    model = keras.Model(inputs, L.Dense(2)(L.Flatten()(L.ReLU()(layer(inputs)))))
    layer.bias.assign([1.0, 2.0, 3.0])
    x = rng.normal(size=(4, 3, 4, 3)).astype(np.float32)
    with_bias = np.asarray(keras.Model(inputs, layer.output)(np.zeros_like(x)))
    if np.allclose(with_bias[0, :, 0, 0], [1.0, 2.0, 3.0]):
        pytest.skip("this Keras adds it along the right axis")
    with pytest.raises(
        snn.ConversionError, match=r"likely Keras, which adds the bias.*along the last axis.*'depthwise'"
    ):
        snn.convert_keras(model, x)


@pytest.mark.parametrize("flat", [L.Flatten, L.GlobalAveragePooling3D])
def test_a_source_that_tensorflow_computes_otherwise_in_graphs_is_refused(flat, rng):
    """oneDNN merges a ZeroPadding3D with the Conv3D behind it, and forgets that this one pads as well."""
    inputs = keras.Input((4, 4, 4, 3))
    x = L.Conv3D(4, 3, padding="same", name="convolution")(L.ZeroPadding3D(1, name="border")(inputs))
    model = keras.Model(inputs, L.Dense(2)(flat()(L.ReLU()(x))), name="padded")
    x = rng.normal(size=(4, 4, 4, 4, 3)).astype(np.float32)
    try:
        same = np.allclose(model.predict(x, verbose=0), model(x), atol=1e-4)
    except tf.errors.InvalidArgumentError:
        same = False
    if same:
        assert snn.convert_keras(model, x).conversion.pass_error < 1e-5
    else:
        with pytest.raises(
            (ValueError, snn.ConversionError), match=r"'padded' d.*likely TensorFlow.*\('border'\).*ONEDNN"
        ):
            snn.convert_keras(model, x)


@pytest.mark.skipif(not hasattr(keras.activations, "hard_tanh"), reason="this Keras has no hard_tanh")
def test_what_only_float32_rounds_is_no_fault_of_the_graph(rng):
    """hard_tanh of tiny values is exact in the source; taken apart, it adds 1 first."""
    model = keras.Sequential([keras.Input((5,)), L.Activation("hard_tanh"), L.Dense(4, "relu"), L.Dense(2)])
    x = (1e-5 * rng.normal(size=(16, 5))).astype(np.float32)
    assert snn.convert_keras(model, x, form="unnormalized").conversion.pass_error < 1e-4
