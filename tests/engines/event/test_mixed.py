"""Mixed jobs: one job on nodes of several pools at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import CHIP, Scripts, check

import computeplan as cp
from computeplan.compiler.compile import compile_world
from computeplan.engines.batch import engine as batch
from computeplan.engines.event import engine as event
from computeplan.errors import ComputePlanError, InfeasibleError, ScenarioError
from computeplan.ledger import BLOCKED, IDLE, LOST, RESTART, TRAIN
from computeplan.scheduling.decision import Decision, Start
from computeplan.scheduling.registry import may

SAVES = {"every": "10 s", "stall": "1 s"}
FAULT = {"mtbf": "100 h", "per": "node", "takes": "node", "restart": "2 s", "repair": "100 s"}
SLOW = {"mtbf": "100 h", "per": "node", "slows": {"to": 0.5, "lasts": "7 s"}}
TIERS = {
    "tiers": {
        "near": {
            "every": "5 s",
            "stall": "0.5 s",
            "write": "1 s",
            "load": "1 s",
            "survives": "nothing",
        },
        "far": {"every": "20 s", "stall": "1 s", "write": "4 s", "load": "3 s", "survives": "all"},
    }
}
SHRINKS = {"shrink": {"replicas": 5, "least": 2, "resize": "3 s"}}


def scenario_of(chips, **of_job):
    """Return one mixed job on pools of one chip a node."""
    pools = {name: {**CHIP, "chips": n} for name, n in chips.items()}
    job = {"train_for": "100 s", "chips": 5, "checkpoint": SAVES, **of_job}
    return cp.load(
        {
            "computeplan": 1,
            "name": "mixed",
            "sites": {"s": {"pue": 1, "pools": pools}},
            "faults": {"f": FAULT, "slow": SLOW},
            "jobs": {"j": job},
            "policy": "mixed-fifo",
        }
    )


def play(monkeypatch, scenario, *scripts):
    monkeypatch.setattr(event, "Trace", lambda *_: Scripts(*scripts))
    world = compile_world(scenario)
    return event.play(world, 0, 0, 1, timeline=True), world


MIXED = {"mixed": {"efficiency": 1.0}}


def test_it_trains_at_a_share_of_what_its_parts_train(monkeypatch):
    """100 s of work at 0.8 of its speed are 125 s; 12 saves of 1 s come between, one at the end."""
    of_job = {"mixed": {"efficiency": 0.8}}
    ledger, world = play(monkeypatch, scenario_of({"p": 3, "q": 2}, **of_job), [], [])
    assert ledger.end_s[0, 0] == pytest.approx(125.0 + 13.0)
    assert ledger.chip_s[0, 0, :, TRAIN].tolist() == pytest.approx([3 * 125.0, 2 * 125.0])
    slow = ledger.weighted("slow")[0, 0, :, TRAIN]
    assert slow.tolist() == pytest.approx([3 * 25.0, 2 * 25.0])  # lost by being mixed
    check(ledger, world)


def test_parts_count_by_the_nodes_that_a_whole_job_has_there(monkeypatch):
    """Of two nodes of p and one of q the job makes 2/4 on p and 2/4 on q, at half the speed."""
    data = scenario_of({"p": 2, "q": 2}).document.data
    data["sites"]["s"]["pools"]["q"]["chips_per_node"] = 1
    data["jobs"]["j"] |= {
        "train_for": None,
        "model": "meta/llama-3.1-8b",
        "tokens": "100 Mtoken",
        "seq": 8192,
        "batch": "1 Mitoken",
        "chips": 4,
        "mfu": {"p": 0.4, "q": 0.2},
        "checkpoint": {"every": "1 h", "stall": "0 s"},
        "mixed": {"efficiency": 0.9},
    }
    del data["jobs"]["j"]["train_for"]
    ledger, world = play(monkeypatch, cp.load(data), [], [])
    on_p, on_q = world.jobs[0].train_s
    assert on_q == pytest.approx(2 * on_p)
    assert ledger.end_s[0, 0] == pytest.approx(1 / (0.9 * (0.5 / on_p + 0.5 / on_q)))
    check(ledger, world)


def test_a_fault_on_any_pool_stops_it_and_it_waits_for_that_node(monkeypatch):
    """At 25 s a node of q goes for 7 s: 3 s since the save are lost, then 2 s of restart."""
    scenario = scenario_of({"p": 3, "q": 2}, **MIXED)
    ledger, world = play(monkeypatch, scenario, [], [(25.0, 1, 7.0)])
    seconds = ledger.job_s[0, 0]
    assert seconds[[LOST, BLOCKED]].tolist() == pytest.approx([3.0, 7.0])
    assert seconds[RESTART] == pytest.approx(1.0)  # of the script
    assert ledger.chip_s[0, 0, :, BLOCKED].tolist() == pytest.approx([3 * 7.0, 1 * 7.0])
    check(ledger, world)


nodes = st.integers(0, 4)
faults = st.tuples(st.floats(1, 150), nodes, st.floats(1, 60))


@given(
    script=st.lists(faults, max_size=6),
    of_job=st.sampled_from([{}, {"on_loss": SHRINKS}, {"checkpoint": TIERS}]),
)
def test_on_like_pools_it_is_a_job_on_one(script, of_job):
    """Three nodes and two of the same kind, without loss, do what five nodes of one pool do."""
    script = sorted(script)
    parts = (
        [one for one in script if one[1] < 3],
        [(at_s, node - 3, away_s) for at_s, node, away_s in script if node >= 3],
    )
    with pytest.MonkeyPatch.context() as patch:
        mixed, world = play(patch, scenario_of({"p": 3, "q": 2}, **MIXED, **of_job), *parts)
        alone, _ = play(patch, scenario_of({"p": 5}, **of_job), script)
    np.testing.assert_allclose(mixed.job_s, alone.job_s, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(mixed.end_s, alone.end_s, rtol=1e-9)
    np.testing.assert_allclose(
        mixed.chip_s.sum(axis=2), alone.chip_s.sum(axis=2), rtol=1e-9, atol=1e-6
    )
    for name in ("interruptions", "repairs"):
        assert mixed.counts[name].sum() == alone.counts[name].sum()
    check(mixed, world)


@given(
    seed=st.integers(0, 2**32),
    sizes=st.lists(st.integers(1, 10), min_size=2, max_size=6),
    checkpoint=st.sampled_from([SAVES, TIERS]),
)
def test_many_mixed_jobs_hold_no_node_twice(seed, sizes, checkpoint):
    """With faults, slow nodes, spares and a service beside them."""
    data = scenario_of({"p": 6, "q": 4}).document.data
    data["faults"]["f"]["mtbf"] = "10 min"
    data["faults"]["slow"]["mtbf"] = "10 min"
    data["sites"]["s"]["pools"]["q"]["spares"] = "1 nodes"
    data["services"] = {
        "web": {"pools": ["q", "p"], "chips": [1] * 23 + [5], "least": 1, "priority": 1}
    }
    data["jobs"] = {
        f"j{i}": {
            "train_for": f"{20 + 10 * i} s",
            "chips": n,
            "arrival": f"{15 * i} s",
            "checkpoint": checkpoint,
            "mixed": {"efficiency": 0.9},
        }
        for i, n in enumerate(sizes)
    }
    data["simulate"] = {"horizon": "1 h"}
    world = compile_world(cp.load(data))
    check(event.play(world, seed, 0, 2, timeline=True), world)


def test_nodes_of_different_sizes_make_a_whole_job(monkeypatch):
    """Of 10 chips 1 on p, 4 to a node, and 3 on q, 2 to a node: 1/3 + 4/5 are more than needed."""
    data = scenario_of({"p": 4, "q": 8}, **MIXED).document.data
    data["jobs"]["j"]["chips"] = 10
    for pool, n in (("p", 4), ("q", 2)):
        data["sites"]["s"]["pools"][pool]["chips_per_node"] = n
    ledger, world = play(monkeypatch, cp.load(data), [], [])
    assert world.jobs[0].whole_nodes.tolist() == [3, 5]
    assert (ledger.chip_s[0, 0, :, TRAIN] > 0).all()
    check(ledger, world)


def test_a_job_larger_than_every_pool_runs_on_several():
    world = compile_world(scenario_of({"p": 3, "q": 3}, **MIXED))
    assert not world.jobs[0].n_nodes.any()
    with pytest.raises(InfeasibleError, match=r"than all pools together: it is 5 nodes of p"):
        compile_world(scenario_of({"p": 2, "q": 2}, **MIXED))
    with pytest.raises(InfeasibleError, match=r"no pool has so many.*mixed-fifo"):
        compile_world(scenario_of({"p": 3, "q": 3}, **MIXED).with_({"policy": "fifo"}))
    assert batch.why_unsupported(world)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (((1, 1),), "do not make a whole job"),
        (((1, 4),), "do not make a whole job"),
        (((0, 2),), "each pool is to stand there once"),
        (((1, 0), (0, 2)), "each pool is to stand there once"),
    ],
)
def test_what_is_not_one_whole_job_is_refused(monkeypatch, more, why):
    @may("mix")
    def wrong(view):
        return Decision([Start(job, 0, n_nodes=3, more=more) for job in view.queue])

    monkeypatch.setattr(event, "load_policy", lambda _: wrong)
    world = compile_world(scenario_of({"p": 3, "q": 2}, **MIXED))
    object.__setattr__(world, "decide", None)
    with pytest.raises(ComputePlanError, match=why):
        event.play(world, 0, 0, 1)


@pytest.mark.parametrize(("nodes_with_power", "begins_s"), [(5.2, 33.0), (6.2, 0.0)])
def test_a_mixed_job_waits_for_power_for_all_its_nodes(nodes_with_power, begins_s):
    """Each pool alone has power for its part; together they need that of five nodes.

    A job of one node runs first, and saves three times in its 33 s.
    """
    scenario = scenario_of({"p": 3, "q": 3}, **MIXED)
    one = {"train_for": "30 s", "chips": 1, "checkpoint": SAVES, "mixed": {"efficiency": 1.0}}
    data = scenario.document.data
    data["jobs"] = {"first": one, "j": data["jobs"]["j"]}
    data["faults"] = {}
    data["simulate"] = {"horizon": "1 h"}
    plain = compile_world(cp.load(data))
    idle_w, train_w = plain.node_w[0, IDLE], plain.node_w[0].max()
    limit_w = 6 * idle_w + nodes_with_power * (train_w - idle_w)
    data["sites"]["s"] |= {"power_limit": f"{limit_w} W", "over_limit": "pause"}
    world = compile_world(cp.load(data))
    ledger = event.play(world, 0, 0, 1, timeline=True)
    check(ledger, world)
    assert ledger.first_start_s[0].tolist() == pytest.approx([0.0, begins_s])
    data["sites"]["s"]["power_limit"] = f"{6 * idle_w + 4.5 * (train_w - idle_w)} W"
    with pytest.raises(ScenarioError, match="pause"):  # it could never start
        compile_world(cp.load(data))


def test_a_job_over_two_sites_takes_of_each_what_its_part_takes_there():
    """8 and 8 chips of 1 kW: 24 h at 0.8 of the speed are 30 h at either site."""
    watts = dict.fromkeys(("compute", "load", "wait", "idle", "repair"), "1 kW")
    pool = {"chip": "nvidia/h100-sxm", "chips": 8, "power": {"meter": "node", **watts}}
    prices = {"west": (1.2, "0.05 USD/kWh", "600 g/kWh"), "east": (1.5, "0.1 USD/kWh", "400 g/kWh")}
    sites = {
        name: {"pue": pue, "price": price, "carbon": carbon, "pools": {f"{name}ern": pool}}
        for name, (pue, price, carbon) in prices.items()
    }
    job = {"train_for": "24 h", "chips": 16, "mixed": {"efficiency": 0.8}}
    data = {
        "computeplan": 1, "name": "two-sites", "policy": "mixed-fifo", "sites": sites,
        "jobs": {"j": {**job, "checkpoint": {"every": "never"}}}, "simulate": {"runs": 1},
    }  # fmt: skip
    (case,) = cp.run(cp.load(data)).cases.values()
    assert case.by_site.sites == ("west", "east")
    assert case.values["time_to_train_days"][0] * 24 == pytest.approx(30)
    kwh = np.array([8 * 30 * 1.2, 8 * 30 * 1.5])
    assert case.by_site.jobs["energy_kwh"][0] == pytest.approx(kwh)
    assert case.by_site.jobs["cost_usd"][0] == pytest.approx(kwh * [0.05, 0.1])
    assert case.by_site.jobs["carbon_kg"][0] == pytest.approx(kwh * [0.6, 0.4])
