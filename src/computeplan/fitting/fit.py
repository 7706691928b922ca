"""Everything fitted to one history, and what a user must know of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from computeplan.fitting.drift import Drift, Wander, drift, wander
from computeplan.fitting.history import Durations, FaultHistory, gaps, repairs, up_node_s
from computeplan.fitting.persistence import Lasting, lasting
from computeplan.fitting.rates import Dispersion, dispersion, poisson_interval, share_interval
from computeplan.fitting.seen import Seen, seen_instead
from computeplan.fitting.survival import (
    GAP_LAWS,
    REPAIR_LAWS,
    SURE,
    Interval,
    LawFit,
    best_law,
    fit_laws,
    median_s,
)
from computeplan.notes import Note, note

__all__ = ["ALL", "MAX_CAUSES", "CauseFit", "FleetFit", "fit_faults"]

ALL = "all causes"
MAX_CAUSES = 20
"""More are joined into the last."""


@dataclass(frozen=True, slots=True)
class CauseFit:
    """What was fitted to the faults of one cause, or of all."""

    name: str
    """As in the log."""
    n: int
    """Faults that began in the window."""
    per_up_s: Interval
    """Rate per node that is up, which is what the engines play. [1/s]"""
    per_wall_s: Interval
    """Rate per node of the fleet, in repair or not, which is what is mostly published. [1/s]"""
    takes_node: Interval
    """Share of faults that sent their node to repair, however short; nan without ends."""
    gaps: tuple[LawFit, ...]
    repairs: tuple[LawFit, ...]
    """Laws of the up time between two faults of a node, and of repairs; empty where too few."""
    repair_median_s: float
    """By Kaplan and Meier, whatever the law. [s]"""
    durations: Durations
    """The repairs."""
    repairs_as_seen: Seen | None
    """The repairs one by one, where no law of them stands for them (see `seen.seen_instead`)."""
    lasting: Lasting
    """How far nodes that were worse stay worse."""

    @property
    def repair(self) -> LawFit | Seen | None:
        """What repairs are played by; None where too few are known."""
        return self.repairs_as_seen or best_law(self.repairs)


@dataclass(frozen=True, slots=True)
class FleetFit:
    """Everything fitted to one history."""

    history: FaultHistory
    """What the fit is of."""
    all: CauseFit
    """All causes together."""
    causes: tuple[CauseFit, ...]
    """Most frequent first."""
    few_repairs: LawFit | Seen | None
    """What repairs of causes are played by of which too few are known, all of them together."""
    dispersion: Dispersion
    """Between nodes."""
    drift: Drift
    """Over time."""
    wander: Wander
    """The rate that wanders by month."""
    findings: tuple[Note, ...]
    """What a user must know."""


def fit_faults(history: FaultHistory, *, is_new: bool = False) -> FleetFit:
    """Return everything that can be fitted to a history.

    `is_new` is whether every node was new when the window opened (see `history.gaps`).
    """
    history, joined = _few_causes(history)
    order = np.argsort(-np.bincount(history.cause[history.counts], minlength=len(history.causes)))
    everything = _fit_cause(history, None, is_new=is_new)
    causes = tuple(_fit_cause(history, int(cause), is_new=is_new) for cause in order)
    causes = tuple(cause for cause in causes if cause.n)
    between = dispersion(history.per_node())
    over_time, wandering = drift(history), wander(history)
    found = [
        *joined,
        *_about_time(over_time, wandering),
        *_about_nodes(between),
        *_about_gaps(everything, history, is_new=is_new),
        *_about_repairs(everything),
        *_about_seen(causes),
    ]
    few = _few_repairs(causes) if everything.repairs else None
    findings = tuple(found)
    return FleetFit(history, everything, causes, few, between, over_time, wandering, findings)


def _few_repairs(causes: tuple[CauseFit, ...]) -> LawFit | Seen | None:
    """Return what stands for the repairs of all causes that have too few for a law of their own."""
    few = [cause.durations for cause in causes if not cause.repairs]
    if not few:
        return None
    together = Durations(
        np.concatenate([one.known_s for one in few]),
        np.concatenate([one.longer_s for one in few]),
        sum(one.n_short for one in few),
        few[0].resolution_s,
    )
    laws = fit_laws(REPAIR_LAWS, together)
    return seen_instead(laws, together) or best_law(laws)


def _few_causes(history: FaultHistory) -> tuple[FaultHistory, list[Note]]:
    n_causes = len(history.causes)
    if n_causes <= MAX_CAUSES:
        return history, []
    order = np.argsort(-np.bincount(history.cause, minlength=n_causes), kind="stable")
    place = np.empty(n_causes, dtype=np.int64)
    place[order] = np.minimum(np.arange(n_causes), MAX_CAUSES - 1)
    names = (*(history.causes[i] for i in order[: MAX_CAUSES - 1]), "other causes")
    said = note("causes_joined", n_joined=n_causes - MAX_CAUSES + 1, n_causes=n_causes)
    return replace(history, cause=place[history.cause], causes=names), [said]


def _fit_cause(history: FaultHistory, cause: int | None, *, is_new: bool) -> CauseFit:
    n, half_s = int(history.of_cause(cause).sum()), history.length_s / 2
    between, away = gaps(history, cause, is_new=is_new), repairs(history, cause)
    laws = fit_laws(REPAIR_LAWS, away)
    return CauseFit(
        ALL if cause is None else history.causes[cause],
        n,
        poisson_interval(n, up_node_s(history)),
        poisson_interval(n, history.n_nodes * history.length_s),
        share_interval(*history.n_repaired(cause)),
        fit_laws(GAP_LAWS, between),
        laws,
        median_s(away),
        away,
        seen_instead(laws, away) if laws else None,
        lasting(history.per_node(to_s=half_s, cause=cause), history.per_node(half_s, cause=cause)),
    )


# What a user must know ---------------------------------------------------------------------------


def _about_time(found: Drift, wandering: Wander) -> Iterator[Note]:
    rates = tuple((found.counts / np.diff(found.edges_s)).tolist())
    tests = {"p_constant": found.p_constant, "trend_z": found.trend_z, "p_trend": found.p_trend}
    is_uneven = found.p_constant < SURE
    if is_uneven or found.p_trend < SURE:
        yield note("rate_drifts", rates_per_s=rates, **tests)
    else:
        yield note("rate_constant", rates_per_s=rates, **tests)
    shape, why = wandering.mixture.shape, wandering.about_correlation
    if math.isfinite(shape.value) and is_uneven:
        law = _values(shape) | {"correlation": wandering.correlation}
        yield note("rate_wanders", **law, why=why.code, why_values=why.items)
    if found.p_white < SURE:
        n = int(np.sum(np.abs(found.autocorrelation) > found.autocorrelation_bound))
        n_lags = found.autocorrelation.size
        yield note("days_alike", n=n, n_lags=n_lags, p=found.p_white, drifts=is_uneven)


def _about_nodes(found: Dispersion) -> Iterator[Note]:
    if not found.p_equal < SURE:
        yield note("nodes_equal", ratio=found.ratio, p=found.p_equal)
        return
    shape = found.mixture.shape
    yield note("nodes_unequal", ratio=found.ratio, p=found.p_equal, **_values(shape))
    yield note("worst_nodes", share=found.top_share)


def _about_gaps(fit: CauseFit, history: FaultHistory, *, is_new: bool) -> Iterator[Note]:
    best = best_law(fit.gaps)
    if best is None:
        yield note("gaps_too_few")
        return
    plain = next((law for law in fit.gaps if law.name == "expon"), None)
    if plain is not None and not is_new:
        # Were faults without memory and nodes equal, both rates would be one.
        low = 1 / (plain.mean_s.high * fit.per_up_s.high)
        high = 1 / (plain.mean_s.low * fit.per_up_s.low)
        if low > 1 or high < 1:
            yield note("repaired_fail", ratio=1 / plain.mean_s.value / fit.per_up_s.value)
    if plain is not None and best is not plain and plain.aic - best.aic > 10:
        shape = best.shape.value if best.shape else None
        law = {"law": best.name, "shape_name": best.shape_name, "shape": shape, "p": best.p_fit}
        yield note("gaps_not_exponential", **law, aic_less=plain.aic - best.aic)
    unknown = int(np.sum(history.counts & (history.node < 0)))
    if unknown:
        yield note("nodes_unknown", n=unknown)


def _about_repairs(fit: CauseFit) -> Iterator[Note]:
    best = best_law(fit.repairs)
    if best is None:
        yield note("repairs_too_few")
        return
    laws = {law.name: law for law in fit.repairs}
    weibull = laws.get("weibull_min")
    if weibull is not None and weibull.shape is not None and weibull.shape.high < 1:
        known = fit.durations.known_s
        yield note(
            "repairs_heavy_tailed",
            median_s=fit.repair_median_s,
            mean_s=float(known.mean()),
            longest_s=float(known.max()),
            **_values(weibull.shape),
        )
    if math.isnan(best.p_fit):
        yield note("repair_law_untested", law=best.name, n_laws=len(laws))
    elif best.p_fit >= SURE:
        yield note("repair_law_fits", law=best.name, p=best.p_fit)
    else:
        yield note("repair_law_fits_badly", law=best.name, p=best.p_fit, n_laws=len(laws))


def _about_seen(causes: tuple[CauseFit, ...]) -> Iterator[Note]:
    """Yield that no law stands for repairs, with the cause where that counts most."""
    off = [
        (cause, law, cause.repairs_as_seen.mean_s.value)
        for cause in causes
        if cause.repairs_as_seen and (law := best_law(cause.repairs))
    ]
    if off:
        cause, law, mean_s = max(off, key=lambda one: one[0].n * abs(one[1].mean_s.value - one[2]))
        means = {"law_mean_s": law.mean_s.value, "seen_mean_s": mean_s}
        number = {"n": len(off), "n_causes": len(causes)}
        yield note("repairs_as_seen", cause=cause.name, law=law.name, **means, **number)


def _values(shape: Interval) -> dict[str, float]:
    return {"shape": shape.value, "low": shape.low, "high": shape.high}
