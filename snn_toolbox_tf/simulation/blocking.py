"""How much runs at once: block length and micro-batch, chosen from the size of the caches.

A synapse handles `block_length * micro_batch` samples at once. That many keep all cores busy; more of them leave the last
cache, and populations, which do little with much data, wait for memory. Spikes do not depend on it.
"""

import dataclasses
import functools
import math
import pathlib
import re
from collections.abc import Sequence

from snn_toolbox_tf.graph import Graph
from snn_toolbox_tf.simulation.event_plan import EventPlan

#: Assumed where the system does not tell; also a guard against virtual machines that report their host's caches.
SMALLEST_CACHE, USUAL_CACHE, LARGEST_CACHE = 2**23, 2**24, 2**26
#: A tensor shall take no more of the last cache than this: its reader and its writer need room as well.
SHARE_OF_CACHE = 0.25
#: So many samples a synapse handles at once even where tensors exceed the cache: below, convolutions do not use all cores.
ENOUGH_SAMPLES = 128
MOST_SAMPLES = 4096
#: Bytes that one tensor may take, however large the network's tensors are.
LARGEST_TENSOR = 2**26
SHORTEST_BLOCK, LONGEST_BLOCK = 4, 32
#: What the batch size is taken for while it is not known: Keras's default.
USUAL_BATCH = 32


@dataclasses.dataclass(frozen=True)
class Blocking:
    """How much runs at once.

    Attributes:
        block_length: K, the timesteps that a synapse handles at once.
        micro_batch: Samples that run at once.
    """

    block_length: int
    micro_batch: int


def choose_blocking(
    graph: Graph, plan: EventPlan, *, segments: Sequence[int], batch_size: int | None, block_length: int | None
) -> Blocking:
    """Chooses block length and micro-batch.

    Args:
        graph: The network.
        plan: What of it runs on spikes.
        segments: How many timesteps run without a break: T, or less where outputs are wanted in between.
        batch_size: Size of the batches, None if it is not known.
        block_length: K if it is fixed, else None.

    Returns:
        The blocking; its block length is at most the longest segment.
    """
    spiking = graph.spiking_ancestry()
    largest = math.ceil(max((plan.bytes_held(node) for node in graph if node.name in spiking), default=4))
    samples = int(SHARE_OF_CACHE * last_cache_size() / largest)
    samples = min(max(samples, ENOUGH_SAMPLES), LARGEST_TENSOR // largest, MOST_SAMPLES)
    samples = max(samples, 1)
    if block_length is None:
        wanted = -(-samples // (batch_size or USUAL_BATCH))
        block_length = _fitting(min(max(wanted, min(SHORTEST_BLOCK, samples)), LONGEST_BLOCK), segments)
    block_length = min(block_length, max(segments))
    return Blocking(block_length, max(1, samples // block_length))


def _fitting(longest: int, segments: Sequence[int]) -> int:
    """Returns the block length with the fewest turns of the loop: blocks, and single timesteps for what is left over."""
    return min(range(longest, 0, -1), key=lambda length: sum(steps // length + steps % length for steps in segments))


@functools.cache
def last_cache_size() -> int:
    """Returns the size of the last cache level in bytes, as far as the system tells."""
    sizes = [_size(path) for path in pathlib.Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size")]
    return min(max(max(sizes, default=USUAL_CACHE), SMALLEST_CACHE), LARGEST_CACHE)


def _size(path: pathlib.Path) -> int:
    try:
        number, unit = re.fullmatch(r"(\d+)([KM]?)", path.read_text().strip()).groups()  # type: ignore[union-attr]
    except (OSError, AttributeError):
        return 0
    return int(number) * {"": 1, "K": 2**10, "M": 2**20}[unit]
