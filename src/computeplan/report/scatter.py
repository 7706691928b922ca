"""The scatter of predicted against measured, and saving a single figure."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FormatStrFormatter

from computeplan.arrays import FloatArray
from computeplan.errors import ScenarioError
from computeplan.report import Language
from computeplan.report.drawing import METADATA, check_ours, write_figure
from computeplan.report.style import case_colour, case_marker, drawn, label, new_axes, style
from computeplan.report.words import phrase

__all__ = ["check_figure", "save_axes", "scatter"]

WITHIN = 0.10
"""Half-width of the band drawn around equality."""


@drawn
def scatter(
    points: Mapping[str, tuple[FloatArray, FloatArray]],
    ax: Axes | None = None,
    *,
    language: Language = "en",
) -> Axes:
    """Return axes with predicted over measured seconds, a colour for every family.

    Parameters
    ----------
    points : mapping of str to (ndarray, ndarray)
        Measured and predicted seconds, by family. [s]
    ax : Axes, optional
        To draw on; a figure of its own if left out.
    language : {"en", "zh"}
    """
    ax = new_axes(ax, 12, width=8.5)
    measured_all = np.concatenate([measured for measured, _ in points.values()])
    ends = np.array([measured_all.min() / 1.3, measured_all.max() * 1.3])
    ax.fill_between(ends, 1 - WITHIN, 1 + WITHIN, color="#EEEEEE", zorder=0)
    ax.axhline(1.0, color="#7F7F7F", linewidth=1)
    for i, (family, (measured, predicted)) in enumerate(points.items()):
        ratio = predicted / measured
        mape = np.abs(ratio - 1).mean()
        name = label(family, width=40)
        ax.plot(
            measured,
            ratio,
            case_marker(i),
            color=case_colour(i),
            markersize=5,
            alpha=0.8,
            label=f"{name}: {ratio.size}, MAPE {mape:.1%}",
        )
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    ax.set_xlim(*ends)
    ratios = np.concatenate([p / m for m, p in points.values()])
    ax.set_ylim(min(0.5, ratios.min() * 0.95), max(1.5, ratios.max() * 1.05))
    ax.set_xlabel(phrase("measured_step_s", language))
    ax.set_ylabel(phrase("predicted_over_measured", language))
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2, fontsize=9)
    return ax


def save_axes(ax: Axes, path: Path) -> None:
    """Write the figure of some axes; the ending of the name says how.

    Raises
    ------
    ScenarioError
        If the ending is not .png or .svg.
    ComputePlanError
        If a file is there that is no figure of ours, or the disk refuses.
    """
    check_figure(path)
    figure = ax.get_figure(root=True)
    assert figure is not None  # it was drawn
    data, kind = io.BytesIO(), path.suffix.lower()[1:]
    with mpl.rc_context(style()), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        figure.savefig(data, format=kind, metadata=METADATA[kind])
    write_figure(path, data.getvalue())


def check_figure(path: Path) -> None:
    """Raise what `save_axes` would, before long work.

    Raises
    ------
    ScenarioError
        If the ending is not .png or .svg.
    ComputePlanError
        If a file is there that is no figure of ours.
    """
    if path.suffix.lower() not in (".png", ".svg"):
        raise ScenarioError.of("a figure ends in .png or .svg", file=str(path))
    check_ours(path)
