"""Outputs that are no classes, sample by sample: points, masks and boxes."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from snn_toolbox_tf.report import style
from snn_toolbox_tf.report.record import RunRecord, ShownOutputs

_MOST_POINTS, _MOST_PICTURES = 2000, 6
_SIDE = 1.7


@style.styled()
def outputs(record: RunRecord) -> Figure | None:
    """Draws target, ANN and SNN of the first samples, output below output."""
    shown = [(output.name, output.shown) for output in record.outputs if output.shown is not None]
    if not shown:
        return None
    shown = style.evenly(shown, 4)
    heights = [_height(output) for _, output in shown]
    figure = Figure(figsize=(style.WIDTH, sum(heights)), layout="constrained")
    parts = figure.subfigures(len(shown), 1, height_ratios=heights, squeeze=False)[:, 0]
    for part, (name, output) in zip(parts, shown, strict=True):
        part.suptitle(style.label(name, 44), x=0.005, horizontalalignment="left")
        if _is_masks(output):
            _draw_masks(part, output)
        elif _has_boxes(output):
            _draw_boxes(part, output)
        else:
            _draw_scatter(part, output)
    return figure


def _is_masks(output: ShownOutputs) -> bool:
    return output.kind == "segmentation" and output.snn.ndim == 3


def _has_boxes(output: ShownOutputs) -> bool:
    return output.kind == "boxes" and bool(output.images)


def _height(output: ShownOutputs) -> float:
    if _is_masks(output):
        return 0.5 + _SIDE * len(_mask_rows(output))
    return 0.6 + (_SIDE if _has_boxes(output) else 3.4)


def _mask_rows(output: ShownOutputs) -> list[tuple[str, Any]]:
    rows = [("input", output.images), ("target", output.target), ("ANN", output.ann), ("SNN", output.snn)]
    return [(title, images) for title, images in rows if images is not None and len(images)]


def _draw_masks(part: Any, output: ShownOutputs) -> None:
    rows, columns = _mask_rows(output), min(len(output.snn), _MOST_PICTURES)
    largest = max(int(np.max(images)) for title, images in rows if title != "input")
    grid = part.subplots(len(rows), columns, squeeze=False)
    for (title, images), line in zip(rows, grid, strict=True):
        for axes, picture in zip(line, images, strict=False):
            colours: dict[str, Any] = {"cmap": "gray", "vmin": 0, "vmax": 1}
            if title != "input":
                colours = {"cmap": style.SHADES if largest < 2 else "tab20", "vmin": 0, "vmax": max(largest, 1)}
            axes.imshow(picture, interpolation="nearest", **colours)
        for axes in line:
            _plain(axes)
        line[0].set_ylabel(title)


def _draw_boxes(part: Any, output: ShownOutputs) -> None:
    columns = min(len(output.images), len(output.snn), _MOST_PICTURES)
    for place, axes in enumerate(part.subplots(1, columns, squeeze=False)[0]):
        picture = output.images[place]
        axes.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        drawn = [("SNN", output.snn, style.SNN), ("ANN", output.ann, style.ATTENTION)]
        drawn += [] if output.target is None else [("target", output.target, "#58b368")]
        for title, boxes, colour in drawn[::-1]:
            for box in np.reshape(boxes[place], (-1, 4)):
                _draw_box(axes, box, picture.shape, colour, title)
        _plain(axes)
        if not place:
            handles, texts = axes.get_legend_handles_labels()
            unique = dict(zip(texts, handles, strict=True))
            part.legend(unique.values(), unique.keys(), loc="upper right", ncols=3)


def _draw_box(axes: Axes, box: np.ndarray, shape: tuple[int, ...], colour: str, title: str) -> None:
    # Boxes are in pixels, or in shares of the image.
    scale = np.array([shape[1], shape[0]] * 2) if np.abs(box).max() <= 2 else 1.0
    left, top, right, bottom = box * scale - 0.5
    corner = (left, top), right - left, bottom - top
    axes.add_patch(Rectangle(*corner, fill=False, edgecolor=colour, linewidth=1.6, label=title))


def _plain(axes: Axes) -> None:
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _draw_scatter(part: Any, output: ShownOutputs) -> None:
    pairs = [("ANN", output.ann, "SNN", output.snn, style.SNN)]
    if output.target is not None:
        to_ann = ("target", output.target, "ANN", output.ann, style.ANN)
        to_snn = ("target", output.target, "SNN", output.snn, style.SNN)
        pairs = [to_ann, to_snn, *pairs]
    for axes, (across, x, up, y, colour) in zip(part.subplots(1, 3)[: len(pairs)], pairs, strict=True):
        flat = np.reshape(x, -1).astype(np.float64), np.reshape(y, -1).astype(np.float64)
        chosen = np.unique(np.linspace(0, len(flat[0]) - 1, _MOST_POINTS).astype(np.int64))
        axes.plot(flat[0][chosen], flat[1][chosen], "o", color=colour, markersize=2.5, alpha=0.5, rasterized=True)
        ends = [min(map(np.min, flat)), max(map(np.max, flat))]
        axes.plot(ends, ends, color=style.MUTED, linestyle=(0, (5, 3)), linewidth=1)
        axes.set(xlabel=across, ylabel=up)
    for unused in part.axes[len(pairs) :]:
        unused.remove()
