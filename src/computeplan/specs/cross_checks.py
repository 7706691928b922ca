"""What must hold between the parts of a scenario, beyond the schema of each.

Long because every such check is looked for here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from computeplan.errors import Problem, ScenarioError
from computeplan.specs.catalogue.lookup import is_named
from computeplan.specs.catalogue.resolve import Catalogue
from computeplan.specs.chip_costs import purchase_price
from computeplan.specs.documents.document import Document, KeyPath, nearest
from computeplan.specs.documents.paths import split_path
from computeplan.specs.faults import ONE_NODE, STAYS, Corrupt
from computeplan.specs.fields import MAX_COUNT
from computeplan.specs.jobs import Job
from computeplan.specs.logs.replay import FaultLog
from computeplan.specs.model import ScenarioFields
from computeplan.specs.money import Money, middle_of
from computeplan.specs.services import KEY_OF_ROLE, Service
from computeplan.specs.sites import Pool

__all__ = ["cross_check"]

Found = Iterator[tuple[KeyPath, str]]  # where, and what is wrong there

_OF_ALL_CASES = (
    *("computeplan", "name", "about", "extends", "cases", "sweep", "currency"),
    *("simulate.runs", "simulate.seed"),
)


def cross_check(
    scenario: ScenarioFields, document: Document, catalogue: Catalogue, logs: Mapping[str, FaultLog]
) -> list[Problem]:
    """Return the problems between the parts of a scenario."""
    checks = (
        _pools(scenario, catalogue),
        _names(scenario),
        _only(scenario, catalogue),
        _services(scenario, catalogue),
        _rolling(scenario, catalogue),
        _groups(scenario, catalogue),
        _jobs(scenario, catalogue),
        _logs(scenario, catalogue, logs),
        _cases(scenario),
    )
    return [document.problem(at, message) for found in checks for at, message in found]


def _each_pool(scenario: ScenarioFields) -> Iterator[tuple[KeyPath, str, Pool]]:
    for site_name, site in scenario.sites.items():
        for name, pool in site.pools.items():
            yield ("sites", site_name, "pools", name), name, pool


def _pools(scenario: ScenarioFields, catalogue: Catalogue) -> Found:
    seen: set[str] = set()
    for at, name, pool in _each_pool(scenario):
        if name in seen:
            yield at, "a pool of that name stands at another site"
        seen.add(name)
        if pool.chip not in catalogue.chips:
            continue  # reported by the catalogue
        chips_per_node = pool.chips_per_node or catalogue.chips[pool.chip].chips_per_node
        if chips_per_node is None:
            message = f"chips_per_node is missing: no server is known for {pool.chip}"
            yield at, f"{message}; write chips_per_node: 8"
            continue
        if pool.chips % chips_per_node:
            message = f"{pool.chips} chips are not whole nodes of {chips_per_node}"
            yield (*at, "chips"), message
        for count, unit, _ in pool.spares.spare_states:
            if unit == "chip" and count % chips_per_node:
                message = f"{count:g} chips are not whole nodes of {chips_per_node}"
                yield (*at, "spares"), message
        if pool.rent is not None and pool.purchase is not None:
            yield (*at, "purchase"), "chips are either rented or bought: drop rent or purchase"
        if pool.power and pool.power.meter != "chip" and pool.power.node_overhead is not None:
            message = f"meter: {pool.power.meter} holds the host already; drop node_overhead"
            yield (*at, "power", "node_overhead"), message
    for name in scenario.sites:
        yield from _sharing(scenario, catalogue, name)
    yield from _money(scenario, catalogue)


def _money(scenario: ScenarioFields, catalogue: Catalogue) -> Found:
    """Check that every price can be told in the currency of the results."""
    if scenario.exchange is not None:
        return
    prices: list[tuple[KeyPath, Money | None]] = [
        (("sites", name, "price"), site.price) for name, site in scenario.sites.items()
    ]
    prices += [
        (("sites", name, "demand_charge"), site.demand_charge)
        for name, site in scenario.sites.items()
    ]
    prices += [
        (("sites", name, "building"), middle_of(site.building))
        for name, site in scenario.sites.items()
    ]
    prices += [
        (("sites", name, "uplink", "price"), site.uplink.price)
        for name, site in scenario.sites.items()
        if site.uplink is not None
    ]
    for at, _, pool in _each_pool(scenario):
        chip = catalogue.chips.get(pool.chip)
        price = None if chip is None else purchase_price(pool.purchase, chip)
        prices += [((*at, "rent"), pool.rent), ((*at, "purchase", "price"), price)]
    for at, price in prices:
        if price is not None and price.currency != scenario.currency:
            of = "the price of the catalogue " if _is_taken(at, catalogue) else ""
            message = (
                f"{of}is in {price.currency}, results are in {scenario.currency}: write at the top"
                f" currency: {price.currency}, or the rate, such as exchange:"
                " {rate: 0.14 USD/CNY, on: 2026-11-01}"
                f"{'; or a price here, or null for no cost' if of else ''}"
            )
            yield at, message


def _is_taken(at: KeyPath, catalogue: Catalogue) -> bool:
    """Return whether a price was not written but taken from the place of a site."""
    return len(at) == 3 and at[-1] in catalogue.sites.get(str(at[1]), {})


def _sharing(scenario: ScenarioFields, catalogue: Catalogue, name: str) -> Found:
    """Check that a site whose pools share spares has pools that can."""
    at, site = ("sites", name, "share_spares"), scenario.sites[name]
    if not site.share_spares:
        return
    chips = {pool: catalogue.chips.get(spec.chip) for pool, spec in site.pools.items()}
    kinds = [
        (chip.name, site.pools[pool].chips_per_node or chip.chips_per_node)
        for pool, chip in chips.items()
        if chip is not None
    ]
    if len(kinds) == len(site.pools) and len(kinds) == len(set(kinds)):
        yield at, "no two pools of the site have the same chip in nodes of the same size"


def _names(scenario: ScenarioFields) -> Found:
    pools = scenario.pool_names
    named: list[tuple[KeyPath, str]] = []
    for block in ("faults", "planned"):
        for name, kind in getattr(scenario, block).items():
            named += [((block, name, "pools", i), pool) for i, pool in enumerate(kind.pools or ())]
    for name, job in scenario.jobs.items():
        if job.home is not None:
            named.append((("jobs", name, "home"), job.home))
        if isinstance(job.mfu, dict):
            named += [(("jobs", name, "mfu", pool), pool) for pool in job.mfu]
    for name, workload in scenario.workloads.items():
        if workload.home is not None:
            named.append((("workloads", name, "home"), workload.home))
    for at, pool in named:
        if pool not in pools:
            yield at, f"no pool '{pool}'.{nearest(pool, pools)}  Pools: {', '.join(pools)}"
    for name in sorted(scenario.faults.keys() & scenario.planned.keys()):
        yield ("planned", name), "a fault kind has the same name"


def _only(scenario: ScenarioFields, catalogue: Catalogue) -> Found:
    """Check the names of pools or kinds of chips that jobs may run on, and quotas of tenants."""
    pools = {name: catalogue.chips.get(pool.chip) for _, name, pool in _each_pool(scenario)}
    for job_name, job in scenario.jobs.items():
        for key in ("only", "never", "ready"):
            for name in getattr(job, key) or ():
                if not any(
                    name == pool or (chip is not None and is_named(chip, name))
                    for pool, chip in pools.items()
                ):
                    message = f"no pool, and no chip of a pool, is named '{name}'"
                    known = f"{nearest(name, pools)}  Pools: {', '.join(pools)}"
                    yield ("jobs", job_name, key), f"{message}.{known}"
    for tenant_name, tenant in scenario.tenants.items():
        for pool in tenant.quota or {}:
            if pool not in pools:
                at = ("tenants", tenant_name, "quota", pool)
                yield at, f"no pool '{pool}'.{nearest(pool, pools)}  Pools: {', '.join(pools)}"


def _services(scenario: ScenarioFields, catalogue: Catalogue) -> Found:
    """Check the pools of services, and that a run without jobs has an end, as they have none."""
    pools = scenario.pool_names
    for name, service in scenario.services.items():
        own = [(KEY_OF_ROLE[role], pool) for role, pool, _ in service.runs]
        stated = "pools" if service.pool is None else "pool"
        for key, pool in own or [(stated, pool) for pool in service.pool_names]:
            if pool not in pools:
                message = f"no pool '{pool}'.{nearest(pool, pools)}  Pools: {', '.join(pools)}"
                yield ("services", name, key), message
        if service.requests is not None:
            yield from _requests(name, service, scenario, catalogue)
    has_jobs = scenario.jobs or scenario.workloads
    if scenario.services and not has_jobs and scenario.simulate.horizon is None:
        message = "horizon is missing: services have no end; write how long a run is, horizon: 7 d"
        yield ("simulate",), message


def _requests(name: str, service: Service, scenario: ScenarioFields, catalogue: Catalogue) -> Found:
    """Check engines against the chips of their pools, sites of roles, and lengths of the model."""
    for role, pool, run in service.runs:
        if pool not in scenario.pool_names:
            continue
        chip = catalogue.chips.get(scenario.pool(pool).chip)
        why = "" if chip is None else run.refusal(chip.kin)
        if why:
            yield ("services", name, KEY_OF_ROLE[role], pool, "engine"), why
    for role, runs in service.roles.items():
        chips = {pool: scenario.pool(pool).chips for pool in runs if pool in scenario.pool_names}
        if len(chips) == len(runs) and service.least > sum(chips.values()):
            has = " and ".join(f"{n:,} of {pool}" for pool, n in chips.items())
            of_role = "" if role == "both" else f" for {role}"
            message = f"{service.least:,} chips at all hours{of_role}, and there are {has}"
            yield ("services", name, "least"), message
    sites = {
        site_name: pool
        for site_name, site in scenario.sites.items()
        for pool in service.pool_names
        if service.prefill is not None and pool in site.pools
    }
    if len(sites) > 1:
        where = " and ".join(f"{pool} at {site}" for site, pool in sites.items())
        message = f"caches go from prefill to decode by the network of one site; got {where}"
        yield ("services", name, "decode"), message
    model = catalogue.models.get(str(service.model))
    tokens = None if service.requests is None else service.requests.tokens
    if model is None or model.context is None or tokens is None:
        return
    if tokens.mean_in + tokens.mean_out > model.context:
        message = (
            f"requests of {tokens.mean_in:g} tokens with answers of {tokens.mean_out:g} are longer"
            f" than the {model.context} that {model.name} takes"
        )
        yield ("services", name, "requests", "tokens"), message


def _rolling(scenario: ScenarioFields, catalogue: Catalogue) -> Found:
    """Check that pools have as many nodes as are taken out of them at a time."""
    for _, pool_name, pool in _each_pool(scenario):
        n_nodes = _n_nodes(pool, catalogue)
        for name, stop in scenario.planned.items():
            if n_nodes is None or (stop.pools and pool_name not in stop.pools):
                continue
            if stop.effect.n_nodes > n_nodes:
                message = (
                    f"{stop.rolling} nodes at a time, pool '{pool_name}' has {n_nodes};"
                    " give pools: [...] or fewer nodes"
                )
                yield ("planned", name, "rolling"), message


def _n_nodes(pool: Pool, catalogue: Catalogue) -> int | None:
    """Return the nodes of a pool, spares included; None if no size of a node is known."""
    chip = catalogue.chips.get(pool.chip)
    per_node = pool.chips_per_node or (chip.chips_per_node if chip else None)
    if per_node is None:
        return None
    return pool.chips // per_node + sum(pool.spares.n_nodes(per_node))


def _groups(scenario: ScenarioFields, catalogue: Catalogue) -> Found:
    """Check that each pool has the groups that its faults and its placement name."""
    for at, name, pool in _each_pool(scenario):
        for group in pool.groups.keys() & {*STAYS, *ONE_NODE, "pool"}:
            yield (*at, "groups", group), f"'{group}' has a meaning already; choose another name"
        n_nodes = _n_nodes(pool, catalogue)
        for group, size in pool.groups.items():
            if n_nodes is not None and size > n_nodes:
                yield (*at, "groups", group), f"{size} nodes, but the pool has {n_nodes}"
        if pool.placement is not None and (wanted := pool.placement.group) not in pool.groups:
            has = f"Groups: {', '.join(pool.groups)}" if pool.groups else "It has none"
            message = (
                f"pool {name} has no group '{wanted}'.{nearest(wanted, pool.groups)}  {has}."
                f" A group is written as groups: {{{wanted}: 4 nodes}}"
            )
            yield (*at, "placement", "group"), message
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
                    yield ("faults", kind_name, field), message


def _jobs(scenario: ScenarioFields, catalogue: Catalogue) -> Found:
    chips = [catalogue.chips.get(pool.chip) for _, _, pool in _each_pool(scenario)]
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
                yield (*at, "parallelism"), message
        yield from _checkpoint(scenario, name, job)
        yield from _data(scenario, name, job)
        if job.batch and job.seq and job.batch < job.seq:
            message = f"{job.batch:g} tokens are less than one sequence of {job.seq}"
            yield (*at, "batch"), message
        if job.batch and job.seq and job.batch > MAX_COUNT * job.seq:
            message = (
                f"{job.batch:g} tokens are more than {MAX_COUNT:,} sequences of {job.seq};"
                " write the tokens of one step, such as 16 Mitoken"
            )
            yield (*at, "batch"), message


def _data(scenario: ScenarioFields, name: str, job: Job) -> Found:
    """Yield what is wrong with where the data of a job lies, and how it gets elsewhere."""
    if job.data is None:
        return
    sites, at = scenario.sites, ("jobs", name, "data")
    if job.data.at not in sites:
        known = ", ".join(sites)
        yield (*at, "at"), f"no site {job.data.at!r}.{nearest(job.data.at, sites)}  Sites: {known}"
    elif sites[job.data.at].uplink is None:
        for other, site in sites.items():
            if other != job.data.at and site.uplink is None:
                message = (
                    f"lies at {job.data.at}, and how fast it gets to {other} is not said: write"
                    f" sites.{job.data.at}.uplink: 100 Gbit/s"
                )
                yield at, message


def _checkpoint(scenario: ScenarioFields, name: str, job: Job) -> Found:
    here, saving = ("jobs", name, "checkpoint"), job.checkpoint
    if saving is None:
        pauses = any(site.over_limit in ("shrink", "pause") for site in scenario.sites.values())
        if scenario.faults or scenario.planned or pauses:
            message = (
                "checkpoint is missing: training that can be stopped says how it saves, such as"
                " {every: optimal, stall: 5 s}, or {every: never}"
            )
            yield ("jobs", name), message
        return
    grows = job.shrink is not None
    if (scenario.planned or grows) and not (
        saving.tiers or saving.is_sized or saving.stall is not None
    ):
        what = "a planned stop" if scenario.planned else "a job that takes nodes back"
        yield here, f"stall is missing: {what} saves first"
    late = [fault for fault, kind in scenario.faults.items() if isinstance(kind.effect, Corrupt)]
    if late and saving.keep is None:
        message = (
            f"keep is missing: faults.{late[0]} is found late, when the newest checkpoint may"
            " hold its damage; how many are kept, such as keep: 3"
        )
        yield here, message
    if saving.state == "auto" and job.model is None:
        message = "auto needs a model to know its bytes; give it, or the bytes, such as 5.6 TB"
        yield (*here, "state"), message
    if saving.asks_storage:
        message = (
            f"storage is missing: jobs.{name}.checkpoint gives the bytes of a save and no"
            " bandwidth; write storage: 400 GB/s"
        )
        for site_name, site in scenario.sites.items():
            if site.storage is None:
                yield ("sites", site_name), message
    if saving.every == "optimal" and not scenario.faults:
        message = "optimal has no answer where nothing fails; give a duration or never"
        yield (*here, "every"), message


def _logs(scenario: ScenarioFields, catalogue: Catalogue, logs: Mapping[str, FaultLog]) -> Found:
    for name, log in logs.items():
        kind = scenario.faults[name]
        for _, pool_name, pool in _each_pool(scenario):
            n_nodes = _n_nodes(pool, catalogue)
            if n_nodes is None or (kind.pools and pool_name not in kind.pools):
                continue
            if log.n_nodes > n_nodes:
                message = (
                    f"the log names {log.n_nodes} nodes, pool '{pool_name}' has {n_nodes};"
                    " give pools: [...] or a larger pool"
                )
                yield ("faults", name, "replay"), message
        if kind.takes is None and (log.repair_s != log.repair_s).any():
            message = "the log has faults without end_s; say what they take (takes, repair)"
            yield ("faults", name), message


def _cases(scenario: ScenarioFields) -> Found:
    """Check changes: what is the same for all cases stays, and a replay is given whole."""
    changed: list[tuple[KeyPath, str, object]] = [
        (("cases", case, path), path, value)
        for case, changes in scenario.cases.items()
        for path, value in (changes or {}).items()
    ]
    if isinstance(scenario.sweep, list):
        points = enumerate(scenario.sweep)
        changed += [
            (("sweep", i, p), p, value) for i, point in points for p, value in point.items()
        ]
    else:
        axes = scenario.sweep.items()
        changed += [(("sweep", path), path, value) for path, values in axes for value in values]
    for at, path in dict.fromkeys((at, path) for at, path, _ in changed):
        if path in _OF_ALL_CASES or path.startswith(("cases.", "sweep.")):
            yield at, f"{path} is the same for all cases; change it at the top"
    # A saved result holds a copy of the log, its window cut already: a part of a replay would be
    # laid over that, and give other numbers.
    for at, path, value in changed:
        if _is_part_of_a_replay(path, value):
            yield at, "a case gives a replay whole, as in {log: faults.csv, from: 2 d}"


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
