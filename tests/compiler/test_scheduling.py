"""Policies with settings, tenants with quotas, jobs pinned to pools and software not ready."""

import pytest

import computeplan as cp
from computeplan.compiler.compile import compile_world
from computeplan.engines import event
from computeplan.errors import ScenarioError
from computeplan.scheduling.registry import load_policy


def scenario_of(job=None, **more):
    """Return a cloud of two pools with one job `j`."""
    return cp.load(
        {
            "computeplan": 1,
            "name": "settings",
            "sites": {
                "s": {
                    "pue": 1.0,
                    "pools": {
                        "a": {"chip": "nvidia/h100-sxm", "chips": 64},
                        "b": {"chip": "huawei/ascend-910b2", "chips": 64},
                    },
                }
            },
            "jobs": {"j": {"chips": 16, "train_for": "10 h", **(job or {})}},
            **more,
        }
    )


def test_settings_are_written_without_the_unit_of_their_field():
    written = {"name": "max-min-fairness", "round": "12 min", "reset_gate": "1 h", "cap": "20 MW"}
    decide = compile_world(scenario_of(policy=written)).decide
    assert (decide.round_s, decide.reset_gate_s, decide.cap_w) == (720.0, 3600.0, 20e6)
    assert compile_world(scenario_of(policy="fifo")).decide is load_policy("fifo")


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ({"name": "max-min-fairness", "rounds": "5 min"}, r"policy\.rounds: no such setting"),
        ({"name": "fifo", "round": "5 min"}, r"policy\.round: no such setting.*fifo has none"),
        ({"name": "max-min-fairness", "round": 360}, r"needs a unit: write '6 min', not 360"),
        ({"name": "max-min-fairness", "round": "3 MW"}, r"policy\.round"),
        ({"name": "max-min-fairness", "round": "1 s", "restart_cost": "5 s"}, "a round must be"),
        ({"name": "capacity", "borrow": "no"}, r"policy\.borrow: must be true or false"),
        ({"name": "fifo-backfil"}, "no policy 'fifo-backfil'. Did you mean 'fifo-backfill'"),
        ({"round": "5 min"}, "must be a name such as fifo-backfill"),
    ],
)
def test_what_is_wrong_with_a_policy_is_said(policy, message):
    with pytest.raises(ScenarioError, match=message):
        compile_world(scenario_of(policy=policy))


def test_quotas_are_whole_nodes_and_none_of_a_pool_that_is_left_out():
    tenants = {"lab": {"weight": 2, "quota": {"a": 44}}, "firm": None or {}}
    table = compile_world(scenario_of({"tenant": "other"}, tenants=tenants)).tenants
    assert table.names == ("", "lab", "firm", "other")
    assert table.weight.tolist() == [1, 2, 1, 1]
    inf = float("inf")
    assert table.quota_nodes.tolist() == [[inf, inf], [5, 0], [inf, inf], [inf, inf]]


def test_a_quota_names_a_pool_that_exists():
    with pytest.raises(ScenarioError, match=r"tenants\.lab\.quota\.c: no pool 'c'"):
        scenario_of(tenants={"lab": {"quota": {"c": 8}}})


def test_a_job_runs_only_where_it_may_in_the_order_it_likes():
    view = compile_world(scenario_of({"only": ["910B2", "a"]})).job_table
    assert view.places == ((1, 0),)
    assert compile_world(scenario_of({"only": ["H100"]})).n_nodes.tolist() == [[2, 0]]
    assert compile_world(scenario_of({"never": ["H100"]})).n_nodes.tolist() == [[0, 2]]


def test_software_that_is_not_ready_is_slower_or_absent():
    world = compile_world(scenario_of({"ready": {"910b2": 0.5}}))
    assert world.jobs.train_s[0] == pytest.approx([36_000, 72_000])
    assert compile_world(scenario_of({"ready": {"b": 0}})).n_nodes.tolist() == [[2, 0]]


@pytest.mark.parametrize("key", ["only", "never", "ready"])
def test_a_place_that_does_not_exist_is_refused(key):
    value = {"b200": 0.5} if key == "ready" else ["b200"]
    with pytest.raises(ScenarioError, match=rf"jobs\.j\.{key}: no pool, and no chip of a pool"):
        scenario_of({key: value})


def notes_of(**more):
    """Return the notes of a cloud about services and quotas."""
    codes = ("service_", "quota_")
    notes = compile_world(scenario_of(**more)).notes
    return [(one.code, dict(one.items)) for one in notes if one.code.startswith(codes)]


def test_quotas_that_no_pool_can_give_are_noted():
    """Nodes have 8 chips and pools 64."""
    quotas = {"lab": {"quota": {"a": 72, "b": 4}}, "firm": {"quota": {"a": 64, "b": 12}}}
    assert notes_of(tenants=quotas) == [
        ("quota_beyond_pool", {"path": "tenants.lab.quota.a", "n": 72, "has": 64}),
        ("quota_of_whole_nodes", {"path": "tenants.lab.quota.b", "n": 4, "size": 8, "held": 0}),
        ("quota_of_whole_nodes", {"path": "tenants.firm.quota.b", "n": 12, "size": 8, "held": 8}),
    ]
    assert not notes_of(tenants={"lab": {"quota": {"a": 64, "b": 0}}})


