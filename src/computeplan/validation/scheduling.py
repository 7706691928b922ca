"""Published schedules against ours: the same jobs, speeds and nodes, under the same policy.

A case names a trace of jobs and a table of their speeds, the nodes of each chip, and a policy, ours
or the reference's; it is played by the event engine with rounds as the reference has them. Nodes
have one chip and no faults, jobs save at no cost, as there. What is expected of a case and how near
we must come stand in its file; the shipped ones, ``data/published/scheduling.yaml``, are runs of
the reference [1]_, with tolerances that were written down before the first run.

Sources
-------
.. [1] D. Narayanan et al., "Heterogeneity-aware cluster scheduling policies for deep learning
       workloads", OSDI 2020; github.com/stanford-futuredata/gavel at c4fa400, MIT.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Field

from computeplan.arrays import FloatArray
from computeplan.engines import event
from computeplan.errors import InfeasibleError, Problem, ScenarioError
from computeplan.ledger import PHASES, QUEUE
from computeplan.scheduling.policies.shares import REFERENCE
from computeplan.scheduling.registry import load_policy, policy_names
from computeplan.scheduling.rounds import SharePolicy
from computeplan.scheduling.view import Policy, View
from computeplan.specs.documents.document import load_document, nearest
from computeplan.specs.documents.validation import validate
from computeplan.specs.fields import Duration, Frozen
from computeplan.specs.logs.job_reader import read_jobs
from computeplan.specs.logs.job_table import JobLog
from computeplan.specs.logs.throughput import Throughput, load_throughput
from computeplan.world.jobs import Job, Jobs
from computeplan.world.pools import Pool
from computeplan.world.world import World

__all__ = [
    "Row",
    "ScheduleCase",
    "bare_job",
    "bare_pool",
    "predict",
    "read_cases",
    "world_of",
]

Quantity = Literal[
    "avg_jct_s", "p50_jct_s", "p99_jct_s", "makespan_s", "utilisation", "per_job_jct_s", "objective"
]


def _seconds(value: object) -> object:
    """Read a bare number as seconds, as the reference writes them."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value!r} s"
    return value


Seconds = Annotated[Duration, BeforeValidator(_seconds)]


