"""What the services of a scenario take, found out before its world is compiled.

On each pool the layout whose nodes for the busiest minute are fewest is searched, or the one that
is written is taken; requests are simulated against it up to the largest rate within the limits.
Bursts of a trace count once: those of minutes in the busiest minute, which sizes the fleet, those
within minutes, shared out among instances, in the rate of an instance.

Long because what an instance holds and what is said of it rest on the same search.
Limits at several percentiles all hold. Prompts and answers on pools of their own are searched each
by itself (``roles.py``), and go on as two services. At the rate of the busiest minute the requests
are simulated once more, for the times that users see, and at the mean rate for the watts. What is
found depends on values alone, so services that are alike, of several cases or runs, are found out
once a process.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import blake2b

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.compiler.service_choice import pools_by_choice
from computeplan.compiler.service_plans import (
    InstanceOn,
    Planned,
    busiest_minutes,
    gives_of,
    wanted_of,
)
from computeplan.compiler.serving_load import load_of
from computeplan.engines.serve.largest_rate import enough_requests, largest_rate
from computeplan.engines.serve.percentiles import WARM_FRAC, Band
from computeplan.engines.serve.policy import Slo
from computeplan.engines.serve.replica import play
from computeplan.engines.serve.served import Served
from computeplan.errors import InfeasibleError, Problem, ScenarioError
from computeplan.fleet.layouts import (
    Candidate,
    NoneHolds,
    Settings,
    candidates,
    measured,
)
from computeplan.fleet.refusals import why_refused
from computeplan.fleet.roles import load_of_role, slo_of_role
from computeplan.fleet.search import (
    Search,
    best_layout,
    rate_of_longer,
    requests_for,
    tail_of,
)
from computeplan.fleet.service_day import hours_on_pools, seen_by_hour
from computeplan.fleet.sizes import Use, latencies_of, use_of
from computeplan.notes import Note, NoteValue, note
from computeplan.physics.serving.instance import Speculation, Split
from computeplan.physics.serving.layouts import tensor_widths
from computeplan.physics.serving.power import Draw, chip_w
from computeplan.physics.steptime.transformer import shape_of
from computeplan.scheduling.services import nodes_on_pools
from computeplan.specs.catalogue.chips import Chip
from computeplan.specs.catalogue.models import Transformer
from computeplan.specs.catalogue.serving import engine_of
from computeplan.specs.catalogue.serving_power import known_draw
from computeplan.specs.scenario import Scenario
from computeplan.specs.services import KEY_OF_ROLE, in_role, role_of
from computeplan.specs.serving import LatencyLimits, Role, ServingPool
from computeplan.trace.requests import at_rate, evened, shared_out
from computeplan.world.load import Load

__all__ = ["plan_services", "slos_of"]

WIDEST_TP, WIDEST_RANKS = 16, 320
"""Ranks that share a layer, inside a domain, and of an instance: the most of a published row."""


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """A service on a pool; those are alike that differ in their names, or the size of the pool."""

    name: str
    """Of the service, in its role (`in_role`)."""
    pool: str
    role: Role
    run: ServingPool
    chip: Chip
    model: Transformer
    load: Load
    slos: tuple[Slo, ...]
    node_chips: int
    derating: float
    steps: tuple[FloatArray, FloatArray, FloatArray, FloatArray] | None
    told: Callable[[str], object] | None
    key: tuple[object, ...]
    """The values that the search depends on."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Place) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """The layout of a service on a pool, with the rate that it holds."""

    candidate: Candidate
    load: Load
    """As an instance gets it, at another rate."""
    per_s: float
    low_per_s: float
    high_per_s: float
    """Ends of the 90 % band."""


def plan_services(
    scenario: Scenario, told: Callable[[str], object] | None = None
) -> dict[str, Planned]:
    """Return what an instance of each service with requests holds and draws, by `in_role`.

    Parameters
    ----------
    scenario : Scenario
        Of one case.
    told : callable, optional
        Called with the service, the chip and the layout that is simulated; not with what was found
        out before.

    Raises
    ------
    ScenarioError
        If a load does not fit its model, or a figure is missing.
    InfeasibleError
        If no layout holds the model, or none holds the limits.

    Examples
    --------
    >>> import computeplan as cp
    >>> plan_services(cp.load("llama3-405b"))
    {}
    """
    found: dict[str, Planned] = {}
    wrong, impossible = list[Problem](), list[Problem]()
    for name, spec in scenario.services.items():
        if spec.requests is None:
            continue
        load, notes = load_of(scenario, name)
        left = dict[str, int]()  # nodes of pools, for a role that shares one with the one before
        for role, runs in spec.roles.items():
            places = [_place(scenario, name, role, pool, load, told) for pool in runs]
            of_pools = list[_Found]()
            for place in places:
                at = ("services", name, KEY_OF_ROLE[role], place.pool)
                try:
                    one = _search(place)
                except ValueError as error:
                    wrong.append(scenario.document.problem(at, str(error)))
                    continue
                if isinstance(one, Note):
                    impossible.append(scenario.document.problem(at, why_refused(one)))
                else:
                    of_pools.append(one)
                left.setdefault(place.pool, scenario.pool(place.pool).chips // place.node_chips)
            if len(of_pools) == len(places):
                try:
                    plan = _planned(scenario, places, of_pools, tuple(notes), left)
                    found[in_role(name, role)] = plan
                except ScenarioError as error:
                    wrong += error.problems
            notes = []  # told once
    if wrong:
        raise ScenarioError(wrong)
    if impossible:
        raise InfeasibleError(str(ScenarioError(impossible)))
    return found


def slos_of(limits: LatencyLimits | None) -> tuple[Slo, ...]:
    """Return the limits of a service, each with at most one of each time; the strictest first.

    Examples
    --------
    >>> limits = LatencyLimits(ttft_p99="1 s", ttft_p50="0.3 s", tpot_p99="50 ms")
    >>> [(slo.ttft_s, slo.ttft_frac, slo.tpot_s) for slo in slos_of(limits)]
    [(1.0, 0.99, 0.05), (0.3, 0.5, inf)]
    """
    if limits is None:
        return (Slo(),)
    ttft, tpot = (sorted(limits.limits_s(what).items(), reverse=True) for what in ("ttft", "tpot"))
    found = []
    for i in range(max(1, len(ttft), len(tpot))):
        first = ttft[i] if i < len(ttft) else (0.99, math.inf)
        further = tpot[i] if i < len(tpot) else (0.99, math.inf)
        found.append(Slo(first[1], further[1], first[0], further[0]))
    return tuple(found)


def _place(
    scenario: Scenario,
    name: str,
    role: Role,
    pool: str,
    load: Load,
    told: Callable[[str], object] | None,
) -> _Place:
    spec, chip, of_pool = scenario.services[name], scenario.chip_of(pool), scenario.pool(pool)
    run, model = spec.roles[role][pool], scenario.catalogue.models[str(spec.model)]
    load = load_of_role(load, role)
    of_role = dict.fromkeys(slo_of_role(slo, role) for slo in slos_of(spec.slo))
    slos = tuple(slo for slo in of_role if slo != Slo()) or (Slo(),)
    node_chips = of_pool.chips_per_node or chip.chips_per_node
    assert node_chips is not None  # cross-checked
    called = in_role(name, role)
    table = scenario.step_tables.get((called, pool))
    steps = None
    if table is not None:
        steps = (table.batch, table.context, table.prompt_tokens, table.step_s)
    trace = load.trace
    columns = [] if trace is None else [trace.arrival_s, trace.input_tokens, trace.output_tokens]
    if trace is not None and trace.reusable_tokens is not None:
        columns.append(trace.reusable_tokens)
    key = (
        *(chip.model_dump_json(), model.model_dump_json(), run.model_dump_json(), role),
        *(load.per_s.tobytes(), load.gaps_cv, load.input_tokens, load.output_tokens),
        *(load.cached_frac, slos, node_chips, spec.derating),
        *(
            tuple(blake2b(column.tobytes()).digest() for column in of)
            for of in (columns, steps or ())
        ),
    )
    return _Place(
        *(called, pool, role, run, chip, model, load, slos, node_chips, spec.derating, steps),
        *(told, key),
    )


@lru_cache(maxsize=64)  # of the order of a megabyte each, without a trace
def _search(place: _Place) -> _Found | Note:
    """Return the best layout of a place, or why there is none; raise ValueError if it is wrong."""
    try:
        return _searched(place)
    except NoneHolds as error:
        return error.why


def _searched(place: _Place) -> _Found:
    run, load, slo = place.run, place.load, place.slos[0]
    split = None
    if run.layout is not None:
        one = run.layout
        split = Split.of(tp=one.tp, pp=one.pp, dp=one.dp, ep=one.ep)
        _check_width(place.model, one.tp)
    drafts = run.speculation
    speculation = None if drafts is None else Speculation(drafts.draft, drafts.accepted)
    settings = Settings(run.kv, run.max_batch, split, speculation, place.role)
    if place.steps is not None:
        if split is None:
            raise ValueError("a table of steps is of one layout; write it, layout: tp8")
        pair = (_engine(run, place.chip), run.precision)
        one_layout = measured(place.chip, place.model, load, slo, pair, settings, place.steps)
        found, n_layouts = [one_layout], 1
    else:
        pair = (engine_of(run.engine, place.chip.kin), run.precision)
        found, n_layouts = candidates(place.chip, place.model, load, slo, [pair], settings)
    peak_per_s = float((load.per_s * busiest_minutes(load)).max())

    def size(rate: float, n_chips: int) -> int:
        """Return the chips of the nodes that the busiest minute takes."""
        on_a_node = max(1, place.node_chips // n_chips)
        n = math.ceil(peak_per_s / (rate * place.derating) - 1e-9)
        nodes = math.ceil(n / on_a_node) * math.ceil(n_chips / place.node_chips)
        return nodes * place.node_chips

    def progress(layout: str) -> None:
        if place.told is not None:
            place.told(f"{place.name}: {place.chip.name} {layout}")

    def find(each: Load) -> Search | None:
        return best_layout(found, n_layouts, each, slo, size, progress=progress)

    most_per_s = max(one.bound_per_s for one in found)
    search, load = _shared(place, peak_per_s, most_per_s, find)
    if search is None:
        raise NoneHolds(tail_of(place.chip.name, found[0], load, place.slos))
    best, per_s = search.best.candidate, search.best.rate.per_s
    for other in place.slos[1:]:
        n = enough_requests(best.bound_batch)
        rate = largest_rate(best.times, load, other, best.policy, n_requests=n)
        per_s = min(per_s, rate.per_s)
    if not per_s > 0:
        raise NoneHolds(tail_of(place.chip.name, best, load, place.slos))
    low, high = best.compiled.band
    ends = (rate_of_longer(search.best, load, slo, per_s, factor) for factor in (high, low))
    return _Found(best, load, per_s, *ends)


def _shared(
    place: _Place, peak_per_s: float, most_per_s: float, find: Callable[[Load], Search | None]
) -> tuple[Search | None, Load]:
    """Return the best layout, and the load as one of the instances gets it.

    Minutes of a trace are made alike. The more instances share it, the less of a burst each one
    gets: so many are looked for, by bisection, as the busiest minute takes when they share it.
    """
    load = place.load
    if load.trace is None:
        return find(load), load
    even = evened(load.trace, 60.0 * float(load.per_s.max()) / load.trace.rate_per_s)

    def among(n: int) -> tuple[Search | None, Load, float]:
        each = replace(load, trace=shared_out(even, n))
        search = find(each)
        rate = 0.0 if search is None else search.best.rate.per_s
        return search, each, peak_per_s / (rate * place.derating) if rate > 0 else math.inf

    low = max(1, int(peak_per_s / (most_per_s * place.derating)))
    search, each, n_needed = among(low)
    high = min(math.ceil(n_needed), max(low, len(even) // 10)) if n_needed < math.inf else low
    while high > low + 1:
        middle = (low + high) // 2
        found = among(middle)
        if found[2] <= middle:
            high, (search, each, n_needed) = middle, found
        else:
            low = middle
    return search, each


def _check_width(model: Transformer, tp: int) -> None:
    """Raise ValueError if no engine splits the heads of a model over so many ranks."""
    allowed = tensor_widths(shape_of(model.architecture()))
    if tp not in allowed:
        heads = f"{model.heads} attention heads and {model.kv_heads or model.heads} KV heads"
        raise ValueError(
            f"layout: tp{tp} does not divide the heads of {model.name} ({heads}); tp may be"
            f" {', '.join(map(str, allowed))}"
        )


def _beyond_published(place: _Place, one: _Found) -> list[Note]:
    """Return a note of a layout that is wider than any whose speed was published."""
    split, domain = one.candidate.split, float(one.candidate.compiled.instance.fabric.domain)
    widest = int(min(WIDEST_TP, domain))
    found = [("tp", int(split.tp), widest), ("ranks", int(split.n_ranks), WIDEST_RANKS)]
    told = {"service": place.name, "pool": place.pool, "layout": one.candidate.layout}
    return [
        note("service_layout_beyond", **told, what=what, n=n, most=most)
        for what, n, most in found
        if n > most and place.steps is None
    ]


def _engine(run: ServingPool, chip: Chip) -> str:
    """Return the entry of an engine, or its name where none is known."""
    try:
        return engine_of(run.engine, chip.kin)
    except ValueError:
        return run.engine


def _planned(
    scenario: Scenario,
    places: Sequence[_Place],
    found: Sequence[_Found],
    notes: tuple[Note, ...],
    left: dict[str, int],
) -> Planned:
    """Return what was found out about a service, with what users see at its peak.

    What it holds for its highest need is taken off the nodes that are left of its pools.
    """
    load, name = places[0].load, places[0].name
    spec = scenario.services[role_of(name)[0]]
    wanted = float(wanted_of(spec, load).max())
    minute_per_s = float((load.per_s * busiest_minutes(load)).max())
    day_per_s = minute_per_s if spec.lend else float(load.per_s.mean())
    told = list[Note]()
    if spec.choose is not None and len(places) > 1:
        share = min(1.0, day_per_s / wanted)
        alone = []
        for place, one in zip(places, found, strict=True):
            played = _played(place, share)
            alone.append(_instance_on(place, one, played, played, share))
        order, filled = pools_by_choice(
            scenario, name, [place.pool for place in places], alone, share
        )
        places, found = [places[i] for i in order], [found[i] for i in order]
        told.append(filled)
    bare = [InstanceOn(one.candidate.n_chips, one.per_s, 0.0, 0.0, 0.0, 0.0) for one in found]
    rooms, chips = [left[place.pool] for place in places], [place.chip.name for place in places]
    gives, group, _ = gives_of(
        spec, bare, chips, [place.node_chips for place in places], rooms, wanted
    )
    nodes, _ = nodes_on_pools(wanted, rooms, gives, group)
    for place, n in zip(places, nodes, strict=True):
        left[place.pool] -= n
    given = float(np.dot(nodes, gives))
    if not given > 0:  # no room for one instance: the compiler says so
        given = wanted
    at_peak = min(1.0, minute_per_s / given)
    at_mean = min(1.0, day_per_s / given)
    instances = list[InstanceOn]()
    for place, one in zip(places, found, strict=True):
        peak, mean = (_played(place, share) for share in (at_peak, at_mean))
        instances.append(_instance_on(place, one, peak, mean, at_mean))
        told += [_note_of(place, one, peak), *_beyond_published(place, one)]
    hourly = wanted_of(spec, load) if spec.lend else np.full(len(load.per_s), wanted)
    on_pools = hours_on_pools(load.per_s, hourly, rooms, gives, group)
    told.append(_day_of(places, *on_pools))
    pools = tuple(place.pool for place in places)
    return Planned(load, pools, tuple(instances), (*notes, *told))


def _day_of(places: Sequence[_Place], load_frac: FloatArray, per_s: FloatArray) -> Note:
    """Return what users see over the day, on the pools that answer, by the hour."""
    slo, pools, missed_per_s = places[0].slos[0], list[NoteValue](), 0.0
    role = places[0].role
    for place, of_pool in zip(places, per_s.T, strict=True):

        def seen_at(share: float, place: _Place = place) -> tuple[float, float, float]:
            played = _played(place, share)
            return played.missed_frac, played.ttft_s.value, played.tpot_s.value

        if of_pool.any():
            seen = seen_by_hour(np.where(of_pool > 0, load_frac, 0.0), seen_at)
            missed_per_s += float(np.nan_to_num(seen.missed_frac) @ of_pool)
            ttft_s = () if role == "decode" else _hours(seen.ttft_s)
            tpot_s = () if role == "prefill" else _hours(seen.tpot_s)
            pools.append((place.pool, ttft_s, tpot_s))
    return note(
        "service_day",
        service=places[0].name,
        missed_frac=missed_per_s / float(per_s.sum()) if pools else 0.0,
        has_limit=_has_limit(places[0]),
        ttft_frac=slo.ttft_frac,
        tpot_frac=slo.tpot_frac,
        ttft_limit_s=slo.ttft_s if slo.ttft_s < math.inf else None,
        tpot_limit_s=slo.tpot_s if slo.tpot_s < math.inf else None,
        pools=tuple(pools),
    )


def _hours(values: FloatArray) -> NoteValue:
    """Return values of hours, None in those without requests."""
    return tuple(None if math.isnan(value) else value for value in values.tolist())


def _has_limit(place: _Place) -> bool:
    return any(one.ttft_s < math.inf or one.tpot_s < math.inf for one in place.slos)


@dataclass(frozen=True, slots=True)
class _Played:
    """What an instance does at a share of the rate that it holds."""

    use: Use
    ttft_s: Band
    tpot_s: Band
    """Times at the percentiles of the strictest limits. [s]"""
    missed_frac: float
    """Share of requests beyond a limit."""
    longest_s: float
    """Of its answers. [s]"""
    at_once: float
    """Requests that it has at a time, on the mean."""


@lru_cache(maxsize=256)
def _played(place: _Place, share: float) -> _Played:
    """Return what an instance of a place that holds does at a share of its rate."""
    found = _search(place)
    assert isinstance(found, _Found)
    one, slo = found.candidate, place.slos[0]
    served = play(
        one.times, at_rate(requests_for(one, found.load), share * found.per_s), one.policy
    )
    begun_s = served.requests.arrival_s if place.role == "prefill" else served.first_s
    return _Played(
        use_of(one.compiled.instance, served, one.role),
        *latencies_of(served, slo, one.compiled),
        missed_frac=_missed(served, slo),
        longest_s=float((served.done_s - begun_s).max()),
        at_once=served.n_in_system,
    )


def _instance_on(
    place: _Place, one: _Found, peak: _Played, mean: _Played, mean_share: float
) -> InstanceOn:
    """Return what an instance holds and draws; its watts are on a line through the mean load."""
    use = mean.use
    base_w = more_w = math.nan
    if place.chip.tdp_w is not None:
        known = known_draw(place.chip)
        draw = Draw(known.base_w, known.bandwidth_w, known.peak_w, known.limit_w)
        busy = (use.busy_frac * use.bandwidth_frac, use.busy_frac * use.peak_frac)
        base_w = float(chip_w(draw, 0.0, 0.0))
        more_w = (float(chip_w(draw, *busy)) - base_w) / mean_share
    watts, band_per_s = (base_w, more_w), (one.low_per_s, one.high_per_s)
    n_chips = one.candidate.n_chips
    at_once = mean.at_once / mean_share
    return InstanceOn(
        n_chips, one.per_s, *watts, use.prompt_frac, peak.longest_s, *band_per_s, at_once
    )


def _note_of(place: _Place, one: _Found, peak: _Played) -> Note:
    """Return what a reader must know of a service on a pool."""
    compiled, slo, role = one.candidate.compiled, place.slos[0], place.role
    borrowed = compiled.borrowed
    draws = None if place.chip.tdp_w is None else known_draw(place.chip).is_borrowed
    return note(
        "service_on_pool",
        service=place.name,
        pool=place.pool,
        chip=place.chip.name,
        layout=one.candidate.layout,
        engine=place.run.engine,
        precision=place.run.precision,
        n_chips=one.candidate.n_chips,
        per_s=one.per_s,
        low_per_s=one.low_per_s,
        high_per_s=one.high_per_s,
        ttft_s=None if role == "decode" else (*_ends(peak.ttft_s), slo.ttft_frac),
        tpot_s=None if role == "prefill" else (*_ends(peak.tpot_s), slo.tpot_frac),
        missed_frac=peak.missed_frac,
        has_limit=_has_limit(place),
        known="table" if borrowed is None else borrowed.known,
        of="" if borrowed is None else borrowed.of,
        is_draw_borrowed=draws,
    )


def _ends(found: Band) -> tuple[float, float, float]:
    return found.value, found.low, found.high


def _missed(served: Served, slo: Slo) -> float:
    """Return the share of requests beyond a limit."""
    first = int(WARM_FRAC * len(served))
    ttft_s, tpot_s = served.ttft_s[first:], np.nan_to_num(served.tpot_s[first:])
    return float(((ttft_s > slo.ttft_s) | (tpot_s > slo.tpot_s)).mean())
