"""What power caps do to a chip: speed, draw and energy of the same work, as a table and a figure.

Curves pass through what was measured; between points they are interpolated, and nothing is drawn
below the lowest. The cap with the least energy for the same work is marked, at the chip and with
the server around it, which draws on while a slower chip needs longer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from computeplan.arrays import FloatArray
from computeplan.compiler.power import beside_frac, curve_through
from computeplan.errors import ScenarioError
from computeplan.physics.power.caps import CapCurve, best_cap, capped, energy_frac
from computeplan.report.choices import Language
from computeplan.report.style import drawn, label, new_axes
from computeplan.report.table import Table
from computeplan.report.words import phrase
from computeplan.specs.catalogue.chips import Chip
from computeplan.specs.catalogue.lookup import chip_names, find_chip
from computeplan.specs.catalogue.power import power_table

__all__ = ["CapsOf", "caps_figure", "caps_of", "caps_table"]

STEPS = 400
"""Points of a curve that is drawn."""
SPEED, DRAW, ENERGY = "#0072B2", "#999999", "#D55E00"
"""Of curves: M. Okabe and K. Ito, "Color Universal Design", 2008, and a grey."""


@dataclass(frozen=True, slots=True)
class CapsOf:
    """A chip under caps, as measured."""

    name: str
    limit_w: float | None
    """Board limit of the card that was measured; None if it is not told. [W]"""
    is_clock: bool
    """Whether clocks were locked: a cap is then the draw that one led to, over the highest."""
    curve: CapCurve
    meters: dict[str, float]
    """What stands beside the chip, over its draw, by the code of the meter's words."""
    work: str
    source: str
    """What work it was, and who measured it."""


def caps_of(name: str) -> CapsOf:
    """Return what was measured of a chip, of the catalogue or not, under caps.

    Parameters
    ----------
    name : str
        As `computeplan chips show` takes it, or of a chip that is not in the catalogue.

    Raises
    ------
    ScenarioError
        If there is no such chip, or none of its caps was measured.

    Examples
    --------
    >>> caps_of("V100").limit_w, caps_of("A40").name
    (250.0, 'nvidia/a40')
    """
    table = power_table()
    alone = {known.rpartition("/")[2]: known for known in table.curves}
    found, meters = alone.get(name.lower().rpartition("/")[2], ""), {"at_chips": 0.0}
    if not found or found in chip_names():
        chip = _chip(name)
        found = chip.name
        if chip.tdp_w is not None:
            meters["at_node"] = beside_frac(chip)
    if found not in table.curves:
        raise ScenarioError.of(
            f"no cap of {name} was measured. Measured: {', '.join(table.curves)}. Without a curve"
            " speed falls as the watts of the chip, an estimate"
        )
    points = table.curves[found]
    limit_w, is_clock = points.limit.value, points.knob == "clock"
    source = table.sources[points.source].title
    return CapsOf(found, limit_w, is_clock, curve_through(points), meters, points.note, source)


def _chip(name: str) -> Chip:
    try:
        return find_chip(name)[0]
    except ScenarioError:
        raise
    except ValueError as error:
        raise ScenarioError.of(str(error)) from None


def caps_table(caps: CapsOf, language: Language = "en") -> Table:
    """Return a row for each measured cap, and for those with the least energy, which are marked."""
    best = {meter: best_cap(caps.curve, beside) for meter, beside in caps.meters.items()}
    rows = []
    for cap in sorted({*caps.curve.cap_frac.tolist(), *best.values()}):
        watts = [] if caps.limit_w is None else [f"{cap * caps.limit_w:.0f}"]
        cells = [f"{float(value):.3f}" for value in capped(caps.curve, cap)]
        for meter, beside in caps.meters.items():
            mark = "*" if best[meter] == cap else " "
            cells.append(f"{float(energy_frac(caps.curve, cap, beside)):.3f} {mark}")
        rows.append((_percent(cap), *watts, *cells))
    of_energy = (
        phrase("cap_energy", language, meter=phrase(meter, language)) for meter in caps.meters
    )
    head = (
        _of_cap(caps, language),
        *([] if caps.limit_w is None else [f"{phrase('cap', language)} [W]"]),
        phrase("cap_speed", language),
        phrase("cap_draw", language),
        *of_energy,
    )
    notes = (phrase("least_energy", language), f"{caps.work}: {caps.source}")
    return Table(_title(caps, language), head, tuple(rows), notes)


@drawn
def caps_figure(caps: CapsOf, ax: Axes | None = None, *, language: Language = "en") -> Axes:
    """Return speed, draw and energy of the same work over the cap, and where energy is least."""
    ax = new_axes(ax, 9, width=8.5)
    at = np.linspace(caps.curve.cap_frac[0], 1.0, STEPS)
    speed, draw = capped(caps.curve, at)
    _curve(ax, at, speed, caps.curve, caps.curve.speed_frac, SPEED, phrase("cap_speed", language))
    _curve(ax, at, draw, caps.curve, caps.curve.draw_frac, DRAW, phrase("cap_draw", language))
    for (code, beside), dashes in zip(caps.meters.items(), ("-", "--"), strict=False):
        best = best_cap(caps.curve, beside)
        least = float(energy_frac(caps.curve, best, beside))
        watts = "" if caps.limit_w is None else f" = {best * caps.limit_w:.0f} W"
        text = phrase(
            "cap_best",
            language,
            meter=phrase(code, language),
            cap=f"{_percent(best)}{watts}",
            speed=_percent(float(capped(caps.curve, best)[0])),
            energy=_percent(least),
        )
        ax.plot(at, energy_frac(caps.curve, at, beside), dashes, color=ENERGY, label=text)
        ax.plot(best, least, "D", color=ENERGY, markersize=9, markeredgecolor="white", zorder=4)
        ax.axvline(best, linestyle=":", color=ENERGY, linewidth=1.0, zorder=0)
    ax.set_xlabel(_of_cap(caps, language))
    ax.set_ylabel(phrase("over_no_cap", language))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.set_ylim(bottom=0)
    ax.grid()
    ax.legend(loc="upper left", bbox_to_anchor=(0.0, -0.13), fontsize=9, borderaxespad=0.2)
    ax.set_title(label(_title(caps, language), width=90, lines=1))
    return ax


def _curve(
    ax: Axes,
    at: FloatArray,
    values: FloatArray,
    curve: CapCurve,
    measured: FloatArray,
    colour: str,
    text: str,
) -> None:
    """Draw a curve and the points that it passes through."""
    ax.plot(at, values, color=colour, label=text)
    ax.plot(curve.cap_frac, measured, "o", color=colour, markersize=5)


def _title(caps: CapsOf, language: Language) -> str:
    said = phrase("caps_of", language, chip=caps.name)
    if caps.limit_w is None:
        return said
    return said + phrase("board_limit", language, watts=f"{caps.limit_w:g}")


def _of_cap(caps: CapsOf, language: Language) -> str:
    """Return the head of caps, with what they are a share of."""
    share_of = phrase("of_highest_draw" if caps.is_clock else "of_limit", language)
    return f"{phrase('cap', language)} [{share_of}]"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
