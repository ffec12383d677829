"""What a report shows, as plain data: made by `experiment`, drawn by `figures`, written by `write`."""

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from snn_toolbox_tf.report.neuron_record import NeuronRecord

if TYPE_CHECKING:
    from snn_toolbox_tf.costs import Energy


@dataclasses.dataclass(frozen=True)
class ShownOutputs:
    """The first samples of an output that is no classes, to be drawn.

    Attributes:
        kind: What the output stands for.
        snn: Outputs of the SNN after the last timestep, `[samples, ...]`; of a segmentation, its decisions.
        ann: Those of the ANN.
        target: What they should be, or None.
        images: The first samples as images in [0, 1], `[rows, columns]` or `[rows, columns, 3]`; empty if they are none.
    """

    kind: str
    snn: np.ndarray
    ann: np.ndarray
    target: np.ndarray | None
    images: list[np.ndarray]


@dataclasses.dataclass(frozen=True)
class OutputRecord:
    """One output of the network against timesteps, on all samples.

    Attributes:
        name: Name of the source's output layer.
        relative_error: ||SNN output - ANN output|| / ||ANN output|| over all samples, float64 `[timesteps]`.
        agreement: Fraction of samples (of a segmentation, of pixels) with the ANN's decision (argmax), float64
            `[timesteps]`; None if the output is no classes.
        accuracy: Top-k accuracy of the SNN, float64 `[timesteps]`; None without labels.
        ann_accuracy: Top-k accuracy of the ANN on the same samples; None without labels.
        top_k: k of the accuracies.
        confusion: Samples by true class (row) and the SNN's last decision (column), int64 `[classes, classes]`; None without
            labels or with more than 100 classes.
        class_scores: "precision", "recall" and "f1" of every class by that matrix, float64 `[classes]`, NaN where a score
            has no meaning; empty without it.
        early_exit: "confidence", "mean_timesteps" and "accuracy" of runs whose samples answer when they are sure, float64
            `[confidences]`; empty without labels, and where outputs are not evaluated after every timestep.
        task: What the output stands for: "classes", "regression", "segmentation" or "boxes".
        task_reason: Why it is taken for that.
        measures: How right an output is that is no classes, by the names of `snn_toolbox_tf.report.measures`, float64
            `[timesteps]`; without targets, how close to the ANN.
        ann_measures: The same of the ANN; empty without targets.
        by_unit: The same after the last timestep for every number, or every class of a segmentation: "snn_<measure>" and
            "ann_<measure>", float64 `[units]`; empty without targets.
        shown: The first samples of it, to be drawn.
    """

    name: str
    relative_error: np.ndarray
    agreement: np.ndarray | None = None
    accuracy: np.ndarray | None = None
    ann_accuracy: float | None = None
    top_k: int = 1
    confusion: np.ndarray | None = None
    class_scores: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    early_exit: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    task: str = "classes"
    task_reason: str = ""
    measures: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    ann_measures: dict[str, float] = dataclasses.field(default_factory=dict)
    by_unit: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    shown: ShownOutputs | None = None


@dataclasses.dataclass(frozen=True)
class PopulationRecord:
    """One population of spiking neurons.

    Attributes:
        name: Name of the population.
        shape: Shape of the population, without the batch axis.
        threshold: Smallest, median and largest threshold theta, in units of the source's activations.
        firing_rate: Spikes per neuron and timestep, the mean over neurons and all samples.
        dead: Fraction of neurons that never spiked on any sample.
        saturated: Fraction of neurons that spiked at every timestep of every sample.
        rate_histogram: Neurons by mean firing rate, counts in 50 bins over [0, 1].
        correlation: Pearson correlation between the ANN's activation and theta * rate on the compared samples; NaN if one
            of them is constant.
        relative_error: ||theta * rate - activation|| / ||activation|| on the compared samples.
        activation: The ANN's activation of up to 2,000 (sample, neuron) pairs drawn from the compared samples, float32.
        decoded: theta * rate of the same pairs, float32.
        clipped: Fraction of all compared (sample, neuron) pairs whose activation in the ANN is above the threshold.
        clipping: The part of the relative error that clipping all activations at their thresholds explains.
        quantisation: The part that whole spikes add to it; NaN where there is no closed form.
        unevenness: The part that spikes arriving unevenly add to it; NaN likewise.
        added: The error that the population itself adds to that of its input, see `PopulationFidelity`.
        neuron: The part of `added` that is the neuron's own, likewise; 0 of plain integrate-and-fire neurons.
        cause: What most of `added` is, likewise.
    """

    name: str
    shape: tuple[int, ...]
    threshold: tuple[float, float, float]
    firing_rate: float
    dead: float
    saturated: float
    rate_histogram: np.ndarray
    correlation: float
    relative_error: float
    activation: np.ndarray
    decoded: np.ndarray
    clipped: float = 0.0
    clipping: float = math.nan
    quantisation: float = math.nan
    unevenness: float = math.nan
    added: float = math.nan
    neuron: float = math.nan
    cause: str = ""


