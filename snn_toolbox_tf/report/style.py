"""How all figures look: colours, fonts and sizes, without touching Matplotlib's global settings."""

import contextlib
import io
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import matplotlib
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from snn_toolbox_tf.report.text import shorten

#: The spiking network, its lighter companion, the source network, and what deserves attention.
SNN, SNN_LIGHT, ANN, ATTENTION = "#2563b8", "#8fb5e6", "#8a919c", "#d97a26"
INK, MUTED, LINE = "#1d2430", "#5b6472", "#d9dde3"

SHADES = LinearSegmentedColormap.from_list("snn_toolbox_tf", ["#ffffff", "#c9dcf4", "#6d9fdd", "#2563b8", "#173e76"])

#: Width of a figure that takes the report's whole width, in inches.
WIDTH = 10.8

#: Most panels in one figure of small multiples.
MOST_PANELS = 24

_SETTINGS: dict[Any, Any] = {
    # Matplotlib brings this font along: labels are as wide on every machine.
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": "#b4bac4",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": LINE,
    "grid.linewidth": 0.7,
    "xtick.color": "#b4bac4",
    "ytick.color": "#b4bac4",
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.titlesize": 10,
    "figure.titleweight": "bold",
    "figure.facecolor": "white",
    "figure.constrained_layout.h_pad": 0.06,
    "figure.constrained_layout.hspace": 0.05,
    "figure.constrained_layout.w_pad": 0.06,
    "figure.constrained_layout.wspace": 0.03,
    "savefig.facecolor": "white",
    # The same record gives the same bytes.
    "svg.hashsalt": "snn_toolbox_tf",
}

_Item = TypeVar("_Item")


@contextlib.contextmanager
def styled() -> Iterator[None]:
    """Applies the report's style inside a `with` block or, as a decorator, inside a function.

    It starts from Matplotlib's defaults: a reader's dark theme or TeX fonts would not fit into the report.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        yield


@styled()
def image(figure: Figure, form: str, dpi: int) -> bytes:
    """Returns a figure as an image file: fonts and ticks are only looked up when it is drawn.

    Args:
        figure: One of the report's figures.
        form: "svg" or "png".
        dpi: Pixels per inch; in SVG, of the parts that are rasterized.
    """
    file = io.BytesIO()
    # Without the date, the same record gives the same bytes.
    figure.savefig(file, format=form, dpi=dpi, metadata={"Date": None} if form == "svg" else None)
    return file.getvalue()


def headline(figure: Figure, text: str) -> None:
    """Writes a title at the left above all panels."""
    figure.suptitle(text, x=0.005, horizontalalignment="left")


def label(name: str, length: int = 28) -> str:
    """Returns a name for a figure: shortened, and with dollar signs that do not begin a formula."""
    return shorten(name, length).replace("$", r"\$")


def evenly(items: Sequence[_Item], most: int = MOST_PANELS) -> list[_Item]:
    """Returns at most `most` items, chosen at even distances from the first to the last."""
    if len(items) <= most:
        return list(items)
    return [items[round(index * (len(items) - 1) / (most - 1))] for index in range(most)]


def chosen(shown: int, total: int, what: str) -> str:
    """Returns what a title says about items that are not shown, or nothing."""
    return f" ({shown} of {total} {what}, chosen evenly)" if shown < total else ""


def timestep_axis(axes: Axes, first: int, last: int, *, logarithmic: bool = False) -> None:
    """Sets up an x axis of timesteps.

    Args:
        axes: Where.
        first: The first timestep that is shown.
        last: The last.
        logarithmic: Whether to use powers of two if two orders of magnitude are shown.
    """
    if first == last:
        axes.set_xticks([last])
        axes.set_xlim(last - 1, last + 1)
    elif logarithmic and last >= 100 * max(first, 1):
        axes.set_xscale("log", base=2)
        exponents = range(first.bit_length() - 1, last.bit_length())
        # Every second power where there are many: the labels are numbers, not powers.
        step = 1 if len(exponents) <= 11 else 2
        axes.xaxis.set_major_locator(FixedLocator([2.0**exponent for exponent in exponents][::step]))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    else:
        axes.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 2.5, 5, 10], integer=True))
