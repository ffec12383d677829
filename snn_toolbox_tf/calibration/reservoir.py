"""A fair draw from a stream of samples, in bounded memory."""

import numpy as np

from snn_toolbox_tf.network.input_data import Batch

#: Samples that are kept at most, and bytes that they may take.
LARGEST_COUNT, MEMORY = 5000, 2**28


class Reservoir:
    """Keeps samples of a stream, each with the same probability (Vitter 1985, algorithm R).

    Args:
        count: How many to keep at most.
        memory: Bytes that they may take.
        seed: Seed of the draw.
    """

    def __init__(self, count: int = LARGEST_COUNT, memory: int = MEMORY, seed: int = 0) -> None:
        self._count, self._memory = count, memory
        self._generator = np.random.default_rng(seed)
        self._kept: list[Batch] = []
        self._seen = 0

    def add(self, batch: Batch) -> None:
        """Takes up a batch, one array per input."""
        rows = len(next(iter(batch.values())))
        if not self._seen:
            size = sum(array[:1].nbytes for array in batch.values())
            self._count = max(1, min(self._count, self._memory // max(size, 1)))
        for row in range(rows):
            # The place of the sample that this one replaces, if it replaces any.
            place = self._seen if self._seen < self._count else int(self._generator.integers(self._seen + 1))
            self._seen += 1
            if place >= self._count:
                continue
            sample = {name: np.array(array[row]) for name, array in batch.items()}
            if place == len(self._kept):
                self._kept.append(sample)
            else:
                self._kept[place] = sample

    def __len__(self) -> int:
        """Number of samples that are kept."""
        return len(self._kept)

    def samples(self, largest: int, *, last: bool = False) -> Batch:
        """Returns at most so many of them, drawn at random, one array per input.

        Args:
            largest: How many at most.
            last: Whether they are those that would be drawn last, and not first.
        """
        order = np.random.default_rng(0).permutation(len(self._kept))
        order = order[max(0, len(order) - largest) :] if last else order[:largest]
        return {name: np.stack([self._kept[place][name] for place in order]) for name in self._kept[0]}
