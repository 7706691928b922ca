"""What faults do that do not come one by one and at random: ages, relapses, groups, crews, clocks.

The oracle is ``oracle.py``, a plain SimPy model with one process per node, which shares no code.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import oracle
import pytest
from bounds import ends_within, takes_at_most
from oracle import HOUR_S, scenario_of
from scipy import integrate, stats
from worlds import BOTH, weibull, world_of

import computeplan as cp
from computeplan.compiler.compile import compile_world
from computeplan.distributions import Law, frozen_law, law_mean_s
from computeplan.engines.batch import engine as batch
from computeplan.engines.event import engine as event
from computeplan.ledger import BLOCKED, PHASES, REPAIR
from computeplan.physics.reliability import stalled_share
from computeplan.trace import Trace
from computeplan.trace.lifetimes import first_lifetime_s, renewed_lifetime_s
from computeplan.trace.streams import BLOCK
from computeplan.world.faults import Lifetime

DAY_S = 86_400.0
LAWS = [
    Law("weibull_min", (0.7,), 1000.0),
    Law("weibull_min", (2.0,), 1000.0),
    Law("gamma", (0.4,), 1000.0),
    Law("gamma", (2.3,), 1000.0),
    Law("lognorm", (1.5,), 1000.0),
    Law("burr12", (2.0, 1.5), 1000.0),
    Law("lomax", (1.5,), 1000.0),
]
by_name = pytest.mark.parametrize("law", LAWS, ids=lambda law: f"{law.name} {law.shapes}")


# Lives


@by_name
def test_a_new_life_ends_where_its_hazard_is_spent(law):
    hazard = np.geomspace(1e-6, 20, 200)
    lifetime_s = first_lifetime_s(Lifetime(law, 0.0), hazard)
    assert frozen_law(law).logsf(lifetime_s) == pytest.approx(-hazard, rel=1e-6)


@by_name
@pytest.mark.parametrize("age_s", [10.0, 3000.0])
def test_a_node_of_some_age_has_lived_through_its_hazard_so_far(law, age_s):
    hazard = np.geomspace(1e-4, 8, 50)
    lifetime_s = first_lifetime_s(Lifetime(law, age_s), hazard)
    known = frozen_law(law)
    assert known.logsf(age_s + lifetime_s) == pytest.approx(known.logsf(age_s) - hazard, rel=1e-6)


@by_name
def test_what_is_left_of_a_life_met_at_random_follows_the_equilibrium_law(law):
    """By quadrature of the survival function, one life at a time."""
    known, mean_s = frozen_law(law), law_mean_s(law)
    hazard = np.array([1e-6, 1e-3, 0.1, 0.7, 2.0, 5.0])
    for lifetime_s, spent in zip(
        first_lifetime_s(Lifetime(law, None), hazard), hazard, strict=True
    ):
        ends = [0.0, *(lifetime_s * 2.0**-k for k in range(30, -1, -1))]
        parts = [
            integrate.quad(known.sf, a, b, epsabs=0, epsrel=1e-12)[0]
            for a, b in itertools.pairwise(ends)
        ]
        assert -math.log1p(-sum(parts) / mean_s) == pytest.approx(spent, rel=2e-6)


@by_name
def test_a_renewed_life_is_a_quantile_of_its_law(law):
    uniform = np.linspace(0.001, 0.999, 99)
    lifetime_s = renewed_lifetime_s(Lifetime(law, None), uniform)
    assert lifetime_s == pytest.approx(frozen_law(law).ppf(uniform), rel=1e-6)


# Fleets


CREWS = {
    **weibull(0.7, "steady"),
    "sites__s__pools__p__crews": 1,
    "faults__f__automatic": {"lasts": "30 min", "mends": 0.4},
    "faults__f__relapse": {"share": 0.3, "after": {"expon": {"mean": "10 h"}}},
}


@pytest.mark.parametrize(
    ("ageing", "changes"),
    [
        (oracle.Ages(0.7), weibull(0.7, "steady")),
        (oracle.Ages(2.0), weibull(2.0, "steady")),
        (oracle.Ages(0.7, is_new=True), weibull(0.7, "new")),
        (oracle.Ages(1.0, is_new=True, lemon_cv=1.5), {"faults__f__lemons": {"cv": 1.5}}),
        (
            oracle.Ages(
                0.7,
                n_crews=1,
                automatic_s=1800.0,
                mends_frac=0.4,
                relapse_frac=0.3,
                relapse_mean_s=36_000.0,
            ),
            CREWS,
        ),
    ],
    ids=["young and old", "wear-out", "new", "lemons", "crews and relapses"],
)
def test_engines_agree_with_one_ageing_process_per_node(ageing, changes):
    runs = [oracle.play(oracle.CASE, ageing, seed) for seed in range(500)]
    oracle.assert_engines_agree(runs, scenario_of(**changes), n_batch=3000, n_event=300)


def fleet_of(shape: float, age: str, n_nodes: int = 2048, mtbf: str = "6334 h") -> Any:
    """A fleet on which no repair takes time, so that faults are counted on N nodes."""
    return compile_world(
        scenario_of(
            sites__s__pools__p__chips=n_nodes,
            sites__s__pools__p__spares="0 nodes",
            jobs__j__chips=n_nodes,
            simulate__horizon="1166 h",
            jobs__j__train_for="10 years",
            faults__f__mtbf=mtbf,
            faults__f__takes="nothing",
            faults__f__restart="1 min",
            **(weibull(shape, age) if shape != 1 else {}),
        )
    )


@BOTH
@pytest.mark.parametrize("shape", [0.7, 2.0])
def test_v14_a_steady_fleet_faults_at_n_over_the_mean_life(engine, shape):
    n_runs = 400 if engine is batch else 60
    ledger = engine.play(fleet_of(shape, "steady"), 14, 0, n_runs)
    expected = 2048 * 1166 / 6334  # 377
    assert ledger.counts["interruptions"].sum(axis=1).mean() == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("shape", [0.7, 1.0, 1.5])
def test_a_new_fleet_faults_as_its_law_says_and_not_as_its_mean(shape):
    """Against all nodes drawn one by one, a renewal process each: 2.2 and 0.3 times the mean."""
    world = fleet_of(shape, "new")
    rng = np.random.default_rng(7)
    scale_h = 6334 / math.gamma(1 + 1 / shape)
    counts = np.zeros(200)
    for i in range(200):
        at_h = scale_h * rng.weibull(shape, 2048)
        while (alive := at_h[at_h < 1166]).size:
            counts[i] += alive.size
            at_h = alive + scale_h * rng.weibull(shape, alive.size)
    ours = batch.play(world, 14, 0, 400).counts["interruptions"].sum(axis=1)
    error = math.hypot(counts.std() / math.sqrt(200), ours.std() / math.sqrt(400))
    assert abs(ours.mean() - counts.mean()) < 4 * error
    assert (ours.mean() > 2 * 377) == (shape == 0.7)
    assert (ours.mean() < 377 / 2) == (shape == 1.5)


def test_a_fleet_of_a_million_chips_is_drawn_by_its_faults():
    """125,000 nodes of 8 with about 400 faults a run: samples of as many rows, not of nodes."""
    rate = {"faults__f__mtbf": f"{6334 * 125_000 // 2048} h", "simulate__horizon": "1166 h"}
    world = compile_world(
        scenario_of(
            **weibull(0.7, "steady"),
            **rate,
            sites__s__pools__p__chips=1_000_000,
            sites__s__pools__p__chips_per_node=8,
            jobs__j__chips=1_000_000,
            jobs__j__train_for="10 years",
        )
    )
    found = Trace(world, 1, 0, 64).arrivals(0, world.horizon_s)
    assert len(found.time_s) < 600
    in_time = found.time_s <= world.horizon_s
    assert in_time.sum(axis=0).mean() == pytest.approx(
        125_000 * 1166 / (6334 * 125_000 / 2048), rel=0.03
    )
    for run in range(0, 64, 16):  # each node at most once
        nodes = found.node[in_time[:, run], run]
        assert np.unique(nodes).size == nodes.size
        assert nodes.max() < 125_002


def test_nodes_that_fail_first_are_any_nodes():
    """The order of 18 nodes in 4,096 runs is a random order: each is first equally often."""
    world = compile_world(scenario_of(**weibull(2.0, "new")))
    found = Trace(world, 5, 0, 4096).arrivals(0, 1e9)
    assert len(found.time_s) == 18
    assert (np.sort(found.node, axis=0) == np.arange(18)[:, None]).all()
    for row in (0, 7, 17):
        assert stats.chisquare(np.bincount(found.node[row], minlength=18)).pvalue > 1e-4


# Groups


@BOTH
def test_a_group_leaves_and_comes_back_together(engine):
    """Racks of 4 without spares: the job waits 2 h for each fault, and 4 nodes are repaired."""
    world = compile_world(
        scenario_of(
            sites__s__pools__p__spares="0 nodes",
            sites__s__pools__p__groups={"rack": "4 nodes"},
            faults__f__takes="rack",
            faults__f__per="rack",
            faults__f__mtbf="200 h",
            faults__f__repair="2 h",
            faults__f__restart="0 s",
            simulate__horizon="150 h",
        )
    )
    ledger = engine.play(world, 2, 0, 200)
    n_faults = ledger.counts["interruptions"][:, 0]
    assert n_faults.mean() == pytest.approx(4 * 150 / 200, abs=4 * math.sqrt(3 / 200))
    assert (ledger.counts["repairs"][:, 0] == 4 * n_faults).all()
    alone = n_faults == 1
    blocked_s = ledger.job_s[alone, 0, BLOCKED]
    assert np.median(blocked_s) == pytest.approx(7200, abs=1e-6)


@BOTH
def test_a_fault_of_a_group_counts_once(engine):
    world = compile_world(
        scenario_of(
            sites__s__pools__p__groups={"rack": "6 nodes"},
            faults__f__takes={"rack": 0.5, "pool": 0.1, "job": 0.2, "nothing": 0.2},
            simulate__horizon="2000 h",
            jobs__j__train_for="1 year",
            faults__f__repair="1 min",
            faults__f__restart="1 min",
        )
    )
    ledger = engine.play(world, 2, 0, 100)
    faults = ledger.counts["interruptions"].sum(axis=1) + ledger.counts["idle_faults"].sum(axis=1)
    expected = 18 * 2000 / 400
    assert faults.mean() == pytest.approx(expected, abs=4 * math.sqrt(expected / 100))


def test_a_rate_that_grows_with_the_fleet():
    def rate_of(chips):
        grows = {"power": 1.5, "beyond": 16}
        changes = {"sites__s__pools__p__chips": chips, "jobs__j__chips": chips}
        world = compile_world(scenario_of(faults__f__grows=grows, **changes))
        return world.pools[0].fault_rate_per_node_s * 400 * HOUR_S

    assert [rate_of(n) for n in (8, 16, 64)] == pytest.approx([1, 1, 2])


@BOTH
@pytest.mark.parametrize(
    ("counted", "expected"),
    [
        ({"per": "node", "mtbf": "10 h"}, 10 / 7),
        ({"per": "rack", "mtbf": "5 h"}, 12 / 8),  # as often, and whatever is in repair
    ],
)
def test_a_node_in_repair_draws_no_faults_of_its_rack(engine, counted, expected):
    """Racks of two nodes, whose faults take one node or both, and repairs, all at one rate.

    A Markov chain of a rack: both up, 1 of them, both down alone, or down together, from where they
    come back together. From both up, 2 single faults and 2 of the rack; from 1 up, a single fault
    and 1 of the rack, or 2 if it is the rack that faults, take the other. So the shares are 1, 2,
    2 (or 3) and 2 in 7 (or 8), with 6 repairs from both up and 2 (or 3) from 1 up: 10/7 (or 12/8).
    Within 4 standard errors, at most those of Poisson counts (1 false alarm in 16,000, and the seed
    is fixed), and what the start adds.
    """
    same = {"restart": "0 s", "repair": {"expon": {"mean": "10 h"}}, "law": "expon"}
    world = world_of(
        **{
            "sites.s.pools.p": {"chips": 40, "spares": "0 nodes", "groups": {"rack": "2 nodes"}},
            "faults": {
                "f": {**counted, **same, "takes": "rack"},
                "g": {"per": "node", "mtbf": "10 h", **same, "takes": "node"},
            },
            "planned": {},
            "simulate.horizon": "2000 h",
        }
    )
    n_runs = 16 if engine is batch else 5
    n_repairs = engine.play(world, 3, 0, n_runs).counts["repairs"].sum()
    wanted = 20 * 200 * n_runs * expected
    assert abs(n_repairs - wanted) < 4 * math.sqrt(wanted) + 0.004 * wanted


# Clocks and crews


@BOTH
def test_on_the_busy_clock_blocking_is_erlangs_loss_formula(engine):
    world = compile_world(
        scenario_of(
            faults__f__clock="busy",
            faults__f__takes="node",
            faults__f__mtbf="100 h",
            faults__f__repair={"expon": {"mean": "8 h"}},
            faults__f__restart="1 min",
            jobs__j__train_for="50 years",
            simulate__horizon="20000 h",
        )
    )
    n_runs = 64 if engine is batch else 8
    ledger = engine.play(world, 9, 0, n_runs)
    blocked = ledger.job_s[:, 0, BLOCKED] / ledger.wall_s
    expected = stalled_share(16, 2, 8 / 100)
    error = blocked.std(ddof=1) / math.sqrt(n_runs)
    assert world.blocked_share(0, 0) == expected
    assert abs(blocked.mean() - expected) < 4 * error
    assert not ledger.counts["idle_faults"].any()


@BOTH
def test_one_crew_mends_one_node_after_the_other(engine):
    """M/G/1: the mean wait of Pollaczek and Khinchine, for faults of nodes that are many."""
    n_nodes, repair_h = 400, 2.0
    world = compile_world(
        scenario_of(
            sites__s__pools__p__chips=n_nodes,
            sites__s__pools__p__spares="40 nodes",
            sites__s__pools__p__crews=1,
            jobs__j__chips=n_nodes,
            faults__f__takes="node",
            faults__f__mtbf="2200 h",
            faults__f__repair=f"{repair_h} h",
            jobs__j__train_for="50 years",
            simulate__horizon="10000 h",
        )
    )
    ledger = engine.play(world, 9, 0, 64 if engine is batch else 6)
    repair_s = ledger.chip_s[:, -1, 0, REPAIR] / ledger.counts["repairs"][:, 0]
    load = 440 / 2200 * repair_h
    expected_h = repair_h + load * repair_h / (2 * (1 - load))
    assert repair_s.mean() / HOUR_S == pytest.approx(expected_h, rel=0.03)


def test_batch_names_crews_that_nodes_reach_in_another_order():
    random = {"lasts": {"expon": {"mean": "1 h"}}, "mends": 0.5}
    scenario = scenario_of(sites__s__pools__p__crews=2, faults__f__automatic=random)
    world = compile_world(scenario)
    path, reason = batch.why_unsupported(world)
    assert path == "sites.s.pools.p.crews"
    assert reason == "an automatic repair of random length comes before the crews"
    assert event.play(world, 1, 0, 2).end_s.shape == (2, 1)
    assert cp.run(scenario.with_({"simulate.runs": 2})).provenance["engines"] == {"faults": "event"}


@BOTH
def test_automatic_repairs_mend_their_share(engine):
    world = compile_world(
        scenario_of(
            faults__f__takes="node",
            faults__f__automatic={"lasts": "1 h", "mends": 0.75},
            faults__f__repair="100 h",
            sites__s__pools__p__spares="16 nodes",
            jobs__j__train_for="1 year",
            simulate__horizon="4000 h",
        )
    )
    ledger = engine.play(world, 4, 0, 60)
    down_h = ledger.chip_s[:, -1, 0, REPAIR].sum() / ledger.counts["repairs"].sum() / HOUR_S
    assert down_h == pytest.approx(1 + 0.25 * 100, rel=0.05)


@BOTH
def test_relapses_multiply_faults(engine):
    """Each fault brings another with probability 1/2: twice as many, if repairs are short."""
    relapse = {"share": 0.5, "after": {"expon": {"mean": "1 h"}}}
    changes = {"faults__f__repair": "1 s", "faults__f__restart": "1 s"}
    world = compile_world(
        scenario_of(faults__f__relapse=relapse, simulate__horizon="2000 h", **changes).with_(
            {"jobs.j.train_for": "1 year"}
        )
    )
    ledger = engine.play(world, 4, 0, 200)
    faults = ledger.counts["interruptions"].sum(axis=1) + ledger.counts["idle_faults"].sum(axis=1)
    expected = 2 * 18 * 2000 / 400
    # a geometric number each time: variance 6 times that of the first ones
    assert faults.mean() == pytest.approx(expected, abs=4 * math.sqrt(3 * expected / 200))
    assert world.pools[0].fault_rate_per_node_s * 400 * HOUR_S == pytest.approx(2)


@BOTH
def test_a_million_spares_cost_the_memory_of_one_run_at_a_time(engine):
    """Once 64 runs stood in memory together, whatever each of them takes."""
    world = world_of(**{"sites.s.pools.p.spares": "1e6 nodes", "planned": {}})
    with ends_within(120), takes_at_most(250):
        n_runs = engine.rows_at_once(world)
        ledger = engine.play(world, 0, 0, min(n_runs, 4))
    assert np.isfinite(ledger.end_s).all()


def test_books_of_many_jobs_on_many_pools_are_of_few_runs():
    pools = {f"p{n}": {"chip": "nvidia/h100-sxm", "chips": 8} for n in range(60)}
    job = {"train_for": "9 s", "chips": 8, "checkpoint": {"every": "never", "stall": "0 s"}}
    jobs = {f"j{n}": job for n in range(60)}
    few = world_of(planned={})
    many = world_of(**{"sites.s.pools": pools, "jobs": jobs, "faults": {}})
    assert event.rows_at_once(few) == BLOCK
    assert 1 <= event.rows_at_once(many) * 60 * 61 * len(PHASES) <= event.MOST_CELLS
    ledger = event.play(many, 0, 3, 2)
    assert np.isfinite(ledger.end_s).all()
