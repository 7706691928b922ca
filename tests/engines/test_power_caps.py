"""Power caps of pools: jobs slow down, and what they do not draw is in the books."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import scripted
from worlds import Scripts, check

import computeplan as cp
from computeplan.compiler.compile import compile_world
from computeplan.engines import event
from computeplan.engines.batch import engine as batch
from computeplan.engines.event import engine
from computeplan.errors import ComputePlanError
from computeplan.ledger import IDLE, LOST, RESTART, SAVE, TRAIN
from computeplan.metrics import by_site, measure
from computeplan.scheduling.decision import Decision
from computeplan.scheduling.policies.queueing import first_fit
from computeplan.scheduling.registry import may
from computeplan.world.signals import Signal

HOUR_S = 3600.0


@may("cap")
@dataclass(frozen=True)
class Capped:
    """First fit, with caps as shares of what all nodes of a pool draw, each from a time on. [s]"""

    steps: tuple[tuple[float, dict[int, float]], ...]

    def __call__(self, view):
        full_w = view.pools.n_nodes * view.pools.train_w
        cap_w = {}
        for at_s, shares in self.steps:
            if at_s <= view.now_s:
                cap_w |= {pool: float(share * full_w[pool]) for pool, share in shares.items()}
        again_s = min((at_s for at_s, _ in self.steps if at_s > view.now_s), default=math.inf)
        return first_fit(view)._replace(cap_w=cap_w, again_s=again_s)


def capped(share, pool=0):
    return Capped(((0.0, {pool: share}),))


NODE = {"meter": "node", "compute": "1 kW", "load": "400 W", "wait": "350 W", "idle": "300 W"}
"""Watts of a node as one: what it gives up, its chip gives up."""


def world_of(
    jobs,
    *steps,
    n_nodes=4,
    pools=("p",),
    faults=None,
    saves=None,
    horizon=None,
    chip="nvidia/h100-sxm",
    power=NODE,
):
    """Return nodes of one chip and jobs (arrival, nodes, work) [s], under a policy that caps."""
    pool = {"chip": chip, "chips_per_node": 1, "chips": n_nodes}
    if power is not None:
        pool["power"] = power
    scenario = cp.load(
        {
            "computeplan": 1,
            "name": "caps",
            "sites": {
                "s": {
                    "pue": 1.25,
                    "price": "0.1 USD/kWh",
                    "carbon": "400 g/kWh",
                    "pools": {name: {**pool, "rent": "2 USD/chip/h"} for name in pools},
                }
            },
            "faults": faults or {},
            "jobs": {
                f"j{i}": {
                    "arrival": f"{arrival} s",
                    "chips": nodes,
                    "train_for": f"{work} s",
                    "checkpoint": saves or {"every": "never"},
                }
                for i, (arrival, nodes, work) in enumerate(jobs)
            },
            **({"simulate": {"horizon": horizon}} if horizon else {}),
        }
    )
    return replace(compile_world(scenario), decide=Capped(steps))


def played(world, monkeypatch=None, faults=()):
    """Return the checked books of one run, with faults (time, kind, node, takes, restart, away)."""
    if monkeypatch is not None:
        script = Scripts([])
        script.by_pool = [scripted(*faults)]
        script.run, script.quantiles = 0, dict
        monkeypatch.setattr(engine, "Trace", lambda *_: script)
        monkeypatch.setattr(engine, "step_factors", lambda w, _: np.ones((1, *w.n_nodes.shape)))
    ledger = event.play(world, 0, 0, 1, timeline=True)
    check(ledger, world)
    return ledger


def watts(world, phase, pool=0):
    """Return the facility watts of a chip, from the parts that stand in the world."""
    place = world.pools[pool]
    return float(place.chip_w[phase] + place.node_overhead_w[phase] + place.network_w[phase]) * 1.25


def kwh(ledger, world):
    """Return the facility energy of jobs and of idle chips."""
    found = by_site(ledger, world)
    return found.jobs["energy_kwh"][0, 0], found.idle["energy_kwh"][0, 0]


# -- by hand ---------------------------------------------------------------------------------------


def test_half_the_draw_takes_twice_the_time_and_the_same_energy_of_training():
    """4 nodes, cap at half of what 4 draw: 1000 s of work take 2000 s."""
    full, half = world_of([(0, 4, 1000)]), world_of([(0, 4, 1000)], (0.0, {0: 0.5}))
    one, two = played(full), played(half)
    assert (one.end_s[0, 0], two.end_s[0, 0]) == (1000.0, 2000.0)
    assert two.chip_s[0, 0, 0, TRAIN] == 8000.0
    assert two.weighted("capped")[0, 0, 0, TRAIN] == 4000.0
    assert two.weighted("slow")[0, 0, 0, TRAIN] == 4000.0
    assert kwh(two, half) == kwh(one, full)
    assert kwh(one, full) == pytest.approx((4 * 1000 * watts(full, TRAIN) / 3.6e6, 0.0), rel=1e-12)
    assert two.peak_w[0] == one.peak_w[0] / 2 == 2 * watts(full, TRAIN)


def test_what_is_bought_by_the_hour_lasts_as_long_as_it_is_held():
    """8000 chip-seconds of rent, power and carbon of 4000; the IT meter and the chip as well."""
    world = world_of([(0, 4, 1000)], (0.0, {0: 0.5}))
    found = by_site(played(world), world).jobs
    drawn_kwh = 4000 * watts(world, TRAIN) / 3.6e6
    assert found["energy_it_kwh"][0, 0] == pytest.approx(drawn_kwh / 1.25, rel=1e-12)
    assert found["carbon_kg"][0, 0] == pytest.approx(0.4 * drawn_kwh, rel=1e-12)
    assert found["rent_usd"][0, 0] == pytest.approx(8000 / 3600 * 2, rel=1e-12)
    whole_usd = 8000 / 3600 * 2 + 0.1 * drawn_kwh
    assert found["cost_usd"][0, 0] == pytest.approx(whole_usd, rel=1e-12)
    assert found["chip_h"][0, 0] == 8000 / 3600


def test_idle_nodes_draw_on_and_are_no_part_of_the_draw():
    """2 of 4 nodes train, cap at a quarter of what 4 draw: that is half of what 2 draw."""
    world = world_of([(0, 2, 1000)], (0.0, {0: 0.25}))
    ledger = played(world)
    assert ledger.end_s[0, 0] == 2000.0
    jobs_kwh, idle_kwh = kwh(ledger, world)
    assert jobs_kwh == pytest.approx(2 * 1000 * watts(world, TRAIN) / 3.6e6, rel=1e-12)
    assert idle_kwh == pytest.approx(2 * 2000 * watts(world, IDLE) / 3.6e6, rel=1e-12)
    assert ledger.peak_w[0] == pytest.approx(watts(world, TRAIN) + 2 * watts(world, IDLE))


def test_two_jobs_share_a_cap_and_the_second_goes_on_faster_alone():
    """2 nodes each, cap at half of what 4 draw: each at half speed until the first ends.

    It has 1000 s to do and ends at 2000, where the other has 500 s left and no cap to feel.
    """
    ledger = played(world := world_of([(0, 2, 1000), (0, 2, 1500)], (0.0, {0: 0.5})))
    assert ledger.end_s[0].tolist() == [2000.0, 2500.0]
    assert ledger.weighted("capped")[0, :2, 0, TRAIN].tolist() == [2000.0, 2000.0]
    assert kwh(ledger, world)[0] == pytest.approx(5000 * watts(world, TRAIN) / 3.6e6, rel=1e-12)


def test_a_job_that_comes_slows_down_who_is_there():
    """Alone on 2 nodes at full speed for 600 s, then at half: 400 s take 800, to 1400.

    The other has done 400 of 1000 s by then, and goes on alone.
    """
    ledger = played(world_of([(0, 2, 1000), (600, 2, 1000)], (0.0, {0: 0.5})))
    assert ledger.end_s[0].tolist() == [1400.0, 2000.0]


def test_a_cap_lifted_in_mid_run():
    """A quarter of the speed to 1000 s, half to 1500, then all: 250 + 250 + 500."""
    steps = (0.0, {0: 0.25}), (1000.0, {0: 0.5}), (1500.0, {0: math.inf})
    world = world_of([(0, 4, 1000)], *steps)
    ledger = played(world)
    assert ledger.end_s[0, 0] == 2000.0
    idle_frac = world.draw_w([0]) / world.draw_w([4])  # a quarter is less than that
    spared_chip_s = 4 * (1000 * (1 - idle_frac) + 250)
    assert ledger.weighted("capped")[0, 0, 0, TRAIN] == pytest.approx(spared_chip_s)


def test_no_node_draws_less_than_if_it_were_idle():
    """Under a cap of a tenth it trains ten times as long, and draws as much as an idle pool."""
    world = world_of([(0, 4, 1000)], (0.0, {0: 0.1}))
    ledger = played(world)
    assert ledger.end_s[0, 0] == pytest.approx(10_000.0)
    assert ledger.peak_w[0] == pytest.approx(world.draw_w([0]))
    drawn = (ledger.chip_s - ledger.weighted("capped"))[0, 0, 0, TRAIN]
    idle_frac = world.draw_w([0]) / world.draw_w([4])
    assert drawn == pytest.approx(4 * 10_000 * idle_frac)


def test_a_pool_that_is_not_named_keeps_its_cap_and_others_have_none():
    """Pool p is capped at 0, the other at 500: by then both caps hold."""
    steps = (0.0, {0: 0.5}), (500.0, {1: 0.5})
    world = world_of([(0, 4, 1000), (0, 4, 1000)], *steps, pools=("p", "q"))
    assert played(world).end_s[0].tolist() == [2000.0, 1500.0]


# -- hosts draw on, and chips give way -------------------------------------------------------------

CHIP = {"compute": "250 W", "idle": "50 W", "node_overhead": "90 W", "network": "10 W"}
"""A node draws 350 W in training and 150 W idle, 100 W of it beside the chip, times the PUE."""


def under(chip_w, chip, power=CHIP):
    """Return the books of 4 nodes and 1000 s of work, under a cap for chips of so many watts."""
    world = world_of([(0, 4, 1000)], (0.0, {0: (chip_w + 100) / 350}), chip=chip, power=power)
    return played(world), world


@pytest.mark.parametrize(("draw_frac", "speed_frac"), [(0.646, 0.842), (0.832, 0.942)])
def test_a_chip_with_measured_caps_trains_as_fast_as_was_measured(draw_frac, speed_frac):
    """Zeus on the V100: capped at 0.6 and 0.8 of its limit it draws 0.646 and 0.832, and so on."""
    ledger, world = under(draw_frac * 250, "nvidia/v100")
    assert ledger.end_s[0, 0] == pytest.approx(1000 / speed_frac)
    drawn_j = 4 * 1000 / speed_frac * (draw_frac * 250 + 100) * 1.25
    assert kwh(ledger, world)[0] == pytest.approx(drawn_j / 3.6e6)
    assert ledger.peak_w[0] == pytest.approx(4 * (draw_frac * 250 + 100) * 1.25)


def test_below_the_lowest_measured_cap_speed_falls_as_the_watts():
    """At 0.4 of its limit a V100 draws 0.447 and has 0.531 of its speed; half of that draw."""
    ledger, _ = under(0.447 / 2 * 250, "nvidia/v100")
    assert ledger.end_s[0, 0] == pytest.approx(1000 / (0.531 / 2))


@pytest.mark.parametrize("chip_w", [200.0, 125.0, 50.0])
def test_without_measured_caps_speed_falls_as_the_watts_of_the_chip(chip_w):
    ledger, _ = under(chip_w, "nvidia/h100-sxm")
    assert ledger.end_s[0, 0] == pytest.approx(1000 * 250 / chip_w)


def test_below_idle_a_chip_slows_down_with_the_cap():
    """A cap of 75 W on nodes that draw 150 idle: half of the speed that chips have at 50 of 250."""
    ledger, world = under(-25, "nvidia/h100-sxm")
    assert ledger.end_s[0, 0] == pytest.approx(1000 * 10)
    assert ledger.peak_w[0] == pytest.approx(world.draw_w([0]))


def test_caps_of_chips_say_nothing_of_watts_that_hold_the_host():
    node = {"meter": "node", "compute": "350 W", "load": "9 W", "wait": "9 W", "idle": "150 W"}
    ledger, world = under(75, "nvidia/v100", node)
    assert world.pools[0].caps is None
    assert ledger.end_s[0, 0] == pytest.approx(2000)


@dataclass(frozen=True)
class Once:
    """Says its cap the first time it is asked, and never again."""

    may = frozenset({"cap"})

    def __call__(self, view):
        cap_w = {} if view.memory else {0: float(2 * view.pools.train_w[0])}
        return first_fit(view)._replace(cap_w=cap_w, memory=True)


def test_a_cap_holds_until_another_decision_says_otherwise():
    world = replace(world_of([(0, 4, 1000), (1, 4, 1000)]), decide=Once())
    assert played(world).end_s[0].tolist() == [2000.0, 4000.0]


def test_saves_take_as_long_and_draw_as_much_as_ever():
    """Saves of 10 s follow 100 s of training, whatever these bring: 400 s of it, 4 saves."""
    saves = {"every": "100 s", "stall": "10 s"}
    world = world_of([(0, 4, 200)], (0.0, {0: 0.5}), saves=saves)
    ledger = played(world)
    assert ledger.end_s[0, 0] == 440.0
    assert ledger.job_s[0, 0, [TRAIN, SAVE]].tolist() == [400.0, 40.0]
    joule = 4 * (200 * watts(world, TRAIN) + 40 * watts(world, SAVE))
    assert kwh(ledger, world)[0] == pytest.approx(joule / 3.6e6, rel=1e-12)


RESTARTS = {"f": {"mtbf": "1 year", "per": "node", "takes": "nothing", "restart": "1 s"}}


def test_what_a_fault_undoes_was_not_drawn_either(monkeypatch):
    """Full speed to 150 s, half from then on; saves of 10 s after 100 s of training.

    A save is complete at 110. The fault at 190 loses 80 s of training: 40 at full speed from 110
    to 150, 40 at half. It restarts for 20 s; 200 s are left, which take 400 with 4 saves.
    """
    saves = {"every": "100 s", "stall": "10 s"}
    steps = (0.0, {0: math.inf}), (150.0, {0: 0.5})
    world = world_of([(0, 4, 300)], *steps, saves=saves, faults=RESTARTS)
    ledger = played(world, monkeypatch, [(190.0, 0, 1, False, 20.0, 0.0)])
    assert ledger.end_s[0, 0] == pytest.approx(190 + 20 + 400 + 40)
    seconds = ledger.job_s[0, 0, [TRAIN, LOST, SAVE, RESTART]]
    assert seconds == pytest.approx([500, 80, 50, 20])
    assert ledger.weighted("capped")[0, 0, 0, [TRAIN, LOST]] == pytest.approx([800, 80])
    assert ledger.weighted("slow")[0, 0, 0, [TRAIN, LOST]] == pytest.approx([800, 80])
    train_j = 4 * (100 + 200) * watts(world, TRAIN)
    lost_j = 4 * (40 + 20) * watts(world, LOST)
    other_j = 4 * (50 * watts(world, SAVE) + 20 * watts(world, RESTART))
    assert kwh(ledger, world)[0] == pytest.approx((train_j + lost_j + other_j) / 3.6e6, rel=1e-12)


def test_what_a_cap_leaves_pays_the_price_of_its_hours(monkeypatch):
    """As above, at a price that is three times as much from 170 s on.

    Of 80 s lost, 40 at full speed and 20 at half are at one, 20 at half at three. All kept training
    after it is at three and half: 400 s; the 100 before the save at one and full.
    """
    saves = {"every": "100 s", "stall": "10 s"}
    steps = (0.0, {0: math.inf}), (150.0, {0: 0.5})
    world = world_of([(0, 4, 300)], *steps, saves=saves, faults=RESTARTS)
    dearer = Signal(np.array([0.0, 170.0]), np.array([1.0, 3.0]))
    world = replace(world, signals={"cost": (dearer,)})
    ledger = played(world, monkeypatch, [(190.0, 0, 1, False, 20.0, 0.0)])
    train_j = 4 * (100 + 400 / 2 * 3) * watts(world, TRAIN)
    lost_j = 4 * (40 + 20 / 2 + 20 / 2 * 3) * watts(world, LOST)
    other_j = 4 * ((10 + 40 * 3) * watts(world, SAVE) + 20 * 3 * watts(world, RESTART))
    paid = by_site(ledger, world).jobs
    assert paid["electricity_usd"][0, 0] == pytest.approx(
        (train_j + lost_j + other_j) / 3.6e6 * 0.1, rel=1e-9
    )
    assert paid["energy_kwh"][0, 0] == kwh(ledger, replace(world, signals={}))[0]


def test_a_cap_holds_in_every_phase():
    """A fifth of the draw is less than a node draws idle: so much it draws while it saves too."""
    saves = {"every": "100 s", "stall": "10 s"}
    world = world_of([(0, 4, 100)], (0.0, {0: 0.2}), saves=saves)
    ledger = played(world)
    assert ledger.end_s[0, 0] == pytest.approx(550)
    assert watts(world, SAVE) > watts(world, IDLE) > 0.2 * watts(world, TRAIN)
    assert kwh(ledger, world)[0] == pytest.approx(4 * 550 * watts(world, IDLE) / 3.6e6, rel=1e-12)
    told = {span.drawn_frac for span in ledger.spans}
    assert sorted(told) == pytest.approx(
        [watts(world, IDLE) / watts(world, p) for p in (TRAIN, SAVE)]
    )


def test_a_job_under_a_cap_is_cut_with_the_run():
    """At 1000 s half of the work is done, of which no token counts twice."""
    ledger = played(world_of([(0, 4, 1000)], (0.0, {0: 0.5}), horizon="1000 s"))
    assert ledger.kept_frac[0, 0] == 0.5
    assert ledger.weighted("capped")[0, 0, 0, TRAIN] == 2000.0


def test_a_slow_node_and_a_cap_both_slow_down(monkeypatch):
    """A node at half speed from 0 to 400 s, a cap of half: a quarter, then half of the speed."""
    slows = {"mtbf": "1 year", "per": "node", "slows": {"to": 0.5, "lasts": "400 s"}}
    world = world_of([(0, 4, 1000)], (0.0, {0: 0.5}), faults={"f": slows})
    ledger = played(world, monkeypatch, [(1e-9, 0, 1, False, 400.0, 0.0)])
    assert ledger.end_s[0, 0] == pytest.approx(400 + 1800)
    assert ledger.weighted("capped")[0, 0, 0, TRAIN] == pytest.approx(4 * 1100)


# -- laws ------------------------------------------------------------------------------------------

sizes = st.lists(
    st.tuples(st.integers(0, 900), st.integers(1, 4), st.integers(1, 2000)), min_size=1, max_size=6
)
SAVES = {"every": "70 s", "stall": "5 s"}
FAULT = {"mtbf": "2 h", "per": "node", "takes": "node", "restart": "1 min", "repair": "9 min"}
# A job that never saves and meets faults may not end in a slow run.
runs = st.sampled_from([({"every": "never"}, {}), (SAVES, {}), (SAVES, {"f": FAULT})])


@given(jobs=sizes, run=runs)
def test_a_cap_above_the_draw_changes_no_byte(jobs, run):
    saves, faults = run
    worlds = [
        world_of(jobs, (0.0, {0: share}), saves=saves, faults=faults) for share in (1.0, math.inf)
    ]
    one, other = (event.play(world, 3, 0, 2) for world in worlds)
    for name in ("booked", "job_s", "kept_frac", "first_start_s", "end_s", "peak_w", "wall_s"):
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes(), name
    assert not one.weighted("capped").any()


@given(
    jobs=sizes,
    run=runs,
    shares=st.lists(st.tuples(st.integers(0, 3000), st.floats(0.05, 1.2)), min_size=1, max_size=4),
)
def test_whatever_the_caps_are_books_and_power_add_up(jobs, run, shares):
    """No chip-second is lost, all work is done, and the peak is no more than the highest cap."""
    saves, faults = run
    steps = [(0.0, {0: shares[0][1]}), *((float(at_s), {0: share}) for at_s, share in shares)]
    world = world_of(jobs, *sorted(steps, key=lambda one: one[0]), saves=saves, faults=faults)
    ledger = event.play(world, 3, 0, 1, timeline=True)
    check(ledger, world)
    assert np.isfinite(ledger.end_s).all()
    assert ledger.kept_frac == pytest.approx(1.0)
    capped, chip_s = ledger.weighted("capped"), ledger.chip_s
    assert (capped >= -1e-6).all()
    assert (capped <= chip_s * (1 - 0.05) + 1e-6).all()
    full_w, lowest = world.node_w[0], min(share for _, share in shares)
    most_w = np.maximum(lowest * full_w[TRAIN], full_w[IDLE])  # a cap is for all phases
    spared = 1 - most_w / np.maximum(full_w, 1e-9)
    assert (capped[0, :-1, 0] <= chip_s[0, :-1, 0] * np.maximum(spared, 0) + 1e-4).all()
    assert not capped[:, -1].any()
    capped, chip_s = capped[..., [TRAIN, LOST]], chip_s[..., [TRAIN, LOST]]
    slow = ledger.weighted("slow")[..., [TRAIN, LOST]]
    idle_frac = world.draw_w([0]) / world.draw_w([4])
    assert (capped <= slow + 1e-4).all()  # nothing else slows them
    assert (capped <= chip_s * (1 - idle_frac) + 1e-4).all()
    if any(share < idle_frac for _, share in shares):
        return
    assert capped == pytest.approx(slow, abs=1e-4)
    nodes = np.array([job.n_nodes[0] for job in world.jobs])
    work = [nodes[j] * job.train_s[0] for j, job in enumerate(world.jobs)]
    drawn = (chip_s - capped)[0, :-1, 0, 0]
    assert drawn == pytest.approx(work)  # training that is kept draws what its work takes
    most_w = max(share for _, share in [*shares, (0, shares[0][1])]) * 4 * watts(world, TRAIN)
    idle_w = 4 * watts(world, IDLE)
    assert measure(ledger, world)["peak_power_kw"][0] * 1e3 <= most_w + idle_w + 1e-6


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cap_w", "said"),
    [
        ({0: 0.0}, r"policy first-fit caps pool p at 0 W: a cap must be > 0, and inf lifts it"),
        ({0: -5.0}, r"caps pool p at -5 W"),
        ({0: math.nan}, r"caps pool p at nan W"),
        ({7: 5.0}, r"caps pool 7, and there are 1"),
        ({-1: 5.0}, r"caps pool -1, and there are 1"),
    ],
)
def test_a_cap_that_is_none_is_refused(cap_w, said):
    policy = may("cap")(lambda view: first_fit(view)._replace(cap_w=cap_w))
    with pytest.raises(ComputePlanError, match=said):
        event.play(replace(world_of([(0, 4, 9)]), decide=policy), 0, 0, 1)


def test_a_policy_that_may_cap_says_so():
    world = replace(world_of([(0, 4, 9)]), decide=lambda _view: Decision(cap_w={0: 1e3}))
    with pytest.raises(ComputePlanError, match=r"pool p and does not say .*registry\.may\(.cap.\)"):
        event.play(world, 0, 0, 1)


def test_a_pool_of_unknown_power_has_no_cap():
    world = world_of([(0, 4, 9)], (0.0, {0: 0.5}))
    pool = replace(world.pools[0], chip_w=np.full_like(world.pools[0].chip_w, math.nan))
    policy = may("cap")(lambda view: first_fit(view)._replace(cap_w={0: 1e3}))
    with pytest.raises(ComputePlanError, match="whose power is not known"):
        event.play(replace(world, pools=(pool,), decide=policy), 0, 0, 1)


def test_the_batch_engine_leaves_what_caps_to_the_other():
    world = world_of([(0, 4, 9)])
    assert batch.why_unsupported(world) == (
        "policy",
        "policy first-fit holds jobs to a power cap",
    )
    assert batch.why_unsupported(replace(world, decide=first_fit)) is None


# -- the policies that are shipped -----------------------------------------------------------------


def shared(policy, *, jobs=2, cap="1 kW"):
    """Return a result: jobs of 2 nodes and 3 h each on 4 nodes, under a cap."""
    pool = {"chip": "nvidia/h100-sxm", "chips_per_node": 1, "chips": 4, "power": NODE}
    return cp.run(
        cp.load(
            {
                "computeplan": 1,
                "name": "shared",
                "sites": {"s": {"pue": 1.25, "carbon": "400 g/kWh", "pools": {"p": pool}}},
                "jobs": {
                    f"j{i}": {"chips": 2, "train_for": "3 h", "checkpoint": {"every": "never"}}
                    for i in range(jobs)
                },
                "policy": {"round": "6 min", "cap": cap, **policy},
                "simulate": {"runs": 1},
            }
        )
    )


def half_of_all():
    """Return half of what 4 nodes draw, as text."""
    return f"{2 * watts(world_of([(0, 4, 9)]), TRAIN)} W"


@pytest.mark.parametrize("name", ["least-energy-shares", "least-carbon-shares", "max-min-fairness"])
def test_policies_slow_jobs_down_to_their_cap(name):
    """Both run at half speed for 6 h; one after the other they take as long, at full speed."""
    slow = shared({"name": name, "slow_down": True}, cap=half_of_all())
    waits = shared({"name": name}, cap=half_of_all())
    (of_slow,), (of_waits,) = slow.cases.values(), waits.cases.values()
    assert of_slow.jobs["wait_h"][0] == pytest.approx([0, 0])
    assert of_slow.jobs["end_h"][0] == pytest.approx([6, 6])
    assert of_waits.values["makespan_days"] == pytest.approx(0.25)
    assert of_slow.by_site.jobs["energy_kwh"] == pytest.approx(of_waits.by_site.jobs["energy_kwh"])
    cap_kw = 2 * watts(world_of([(0, 4, 9)]), TRAIN) / 1e3
    assert of_slow.values["peak_power_kw"][0] == pytest.approx(cap_kw)
    codes = [[note.code for note in result.notes] for result in (slow, waits)]
    assert ["power_capped" in found for found in codes] == [True, False]
    assert "in proportion" in slow.notes_page()


def test_a_job_that_draws_more_than_the_cap_runs_only_if_it_slows_down():
    """Half of what one job of 2 nodes draws: 3 h take 6."""
    cap = f"{watts(world_of([(0, 4, 9)]), TRAIN)} W"
    result = shared({"name": "least-energy-shares", "slow_down": True}, jobs=1, cap=cap)
    (case,) = result.cases.values()
    assert case.jobs["end_h"][0] == pytest.approx([6])
    with pytest.raises(ComputePlanError, match="waiting for ever: j0"):
        shared({"name": "least-energy-shares"}, jobs=1, cap=cap)
