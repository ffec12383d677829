"""Sums of tensors of different shapes."""

import keras
import numpy as np
import pytest
from conftest import mostly_slow
from convergence import assert_converges

L = keras.layers


def summed(first, second, how):
    """A network that adds two hidden tensors of these shapes."""
    inputs = keras.Input((6,))
    parts = [
        L.Reshape(shape)(L.Dense(int(np.prod(shape)), "relu", kernel_initializer="he_normal")(inputs))
        for shape in (first, second)
    ]
    x = L.ReLU(name="sum_relu")(how(parts))
    return keras.Model(inputs, L.Dense(2)(L.Flatten()(x)))


HOW = {
    "Add": lambda parts: L.Add()(parts),
    "Subtract": lambda parts: L.Subtract()(parts),
    "Average": lambda parts: L.Average()(parts),
    "+": lambda parts: parts[0] + parts[1],
    "-": lambda parts: parts[1] - parts[0],
}


SHAPES = [
    ((3, 4, 2), (1, 1, 2)),
    ((3, 4, 2), (3, 4, 1)),
    ((3, 1, 2), (1, 4, 2)),
    ((3, 4, 2), (2,)),
    ((5, 3), (3,)),
    ((5, 1), (1, 3)),
    ((4,), (1,)),
    ((2, 3, 4, 2), (2, 1, 1, 1)),
]
#: An operator would take the batch for another axis where ranks differ; Keras cannot run that either.
CASES = [(how, *shapes) for how in HOW for shapes in SHAPES if how not in "+-" or len(shapes[0]) == len(shapes[1])]
#: All shapes for one layer, and for the others one in which both have to be repeated.
KEPT = [case for case in CASES if case[0] == "Add" or case[1:] == SHAPES[5]]


@pytest.mark.few(2)
@pytest.mark.parametrize("case", mostly_slow(CASES, KEPT), ids=str)
def test_sums_of_different_shapes_converge(rng, case):
    how, first, second = case
    keras.utils.set_random_seed(1)
    model = summed(first, second, HOW[how])
    x = rng.normal(size=(16, 6)).astype(np.float32)
    assert_converges(model, x)
