"""Power limits of sites: what is read, what is refused, and what is none."""

import pytest

import computeplan as cp
from computeplan.compiler.compile import compile_world
from computeplan.engines import batch
from computeplan.errors import ScenarioError, UnsupportedByEngine
from computeplan.ledger import IDLE, TRAIN
from computeplan.study.cases import compile_cases

POOL = {"chip": "nvidia/h100-sxm", "chips_per_node": 8, "chips": 80}
BATTERY = {"energy": "1 kWh", "power": "1 kW", "efficiency": 1}
SAVES = {"every": "1 h", "stall": "5 s"}


def data_of(pool=None, job=None, **site):
    """Return ten nodes with a job on eight of them, and a site as it is written."""
    return {
        "computeplan": 1,
        "name": "limited",
        "sites": {"s": {"pue": 1.0, "pools": {"p": {**POOL, **(pool or {})}}, **site}},
        "jobs": {"j": {"train_for": "2 d", "chips": 64, "checkpoint": SAVES, **(job or {})}},
    }


def world_of(*args, **site):
    return compile_world(cp.load(data_of(*args, **site)))


def problem_of(*args, **site):
    with pytest.raises(ScenarioError) as caught:
        world_of(*args, **site)
    return str(caught.value)


def ten_nodes_w(phase):
    return 10 * float(world_of().node_w[0, phase])


def test_a_limit_is_compiled_with_its_battery():
    battery = {"energy": "40 MWh", "power": "10 MW", "efficiency": 0.9}
    (limit,) = world_of(power_limit="75 kW", over_limit="pause", battery=battery).limits
    assert (limit.site, limit.pools, limit.yields) == ("s", (0,), "pause")
    assert limit.limit_w == 7.5e4
    assert limit.battery is not None
    assert limit.battery.energy_j == pytest.approx(40 * 3.6e9)
    assert (limit.battery.power_w, limit.battery.efficiency) == (1e7, 0.9)
    assert world_of(power_limit="60 kW").limits[0].yields == "slow"


def test_a_limit_that_all_nodes_never_reach_is_none():
    watts = ten_nodes_w(TRAIN)
    assert world_of(power_limit=f"{watts * 1.0001} W").limits == ()
    assert len(world_of(power_limit=f"{watts * 0.9999} W").limits) == 1


def test_a_battery_under_a_limit_that_never_binds_is_left_out_with_a_note():
    """It would fill, raise the peak, and never give."""
    watts = ten_nodes_w(TRAIN)
    world = world_of(power_limit=f"{watts * 2} W", battery=BATTERY)
    assert world.limits == ()
    assert [dict(n.items) for n in world.notes if n.code == "battery_unused"] == [{"site": "s"}]
    world = world_of(power_limit=f"{watts * 0.9999} W", battery=BATTERY)
    assert world.limits[0].battery is not None
    assert "battery_unused" not in {n.code for n in world.notes}


def test_a_file_says_megawatts_or_a_factor(tmp_path):
    """24 rows are the hours of every day; the mean stands where no constant is written."""
    rows = "".join(f"{hour},{0.06 if hour < 8 else 0.09}\n" for hour in range(24))
    (tmp_path / "sun.csv").write_text(f"hour,MW\n{rows}")
    (tmp_path / "half.csv").write_text("hour,factor\n0,1\n12,0.7\n")
    noon = [{"hours": [[8, 14]], "factor": 0.6}]
    for site, at_noon_w in (
        ({"varies": {"power_limit": "sun.csv"}}, 9e4),
        ({"power_limit": "100 kW", "varies": {"power_limit": "sun.csv"}}, 9e4),
        ({"power_limit": "100 kW", "varies": {"power_limit": "half.csv"}}, 7e4),
        ({"power_limit": "100 kW", "varies": {"power_limit": noon}}, 6e4),
    ):
        file = tmp_path / "x.yaml"
        file.write_text(cp.load(data_of()).to_yaml())
        scenario = cp.load(file).with_({f"sites.s.{key}": value for key, value in site.items()})
        (limit,) = compile_world(scenario).limits
        hours_s = 3600.0 * (12 + 24 * 3)
        assert limit.limit_w * float(limit.over_time.at(hours_s)) == pytest.approx(at_noon_w)


def test_a_limit_below_what_is_idle_is_refused():
    said = problem_of(power_limit=f"{ten_nodes_w(IDLE) * 0.99} W")
    assert "sites.s.power_limit: is " in said
    assert "and idle nodes alone draw" in said
    low = [{"hours": [[6, 8]], "factor": 0.1}]
    assert "6 h into the run" in problem_of(power_limit="90 kW", varies={"power_limit": low})


