"""Networks that are attacked: one whose gradient is known, and one that was trained."""

import functools
import importlib.resources

import keras
import numpy as np
from sklearn.datasets import load_digits

import snn_toolbox_tf as snn

L = keras.layers


def linear_model(units, activation):
    """A model whose gradient is known: its hidden neurons are read with weights that are 0."""
    inputs = keras.Input((5,))
    idle = L.Dense(units, use_bias=False, kernel_initializer="zeros")(L.Dense(4, "relu")(inputs))
    return keras.Model(inputs, L.Activation(activation)(L.Add()([L.Dense(units, name="out")(inputs), idle])))


@functools.cache
def linear():
    """Such a model with a softmax, its spiking network, samples and labels."""
    keras.utils.set_random_seed(0)
    model = linear_model(3, "softmax")
    x = np.random.default_rng(0).random((12, 5), "float32")
    return model, snn.convert_keras(model, x, timesteps=4), x, np.arange(12) % 3


@functools.cache
def digits():
    """A trained network, its spiking network for 8 timesteps, test images and labels."""
    model = keras.saving.load_model(importlib.resources.files("snn_toolbox_tf") / "example_files/digits_cnn.keras")
    images, labels = load_digits(return_X_y=True)
    x = images.reshape(-1, 8, 8, 1).astype("float32") / 16
    return model, snn.convert_keras(model, x[:200], timesteps=8), x[1200:1260], labels[1200:1260]