@dataclasses.dataclass(frozen=True)
class SynapseRecord:
    """What one synapse costs per sample.

    Attributes:
        name: Name of the synapse.
        reads: "spikes", "constant" (the analog input, computed once per sample) or "current" (at every timestep).
        connections: Its connections, exact at borders: multiply-accumulates (MACs) of the same layer in the ANN.
        mean_fan_out: Mean number of connections that leave an element of its input.
        synaptic_operations: Spikes times fan-out, the mean per sample; 0 where no spikes are read.
        multiply_accumulates: MACs in the SNN, the mean per sample; 0 where spikes are read.
        runs: What ran it: "event", "dense" or "population".
        why: Why.
    """

    name: str
    reads: str
    connections: float
    mean_fan_out: float
    synaptic_operations: float
    multiply_accumulates: float
    runs: str = ""
    why: str = ""


@dataclasses.dataclass(frozen=True)
class TraceRecord:
    """One sample, neuron by neuron.

    Attributes:
        sample: Index of the sample in the data.
        rasters: Spikes of some neurons per population: (flat indices of the neurons int64 `[neurons]`, spikes uint8
            `[timesteps, neurons]`).
        membranes: Chosen neurons: (population, index as text such as "3, 5, 0", membrane potential after reset in units of
            the threshold float32 `[timesteps]`, spikes uint8 `[timesteps]`).
        input: The sample itself if it can be shown as an image, `[height, width]` or `[height, width, 3]`, else None.
    """

    sample: int
    rasters: dict[str, tuple[np.ndarray, np.ndarray]]
    membranes: list[tuple[str, str, np.ndarray, np.ndarray]]
    input: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """Everything that a report shows.

    Attributes:
        title: Name of the source model.
        samples: Number of samples simulated.
        timesteps: Number of timesteps of each point of the curves, int64 `[timesteps]`.
        outputs: The network's outputs.
        populations: Its populations, in order.
        synapses: Its synapses that cost anything, in order.
        compared_samples: Number of samples on which activations were compared.
        trace: One sample, neuron by neuron, or None if nothing was recorded.
        settings: All settings by section and key.
        conversion: How the network was converted, with measured errors; "trials" holds what was tried, if anything.
        versions: Versions and machine.
        seconds: Seconds per stage: "ann", "convert", "simulate", "compare".
        notes: What the reader should know: warnings, settings without effect.
        conversion_text: The conversion in two lines: what came of it, and how.
        energies: What a sample would spend, beside the ANN, on each hardware that was asked for.
        neurons: What its neurons do, each kind once.
    """

    title: str
    samples: int
    timesteps: np.ndarray
    outputs: list[OutputRecord]
    populations: list[PopulationRecord]
    synapses: list[SynapseRecord]
    compared_samples: int
    trace: TraceRecord | None
    settings: dict[str, dict[str, Any]]
    conversion: dict[str, Any]
    versions: dict[str, str]
    seconds: dict[str, float]
    notes: list[str]
    conversion_text: str = ""
    energies: list["Energy"] = dataclasses.field(default_factory=list)
    neurons: list[NeuronRecord] = dataclasses.field(default_factory=list)