class ScheduleCase(Frozen):
    """One schedule, and what is known of it."""

    id: Annotated[str, Field(min_length=1, max_length=200)]
    trace: str
    oracle: str
    """Paths beside the file, or in the folder of traces."""
    pools: Annotated[dict[str, Annotated[int, Field(ge=0, le=10**7)]], Field(min_length=1)]
    """Nodes of one chip each, by the chip's name in the oracle."""
    policy: str
    """A name of ours, or of the reference's."""
    round: Seconds | None = None
    reset_gate: Seconds | None = None
    restart_cost: Seconds = 0.0
    """Of policies in rounds; with a bare number, in seconds."""
    expect: Annotated[dict[Quantity, float | list[float]], Field(min_length=1)]
    tolerance: dict[Quantity, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    """Relative; of the utilisation absolute. Without one, a quantity is shown and not judged."""
    source: str = ""
    note: str = ""
    missed: dict[Quantity, str] = Field(default_factory=dict)
    """Why a quantity is known to lie outside its tolerance."""


class _Cases(Frozen):
    cases: list[ScheduleCase]


@dataclass(frozen=True, slots=True)
class Row:
    """One quantity of one case."""

    id: str
    quantity: str
    expected: float | list[float]
    predicted: float | list[float]
    error: float
    """Relative, with its sign; of the utilisation absolute; of several values the largest."""
    within: bool | None
    """None if the case has no tolerance for it."""
    missed: str = ""
    """Why it is known to lie outside, if it is."""


def read_cases(path: Path | None = None, traces: Path | None = None) -> list[ScheduleCase]:
    """Return the cases of a file, or the shipped ones, their paths found.

    Parameters
    ----------
    path : Path, optional
        A YAML list of cases.
    traces : Path, optional
        A folder where traces and oracles are looked for too.

    Raises
    ------
    ScenarioError
        With every problem and its place.
    """
    if path is None:
        path = Path(str(resources.files("computeplan"))) / "data" / "published" / "scheduling.yaml"
    document = load_document(path, list_of="cases")
    found = validate(_Cases, document).cases
    problems: list[Problem] = []
    seen: set[str] = set()
    for i, case in enumerate(found):
        at = ("cases", str(i))
        if case.id in seen:
            problems.append(document.problem(at, f"two cases have the id {case.id!r}"))
        seen.add(case.id)
        known = (*REFERENCE, *policy_names())
        if case.policy not in known:
            message = f"no policy '{case.policy}'.{nearest(case.policy, known)}"
            problems.append(document.problem(at, f"{message}  Policies: {', '.join(known)}"))
        folders = [path.resolve().parent, *([] if traces is None else [traces])]
        for key in ("trace", "oracle"):
            if _found(getattr(case, key), folders) is None:
                where = " or ".join(map(str, ("beside the cases", *([traces] if traces else []))))
                message = f"no file '{getattr(case, key)}' {where}; give --traces FOLDER"
                problems.append(document.problem(at, message))
        found[i] = case.model_copy(
            update={key: str(_found(getattr(case, key), folders)) for key in ("trace", "oracle")}
        )
    if problems:
        raise ScenarioError(problems)
    return found


def _found(name: str, folders: Sequence[Path]) -> Path | None:
    """Return the first file of a name in some folders."""
    for folder in folders:
        try:
            if (path := folder / name).is_file():
                return path
        except (OSError, ValueError):  # a name too long, or with a NUL
            continue
    return None


def predict(cases: Sequence[ScheduleCase]) -> Iterator[Row]:
    """Yield what is predicted beside what is expected, case by case.

    Raises
    ------
    ScenarioError
        If a trace or an oracle cannot be read.
    InfeasibleError
        If a job fits on no pool.
    """
    for case in cases:
        world = world_of(case)
        predicted = dict[str, float | list[float]]()
        if case.expect.keys() - {"objective"}:
            predicted |= _played(world)
        if "objective" in case.expect:
            predicted["objective"] = _objective(world)
        for quantity, expected in case.expect.items():
            yield _row(case, quantity, expected, predicted[quantity])


def _row(
    case: ScheduleCase, quantity: Quantity, expected: Any, predicted: float | list[float]
) -> Row:
    ours, theirs = np.atleast_1d(predicted), np.atleast_1d(np.asarray(expected, dtype=np.float64))
    error = math.nan
    if ours.shape == theirs.shape:
        with np.errstate(divide="ignore", invalid="ignore"):
            off = ours - theirs if quantity == "utilisation" else ours / theirs - 1.0
        error = float(off[np.abs(off).argmax()])
    most = case.tolerance.get(quantity)
    within = None if most is None else bool(abs(error) <= most)
    return Row(case.id, quantity, expected, predicted, error, within, case.missed.get(quantity, ""))


def _played(world: World) -> dict[str, float | list[float]]:
    """Return the measures of one run, as the reference counts them."""
    ledger = event.play(world, 0, 0, 1)
    jct_s = ledger.end_s[0] - world.jobs.arrival_s
    makespan_s = float(ledger.end_s[0].max())
    held_s = ledger.job_s[0, :, :QUEUE].sum(axis=1)  # nodes have one chip
    held = ledger.chip_s[0, :-1].sum() if len(held_s) else 0.0
    return {
        "avg_jct_s": float(jct_s.mean()),
        "p50_jct_s": float(np.percentile(jct_s, 50)),
        "p99_jct_s": float(np.percentile(jct_s, 99)),
        "makespan_s": makespan_s,
        "utilisation": float(held / (sum(world.n_chips) * makespan_s)),
        "per_job_jct_s": jct_s.tolist(),
    }


def _objective(world: World) -> float:
    """Return the value of the policy's program with all jobs there and none begun."""
    view = View(world.job_table, world.pool_table, world.tenants)
    for job in range(len(world.jobs)):
        view.enqueue(job)
    policy = world.decide
    return policy.value(view) if isinstance(policy, SharePolicy) else math.nan


def world_of(case: ScheduleCase) -> World:
    """Return the world of a case.

    Raises
    ------
    InfeasibleError
        If a job fits on no pool, with the job's name.
    """
    log = read_jobs(Path(case.trace), "gavel").jobs
    table = load_throughput(Path(case.oracle))
    names = [name for name, n in case.pools.items() if n > 0]
    unknown = [name for name in names if name not in table.chips]
    if unknown:
        known = f"Chips: {', '.join(table.chips)}"
        raise ScenarioError.of(f"{case.id}: pools: no chip {', '.join(unknown)}.  {known}")
    jobs = _jobs(log, table, {name: case.pools[name] for name in names}, case.id)
    return World(
        name=case.id,
        policy=case.policy,
        decide=_policy(case),
        pools=tuple(bare_pool(name, case.pools[name]) for name in names),
        jobs=jobs,
        kind_names=(),
        n_fault_kinds=0,
        horizon_s=math.inf,
        notes=(),
    )


def _policy(case: ScheduleCase) -> Policy:
    policy = REFERENCE.get(case.policy) or load_policy(case.policy)
    if not isinstance(policy, SharePolicy):
        return policy
    settings = {
        "round_s": case.round,
        "reset_gate_s": case.reset_gate,
        "restart_cost_s": case.restart_cost,
        "idle_until_round_end": True,
    }
    return replace(policy, **{name: v for name, v in settings.items() if v is not None})


def _jobs(log: JobLog, table: Throughput, pools: Mapping[str, int], case: str) -> Jobs:
    kind, sorts = log.sorts()
    kinds = [
        bare_job(name, n, [table.of(name, n, chip) for chip in pools], pools) for name, n in sorts
    ]
    for j, k in enumerate(kind.tolist()):
        if not kinds[k].n_nodes.any():
            name, n = sorts[k]
            raise InfeasibleError(
                f"{case}: {log.name(j)} ({name}, {n} chips) fits on no pool:"
                f" {', '.join(f'{chip} {n_nodes}' for chip, n_nodes in pools.items())}"
            )
    return Jobs(
        kinds,
        kind,
        scale=log.n_steps,
        arrival_s=log.arrival_s,
        deadline_s=log.arrival_s + log.deadline_s,
        weight=log.weight,
        names=[log.name(j) for j in range(len(log))],
    )


def bare_job(name: str, n_chips: int, speed: Sequence[float], pools: Mapping[str, int]) -> Job:
    """Return one step of a sort of job that never saves, by its steps per second on each pool."""
    can = [v > 0 and n_chips <= n for v, n in zip(speed, pools.values(), strict=True)]
    nowhere = np.full(len(pools), math.nan)
    return Job(
        name=name,
        model="",
        tenant="",
        arrival_s=0.0,
        deadline_s=math.inf,
        home=-1,
        n_nodes=np.where(can, n_chips, 0),
        train_s=np.array([1 / v if ok else math.nan for v, ok in zip(speed, can, strict=True)]),
        tok_per_s=nowhere,
        interval_s=np.full(len(pools), math.inf),
        save_s=np.zeros(len(pools)),
        ettr=np.ones(len(pools)),
        mfu=nowhere,
        mfu_class=("",) * len(pools),
        step=1.0,
    )


def bare_pool(name: str, n_nodes: int) -> Pool:
    """Return a pool of nodes of one chip that never fail, and whose watts are not known."""
    unknown: FloatArray = np.full(len(PHASES), math.nan)
    return Pool(
        name=name,
        site="",
        chip=name,
        n_nodes=n_nodes,
        n_spare_nodes=0,
        chips_per_node=1,
        kinds=(),
        stops=(),
        n_crews=None,
        spare_states=(),
        meter="chip",
        chip_w=unknown,
        node_overhead_w=unknown,
        network_w=unknown,
        pue=1.0,
        money_per_j=math.nan,
        kg_per_j=math.nan,
        rent_money_per_chip_s=math.nan,
    )
