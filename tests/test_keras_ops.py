"""Operators and functions of keras.ops between layers: each does in the spiking network what it does in the source."""

import keras
import numpy as np
import pytest
from conftest import mostly_slow
from convergence import assert_converges

import snn_toolbox_tf as snn
from snn_toolbox_tf.conversion.verification import check_same_function
from snn_toolbox_tf.graph import MaxPool
from snn_toolbox_tf.network import Network
from snn_toolbox_tf.network.source_function import SourceFunction
from snn_toolbox_tf.parse import parse
from snn_toolbox_tf.passes import to_spiking

L, ops = keras.layers, keras.ops
GRID = np.linspace(-1, 1, 60).astype(np.float32).reshape(4, 5, 3)
MATRIX = np.random.default_rng(3).normal(size=(3, 2)).astype(np.float32)


def model_with(function, shape=(4, 5, 3)):
    """A hidden ReLU, the operation, another ReLU and a readout."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8,))
    x = L.Reshape(shape)(L.Dense(int(np.prod(shape)), "relu", bias_initializer="normal", name="hidden")(inputs))
    x = L.ReLU(name="behind")(function(x))
    return keras.Model(inputs, L.Dense(3, name="readout")(L.Flatten()(x)))


MOVES = {
    "reshape": lambda x: ops.reshape(x, (-1, 5, 12)),
    "transpose": lambda x: ops.transpose(x, (0, 3, 1, 2)),
    "swapaxes": lambda x: ops.swapaxes(x, 1, 2),
    "moveaxis": lambda x: ops.moveaxis(x, -1, 1),
    "expand_dims and squeeze": lambda x: ops.squeeze(ops.expand_dims(x, 2), 2),
    "flip": lambda x: ops.flip(x, axis=2),
    "roll": lambda x: ops.roll(x, 2, axis=1),
    "repeat": lambda x: ops.repeat(x, 2, axis=1),
    "tile": lambda x: ops.tile(x, (1, 2, 1, 2)),
    "pad channels": lambda x: ops.pad(x, ((0, 0), (0, 0), (0, 0), (2, 3))),
    "slice": lambda x: x[:, 1:3, ::2],
    "index": lambda x: x[:, 2],
    "new axis": lambda x: x[:, None, :, 1],
    "ellipsis": lambda x: x[..., ::-1],
    "take": lambda x: ops.take(x, np.array([2, 0]), axis=3),
    "split": lambda x: ops.concatenate([ops.split(x, [1, 2], axis=3)[index] for index in (2, 0)], axis=1),
    "unstack": lambda x: ops.unstack(x, axis=1)[3],
    "stack": lambda x: ops.stack([x, ops.flip(x, axis=1)], axis=2),
    "append": lambda x: ops.append(x, x[:, :1], axis=1),
    "shuffled channels": lambda x: ops.reshape(
        ops.transpose(ops.reshape(ops.concatenate([x, x], axis=-1), (-1, 4, 5, 2, 3)), (0, 1, 2, 4, 3)), (-1, 4, 5, 6)
    ),
}
AFFINE = {
    "mean of an image": lambda x: ops.mean(x, axis=(1, 2)),
    "mean of channels": lambda x: ops.mean(x, axis=-1, keepdims=True),
    "sum": lambda x: ops.sum(x, axis=2),
    "average_pool": lambda x: ops.average_pool(x, 2, strides=1, padding="same"),
    "matmul": lambda x: ops.matmul(x, MATRIX),
    "scaled by elements": lambda x: x * GRID,
    "shifted by elements": lambda x: x + GRID,
    "divided by channels": lambda x: x / np.array([1.0, 2.0, -4.0], np.float32),
    "subtracted from": lambda x: 1.0 - x,
    "negated": lambda x: -(x - 0.3),
    "named arguments": lambda x: ops.add(x1=x, x2=0.5),
    "copied": lambda x: ops.copy(ops.stop_gradient(ops.cast(x, "float32"))),
    "resized": lambda x: ops.image.resize(x, (6, 7), interpolation="bicubic"),
}
PIECEWISE = {
    "max of an image": lambda x: ops.max(x, axis=(1, 2)),
    "amax": lambda x: ops.amax(x, axis=2, keepdims=True),
    "max_pool": lambda x: ops.max_pool(x, 3, strides=1, padding="same"),
    "maximum": lambda x: ops.maximum(x - 0.2, 0.1),
    "maximum with zero": lambda x: ops.maximum(0.0, x - 0.2),
    "minimum": lambda x: ops.minimum(x, 0.3),
    "clip": lambda x: ops.clip(x - 0.5, -0.2, 0.4),
    "relu": lambda x: ops.relu(x - 0.1),
}
ALL = {**MOVES, **AFFINE, **PIECEWISE}
#: Of what only moves values, a few that repeat or leave out some.
KEPT = ["repeat", "pad channels", "slice", "stack", *AFFINE, *PIECEWISE]


@pytest.mark.few(4)
@pytest.mark.parametrize("name", mostly_slow(ALL, KEPT))
def test_an_operation_converges(rng, name):
    model = model_with(ALL[name])
    x = rng.normal(size=(16, 8)).astype(np.float32)
    assert_converges(model, x)
    assert snn.check(model).ok


@pytest.mark.parametrize("name", MOVES)
def test_moving_values_keeps_the_function(rng, name):
    model = model_with(MOVES[name])
    graph = to_spiking(parse(model).graph)
    x = {graph.input_structure: rng.normal(size=(16, 8)).astype(np.float32)}
    assert check_same_function(SourceFunction(model, graph), Network(graph), x) < 1e-5
    assert snn.check(model).ok


def test_moving_values_needs_no_arithmetic(rng):
    """A slice of spikes is spikes: what reads it counts synaptic operations, not multiply-accumulates."""
    inputs = keras.Input((8,))
    hidden = L.Dense(6, "relu", name="hidden")(inputs)
    model = keras.Model(inputs, L.Dense(2, name="readout")(hidden[:, 1:4]))
    x = rng.random((4, 8), dtype=np.float32)
    result = snn.convert_keras(model, x, threshold_rule="percentile").simulate(x, timesteps=20, record="spike_counts")
    counts = next(iter(result.sample_spike_counts.values()))
    assert "readout" not in result.multiply_accumulates
    np.testing.assert_array_equal(result.synaptic_operations["readout"], 2 * counts[:, 1:4].sum(axis=1))


def test_a_maximum_over_axes_is_a_pooling():
    graph = parse(model_with(PIECEWISE["max of an image"])).graph
    assert [node.layer.class_name for node in graph.of_type(MaxPool)] == ["GlobalMaxPooling1D"]


REFUSED = {
    "product": (lambda x: x * ops.flip(x, axis=1), "multiplies or compares two tensors"),
    "quotient": (lambda x: x / (x + 1.0), "multiplies or compares two tensors"),
    "matrix product": (lambda x: ops.matmul(x, ops.transpose(x, (0, 1, 3, 2))), "multiplies or compares two tensors"),
    "maximum of two": (lambda x: ops.maximum(x, -x), "multiplies or compares two tensors"),
    "square": (lambda x: ops.square(x), "does not know this operation"),
    "reciprocal": (lambda x: 1.0 / (x + 1.0), "does not know this operation"),
    "division by zero": (lambda x: x / np.array([0.0, 1.0, 2.0], np.float32), "does not know this operation"),
    "einsum of one tensor": (lambda x: ops.einsum("abcd,de->abce", x, MATRIX), "does not know this operation"),
    "matrix in front": (lambda x: ops.matmul(np.ones((4, 5), "float32"), x), "does not know this operation"),
    "power": (lambda x: x**2, "does not know this operation"),
    "sorted": (lambda x: ops.sort(x, axis=1), "does not know this operation"),
    "mixed samples": (lambda x: ops.reshape(x, (-1, 20)), "does not know this operation"),
    "reversed samples": (lambda x: ops.flip(x, axis=0), "does not know this operation"),
    "mean of samples": (lambda x: x - ops.mean(x, axis=0, keepdims=True), "does not know this operation"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_affine_is_refused(name):
    function, reason = REFUSED[name]
    model = model_with(function)
    with pytest.raises(snn.UnsupportedModelError, match=f"{reason}.*remedy"):
        snn.convert_keras(model)


def test_functions_with_other_parameters_are_not_taken_for_those_of_the_same_name(rng):
    """keras.ops.gelu approximates, keras.activations.gelu does not; at an output, either is applied as it is, or refused."""
    inputs = keras.Input((8,))
    hidden = L.Dense(12, "relu")(inputs)
    x = rng.normal(size=(16, 8)).astype(np.float32)
    assert_converges(keras.Model(inputs, ops.gelu(L.Dense(3)(hidden), approximate=False)), x)
    assert_converges(keras.Model(inputs, ops.log_softmax(L.Dense(3)(hidden))), x)
    for output in (
        ops.elu(L.Dense(3)(hidden), alpha=0.5),
        ops.gelu(L.Dense(3)(hidden), approximate=True),
        ops.log_softmax(L.Reshape((2, 3))(L.Dense(6)(hidden)), axis=1),
    ):
        with pytest.raises(snn.UnsupportedModelError, match=r"\(Activation custom function keras\.ops\.\w+\)"):
            snn.convert_keras(keras.Model(inputs, output))
