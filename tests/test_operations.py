"""Synaptic operations against counts made by hand or by brute force."""

import keras
import numpy as np
import pytest
import zoo

import snn_toolbox_tf as snn
from snn_toolbox_tf.graph import Synapse
from snn_toolbox_tf.parse import parse
from snn_toolbox_tf.passes import to_spiking
from snn_toolbox_tf.report.key_numbers import Operations, operations
from snn_toolbox_tf.simulation.operations import synapse_costs
from snn_toolbox_tf.synapses import family_of

L = keras.layers


def fan_out_of(layer, shape):
    inputs = keras.Input(shape)
    graph = to_spiking(parse(keras.Model(inputs, L.ReLU()(L.Dense(1)(L.Flatten()(L.ReLU()(layer(inputs))))))).graph)
    node = graph.of_type(Synapse)[0]
    return family_of(node).fan_out(node, shape)


def brute_force(layer, shape):
    """Connections per input element: how many outputs change when it changes, with all weights 1."""
    layer.build((None, *shape))
    for weight in layer.weights:
        weight.assign(np.ones(weight.shape) if "kernel" in weight.name else np.zeros(weight.shape))
    size = int(np.prod(shape))
    basis = np.eye(size, dtype=np.float32).reshape(size, *shape)
    return (np.asarray(layer(basis)).reshape(size, -1) != 0).sum(axis=1).reshape(shape)


@pytest.mark.parametrize(
    "make",
    [
        lambda: L.Conv2D(5, 3, padding="same"),
        lambda: L.Conv2D(4, 3, strides=2),
        lambda: L.Conv2D(4, 2, dilation_rate=2),
        lambda: L.DepthwiseConv2D(3, depth_multiplier=2, padding="same"),
        lambda: L.Conv2DTranspose(3, 3, strides=2),
        lambda: L.AveragePooling2D(3, strides=2, padding="same"),
        lambda: L.Dense(7),
    ],
)
def test_fan_out_is_exact_at_borders(make):
    shape = (6, 5, 2)
    np.testing.assert_array_equal(fan_out_of(make(), shape), brute_force(make(), shape))


def test_operations_are_spikes_times_fan_out(rng):
    model = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            L.Conv2D(3, 3, activation="relu", name="conv1"),
            L.Conv2D(4, 3, padding="same", activation="relu", name="conv2"),
            L.Flatten(),
            L.Dense(5, name="logits"),
        ]
    )
    x = rng.random((7, 6, 6, 2), dtype=np.float32)
    result = snn.convert_keras(model, x, threshold_rule="percentile").simulate(
        x, timesteps=10, record="spikes", batch_size=3
    )
    first = result.spikes["conv1_relu"].sum(axis=0, dtype=float)
    # A 3x3 kernel on 4x4 with padding: corners see 2x2, edges 2x3, the middle 3x3 output pixels of 4 channels.
    reach = np.outer([2, 3, 3, 2], [2, 3, 3, 2]) * 4
    np.testing.assert_array_equal(result.synaptic_operations["conv2"], (first * reach[..., None]).sum(axis=(1, 2, 3)))
    second = result.spikes["conv2_relu"].sum(axis=0, dtype=float)
    np.testing.assert_array_equal(result.synaptic_operations["logits"], 5 * second.sum(axis=(1, 2, 3)))
    # The analog input is multiplied, once per sample: 16 output pixels, 9 * 2 inputs each, 3 channels.
    assert result.multiply_accumulates["conv1"].tolist() == [16 * 18 * 3] * 7
    assert set(result.synaptic_operations) == {"conv2", "logits"}


def test_frames_multiply_at_every_timestep(mlp, x_mlp):
    model_snn = snn.convert_keras(mlp, x_mlp, threshold_rule="percentile")
    result = model_snn.simulate(np.repeat(x_mlp[:, None], 5, axis=1), input="frames")
    assert result.multiply_accumulates["hidden"].tolist() == [5 * 6 * 10] * 40


def test_a_synapse_that_reads_a_current_costs_full_macs_every_step():
    network = snn.convert_keras(
        zoo.build(zoo.separable), zoo.data_for(zoo.separable(), 8), threshold_rule="percentile"
    ).network
    reads = {cost.name: cost.reads for cost in synapse_costs(network, "analog")}
    depthwise, pointwise = [name for name in reads if name.startswith("separable_conv2d") and reads[name] != "constant"]
    assert reads[depthwise] == "spikes"
    assert reads[pointwise] == "current"


