"""What a tensor of a network is in a NIR file: a sum of outputs of NIR nodes, each rearranged.

NIR adds up what comes in along several edges, and knows hardly any node that moves values about. So what only moves values
(padding, cropping, Reshape, Permute, Concatenate) and what only adds them is no node there: it is kept in mind, as terms,
until a layer or population reads the tensor.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

#: Of a term: 1 + the flat index of an element of its source; 0 where the tensor holds a zero.
Indices = np.ndarray


@dataclasses.dataclass(frozen=True)
class Term:
    """One of the terms of a tensor.

    Attributes:
        source: Name of a NIR node.
        shape: Shape of its output, `(channels, *spatial)` or `(features,)`.
        indices: Where each element of the tensor comes from, an int64 array of the tensor's shape: 1 + the flat index in
            the source, or 0 for a zero.
        factor: What the source is multiplied by.
        bits: The source is rounded to this many fractional bits first; None if it is not.
    """

    source: str
    shape: tuple[int, ...]
    indices: Indices
    factor: float = 1.0
    bits: int | None = None

    @property
    def rearranges(self) -> bool:
        """Whether the tensor holds each element of the source once, and nothing else."""
        size = int(np.prod(self.shape))
        return self.indices.size == size and np.array_equal(np.sort(self.indices, axis=None), np.arange(1, size + 1))

    def in_layout_of_source(self, values: np.ndarray) -> np.ndarray:
        """Returns an array, one value per element of a tensor that `rearranges` its source, in the source's layout."""
        result = np.empty(int(np.prod(self.shape)), values.dtype)
        result[self.indices.reshape(-1) - 1] = np.broadcast_to(values, self.indices.shape).reshape(-1)
        return result.reshape(self.shape)


def channels_first(shape: Sequence[int], channel_axis: int) -> tuple[int, ...]:
    """Returns the shape that NIR has for a tensor: channels in front.

    >>> channels_first((8, 9, 3), channel_axis=2)
    (3, 8, 9)
    """
    return (shape[channel_axis], *(size for axis, size in enumerate(shape) if axis != channel_axis))


def natural_indices(shape: Sequence[int], channel_axis: int) -> Indices:
    """Returns the indices of a tensor whose source is the tensor itself, in NIR's layout.

    >>> natural_indices((2, 3), channel_axis=1).tolist()
    [[1, 3, 5], [2, 4, 6]]
    """
    first = channels_first(shape, channel_axis)
    return np.moveaxis(np.arange(1, int(np.prod(first)) + 1).reshape(first), 0, channel_axis)


def natural_term(source: str, shape: Sequence[int], channel_axis: int) -> Term:
    """Returns the term of a tensor that a NIR node puts out."""
    return Term(source, channels_first(shape, channel_axis), natural_indices(shape, channel_axis))


def moved(terms: list[Term], move: Callable[[np.ndarray], np.ndarray]) -> list[Term]:
    """Returns the terms of a tensor to which a function was applied that moves values, and adds zeros."""
    return [dataclasses.replace(term, indices=np.rint(move(term.indices)).astype(np.int64)) for term in terms]


def summed(tensors: list[list[Term]], signs: Sequence[float] | None = None) -> list[Term]:
    """Returns the terms of a sum: NIR has no two edges between the same nodes, so what comes twice gets a factor."""
    result: list[Term] = []
    for tensor, sign in zip(tensors, signs or [1.0] * len(tensors), strict=True):
        for term in tensor:
            added = dataclasses.replace(term, factor=sign * term.factor)
            place = next((place for place, known in enumerate(result) if _alike(known, added)), None)
            if place is None:
                result.append(added)
            else:
                result[place] = dataclasses.replace(added, factor=result[place].factor + added.factor)
    return result


def _alike(first: Term, second: Term) -> bool:
    return (first.source, first.bits) == (second.source, second.bits) and np.array_equal(first.indices, second.indices)


def same_layout(terms: list[Term]) -> bool:
    """Whether the tensor is a plain sum of outputs that are laid out alike, in whichever order, each element once."""
    first = terms[0]
    return first.rearranges and all(
        term.factor == 1.0 and term.shape == first.shape and np.array_equal(term.indices, first.indices)
        for term in terms
    )
