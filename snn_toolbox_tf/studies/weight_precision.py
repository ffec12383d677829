"""`weight_precision`: accuracy against the bits of weights, and what the network then weighs."""

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from snn_toolbox_tf.analysis.activations import ann_outputs_of
from snn_toolbox_tf.conversion import ConversionOptions, convert_keras
from snn_toolbox_tf.conversion.weight_options import bits_of
from snn_toolbox_tf.foundation.argument_checks import check_timesteps
from snn_toolbox_tf.foundation.journal import Journal, as_journal
from snn_toolbox_tf.graph import Graph, Synapse
from snn_toolbox_tf.grid.weight_levels import levelled_synapses
from snn_toolbox_tf.model import SpikingModel, check_spiking_model
from snn_toolbox_tf.network.input_data import as_arrays, in_batches
from snn_toolbox_tf.report.text import aligned, percent
from snn_toolbox_tf.studies.labels import accuracy_of, ann_accuracy, check_labels
from snn_toolbox_tf.synapses import is_weighted, weighted_family

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FLOAT_BITS = 32
_BATCH_SIZE = 64


@dataclasses.dataclass(frozen=True)
class PrecisionPoint:
    """What came of weights with so many bits.

    Attributes:
        bits: Bits of each weight; None: float32 weights on the usual grid.
        accuracy: Share of samples that the spiking network classifies correctly.
        ann_accuracy: The same for the ANN with these weights: what quantisation alone costs.
        agreement: Share of held-out calibration samples whose decision is the source's; None if nothing was compared.
        weight_bytes: Memory of the weights: the bits of each, and a float32 scale per output channel.
        other_bytes: Memory of biases and of factors per channel, float32. Thresholds, one per population, are left out.
        float_bytes: What all of it takes with weights of float32.
    """

    bits: int | None
    accuracy: float
    ann_accuracy: float
    agreement: float | None
    weight_bytes: float
    other_bytes: float
    float_bytes: float

    @property
    def total_bytes(self) -> float:
        """All of its memory."""
        return self.weight_bytes + self.other_bytes


