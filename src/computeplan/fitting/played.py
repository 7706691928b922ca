"""What of a fit the engines play: rates of nodes that differ and stay so; the rest is named."""

from __future__ import annotations

import math
from collections.abc import Iterator

from computeplan.fitting.fit import CauseFit, FleetFit
from computeplan.fitting.survival import SURE, best_law
from computeplan.notes import Note, note
from computeplan.specs.faults import MOST_CV

__all__ = ["is_lasting", "rates_cv", "unplayed"]


def is_lasting(cause: CauseFit, n_causes: int = 1) -> bool:
    """Return whether nodes that were worse in the first half of the window stayed so.

    Of several causes one looks so by chance sooner: each is held to its part (Bonferroni).
    """
    return cause.lasting.p_chance < SURE / n_causes and rates_cv(cause) > 0


def rates_cv(cause: CauseFit) -> float:
    """Return the coefficient of variation of the rates of nodes, at most what a scenario takes."""
    return min(cause.lasting.cv, MOST_CV)


def unplayed(fit: FleetFit) -> Iterator[Note]:
    """Yield what was fitted and no engine plays yet."""
    best = best_law(fit.all.gaps)
    if best is not None and best.name != "expon" and best.shape is not None:
        yield note(
            "unplayed_gaps",
            law=best.name,
            shape_name=best.shape_name,
            shape=best.shape.value,
            scale_s=best.scale_s.value,
        )
    shape = fit.wander.mixture.shape
    if math.isfinite(shape.value) and fit.drift.p_constant < SURE:
        rate, correlation = fit.wander.mixture.rate, fit.wander.correlation
        values = {"rate_per_node_s": rate, "shape": shape.value, "correlation": correlation}
        yield note("unplayed_wander", **values)
    nodes = fit.dispersion.mixture.shape
    n_written = sum(is_lasting(cause, len(fit.causes)) for cause in fit.causes)
    if math.isfinite(nodes.value) and fit.dispersion.p_equal < SURE and not n_written:
        p_all = None if is_lasting(fit.all) else fit.all.lasting.p_chance
        yield note("unplayed_nodes", shape=nodes.value, p_chance=p_all)
    if n_written > 1:
        yield note("unplayed_bad_nodes")
