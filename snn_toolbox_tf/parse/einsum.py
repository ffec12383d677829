"""EinsumDense layers as Dense layers and 1x1 convolutions between rearrangements."""

import string
from typing import Any

import numpy as np

from snn_toolbox_tf.parse.place import Place, as_float64, elementwise


def lower_einsum_dense(place: Place, layer: Any) -> str | None:
    """Adds the nodes of an `EinsumDense` layer; returns None if there are none; its refusal says why.

    The letters of its equation are of four kinds: *kept* ones, which the weights do not have; *contracted* ones, which the
    output does not have; *new* ones, which the input does not have; and *shared* ones, which all three have. Contracted
    letters become one last axis, on which a Dense layer works. Shared letters are groups: a 1x1 convolution works on them.
    """
    source, kernel = place.source, as_float64(layer.kernel)
    old, weights, out = letters_of(layer.equation, len(source.shape) + 1)
    if old[0] != out[0] or old[0] in weights or any(len(set(text)) != len(text) for text in (old, weights, out)):
        return None
    old, out = old[1:], out[1:]
    if any(letter not in weights + out for letter in old) or any(letter not in old + out for letter in weights):
        return None
    kept = [letter for letter in old if letter not in weights]
    contracted = [letter for letter in old if letter in weights and letter not in out]
    shared = [letter for letter in old if letter in weights and letter in out]
    new = [letter for letter in weights if letter not in old]
    size = {**dict(zip(weights, kernel.shape, strict=True)), **dict(zip(old, source.shape, strict=True))}

    shape = tuple(size[letter] for letter in out)
    if any(known not in (None, actual) for known, actual in zip(place.shape, shape, strict=True)):
        return None

    def product(letters: list[str]) -> int:
        return int(np.prod([size[letter] for letter in letters], dtype=np.int64))

    matrix = kernel.transpose([weights.index(letter) for letter in contracted + shared + new])
    matrix = matrix.reshape(product(contracted), product(shared) * product(new))
    sequence = place.sequence().permute([old.index(letter) for letter in kept + shared + contracted])
    rows = [product(kept)] if shared else [size[letter] for letter in kept]
    sequence.reshape((*rows, product(shared) * product(contracted)))
    config = {"use_bias": False, "activation": "linear"}
    if shared:
        convolution = {"filters": matrix.shape[1], "kernel_size": 1, "groups": product(shared), **config}
        sequence.synapse("Conv1D", convolution, (*rows, matrix.shape[1]), {"kernel": matrix[np.newaxis]})
    else:
        sequence.synapse("Dense", {"units": matrix.shape[1], **config}, (*rows, matrix.shape[1]), {"kernel": matrix})
    present = kept + shared + new
    sequence.reshape([size[letter] for letter in present]).permute([present.index(letter) for letter in out])
    if layer.bias is not None:
        sequence.affine(np.ones((1,) * len(shape)), elementwise(layer.bias, shape))
    return sequence.end()


def letters_of(equation: str, rank: int) -> tuple[str, str, str]:
    """Returns the letters of input, weights and output; an ellipsis stands for as many axes as the input's rank asks for.

    >>> letters_of("...x,xy->...y", 3)
    ('abx', 'xy', 'aby')
    """
    operands, out = equation.replace(" ", "").split("->")
    old, weights = operands.split(",")
    free = [letter for letter in string.ascii_letters if letter not in equation]
    hidden = "".join(free[: rank - len(old.replace("...", ""))])
    return old.replace("...", hidden), weights, out.replace("...", hidden)
