"""Plots of a simulation, as Matplotlib figures that belong to no window."""

import numpy as np
from matplotlib.figure import Figure

from snn_toolbox_tf.simulation.result import SimulationResult

_SNN, _ANN = "tab:blue", "0.4"


def plot_accuracy(result: SimulationResult, accuracy: np.ndarray, ann_accuracy: float | None = None) -> Figure:
    """Returns accuracy against timesteps, with the ANN's accuracy as a line.

    Args:
        result: The simulation.
        accuracy: What `result.accuracy(y)` gave.
        ann_accuracy: The source's accuracy on the same samples, a fraction.
    """
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    if ann_accuracy is not None:
        axes.axhline(100 * ann_accuracy, color=_ANN, linestyle="--", label=f"ANN ({100 * ann_accuracy:.2f} %)")
    marker = "." if len(accuracy) < 65 else ""
    label = f"SNN ({100 * accuracy[-1]:.2f} % after {result.timesteps[-1]} timesteps)"
    axes.plot(result.timesteps, 100 * accuracy, color=_SNN, marker=marker, label=label)
    axes.set(xlabel="timesteps", ylabel="accuracy (%)", title=f"Accuracy on {result.samples} samples")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    return figure


def plot_firing_rates(result: SimulationResult) -> Figure:
    """Returns each population's distribution of firing rates over neurons, as a box plot with means."""
    rates = {name: values.reshape(-1) for name, values in result.neuron_firing_rates.items()}
    figure = Figure(figsize=(6.4, 1.2 + 0.32 * len(rates)), layout="constrained")
    axes = figure.subplots()
    axes.boxplot(
        list(rates.values()),
        orientation="horizontal",
        showmeans=True,
        widths=0.6,
        flierprops={"marker": ".", "markersize": 2, "markeredgecolor": _ANN},
        meanprops={"marker": "D", "markerfacecolor": _SNN, "markeredgecolor": _SNN, "markersize": 4},
        medianprops={"color": "black"},
    )
    axes.set_yticks(range(1, len(rates) + 1), list(rates))
    axes.invert_yaxis()
    axes.set(xlabel="firing rate (spikes per timestep)", title="Firing rates of neurons; diamonds: mean")
    axes.set_xlim(left=0)
    axes.grid(alpha=0.3, axis="x")
    return figure