@dataclasses.dataclass(frozen=True)
class WeightPrecision:
    """Accuracy of a spiking network against the bits of its weights.

    Attributes:
        timesteps: T.
        source_accuracy: The source's accuracy.
        points: One for each number of bits.
    """

    timesteps: int
    source_accuracy: float
    points: tuple[PrecisionPoint, ...]

    def as_dict(self) -> dict[str, Any]:
        """Returns everything as plain data."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        """Returns a table with a row per number of bits."""
        rows = [
            [
                "float32" if point.bits is None else str(point.bits),
                percent(point.accuracy),
                percent(point.ann_accuracy),
                "" if point.agreement is None else percent(point.agreement),
                f"{point.total_bytes / 1024:,.1f}",
                f"{point.float_bytes / point.total_bytes:.1f}x",
            ]
            for point in self.points
        ]
        columns = ("weight bits", "SNN", "ANN with these weights", "agreement", "KiB", "smaller")
        table = aligned(columns, rows, texts=1)
        return f"{table}\n\nT = {self.timesteps}; accuracy of the source: {percent(self.source_accuracy)}"

    def plot(self) -> "Figure":
        """Draws accuracy against bits."""
        # Only drawing imports matplotlib.
        from snn_toolbox_tf.studies.figures import accuracy_against_bits

        return accuracy_against_bits(self)


def weight_precision(
    model: keras.Model,
    x: Any,
    y: Any,
    calibration_data: Any,
    bits: Sequence[int | str | None] = (None, 8, 4, 2, 1),
    *,
    timesteps: int = 32,
    journal: Journal | None = None,
    **conversion: Any,
) -> WeightPrecision:
    """Converts a network with weights of several precisions, and says what that costs and saves.

    Args:
        model: The source model, which classifies.
        x: Test data in the structure of the source's inputs, `[samples, ...]`.
        y: Labels, class indices or one-hot.
        calibration_data: As for `convert_keras`; arrays, because they are used several times.
        bits: Numbers of bits as `convert_keras(weight_bits=...)` takes them.
        timesteps: T.
        journal: Keeps finished points, see `Journal`.
        **conversion: Further arguments of `convert_keras`.

    Returns:
        A `WeightPrecision`: `print` shows it as a table, `plot()` draws it.

    Raises:
        ValueError: If there are no numbers of bits, data, labels or options are not usable, or the network has several
            outputs.

    Example:
        >>> import keras, numpy as np, snn_toolbox_tf as snn
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3)])
        >>> x = np.random.default_rng(0).random((40, 4), "float32")
        >>> y = model.predict(x, verbose=0).argmax(1)
        >>> found = snn.weight_precision(model, x, y, calibration_data=x, bits=[8, 1], timesteps=8)
        >>> found.points[0].weight_bytes > found.points[1].weight_bytes
        True
    """
    numbers = _checked(bits)
    check_timesteps(timesteps)
    _check_conversion(conversion, numbers, timesteps)
    if isinstance(calibration_data, Iterator):
        raise ValueError(
            "Calibration data is used once per number of bits. Expected arrays, or a dataset that can be read again. "
            f"Received: {type(calibration_data).__name__}"
        )
    check_labels(model, x, y)
    journal = as_journal(journal)
    journal.identify(
        study="weight precision",
        model=model,
        x=x,
        y=y,
        calibration_data=calibration_data,
        timesteps=timesteps,
        conversion=conversion,
    )

    def point(number: int | None) -> dict[str, Any]:
        converted = convert_keras(model, calibration_data, timesteps=timesteps, weight_bits=number, **conversion)
        model_snn = check_spiking_model(converted)
        result = model_snn.simulate(x, timesteps=timesteps, outputs="last")
        graph = model_snn.network.graph_with_weights()
        weights, others = memory_of(graph, number)
        return {
            "bits": number,
            "accuracy": float(result.accuracy(y)[-1]),
            "ann_accuracy": _quantized_ann_accuracy(model_snn, x, y),
            "agreement": model_snn.conversion.agreement,
            "weight_bytes": weights,
            "other_bytes": others,
            "float_bytes": sum(memory_of(graph, None)),
        }

    points = [
        PrecisionPoint(
            **journal.point("float32" if number is None else f"{number} bits", functools.partial(point, number))
        )
        for number in numbers
    ]
    source = journal.point("source", lambda: {"accuracy": ann_accuracy(model, x, y)})
    return WeightPrecision(timesteps, source["accuracy"], tuple(points))


def memory_of(graph: Graph, bits: int | None) -> tuple[float, float]:
    """Returns the bytes that weights take, with their scales, and those of biases and of factors per channel.

    Synapses that are shared (windows of recurrent layers) count once.

    Args:
        graph: A converted network's graph, with its weights.
        bits: Of each weight; None: float32.
    """
    levelled = {node.name for node in levelled_synapses(graph)}
    once: dict[str, Synapse] = {}
    for node in graph.of_type(Synapse):
        if is_weighted(node):
            once.setdefault(node.shared_name, node)
    weights = others = 0
    for node in once.values():
        family = weighted_family(node)
        kernel = node.layer.weights[family.kernel]
        others += _FLOAT_BITS * sum(array.size for name, array in node.layer.weights.items() if name != family.kernel)
        channels = node.shape[family.weight_axis(node)]
        if node.name not in levelled or kernel.size == channels:
            # One weight per channel is a scale itself.
            others += _FLOAT_BITS * kernel.size
        elif bits is None:
            weights += _FLOAT_BITS * kernel.size
        else:
            weights += bits * kernel.size + _FLOAT_BITS * channels
    return weights / 8, others / 8


def _quantized_ann_accuracy(model_snn: SpikingModel, x: Any, y: Any) -> float:
    """Returns the accuracy of the network run as an ANN: what rounding alone costs."""
    outputs_of = ann_outputs_of(None, model_snn, frames=False)
    batches = in_batches(as_arrays(x, model_snn.network.graph, argument="x"), _BATCH_SIZE)
    return accuracy_of(np.concatenate([outputs_of(batch)[0] for batch in batches]), y)


def _check_conversion(conversion: Mapping[str, Any], bits: Sequence[int | None], timesteps: int) -> None:
    """Raises what a conversion would raise for its options, before the first one."""
    if "weight_bits" in conversion:
        raise ValueError(
            f"`bits` says which `weight_bits` there are. Received: weight_bits={conversion['weight_bits']!r}"
        )
    known = {field.name for field in dataclasses.fields(ConversionOptions)}
    options = {name: value for name, value in conversion.items() if name in known}
    for number in bits:
        ConversionOptions(timesteps=timesteps, weight_bits=number, **options)


def _checked(bits: Any) -> tuple[int | None, ...]:
    if isinstance(bits, (str, Mapping)) or not isinstance(bits, Iterable) or not len(list(bits)):
        raise ValueError(
            f"Expected `bits` to be several numbers of bits, for example [None, 8, 4, 2, 1]. Received: bits={bits!r}"
        )
    return tuple(dict.fromkeys(bits_of(one, "bits") for one in bits))
