"""Everything fitted to one history, and what it means in plain sentences."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from computeplan.fitting.drift import Drift, Wander, drift, wander
from computeplan.fitting.history import Durations, FaultHistory, gaps, repairs, up_node_s
from computeplan.fitting.persistence import Lasting, lasting
from computeplan.fitting.rates import Dispersion, dispersion, poisson_interval, share_interval
from computeplan.fitting.survival import (
    GAP_LAWS,
    REPAIR_LAWS,
    Interval,
    LawFit,
    best_law,
    fit_law,
    median_s,
)
from computeplan.units import DAY_S

__all__ = ["ALL", "MAX_CAUSES", "SURE", "CauseFit", "FleetFit", "fit_faults"]

ALL = "all causes"
MAX_CAUSES = 20
"""More are joined into the last."""
SURE = 0.01  # p value below which a test is said to have found something


@dataclass(frozen=True, slots=True)
class CauseFit:
    """What was fitted to the faults of one cause, or of all.

    Parameters
    ----------
    name : str
    n : int
        Faults that began in the window.
    per_up_s : Interval
        Rate per node that is up, which is what the engines play. [1/s]
    per_wall_s : Interval
        Rate per node of the fleet, in repair or not, which is what is mostly published. [1/s]
    takes_node : Interval
        Share of faults that took their node, for however short; nan where the log says no ends.
    gaps, repairs : tuple of LawFit
        Laws of the up time between two faults of a node, and of repairs; empty where too few.
    repair_median_s : float
        By Kaplan and Meier, whatever the law. [s]
    durations : Durations
        The repairs.
    lasting : Lasting
        How far nodes that were worse stay worse.
    """

    name: str
    n: int
    per_up_s: Interval
    per_wall_s: Interval
    takes_node: Interval
    gaps: tuple[LawFit, ...]
    repairs: tuple[LawFit, ...]
    repair_median_s: float
    durations: Durations
    lasting: Lasting


@dataclass(frozen=True, slots=True)
class FleetFit:
    """Everything fitted to one history.

    Parameters
    ----------
    history : FaultHistory
    all : CauseFit
        All causes together.
    causes : tuple of CauseFit
        Most frequent first.
    dispersion : Dispersion
        Between nodes.
    drift : Drift
        Over time.
    wander : Wander
        The rate that wanders by month.
    findings : tuple of str
        What a user must know, in plain sentences.
    """

    history: FaultHistory
    all: CauseFit
    causes: tuple[CauseFit, ...]
    dispersion: Dispersion
    drift: Drift
    wander: Wander
    findings: tuple[str, ...]


def fit_faults(history: FaultHistory, *, is_new: bool = False) -> FleetFit:
    """Return everything that can be fitted to a history.

    Parameters
    ----------
    history : FaultHistory
    is_new : bool
        Whether every node was new when the window opened (see `history.gaps`).
    """
    history, joined = _few_causes(history)
    order = np.argsort(-np.bincount(history.cause[history.counts], minlength=len(history.causes)))
    everything = _fit_cause(history, None, is_new=is_new)
    causes = tuple(_fit_cause(history, int(cause), is_new=is_new) for cause in order)
    causes = tuple(cause for cause in causes if cause.n)
    between, over_time, wandering = (
        dispersion(history.per_node()), drift(history), wander(history),
    )  # fmt: skip
    found = [
        *joined,
        *_about_time(over_time, wandering),
        *_about_nodes(between),
        *_about_gaps(everything, history, is_new=is_new),
        *_about_repairs(everything),
    ]
    return FleetFit(history, everything, causes, between, over_time, wandering, tuple(found))


def _few_causes(history: FaultHistory) -> tuple[FaultHistory, list[str]]:
    n_causes = len(history.causes)
    if n_causes <= MAX_CAUSES:
        return history, []
    order = np.argsort(-np.bincount(history.cause, minlength=n_causes), kind="stable")
    place = np.empty(n_causes, dtype=np.int64)
    place[order] = np.minimum(np.arange(n_causes), MAX_CAUSES - 1)
    names = (*(history.causes[i] for i in order[: MAX_CAUSES - 1]), "other causes")
    said = f"The {n_causes - MAX_CAUSES + 1} rarest of {n_causes} causes are joined into one."
    return replace(history, cause=place[history.cause], causes=names), [said]


def _fit_cause(history: FaultHistory, cause: int | None, *, is_new: bool) -> CauseFit:
    take = history.counts if cause is None else history.counts & (history.cause == cause)
    n = int(take.sum())
    has_end = take & ~np.isnan(history.end_s)
    n_taken = int(np.sum(has_end & (history.end_s > history.start_s)))
    half_s = history.length_s / 2
    between, away = gaps(history, cause, is_new=is_new), repairs(history, cause)
    gap_fits = (fit_law(name, between) for name in GAP_LAWS)
    repair_fits = (fit_law(name, away) for name in REPAIR_LAWS)
    return CauseFit(
        ALL if cause is None else history.causes[cause],
        n,
        poisson_interval(n, up_node_s(history)),
        poisson_interval(n, history.n_nodes * history.length_s),
        share_interval(n_taken, int(has_end.sum())),
        tuple(fit for fit in gap_fits if fit is not None),
        tuple(fit for fit in repair_fits if fit is not None),
        median_s(away),
        away,
        lasting(history.per_node(to_s=half_s, cause=cause), history.per_node(half_s, cause=cause)),
    )


# Plain sentences ---------------------------------------------------------------------------------


def _p(p: float) -> str:
    return "p < 1e-6" if p < 1e-6 else f"p = {p:.2g}"


def _about_time(found: Drift, wandering: Wander) -> list[str]:
    daily = found.counts / np.diff(found.edges_s) * DAY_S
    shown = ", ".join(f"{rate:.2g}" for rate in daily[:24])
    is_uneven, is_trend = found.p_constant < SURE, found.p_trend < SURE
    said = []
    if is_uneven or is_trend:
        said.append(
            f"The log is not stationary: {shown} faults a day in windows of 30 days"
            f" (one rate: {_p(found.p_constant)}; trend: {found.trend_z:+.1f} standard deviations,"
            f" {_p(found.p_trend)}). A constant rate is an average over days that differ."
        )
    else:
        said.append(
            f"No drift is seen: {shown} faults a day in windows of 30 days"
            f" (one rate: {_p(found.p_constant)}; trend: {_p(found.p_trend)})."
        )
    shape = wandering.mixture.shape
    if math.isfinite(shape.value) and is_uneven:
        said.append(
            f"A rate that wanders by month has a gamma multiplier of shape {shape.value:.2g}"
            f" ({shape.low:.2g} to {shape.high:.2g}), so a month is off by"
            f" {1 / math.sqrt(shape.value):.0%} either way; correlation of neighbours:"
            f" {wandering.correlation:.2g} ({wandering.about_correlation})."
        )
    if found.p_white < SURE:
        n = int(np.sum(np.abs(found.autocorrelation) > found.autocorrelation_bound))
        said.append(
            f"Days resemble the days before them: {n} of {found.autocorrelation.size} lags are"
            f" outside what independent days show ({_p(found.p_white)})."
            + (" Drift alone does that too." if is_uneven else "")
        )
    return said


def _about_nodes(found: Dispersion) -> list[str]:
    if not found.p_equal < SURE:
        about = f"variance / mean of their counts is {found.ratio:.2f} ({_p(found.p_equal)})"
        return [f"Nodes do not differ more than chance: {about}."]
    shape = found.mixture.shape
    return [
        (
            f"The counts of nodes are overdispersed: variance / mean is {found.ratio:.2f}, and"
            f" 1 for equal nodes ({_p(found.p_equal)}); gamma mixture of shape {shape.value:.2g}"
            f" ({shape.low:.2g} to {shape.high:.2g})."
        ),
        (
            f"The 5 % of nodes with most faults hold {found.top_share:.1%} of them. Faults that"
            " come in bursts on one node look the same as bad nodes: only later days tell."
        ),
    ]


def _about_gaps(fit: CauseFit, history: FaultHistory, *, is_new: bool) -> list[str]:
    best = best_law(fit.gaps)
    if best is None:
        return ["Too few nodes failed twice to fit a law of the time between faults."]
    names = {law.name: law for law in fit.gaps}
    said = []
    if not is_new:
        again = 1 / names["expon"].mean_s.value if "expon" in names else math.nan
        ratio = again / fit.per_up_s.value
        # Were faults without memory and nodes equal, both rates would be one.
        low, high = (
            1 / (names["expon"].mean_s.high * fit.per_up_s.high),
            1 / (names["expon"].mean_s.low * fit.per_up_s.low),
        )
        if low > 1 or high < 1:
            word = "more" if ratio > 1 else "less"
            said.append(
                f"A node that was repaired fails {word} often than the fleet, {ratio:.1f} times its"
                " rate: repairs that do not hold, worse nodes, or days of many faults."
            )
    if best.name != "expon" and names["expon"].aic - best.aic > 10:
        shape = f" ({best.shape_name} = {best.shape.value:.2g})" if best.shape else ""
        said.append(
            f"Times between faults of a node are not exponential: {best.name}{shape} is better by"
            f" {names['expon'].aic - best.aic:.0f} of AIC"
            f" (fit: {_p(best.p_fit)}). Unlike nodes or months make pooled times look so too."
            " The engines play expon only, at the rate of the fleet."
        )
    unknown = int(np.sum(history.counts & (history.node < 0)))
    if unknown:
        said.append(f"{unknown} faults without a known node count in rates, and not between nodes.")
    return said


def _about_repairs(fit: CauseFit) -> list[str]:
    best = best_law(fit.repairs)
    if best is None:
        return ["Too few repairs are known to fit a law of them."]
    laws = {law.name: law for law in fit.repairs}
    weibull = laws.get("weibull_min")
    said = []
    if weibull is not None and weibull.shape is not None and weibull.shape.high < 1:
        known = fit.durations.known_s
        said.append(
            f"Repairs are heavy-tailed: median {fit.repair_median_s / DAY_S:.2g} d, mean of those"
            f" that ended {known.mean() / DAY_S:.2g} d, longest {known.max() / DAY_S:.3g} d; the"
            f" longer one lasts, the longer it will (Weibull shape {weibull.shape.value:.2f}, at"
            f" most {weibull.shape.high:.2f}). An exponential law of the same mean is too short."
        )
    others = "no other fits better" if len(laws) > 1 else "no other law could be fitted"
    if math.isnan(best.p_fit):
        said.append(
            f"Of the repair laws, {best.name} is taken: too few are known to test; {others}."
        )
        return said
    fits = "fits" if best.p_fit >= SURE else f"does not fit well, though {others}"
    said.append(f"Of the repair laws, {best.name} {fits} ({_p(best.p_fit)}).")
    return said
