"""What must hold between the parts of a scenario, beyond the schema of each."""

from __future__ import annotations

from collections.abc import Mapping

from computeplan.errors import Problem, ScenarioError
from computeplan.specs.catalogue.resolve import Catalogue
from computeplan.specs.documents.document import Document, KeyPath, nearest
from computeplan.specs.documents.paths import split_path
from computeplan.specs.faults import ONE_NODE, STAYS, Corrupt
from computeplan.specs.jobs import Job
from computeplan.specs.logs.replay import FaultLog
from computeplan.specs.model import ScenarioFields
from computeplan.specs.sites import Pool

__all__ = ["cross_check"]

_OF_ALL_CASES = (
    *("computeplan", "name", "about", "extends", "cases", "sweep"),
    *("simulate.runs", "simulate.seed"),
)


def cross_check(
    scenario: ScenarioFields, document: Document, catalogue: Catalogue, logs: Mapping[str, FaultLog]
) -> list[Problem]:
    """Return the problems between the parts of a scenario."""
    return [
        *_pools(scenario, document, catalogue),
        *_names(scenario, document),
        *_rolling(scenario, document, catalogue),
        *_groups(scenario, document, catalogue),
        *_jobs(scenario, document, catalogue),
        *_logs(scenario, document, catalogue, logs),
        *_cases(scenario, document),
    ]


def _pools(scenario: ScenarioFields, document: Document, catalogue: Catalogue) -> list[Problem]:
    problems = []
    seen: set[str] = set()
    for site_name, site in scenario.sites.items():
        problems += _sharing(scenario, document, catalogue, site_name)
        for name, pool in site.pools.items():
            at = ("sites", site_name, "pools", name)
            if name in seen:
                problems.append(document.problem(at, "a pool of that name stands at another site"))
            seen.add(name)
            if pool.chip not in catalogue.chips:
                continue  # reported by the catalogue
            chips_per_node = pool.chips_per_node or catalogue.chips[pool.chip].chips_per_node
            if chips_per_node is None:
                message = f"chips_per_node is missing: no server is known for {pool.chip}"
                problems.append(document.problem(at, message))
                continue
            if pool.chips % chips_per_node:
                message = f"{pool.chips} chips are not whole nodes of {chips_per_node}"
                problems.append(document.problem((*at, "chips"), message))
            for count, unit, _ in pool.spares.spare_states:
                if unit == "chip" and count % chips_per_node:
                    message = f"{count:g} chips are not whole nodes of {chips_per_node}"
                    problems.append(document.problem((*at, "spares"), message))
            if pool.power and pool.power.meter != "chip" and pool.power.node_overhead is not None:
                message = f"meter: {pool.power.meter} holds the host already; drop node_overhead"
                problems.append(document.problem((*at, "power", "node_overhead"), message))
        if site.price and site.price.currency == "CNY" and scenario.usd_per_cny is None:
            message = "is in CNY: give the rate at the top, such as usd_per_cny: 0.14 USD/CNY"
            problems.append(document.problem(("sites", site_name, "price"), message))
    return problems


def _sharing(
    scenario: ScenarioFields, document: Document, catalogue: Catalogue, name: str
) -> list[Problem]:
    """Check that a site whose pools share spares has pools that can."""
    at, site = ("sites", name, "share_spares"), scenario.sites[name]
    if not site.share_spares:
        return []
    said = []
    chips = {pool: catalogue.chips.get(spec.chip) for pool, spec in site.pools.items()}
    kinds = [
        (chip.name, site.pools[pool].chips_per_node or chip.chips_per_node)
        for pool, chip in chips.items()
        if chip is not None
    ]
    if len(kinds) == len(site.pools) and len(kinds) == len(set(kinds)):
        said.append("no two pools of the site have the same chip in nodes of the same size")
    slow = [
        kind
        for kind, spec in scenario.faults.items()
        if spec.slows is not None and (spec.pools is None or site.pools.keys() & set(spec.pools))
    ]
    if slow:
        said.append(f"spares that are shared are not played beside faults.{slow[0]}.slows")
    boots = [
        p for p, s in site.pools.items() if any(n and wait for n, _, wait in s.spares.spare_states)
    ]
    shrinks = [job for job, spec in scenario.jobs.items() if spec.on_loss != "wait"]
    if boots and shrinks:
        said.append(
            f"spares that take time until they can train, as on {boots[0]}, are not shared with a"
            f" job that shrinks, as jobs.{shrinks[0]}.on_loss does"
        )
    return [document.problem(at, message) for message in said]


