"""The figure of `Robustness`."""

from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from snn_toolbox_tf.report import style

if TYPE_CHECKING:
    from snn_toolbox_tf.studies.robustness_result import Robustness, Target

#: How an attack on the spiking network is drawn, by its name.
_LINES = {
    "noise": {"color": style.SNN_LIGHT, "marker": "."},
    "FGSM (ANN)": {"color": style.ATTENTION, "linestyle": ":", "marker": "s"},
    "PGD (ANN)": {"color": style.ATTENTION, "marker": "s"},
    "FGSM (SNN)": {"color": style.SNN, "linestyle": ":", "marker": "o"},
    "PGD (SNN)": {"color": style.SNN, "marker": "o"},
}


@style.styled()
def accuracy_against_epsilon(found: "Robustness") -> Figure:
    """Draws what attacks leave of the accuracy: a column for each T, a row for each way of reading the input."""
    source, *targets = found.targets
    columns = list(dict.fromkeys(target.timesteps for target in targets))
    rows = list(dict.fromkeys(target.input for target in targets))
    width = min(style.WIDTH, 1.0 + 4.0 * len(columns))
    figure = Figure(figsize=(width, 0.4 + 2.9 * len(rows)), layout="constrained")
    panels = figure.subplots(len(rows), len(columns), sharex=True, sharey=True, squeeze=False)
    for target in targets:
        axes = panels[rows.index(target.input)][columns.index(target.timesteps)]
        for name in found.attack_names:
            _line(axes, found, target, name, label=name, markersize=4, **_LINES[name])
        _line(axes, found, source, "PGD (ANN)", label="PGD (ANN) on the ANN", color=style.ANN, linestyle="--")
        axes.set_title(str(target))
    for axes in panels[-1]:
        axes.set_xlabel(f"epsilon ({found.norm})")
    for row in panels:
        row[0].set_ylabel("accuracy (%)")
    panels[0][0].set_ylim(bottom=0)
    panels[0][0].legend(loc="best")
    return figure


def _line(axes: Axes, found: "Robustness", target: "Target", name: str, **how: object) -> None:
    points = [(0.0, found.accuracy(target))]
    for epsilon in found.epsilons:
        points += [(epsilon, one.accuracy) for one in found.of(target, epsilon) if one.attack.name == name]
    if len(points) > 1:
        epsilons, accuracies = zip(*points, strict=True)
        axes.plot(epsilons, [100 * accuracy for accuracy in accuracies], **how)  # type: ignore[arg-type]
