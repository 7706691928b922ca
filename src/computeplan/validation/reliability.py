"""Published reliability figures and exact reference values against what is simulated.

Every case is simulated with the batch engine and set beside the closed form and what was
published; tolerances stand in ``data/published/reliability.yaml`` and were written down before the
first run. Counts of one run are random: a published count is inside or outside the range of the
simulated ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from scipy.stats import chisquare, gamma, poisson

from computeplan.arrays import FloatArray
from computeplan.compiler.compile import compile_world
from computeplan.engines import batch
from computeplan.fitting.fit import FleetFit, fit_faults
from computeplan.fitting.forecast import Prediction
from computeplan.fitting.history import observe
from computeplan.fitting.holdout import predictions_of, retired
from computeplan.fitting.retirement import LemonGain, top_share
from computeplan.ledger import Ledger
from computeplan.notes import Note, note
from computeplan.physics.checkpoint import expected_ettr, optimal_interval_s
from computeplan.quantities import PHASES
from computeplan.specs.logs.reader import read_log
from computeplan.specs.scenario import load
from computeplan.trace.streams import Stream, generator
from computeplan.units import DAY_S, HOUR_S, MINUTE_S
from computeplan.validation.played_retirement import drawn_shares, played_gain
from computeplan.validation.reliability_cases import (
    NODE_DAYS,
    AgeCase,
    LemonCase,
    MakespanCase,
    MttfCase,
    ReliabilityCases,
    RunCase,
    rate_of,
)
from computeplan.world.world import World

__all__ = ["Check", "checks", "fit_log"]

RUNS, SEED = 400, 419
LEMON_FLEETS, PLAYED_FLEETS = 100, 16


@dataclass(frozen=True, slots=True)
class Check:
    """One figure, predicted beside published."""

    id: str
    what: str
    published: Annotated[float | str, "as published or exact"]
    predicted: float
    """What is compared, as published or exact, and as simulated."""
    tolerance: Note
    """As it was written down."""
    ok: bool


def checks(cases: ReliabilityCases, runs: int = RUNS) -> Iterator[Check]:
    """Yield every check, simulated when it is asked for.

    Parameters
    ----------
    cases : ReliabilityCases
    runs : int
        Runs of every case; makespans have five times as many.
    """
    if cases.llama3_causes:
        yield from _llama3(cases.llama3_causes, runs)
    for run in cases.cases:
        yield from _share_kept(run, runs)
    for makespan in cases.makespans:
        yield from _makespan(makespan, 5 * runs)
    for mttf in cases.mttf:
        yield _mttf(mttf, runs // 4)
    if cases.makespans:
        yield _optimum()
    if cases.lemons is not None:
        yield from _lemons(cases.lemons)
    for ages in cases.ages:
        yield _ages(ages, runs // 2)


def fit_log(path: Path) -> tuple[FleetFit, list[Prediction], LemonGain]:
    """Return the fit of the 174-day log, days 120 to 174 predicted from those before, and V11.

    Parameters
    ----------
    path : Path
        The JSON of InfiniteHBD-Trace: 400 servers.

    Raises
    ------
    ScenarioError
        If it cannot be read.
    """
    history = observe(read_log(path, "infinitehbd"), 400, 0.0, 174 * DAY_S)
    ahead = predictions_of(history, 120 * DAY_S, 0)
    return fit_faults(history), ahead, retired(history, 87 * DAY_S, 0.05, 0)


def _llama3(causes: dict[str, int], runs: int) -> Iterator[Check]:
    """V1, V2, V13: 54 days of 2,048 nodes, faults by cause as counted."""
    kinds = {
        name: {
            "observed": {"interruptions": count, "over": "54 d", "chips": 16384},
            "takes": "nothing",
            "restart": "5 min",
        }
        for name, count in causes.items()
    }
    world = _world(2048, kinds, {"every": "13 min", "stall": "30 s"}, {"horizon": "54 d"})
    ledger = batch.play(world, SEED, 0, max(runs, 200))
    by_kind = ledger.counts["interruptions"].sum(axis=0)
    counts = ledger.counts["interruptions"].sum(axis=1)
    total = sum(causes.values())
    yield _near("V1 unexpected interruptions", "mean", total, float(counts.mean()), rel=0.01)
    low, high = np.quantile(counts, [0.025, 0.975])
    inside = bool(low <= total <= high and 60 <= high - low <= 100)
    within = note("within_range_of_runs", narrowest=60, widest=100)
    yield Check("V1 range of a run", "width", total, float(high - low), within, inside)
    expected = np.array(list(causes.values())) / total * by_kind.sum()
    p = float(chisquare(by_kind, expected).pvalue)
    yield Check(
        "V2 mix of causes", "chi-square p", "> 0.01", p, note("p_above", least=0.01), p > 0.01
    )
    yield _near("V13 chip-seconds", "residual", 0.0, _residual(ledger, world), within=1e-9)


def _share_kept(run: RunCase, runs: int) -> Iterator[Check]:
    """V3, V7 to V10: ETTR simulated, against the closed form and against what was published."""
    rate = rate_of(run)
    assert rate is not None
    kind = {
        "rate": f"{rate * NODE_DAYS * DAY_S!r} / 1000 node-days",
        "takes": "nothing",
        "restart": f"{run.restart} s",
    }
    checkpoint = {"every": f"{run.interval} s", "stall": f"{run.save} s"}
    world = _world(run.nodes, {"fault": kind}, checkpoint, {"horizon": "54 d"})
    ledger = batch.play(world, SEED, 0, runs)
    job = ledger.job_s[:, 0, : len(PHASES)]
    ettr = float((job[:, 0] / job.sum(axis=1)).mean())
    closed = float(expected_ettr(run.interval, run.save, run.restart, 1.0 / (rate * run.nodes)))
    near = note("within_of_exact", within=run.within, exact=run.exact, closed_form=closed)
    yield Check(run.id, "ETTR", run.published, ettr, near, abs(ettr - run.exact) <= run.within)
    if run.at_least is not None:
        yield _at_least(f"{run.id}: published", run.published, ettr, run.at_least)
    if run.stops is not None and run.stopped_at_least is not None:
        stops = {"observed": {"stops": run.stops, "over": "54 d"}, "lasts": f"{run.restart} s"}
        world = _world(run.nodes, {"fault": kind}, checkpoint, {"horizon": "54 d"}, planned=stops)
        job = batch.play(world, SEED, 0, runs).job_s[:, 0, : len(PHASES)]
        kept = float((job[:, 0] / job.sum(axis=1)).mean())
        name = f"{run.id}: with {run.stops} planned stops"
        yield _at_least(name, run.published, kept, run.stopped_at_least)
    if run.saving is not None:
        half_h = float(job[:, 1].sum() / ledger.counts["interruptions"].sum() / HOUR_S)
        yield _near(
            f"{run.id}: work lost by a fault", "h", run.interval / 2 / HOUR_S, half_h, rel=0.05
        )
        saved = float(job[:, 2].sum() / job[:, 0].sum())
        yield _near(f"{run.id}: share of saving", "", run.saving, saved, within=0.0005)


def _mttf(case: MttfCase, runs: int) -> Check:
    """V6: the mean time between faults of a job on all chips."""
    kind = {"rate": f"{case.rate} / 1000 node-days", "takes": "nothing", "restart": "0 s"}
    checkpoint = {"every": "60 min", "stall": "0 s"}
    world = _world(case.chips // 8, {"fault": kind}, checkpoint, {"horizon": "27 d"})
    ledger = batch.play(world, SEED, 0, runs)
    hours = float(ledger.wall_s.sum() / ledger.counts["interruptions"].sum() / HOUR_S)
    return _near(f"V6 MTTF of {case.chips:,} GPUs", "h", case.published_h, hours, rel=0.025)


def _makespan(case: MakespanCase, runs: int) -> Iterator[Check]:
    """V4: how long a given work takes with faults."""
    kind = {"mtbf": f"{case.mtbf} s", "per": "node", "takes": "nothing"}
    kind |= {"restart": f"{case.restart} s"}
    checkpoint = {"every": f"{case.interval} s", "stall": f"{case.save} s"}
    world = _world(1, {"fault": kind}, checkpoint, {}, train_for=f"{case.work} s")
    wall_min: FloatArray = batch.play(world, SEED, 0, runs).wall_s / MINUTE_S
    name = f"V4 makespan, saves every {case.interval / MINUTE_S:g} min"
    yield _near(name, "min", case.exact_min, float(wall_min.mean()), rel=0.002)
    error = float(wall_min.std(ddof=1) / np.sqrt(wall_min.size))
    z = (float(wall_min.mean()) - case.exact_min) / error
    yield Check(f"{name}: z", "standard errors", 0.0, z, note("z_within", most=3.5), abs(z) <= 3.5)


def _optimum() -> Check:
    """V5: what the interval called optimal wastes over the best of a fine grid."""
    worst = 0.0
    for ratio in (0.001, 0.003, 0.01, 0.03, 0.1):
        grid = np.geomspace(0.2, 5.0, 4001) * np.sqrt(2 * ratio)
        best = expected_ettr(grid, ratio, 0.05, 1.0).max()
        ours = expected_ettr(optimal_interval_s(ratio, 1.0), ratio, 0.05, 1.0)
        worst = max(worst, float(best - ours))
    near = note("within_of_best_interval", within=0.001, least_ratio=0.001, largest_ratio=0.1)
    return Check("V5 optimal interval", "ETTR below the best", 0.0, worst, near, worst <= 0.001)


def _lemons(case: LemonCase) -> Iterator[Check]:
    """V11: what retiring the worst nodes gains in the days they were chosen by, and after.

    Three times: counts of nodes whose rates follow a gamma law, the faults that engines play, and
    the worst retired by the event engine, where new nodes come in their place.
    """
    uniforms = generator(SEED, 0, Stream.NODE, 11)
    shape = case.faults_per_node / (case.variance_over_mean - 1)
    size = (LEMON_FLEETS, case.nodes)
    rates = gamma.ppf(uniforms.random(size), shape, scale=case.faults_per_node / shape)
    n_top = max(1, round(case.retire * case.nodes))
    before, after = poisson.ppf(uniforms.random((2, *size)), rates)
    first = float(np.mean([top_share(b, b, n_top) for b in before]))
    later = float(np.mean([top_share(b, a, n_top) for b, a in zip(before, after, strict=True)]))
    what = f"share of faults on the worst {case.retire:.0%}"
    name = "V11 lemons of a gamma mixture"
    yield _near(f"{name}, in sample", what, case.in_sample, first, within=case.within)
    yield _between(f"{name}, later", what, case.later, later, case.within)
    cv = float(np.sqrt(1 / shape))
    fleet = (case.nodes, case.faults_per_node, cv, case.retire, SEED)
    first, later = drawn_shares(*fleet, LEMON_FLEETS)
    yield _near(f"{name}, as drawn", what, case.in_sample, first, within=case.within)
    yield _between(f"{name}, later, as drawn", what, case.later, later, case.within)
    gain = played_gain(*fleet, PLAYED_FLEETS)
    what = f"faults fewer, worst {case.retire:.0%} replaced"
    low, high = (x - case.retire for x in case.later)  # new nodes have their share
    yield _between(f"{name}, played", what, (low, high), gain, case.within)


def _ages(case: AgeCase, runs: int) -> Check:
    """V14: a steady fleet of nodes that age has as many faults as one of nodes that do not."""
    kind = {
        "mtbf": f"{case.mtbf} s",
        "per": "node",
        "law": {"weibull_min": {"c": case.shape}},
        "age": "steady",
        "takes": "nothing",
        "restart": "0 s",
    }
    checkpoint = {"every": "60 min", "stall": "0 s"}
    world = _world(case.nodes, {"fault": kind}, checkpoint, {"horizon": "54 d"})
    ledger = batch.play(world, SEED, 0, runs)
    found = float(ledger.counts["interruptions"].sum(axis=1).mean())
    expected = case.nodes * 54 * DAY_S / case.mtbf
    return _near(f"V14 Weibull {case.shape:g}, steady", "faults", expected, found, rel=case.within)


def _world(
    nodes: int,
    faults: dict[str, Any],
    checkpoint: dict[str, str],
    simulate: dict[str, str],
    train_for: str = "1000 d",
    planned: dict[str, Any] | None = None,
) -> World:
    """Return a world of one job on all nodes, none of which is ever sent to repair."""
    chips = 8 * nodes
    pool = {"chip": "nvidia/h100-sxm", "chips": chips}
    return compile_world(
        load(
            {
                "computeplan": 1,
                "name": "validation",
                "sites": {"here": {"pue": 1.0, "pools": {"pool": pool}}},
                "faults": faults,
                "planned": {"stop": planned} if planned else {},
                "jobs": {"job": {"train_for": train_for, "chips": chips, "checkpoint": checkpoint}},
                "simulate": simulate,
            }
        )
    )


def _residual(ledger: Ledger, world: World) -> float:
    """Return the largest relative gap in the books."""
    due = sum(pool.n_chips for pool in world.pools) * ledger.wall_s
    return float(np.abs(ledger.chip_s.sum(axis=(1, 2, 3)) / due - 1).max())


def _near(
    name: str, what: str, published: float, found: float, *, rel: float = 0.0, within: float = 0.0
) -> Check:
    limit = max(rel * abs(published), within)
    near = note("within_share", share=rel) if rel else note("within_absolute", within=within)
    return Check(name, what, published, found, near, abs(found - published) <= limit)


def _at_least(name: str, published: float | str, found: float, least: float) -> Check:
    return Check(name, "ETTR", published, found, note("at_least", least=least), found >= least)


def _between(
    name: str, what: str, published: tuple[float, float], found: float, within: float
) -> Check:
    low, high = published
    near = note("within_of_range", low=low, high=high, within=within)
    is_near = low - within <= found <= high + within
    return Check(name, what, f"{low:g} to {high:g}", found, near, is_near)
