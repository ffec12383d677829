"""Estimates energy with KerasSpiking's code; called by energy_other_tools.py, in an environment that has KerasSpiking.

python energy_keras_spiking.py SPIKES.npz
"""

import importlib.metadata
import json
import sys

import keras_spiking
import numpy as np
import tensorflow as tf

#: What KerasSpiking counts spikes by: a timestep in seconds.
DT = 0.001


def build(layers, shape):
    """Returns the network in Keras 2."""
    model = tf.keras.Sequential([tf.keras.Input(shape)])
    options = {"data_format": "channels_first"}
    for place, layer in enumerate(layers):
        if layer["kind"] == "dense" and layers[place - 1]["kind"] != "dense":
            model.add(tf.keras.layers.Flatten())
        activation = "relu" if layer is not layers[-1] else None
        name = layer["name"]
        if layer["kind"] == "conv":
            sizes = layer["filters"], layer["kernel_size"]
            model.add(
                tf.keras.layers.Conv2D(*sizes, padding=layer["padding"], activation=activation, name=name, **options)
            )
        elif layer["kind"] == "pool":
            model.add(tf.keras.layers.MaxPooling2D(layer["pool_size"], name=name, **options))
        else:
            model.add(tf.keras.layers.Dense(layer["units"], activation=activation, name=name))
    return model


def main(file):
    """Prints energies in pJ as JSON."""
    with np.load(file) as held:
        layers, images = json.loads(str(held["layers"])), held["images"]
        spikes = {name.removeprefix("spikes/"): held[name] for name in held.files if name.startswith("spikes/")}
    model = build(layers, images.shape[1:])
    timesteps = len(next(iter(spikes.values())))
    energy = keras_spiking.ModelEnergy(model)
    # Its example data serve to measure firing rates. These are those of the same spikes; pixels are rates as well.
    energy.example_data = images
    energy.layer_rates = dict.fromkeys(model.layers, 0.0)
    for layer in layers:
        if layer["kind"] != "pool":
            read = spikes.get(layer["name"], images)
            energy.layer_rates[model.get_layer(layer["name"])] = float(np.mean(read)) / DT
    found = {}
    for layer in model.layers:
        synops, neurons = energy.layer_energy(layer, "loihi", timesteps_per_inference=timesteps, dt=DT)
        stats = energy.layer_stats[layer]
        found[layer.name] = {
            "connections": int(stats["connections"]),
            "neurons": int(stats["neurons"]),
            "synops_pj": float(synops * 1e12),
            "neurons_pj": float(neurons * 1e12),
        }
    total = energy.total_energy("loihi", timesteps_per_inference=timesteps, dt=DT)
    version = f"KerasSpiking {importlib.metadata.version('keras-spiking')}, TensorFlow {tf.__version__}"
    print(json.dumps({"version": version, "layers": found, "total_pj": float(total * 1e12)}))


if __name__ == "__main__":
    main(sys.argv[1])
