"""Random small scenarios for property tests, and scripted faults."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from computeplan.trace.arrivals import Arrivals
from computeplan.trace.trace import NO_NODE

durations = st.integers(1, 400).map(lambda n: f"{n} min")


@st.composite
def laws(draw: st.DrawFn, longest: int = 300) -> Any:
    """Laws of a duration as people write them, the constant ones included."""
    minutes = draw(st.integers(1, longest))
    kind = draw(st.sampled_from(["const", "expon", "lognormal", "zero", "seen"]))
    if kind == "const":
        return f"{minutes} min"
    if kind == "zero":
        return "0 s"
    if kind == "expon":
        return {"expon": {"mean": f"{minutes} min"}}
    if kind == "seen":
        return {"seen": {f"{minutes} min": 5, f"{3 * minutes} min": 2}}
    return {"lognormal": {"median": f"{minutes} min", "sigma": draw(st.floats(0.1, 1.5))}}


@st.composite
def pools(draw: st.DrawFn) -> dict[str, Any]:
    """A pool of 1 to 8 small nodes, with or without spares."""
    per_node = draw(st.integers(1, 4))
    return {
        "chip": "nvidia/h100-sxm",
        "chips_per_node": per_node,
        "chips": per_node * draw(st.integers(1, 8)),
        "spares": f"{draw(st.integers(0, 3))} nodes",
    }


def n_nodes(pool: dict[str, Any]) -> int:
    """Return the nodes of a pool, spares included."""
    return int(pool["chips"]) // int(pool["chips_per_node"]) + int(pool["spares"].split()[0])


@st.composite
def times(draw: st.DrawFn) -> dict[str, Any]:
    """When planned stops come: evenly spaced, from a time on, or at times of their own."""
    hours = st.integers(1, 30)
    sort = draw(st.sampled_from(["every", "first", "observed", "at"]))
    if sort == "at":
        return {"at": [f"{n} h" for n in sorted(draw(st.sets(hours, min_size=1)))]}
    if sort == "observed":
        return {"observed": {"stops": draw(st.integers(1, 5)), "over": f"{draw(hours)} h"}}
    every = {"every": f"{draw(hours)} h"}
    return {**every, "first": f"{draw(st.integers(1, 60))} h"} if sort == "first" else every


@st.composite
def rolling(draw: st.DrawFn, most: int) -> dict[str, Any]:
    """Maintenance of a few nodes at a time, up to `most`."""
    stop = {**draw(times()), "lasts": draw(laws()), "restart": draw(laws(60))}
    stop["rolling"] = f"{draw(st.integers(1, most))} nodes"
    if "at" not in stop and draw(st.booleans()):
        stop["rounds"] = draw(st.integers(1, 20))
    return stop


@st.composite
def crowded(draw: st.DrawFn) -> dict[str, Any]:
    """Maintenance in whole minutes on a few nodes, where nothing else happens."""

    def minutes(least: int, most: int) -> str:
        return f"{draw(st.integers(least, most))} min"

    chips, spares = draw(st.integers(1, 5)), draw(st.integers(0, 4))
    planned: dict[str, Any] = {"w": {"every": minutes(1, 20), "lasts": minutes(0, 6)}}
    for name in ("r1", "r2"):
        stop: dict[str, Any] = {"lasts": minutes(0, 8), "restart": minutes(0, 4)}
        stop["rolling"] = f"{draw(st.integers(1, chips + spares))} nodes"
        if draw(st.booleans()):
            some = st.sets(st.integers(1, 60), min_size=1, max_size=10)
            stop["at"] = [f"{n} min" for n in sorted(draw(some))]
        else:
            stop |= {"every": minutes(1, 8), "rounds": draw(st.integers(1, 5))}
        planned[name] = stop
    dropped = draw(st.sets(st.sampled_from(sorted(planned)), max_size=2))
    pool = {"chip": "nvidia/h100-sxm", "chips_per_node": 1, "chips": chips}
    every = draw(st.sampled_from(["never", minutes(1, 9)]))
    job = {"train_for": minutes(1, 60), "chips": draw(st.integers(1, chips))}
    return {
        "computeplan": 1,
        "name": "crowded",
        "sites": {"s": {"pue": 1, "pools": {"p": {**pool, "spares": f"{spares} nodes"}}}},
        "planned": {name: stop for name, stop in planned.items() if name not in dropped},
        "jobs": {"j": {**job, "checkpoint": {"every": every, "stall": minutes(0, 4)}}},
        "simulate": {"horizon": minutes(5, 120)},
    }


@st.composite
def work(draw: st.DrawFn, chips: int) -> dict[str, Any]:
    """Some hours of training, at a speed that may be uncertain."""
    hours = draw(st.integers(1, 60))
    achieved = draw(st.sampled_from([None, "400 +- 100 TFLOP/s", "400 +60 -300 TFLOP/s"]))
    if achieved is None:
        return {"train_for": f"{hours} h"}
    return {"work": f"{hours * 3600 * chips * 4e14:.9e} FLOP", "achieved": achieved}


@st.composite
def checkpoints(draw: st.DrawFn) -> dict[str, Any]:
    """Checkpoints of every kind, free ones included."""
    every = draw(st.one_of(durations, st.sampled_from(["never", "optimal"])))
    stall = draw(st.integers(1 if every == "optimal" else 0, 30))
    return {"every": every, "stall": f"{stall} min"}


@st.composite
def fault_kinds(draw: st.DrawFn) -> dict[str, Any]:
    """Fault kinds of every sort: several kinds take groups, remember, come back, need no crew."""
    kind: dict[str, Any] = {
        "mtbf": f"{draw(st.integers(5, 300))} h",
        "per": draw(st.sampled_from(["chip", "node", "rack"])),
        "takes": draw(
            st.sampled_from(
                ["node", "nothing", {"node": 0.5, "nothing": 0.5}, {"job": 0.3, "chip": 0.7}]
            )
        ),
        "restart": draw(laws(60)),
        "repair": draw(laws()),
    }
    sorts = ["plain", "group", "memory", "relapse", "both", "busy", "lemons"]
    sort = draw(st.sampled_from(sorts))
    if sort == "group":
        kind["takes"] = draw(
            st.sampled_from(["rack", "pool", {"rack": 0.4, "node": 0.4, "job": 0.2}])
        )
    if sort in ("memory", "both"):
        kind["law"] = draw(
            st.sampled_from(
                [
                    {"weibull_min": {"c": 0.7}},
                    {"weibull_min": {"c": 2.5}},
                    {"gamma": {"a": 0.5}},
                    {"lognormal": {"sigma": 1.0}},
                    {"seen": ["1 h", "2 h", "30 h"]},
                ]
            )
        )
        ages = ["steady", "new"] if "seen" in kind["law"] else ["steady", "new", "20 h"]
        kind["age"] = draw(st.sampled_from(ages))
    if sort == "lemons":
        kind["lemons"] = {"cv": draw(st.sampled_from([0.1, 0.7, 1.2, 4.0]))}
        sort = draw(st.sampled_from(["lemons", "relapse", "busy"]))
    if sort in ("relapse", "both"):
        after = draw(laws(100).filter(lambda law: law != "0 s"))
        kind["relapse"] = {"share": draw(st.floats(0.1, 0.6)), "after": after}
    if sort == "busy":
        kind["clock"] = "busy"
    return kind


@st.composite
def spares(draw: st.DrawFn) -> dict[str, Any]:
    """Spares by state, the colder ones ready later."""
    ready = sorted(draw(st.lists(st.integers(0, 200), min_size=3, max_size=3)))
    states = draw(st.sets(st.sampled_from(["hot", "warm", "cold"]), min_size=1))
    return {
        state: {"nodes": f"{draw(st.integers(0, 2))} nodes", "ready": f"{minutes} min"}
        for state, minutes in zip(["hot", "warm", "cold"], ready, strict=True)
        if state in states
    }


def _n_nodes(pool: dict[str, Any]) -> int:
    spare_states = pool["spares"]
    counts = (
        [state["nodes"] for state in spare_states.values()]
        if isinstance(spare_states, dict)
        else [spare_states]
    )
    return pool["chips"] // pool["chips_per_node"] + sum(int(n.split()[0]) for n in counts)


@st.composite
def eventful_scenarios(draw: st.DrawFn) -> dict[str, Any]:
    """Scenarios with all that faults can do, which both engines can play."""
    scenario = draw(scenarios())
    same_first = draw(st.sampled_from([None, "7 min"]))
    for pool in scenario["sites"]["s"]["pools"].values():
        if draw(st.booleans()):
            pool["spares"] = draw(spares())
        rack = min(draw(st.integers(1, 4)), _n_nodes(pool))
        pool["groups"] = {"rack": f"{rack} nodes"}
        if draw(st.booleans()):
            pool["crews"] = draw(st.integers(1, 3))
    for stop in scenario["planned"].values():
        if "rolling" in stop:  # of no more nodes than the smallest pool has now
            most = min(_n_nodes(pool) for pool in scenario["sites"]["s"]["pools"].values())
            stop["rolling"] = f"{min(int(stop['rolling'].split()[0]), most)} nodes"
    has_crews = any("crews" in pool for pool in scenario["sites"]["s"]["pools"].values())
    for i in range(draw(st.integers(1, 3))):
        kind = draw(fault_kinds())
        if same_first or (draw(st.booleans()) and not has_crews):
            lasts = same_first or draw(laws(30))
            kind["automatic"] = {"lasts": lasts, "mends": draw(st.floats(0.1, 0.9))}
        scenario["faults"][f"f{i}"] = kind
    if has_crews:  # all of them come to the crews in the order of their faults
        for kind in scenario["faults"].values():
            kind.pop("automatic", None)
            if same_first:
                kind["automatic"] = {"lasts": same_first, "mends": 0.4}
    return scenario


@st.composite
def tiers(draw: st.DrawFn, stalls: bool = True) -> dict[str, Any]:
    """One to four tiers, each a whole multiple of the one before, the last safe from everything."""
    found, every = {}, draw(st.integers(1, 60))
    survives = sorted(draw(st.lists(st.integers(0, 3), max_size=3)))
    for i, level in enumerate([*survives, 3]):
        every *= draw(st.integers(1, 5)) if i else 1
        stall = draw(st.integers(0, 10)) if stalls else 0
        found[f"t{i}"] = {
            "every": f"{every} min",
            "stall": f"{stall} min",
            "write": f"{draw(st.integers(0, every + stall))} min",
            "load": f"{draw(st.integers(0, 20))} min",
            "survives": ["nothing", "node", "group", "all"][level],
        }
    return found


@st.composite
def async_checkpoints(draw: st.DrawFn) -> dict[str, Any]:
    """Saves that are complete a while after training went on, at times one after the other."""
    stall = draw(st.integers(0, 10))
    if draw(st.booleans()):
        return {"every": "optimal", "stall": f"{stall} min", "write": f"{stall + 5} min"}
    every = draw(st.integers(1, 120))
    write = draw(st.integers(0, every + stall))
    return {"every": f"{every} min", "stall": f"{stall} min", "write": f"{write} min"}


@st.composite
def tiered_scenarios(draw: st.DrawFn) -> dict[str, Any]:
    """Scenarios that both engines can play, whose jobs save behind their backs or to tiers."""
    data = draw(scenarios())
    data["planned"].pop("rolling", None)  # batch does not play both
    for job in data["jobs"].values():
        job["checkpoint"] = draw(
            st.one_of(async_checkpoints(), tiers().map(lambda t: {"tiers": t}))
        )
    return data


@st.composite
def scenarios(draw: st.DrawFn) -> dict[str, Any]:
    """Scenarios that both engines can play: each job alone on a pool of its own."""
    n_pools = draw(st.integers(1, 2))
    site_pools = {f"p{i}": draw(pools()) for i in range(n_pools)}
    n_jobs = draw(st.integers(1, n_pools))
    jobs = {}
    for i in range(n_jobs):
        chips = draw(st.integers(1, site_pools[f"p{i}"]["chips"]))
        jobs[f"j{i}"] = {
            **draw(work(chips)),
            "chips": chips,
            "home": f"p{i}",
            "checkpoint": draw(checkpoints()),
        }
    faults = {}
    for i in range(draw(st.integers(1, 3))):
        faults[f"f{i}"] = {
            "mtbf": f"{draw(st.integers(5, 300))} h",
            "per": draw(st.sampled_from(["chip", "node"])),
            "takes": draw(st.sampled_from(["node", "nothing", {"node": 0.5, "nothing": 0.5}])),
            "restart": draw(laws(60)),
            "repair": draw(laws()),
        }
    planned = {}
    if draw(st.booleans()):
        planned["stop"] = {**draw(times()), "lasts": draw(laws(120))}
    if draw(st.booleans()):
        planned["rolling"] = draw(rolling(min(n_nodes(pool) for pool in site_pools.values())))
    # Without a horizon a job with too many faults may not end at all.
    horizon = f"{draw(st.integers(1, 120))} h"
    return {
        "computeplan": 1,
        "name": "random",
        "sites": {"s": {"pue": 1.2, "pools": site_pools}},
        "faults": faults,
        "planned": planned,
        "jobs": jobs,
        "policy": "silo",
        "simulate": {"horizon": horizon, "seed": draw(st.integers(0, 2**32))},
    }


def scripted(*arrivals: tuple[Any, ...]) -> Arrivals:
    """Return the faults of one run: time, kind, node, takes, restart, repair of each.

    A seventh column is its level; without it, 1 if it takes the node. What lasts a while without
    a restart or a repair (slowness, a planned stop) lasts as long as the column that it fills.
    """
    rows = [arrival if len(arrival) > 6 else (*arrival, int(arrival[3])) for arrival in arrivals]
    columns = list(zip(*rows, strict=True)) if rows else [()] * 7
    types = (np.float64, np.int64, np.int32, np.bool_, np.float64, np.float64, np.int8)
    arrays = [np.array(c, dtype=t)[:, None] for c, t in zip(columns, types, strict=True)]
    takes, restart_s, repair_s = arrays[3:6]
    return Arrivals(*arrays, lasts_s=np.where(takes, repair_s, restart_s))


class Script:
    """A trace that says what it was told; the same for every pool and every run."""

    n_runs = 1

    def __init__(self, arrivals: Arrivals) -> None:
        self.found = arrivals

    def arrivals(self, pool: int, until_s: float) -> Arrivals:  # noqa: ARG002
        """Return the script."""
        return self.found


__all__ = [
    "NO_NODE",
    "Script",
    "crowded",
    "eventful_scenarios",
    "scenarios",
    "scripted",
    "tiered_scenarios",
    "tiers",
]