def test_hours_without_power_need_a_battery_or_jobs_that_pause():
    """Nights of a solar park; a limit that is always too low, and services, are still refused."""
    sun = {"power_limit": "90 kW", "varies": {"power_limit": [{"hours": [[0, 8]], "factor": 0}]}}
    said = problem_of(**sun)
    assert "is 0 MW 0 h into the run, and idle nodes alone draw" in said
    assert "write over_limit: pause, or a battery" in said
    for how in ({"over_limit": "pause"}, {"battery": BATTERY}):
        assert len(world_of(**sun, **how).limits) == 1
        assert "idle nodes alone draw" in problem_of(power_limit="1 kW", **how)
        assert "is at most 0.001 MW at all times" in problem_of(power_limit="1 kW", **how)


def test_a_limit_of_0_to_the_horizon_says_so_and_when_there_is_more():
    """A run of 5 h that begins at midnight of a solar park, where power comes at 8."""
    sun = {"power_limit": "90 kW", "varies": {"power_limit": [{"hours": [[0, 8]], "factor": 0}]}}
    data = data_of(**sun, over_limit="pause") | {"simulate": {"horizon": "5 h"}}
    with pytest.raises(ScenarioError) as caught:
        compile_world(cp.load(data))
    said = str(caught.value)
    assert "is 0 MW for all of the 5 h to which the run is played" in said
    assert "There is more from 8 h into the run: give a longer simulate.horizon" in said


@pytest.mark.parametrize("yields", ["shrink", "pause"])
def test_a_job_that_could_never_start_is_refused(yields):
    """8 nodes at full power beside 2 idle ones, or slower."""
    limit_w = ten_nodes_w(IDLE) + 0.79 * (ten_nodes_w(TRAIN) - ten_nodes_w(IDLE))
    said = problem_of(power_limit=f"{limit_w} W", over_limit=yields)
    assert f"sites.s.over_limit: {yields}: job j draws" in said
    assert "Write over_limit: slow" in said
    assert world_of(power_limit=f"{limit_w} W").limits
    more_w = limit_w + 0.02 * ten_nodes_w(TRAIN)
    assert world_of(power_limit=f"{more_w} W", over_limit=yields).limits


@pytest.mark.parametrize(
    ("site", "said"),
    [
        ({"over_limit": "pause"}, "over_limit needs a limit: write power_limit: 20 MW"),
        ({"battery": BATTERY}, "battery needs a limit"),
        ({"power_limit": "0 W"}, "must be > 0"),
        ({"power_limit": 20}, "write it like '20 MW'"),
        ({"power_limit": "20 MWh"}, "20 MWh"),
        ({"power_cap": "20 MW"}, "write power_limit: 20 MW"),
        ({"power_limit": "1 MW", "over_limit": "stop"}, "'slow', 'shrink' or 'pause'"),
        ({"power_limit": "1 MW", "battery": {"energy": "1 MWh", "power": "1 MW"}}, "efficiency"),
        ({"power_limit": "1 MW", "battery": {"capacity": "1 MWh"}}, "write energy: 40 MWh"),
        (
            {"power_limit": "1 MW", "battery": {**BATTERY, "energy": "1e300 kWh"}},
            "must be at most 1 TWh, got '1e300 kWh': is the unit right?",
        ),
        ({"power_limit": "1 MW", "battery": {**BATTERY, "power": "1e30 W"}}, "at most 10 TW"),
        ({"varies": {"power_limit": [{"factor": 0.5}]}}, "there is no power_limit that could vary"),
    ],
)  # fmt: skip
def test_what_is_no_limit_is_refused(site, said):
    assert said in problem_of(**site)


@pytest.mark.parametrize("yields", ["shrink", "pause"])
def test_who_pauses_must_say_how_it_saves(yields):
    said = problem_of(job={"checkpoint": None}, power_limit="70 kW", over_limit=yields)
    assert "jobs.j: checkpoint is missing" in said


def test_watts_must_be_known():
    said = problem_of({"chip": "google/tpu-v5p"}, power_limit="1 MW")
    assert "needs the watts of pool p: give power" in said


def test_who_does_not_play_it_says_the_line():
    scenario = cp.load(data_of(power_limit="60 kW"))
    ((case,), _) = compile_cases(scenario)
    assert case.engine == "event"
    with pytest.raises(UnsupportedByEngine, match=r"sites\.s\.power_limit"):
        batch.play(case.world, 0, 0, 1)
    facts = cp.run(scenario.with_({"faults": {"f": {
        "mtbf": "50 kh", "per": "chip", "takes": "node", "restart": "5 min", "repair": "1 d",
    }}})).cases["limited"].facts  # fmt: skip
    assert "power_limit" in facts["expected"].values.values()