def test_spikes_reach_a_synapse_through_concatenation_padding_and_reshape(rng):
    inputs = keras.Input((4, 4, 1))
    first = L.Conv2D(2, 1, activation="relu", name="first")(inputs)
    second = L.Conv2D(3, 1, activation="relu", name="second")(inputs)
    x = L.ZeroPadding2D(1)(L.Concatenate()([first, second]))
    x = L.Conv2D(2, 3, name="joined")(x)
    model = keras.Model(inputs, L.Dense(3)(L.Reshape((32,))(x)))
    x = rng.random((5, 4, 4, 1), dtype=np.float32)
    # One threshold: channels of different scale would each need a Scale of their own in front of the readout.
    result = snn.convert_keras(model, x, per_channel=False).simulate(x, timesteps=6, record="spikes")
    spikes = np.concatenate(
        [result.spikes[name].sum(axis=0, dtype=float) for name in ("first_relu", "second_relu")], -1
    )
    reach = np.outer([2, 3, 3, 2], [2, 3, 3, 2]) * 2
    np.testing.assert_array_equal(result.synaptic_operations["joined"], (spikes * reach[..., None]).sum(axis=(1, 2, 3)))


def totals_of_a_run(model, x, timesteps, folder):
    settings = snn.Settings().replace(duration=timesteps, path_wd=str(folder), plot_vars=[])
    return operations(snn.run(settings, model=model, x_test=x, x_norm=x).simulated)


def test_one_ratio_holds_additions_and_macs_of_pooled_currents(tmp_path):
    """Conv -> ReLU -> AveragePooling -> Dense, with a current of exactly one threshold: every neuron spikes every time."""
    kernel = keras.initializers.Ones()
    model = keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            L.Conv2D(2, 1, activation="relu", kernel_initializer=kernel, name="conv"),
            L.AveragePooling2D(2, name="pool"),
            L.Flatten(),
            L.Dense(100, kernel_initializer=kernel, name="dense"),
        ]
    )
    total = totals_of_a_run(model, np.ones((3, 4, 4, 1), np.float32), 10, tmp_path)
    # The ANN: 4 * 4 pixels * 2 channels; each of these enters one average; 2 * 2 * 2 averages * 100 units.
    ann = 32 + 32 + 800
    # The SNN: 32 neurons spike 10 times, into one average each. The constant input is multiplied once, an average at
    # every timestep.
    additions, macs = 32 * 10, 32 + 800 * 10
    assert (total.ann_multiply_accumulates, total.synaptic_operations, total.multiply_accumulates) == (
        ann,
        additions,
        macs,
    )
    assert total.additions_per_ann_mac == additions / ann
    assert total.macs_per_ann_mac == macs / ann
    assert total.operations_per_ann_mac == (additions + macs) / ann
    assert total.operations_per_ann_mac > 9 > 1 > total.additions_per_ann_mac


def test_affine_layers_in_a_row_multiply_at_every_timestep(tmp_path):
    ones = keras.initializers.Ones()
    model = keras.Sequential(
        [
            keras.Input((2,)),
            L.Dense(4, activation="relu", kernel_initializer=ones, name="first"),
            L.Dense(5, kernel_initializer=ones, name="second"),
            L.Dense(6, activation="relu", kernel_initializer=ones, name="third"),
            L.Dense(3, kernel_initializer=ones, name="out"),
        ]
    )
    total = totals_of_a_run(model, np.ones((2, 2), np.float32), 8, tmp_path)
    # Both hidden populations get one threshold per timestep. "second" and "out" read spikes, "third" reads a current.
    assert total.ann_multiply_accumulates == 2 * 4 + 4 * 5 + 5 * 6 + 6 * 3
    assert total.synaptic_operations == 8 * (4 * 5 + 6 * 3)
    assert total.multiply_accumulates == 2 * 4 + 8 * 5 * 6
    assert total.operations_per_ann_mac == (8 * 38 + 8 + 240) / 76


def test_without_a_mac_there_is_no_ratio():
    nothing = Operations(0.0, 5.0, 0.0)
    assert np.isnan(nothing.operations_per_ann_mac)
    assert nothing.as_dict()["operations_per_ann_mac"] is None