def test_services_that_need_more_than_their_pools_or_parts_of_nodes_are_noted():
    day = [8] * 12 + [12] * 11 + [200]
    services = {
        "wide": {"pools": ["a", "b"], "chips": day},
        "part": {"pool": "a", "chips": 16, "least": 4},
        "fits": {"pools": ["a", "b"], "chips": 128},
    }
    assert notes_of(services=services) == [
        (
            "service_beyond_pools",
            {"path": "services.wide.chips", "n": 200, "pools": ("a", "b"), "has": 128}
            | {"unit": "chip"},
        ),
        ("service_holds_whole_nodes", {"path": "services.wide.chips", "n": 12, "held": 16}),
        ("service_holds_whole_nodes", {"path": "services.part.chips", "n": 4, "held": 8}),
    ]


def at_two_places(policy, **more):
    """One job that fits at Ningxia, cheap and dirty, and at Yunnan, dearer, clean and hotter."""
    pool = {"chip": "nvidia/h100-sxm", "chips": 16}
    sites = {
        "ningxia": {"pools": {"north": pool}},
        "yunnan": {"pools": {"south": pool}},
    }
    more = {"currency": "CNY", "sites": sites, "policy": policy, "simulate": {"runs": 1}, **more}
    (case,) = cp.run(scenario_of({"checkpoint": {"every": "never"}}, **more)).cases.values()
    return case.by_site.jobs["chip_h"][0].tolist()


@pytest.mark.parametrize(
    ("policy", "ningxia", "yunnan"),
    [
        ("least-cost", 160, 0),  # 1.25 x 0.421 against 1.34 x 0.473 CNY/kWh
        ("least-energy", 160, 0),  # 1.25 against 1.34
        ("least-carbon", 0, 160),  # 619 against 133 g/kWh
        ("least-water", 160, 0),  # 0.18 + 1.25 x 6.01 against 1.12 + 1.34 x 6.01 L/kWh of IT
    ],
)
def test_jobs_go_to_the_place_that_a_policy_weighs_least(policy, ningxia, yunnan):
    assert at_two_places(policy) == pytest.approx([ningxia, yunnan])


@pytest.mark.parametrize(
    ("policy", "said"),
    [("least-water", "weighs pools by water.*water_off_site"), ("least-cost", "by prices.*rent")],
)
def test_a_policy_says_what_it_must_know(policy, said):
    with pytest.raises(ScenarioError, match=said):
        compile_world(scenario_of(policy=policy))


@pytest.mark.parametrize("price", ["0 USD/kWh", "-0.02 USD/kWh"])
def test_least_cost_takes_a_price_that_is_not_above_zero(price):
    """A price of 0 at the second of two sites: the job goes there; the first costs more."""
    data = {**two_priced("0.1 USD/kWh", price), "policy": "least-cost"}
    ledger = event.play(compile_world(cp.load(data)), 0, 0, 1)
    assert (ledger.chip_s[0, 0].sum(axis=1) > 0).tolist() == [False, True]


def test_who_divides_by_a_price_says_why_it_must_be_above_zero():
    data = {**two_priced("0.1 USD/kWh", "0 USD/kWh"), "policy": "max-throughput-per-cost"}
    with pytest.raises(ScenarioError, match=r"must be above 0: b0 0 USD per node and hour"):
        compile_world(cp.load(data))


def two_priced(*prices):
    sites = {
        name: {
            "pue": 1.2,
            "price": price,
            "pools": {f"{name}0": {"chip": "nvidia/h100-sxm", "chips": 8}},
        }
        for name, price in zip("ab", prices, strict=False)
    }
    job = {"train_for": "10 h", "chips": 8, "checkpoint": {"every": "never"}}
    every = {"computeplan": 1, "name": "s", "simulate": {"runs": 1}}
    return {**every, "sites": sites, "jobs": {"j": job}}


def test_hours_of_which_none_is_good_are_an_error_that_says_the_lowest():
    """Half the day at 0.5 and half at 1.5 times the mean: at most 0.4 is never."""
    data = two_priced("0.1 USD/kWh")
    parts = [{"hours": [[0, 12]], "factor": 0.5}, {"hours": [[12, 24]], "factor": 1.5}]
    data["sites"]["a"]["varies"] = {"price": parts}
    data["policy"] = {"name": "green-hours", "by": "cost", "most": 0.4}
    data["simulate"]["start"] = "2026-05-01"
    said = r"no hour of pool a0 is good: its lowest cost is 0.5 times its mean, and most is 0.4"
    with pytest.raises(ScenarioError, match=said):
        compile_world(cp.load(data))
    data["policy"]["most"] = 0.5
    compile_world(cp.load(data))