def _names(scenario: ScenarioFields, document: Document) -> list[Problem]:
    problems = []
    pools = scenario.pool_names
    named: list[tuple[tuple[str | int, ...], str]] = []
    for block in ("faults", "planned"):
        for name, kind in getattr(scenario, block).items():
            named += [((block, name, "pools", i), pool) for i, pool in enumerate(kind.pools or ())]
    for name, job in scenario.jobs.items():
        if job.home is not None:
            named.append((("jobs", name, "home"), job.home))
        if isinstance(job.mfu, dict):
            named += [(("jobs", name, "mfu", pool), pool) for pool in job.mfu]
    for at, pool in named:
        if pool not in pools:
            message = f"no pool '{pool}'.{nearest(pool, pools)}  Pools: {', '.join(pools)}"
            problems.append(document.problem(at, message))
    both = scenario.faults.keys() & scenario.planned.keys()
    problems += [
        document.problem(("planned", name), "a fault kind has the same name")
        for name in sorted(both)
    ]
    return problems


def _rolling(scenario: ScenarioFields, document: Document, catalogue: Catalogue) -> list[Problem]:
    """Check that pools have as many nodes as are taken out of them at a time."""
    problems = []
    for site in scenario.sites.values():
        for pool_name, pool in site.pools.items():
            n_nodes = _n_nodes(pool, catalogue)
            for name, stop in scenario.planned.items():
                if n_nodes is None or (stop.pools and pool_name not in stop.pools):
                    continue
                if (stop.rolling or 0) > n_nodes:
                    message = (
                        f"{stop.rolling} nodes at a time, pool '{pool_name}' has {n_nodes};"
                        " give pools: [...] or fewer nodes"
                    )
                    problems.append(document.problem(("planned", name, "rolling"), message))
    return problems


def _n_nodes(pool: Pool, catalogue: Catalogue) -> int | None:
    """Return the nodes of a pool, spares included; None if no size of a node is known."""
    chip = catalogue.chips.get(pool.chip)
    per_node = pool.chips_per_node or (chip.chips_per_node if chip else None)
    if per_node is None:
        return None
    return pool.chips // per_node + sum(pool.spares.n_nodes(per_node))


def _groups(scenario: ScenarioFields, document: Document, catalogue: Catalogue) -> list[Problem]:
    """Check that each pool has the groups of nodes that its faults take or are counted by."""
    problems = []
    pools = [
        (("sites", site_name, "pools", name), name, pool)
        for site_name, site in scenario.sites.items()
        for name, pool in site.pools.items()
    ]
    for at, name, pool in pools:
        for group in pool.groups.keys() & {*STAYS, *ONE_NODE, "pool"}:
            message = f"'{group}' has a meaning already; call the group otherwise"
            problems.append(document.problem((*at, "groups", group), message))
        n_nodes = _n_nodes(pool, catalogue)
        problems += [
            document.problem((*at, "groups", group), f"{size} nodes, but the pool has {n_nodes}")
            for group, size in pool.groups.items()
            if n_nodes is not None and size > n_nodes
        ]
        for kind_name, kind in scenario.faults.items():
            if kind.pools is not None and name not in kind.pools:
                continue
            named = [("takes", what) for what, _ in kind.takes or ()]
            named += [("per", kind.per)] if kind.per else []
            for field, what in named:
                more = STAYS if field == "takes" else ()
                known = (*more, *ONE_NODE, "pool", *pool.groups)
                if what not in known:
                    message = (
                        f"pool {name} has no group '{what}'.{nearest(what, known)}  Known:"
                        f" {', '.join(known)}. A group is written as groups: {{{what}: 4 nodes}}"
                    )
                    problems.append(document.problem(("faults", kind_name, field), message))
    return problems


def _jobs(scenario: ScenarioFields, document: Document, catalogue: Catalogue) -> list[Problem]:
    problems = []
    chips = [
        catalogue.chips.get(pool.chip)
        for site in scenario.sites.values()
        for pool in site.pools.values()
    ]
    per_chip = {chip.ranks_per_chip for chip in chips if chip is not None}
    for name, job in scenario.jobs.items():
        at = ("jobs", name)
        if job.layout and job.chips and per_chip:
            ranks = job.layout.n_ranks
            if all(job.chips * n != ranks for n in per_chip):
                message = (
                    f"parallelism makes {ranks} ranks (tp*pp*dp*cp),"
                    f" but the job asks for {job.chips} chips"
                )
                problems.append(document.problem((*at, "parallelism"), message))
        problems += _checkpoint(scenario, document, name, job)
        if job.batch and job.seq and job.batch < job.seq:
            message = f"{job.batch:g} tokens are less than one sequence of {job.seq}"
            problems.append(document.problem((*at, "batch"), message))
    return problems


def _checkpoint(scenario: ScenarioFields, document: Document, name: str, job: Job) -> list[Problem]:
    at, saving = ("jobs", name), job.checkpoint
    if saving is None:
        message = (
            "checkpoint is missing: training that can be stopped says how it saves, such as"
            " {every: optimal, stall: 5 s}, or {every: never}"
        )
        return [document.problem(at, message)] if scenario.faults or scenario.planned else []
    said: list[tuple[KeyPath, str]] = []
    here = (*at, "checkpoint")
    grows = job.on_loss != "wait"
    if (scenario.planned or grows) and not (
        saving.tiers or saving.is_sized or saving.stall is not None
    ):
        what = "a planned stop" if scenario.planned else "a job that takes nodes back"
        said.append((here, f"stall is missing: {what} saves first"))
    late = [fault for fault, kind in scenario.faults.items() if isinstance(kind.effect, Corrupt)]
    if late and saving.keep is None:
        message = (
            f"keep is missing: faults.{late[0]} is found late, when the newest checkpoint may"
            " hold its damage; how many are kept, such as keep: 3"
        )
        said.append((here, message))
    if saving.state == "auto" and job.model is None:
        message = "auto needs a model to know its bytes; give it, or the bytes, such as 5.6 TB"
        said.append(((*here, "state"), message))
    if saving.asks_storage:
        message = (
            f"storage is missing: jobs.{name}.checkpoint gives the bytes of a save and no"
            " bandwidth; write storage: 400 GB/s"
        )
        sites = scenario.sites.items()
        said += [(("sites", site_name), message) for site_name, s in sites if s.storage is None]
    if saving.every == "optimal" and not scenario.faults:
        message = "optimal has no answer where nothing fails; give a duration or never"
        said.append(((*here, "every"), message))
    return [document.problem(where, message) for where, message in said]


def _logs(
    scenario: ScenarioFields, document: Document, catalogue: Catalogue, logs: Mapping[str, FaultLog]
) -> list[Problem]:
    problems = []
    for name, log in logs.items():
        kind = scenario.faults[name]
        for site in scenario.sites.values():
            for pool_name, pool in site.pools.items():
                n_nodes = _n_nodes(pool, catalogue)
                if n_nodes is None or (kind.pools and pool_name not in kind.pools):
                    continue
                if log.n_nodes > n_nodes:
                    message = (
                        f"the log names {log.n_nodes} nodes, pool '{pool_name}' has {n_nodes};"
                        " give pools: [...] or a larger pool"
                    )
                    problems.append(document.problem(("faults", name, "replay"), message))
        if kind.takes is None and (log.repair_s != log.repair_s).any():
            message = "the log has faults without end_s; say what they take (takes, repair)"
            problems.append(document.problem(("faults", name), message))
    return problems


def _cases(scenario: ScenarioFields, document: Document) -> list[Problem]:
    """Return the problems of changes that are the same for all cases, so that cases compare."""
    said: list[tuple[KeyPath, str]] = [
        (("cases", case, path), path)
        for case, changes in scenario.cases.items()
        for path in changes or ()
    ]
    said += [(("sweep", path), path) for path in scenario.sweep]
    problems = [
        document.problem(at, f"{path} is the same for all cases; change it at the top")
        for at, path in said
        if path in _OF_ALL_CASES or path.startswith(("cases.", "sweep."))
    ]
    changed: list[tuple[KeyPath, str, object]] = [
        (("cases", case, path), path, value)
        for case, changes in scenario.cases.items()
        for path, value in (changes or {}).items()
    ]
    for path, values in scenario.sweep.items():
        changed += [(("sweep", path), path, value) for value in values]
    # A saved result holds a copy of the log, its window cut already: a part of a replay would be
    # laid over that, and give other numbers.
    return problems + [
        document.problem(at, "a case gives a replay whole, as in {log: faults.csv, from: 2 d}")
        for at, path, value in changed
        if _is_part_of_a_replay(path, value)
    ]


def _is_part_of_a_replay(path: str, value: object) -> bool:
    """Return whether a change sets words of a replay without its log."""
    try:
        parts = split_path(path)
    except ScenarioError:
        return False  # reported where cases are made
    for part in reversed(parts):
        value = {part: value}
    faults = value.get("faults") if isinstance(value, dict) else None
    kinds = faults.values() if isinstance(faults, dict) else ()
    replays = [kind.get("replay") for kind in kinds if isinstance(kind, dict)]
    return any(isinstance(replay, dict) and "log" not in replay for replay in replays)
