"""Services with prompts and answers on pools of their own, and drafts, from YAML to the books."""

import numpy as np
import pytest
from chats import DAY, PHASES, STATES, data_of, lending, with_faults
from scipy import stats

import computeplan as cp
from computeplan.compiler.compile import compile_world
from computeplan.engines import event
from computeplan.engines.serve.largest_rate import enough_requests, largest_rate
from computeplan.engines.serve.policy import Slo
from computeplan.errors import InfeasibleError, ScenarioError
from computeplan.fleet.layouts import Settings, candidates
from computeplan.fleet.roles import load_of_role, slo_of_role
from computeplan.fleet.services import plan_services
from computeplan.metrics import by_site
from computeplan.physics.serving.instance import Speculation, Split
from computeplan.report.service_answer import service_lines
from computeplan.specs.catalogue.lookup import find_chip, find_model

RUN = {"engine": "vllm", "precision": "fp8", "kv": "fp8", "layout": "tp1"}
DRAFTS = {"draft": 3, "accepted": 2.5}


def apart(data, prefill="a", decode="b", **more):
    """Return a scenario whose service has pools for each role, the second of another chip."""
    data["sites"]["s"]["pools"]["b"] = {"chip": "nvidia/h20", "chips": 64}
    chat = data["services"]["chat"]
    del chat["pools"]
    chat["prefill"], chat["decode"] = {prefill: RUN}, {decode: {**RUN, **more}}
    return data


def planned_world(data):
    scenario = cp.load(data)
    return compile_world(scenario, plan_services(scenario))


def only(result):
    (case,) = result.cases.values()
    return case


@pytest.mark.parametrize(("role", "chip", "drafts"), [
    ("prefill", "h100-sxm", None),
    ("decode", "h20", None),
    ("decode", "h20", DRAFTS),
])  # fmt: skip
def test_a_role_holds_what_its_instances_hold_by_themselves(role, chip, drafts):
    more = {} if drafts is None else {"speculation": drafts}
    found = plan_services(cp.load(apart(data_of(), **more)))
    assert list(found) == ["chat.prefill", "chat.decode"]
    plain = plan_services(cp.load(data_of()))["chat"].load
    load, slo = load_of_role(plain, role), slo_of_role(Slo(1.0, 0.03), role)
    speculation = Speculation(**drafts) if drafts else None
    settings = Settings("fp8", None, Split.of(), speculation, role)
    model, pair = find_model("llama-3.1-8b")[0], ("vllm", "fp8")
    (one,), _ = candidates(find_chip(chip)[0], model, load, slo, [pair], settings)
    n = enough_requests(one.bound_batch)
    rate = largest_rate(one.times, load, slo, one.policy, n_requests=n)
    assert found[f"chat.{role}"].on[0].per_s == rate.per_s


def test_drafts_that_are_accepted_gain_and_others_cost():
    def rate(**more):
        pools = {"a": {**RUN, **more}}
        return plan_services(cp.load(data_of(pools=pools)))["chat"].on[0].per_s

    gains, costs = (rate(speculation={"draft": 3, "accepted": n}) for n in (2.5, 1))
    assert costs < rate() < gains


def test_every_chip_hour_and_every_kwh_is_of_one_role():
    """With faults, lending and jobs: prompts on one pool, answers on another."""
    result = cp.run(cp.load(apart(lending())))
    case = only(result)
    values, taken = case.values, case.by_site
    served = sum(values[f"service_{state}_chip_h"] for state in STATES)
    assert served == pytest.approx(values["service_chip_h"], rel=1e-9)
    jobs = sum(values[f"{phase}_chip_h"] for phase in PHASES)
    assert (jobs > 0).all()
    idle = taken.idle["chip_h"].sum(axis=1)
    assert served + jobs + idle == pytest.approx((32 + 64) * 24 * values["wall_days"], rel=1e-9)
    n = values["requests_answered"]
    missed = values["requests_missed_frac"]
    assert n == pytest.approx(400 * DAY * values["wall_days"] * (1 - missed), rel=1e-9)
    for name, each in (("energy_kwh", "wh_per_request"), ("carbon_kg", "g_per_request")):
        total = taken.services[name].sum(axis=1)
        assert values[each] * n == pytest.approx(1e3 * total, rel=1e-9)
    per_mtok = {end: values[f"kwh_per_mtok_{end}"] for end in ("in", "out")}
    for pool, (end, tokens) in enumerate((("in", 400), ("out", 100))):
        kwh = taken.services["energy_kwh"][:, pool]
        assert per_mtok[end] * n * tokens / 1e6 == pytest.approx(kwh, rel=2e-3)  # few are missed
    assert case.service_names == ("chat.prefill", "chat.decode")
    (line,) = service_lines(result, "en")
    assert "chat takes " in line
    assert "chips of a for prefill" in line
    assert "chips of b for decode" in line
    assert "Wh a request" in line


def test_what_roles_do_after_a_run_is_what_they_do_in_one(tmp_path):
    data = apart(lending())
    del data["jobs"], data["faults"], data["policy"]
    data["simulate"] = {"horizon": "12 d", "runs": 1}
    world = planned_world(data)
    found = by_site(event.play(world, 0, 0, 1), world)
    for name, value in found.served.items():
        assert value.sum() / 12 == pytest.approx(found.served_per_day[name].sum(), rel=1e-9)
    data["simulate"] = {"horizon": "1 d", "runs": 1}
    result = cp.run(cp.load(data))
    cp.save_result(result, tmp_path / "out")
    again = only(cp.load_result(tmp_path / "out"))
    assert again.service_names == ("chat.prefill", "chat.decode")
    np.testing.assert_equal(dict(again.values), dict(only(result).values))


def test_roles_that_are_there_together_keep_the_availability():
    """Each is asked for the root of it: their faults have nothing in common."""
    data = with_faults(apart(data_of()), "100 h")
    chat = data["services"]["chat"]
    chat["slo"]["availability"] = 0.99
    chat["requests"]["per_s"] = 300
    world = planned_world(data)
    up = 1.0
    for one in world.services:
        (p,) = one.pools
        kind = world.pools[p].kinds[0]
        node = 1 / (1 + kind.stop_rate_per_node_s * kind.down_s)
        n = int(np.ceil(300 * (1 + 2.3193 / np.sqrt(300 * 60)) / one.gives[0]))
        held = round(one.demand.most / one.gives[0])
        there = [stats.binom.sf(n - 1, n_nodes, node) for n_nodes in (held - 1, held)]
        assert there[0] < np.sqrt(0.99) <= there[1]
        up *= there[1]
    assert up >= 0.99


def test_one_pool_for_both_roles_has_room_for_what_prompts_leave():
    """Two of four servers take in prompts; the other two answer less than is asked, and it says."""
    data = apart(data_of(), decode="a")
    asks = {"per_s": 10, "tokens": {"in": 400, "out": 300, "cv": 0.5}}
    data["services"]["chat"]["requests"] = asks
    rates = [one.gives[0] for one in planned_world(data).services]
    assert rates[1] < rates[0]
    asks["per_s"] = asked = 1.5 * rates[0]
    world = planned_world(data)
    (doubt,) = (dict(x.values) for x in world.notes if x.code == "service_beyond_pools")
    assert (doubt["path"], doubt["beside"]) == ("services.chat.decode", "chat.prefill")
    assert doubt["has"] == pytest.approx(2 * world.services[1].gives[0])
    assert [one.name for one in world.services] == ["chat.prefill", "chat.decode"]
    case = only(cp.run(cp.load(data)))
    missed = 1 - 2 * rates[1] / asked
    assert case.values["requests_missed_frac"] == pytest.approx([missed])
    assert case.values["service_chip_h"] == pytest.approx([32 * 24])


def test_cases_change_what_one_role_runs():
    data = apart(data_of())
    data["cases"] = {
        "apart": {},
        "wider": {"services.chat.prefill.a.layout": "tp2"},
        "drafts": {"services.chat.decode.b.speculation": DRAFTS},
        "together": {"services.chat.pools": {"a": RUN}},
    }
    result = cp.run(cp.load(data))
    n_chips = {
        name: {fact.values["service"]: fact.values["pools"][0][3] for fact in case.facts.values()
               if fact.code == "service_sized"}
        for name, case in result.cases.items()
    }  # fmt: skip
    assert n_chips == {
        "apart": {"chat.prefill": 1, "chat.decode": 1},
        "wider": {"chat.prefill": 2, "chat.decode": 1},
        "drafts": {"chat.prefill": 1, "chat.decode": 1},
        "together": {"chat": 1},
    }
    energy = {name: case.values["kwh_per_mtok_out"][0] for name, case in result.cases.items()}
    assert energy["drafts"] < energy["apart"] == energy["wider"]


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"decode": {"c": RUN}}, ScenarioError, r"services.chat.decode.*no pool 'c'.*Pools: a, b"),
        (
            {"prefill": {"a": {**RUN, "engine": "mindie"}}},
            ScenarioError,
            r"services.chat.prefill.a.engine.*does not run on nvidia/h100-sxm",
        ),
        (
            {"decode": {"b": {**RUN, "layout": "tp3"}}},
            ScenarioError,
            r"services.chat.decode.b.*tp3 does not divide the heads",
        ),
        ({"decode": {"far": RUN}}, ScenarioError, r"one site; got a at s and far at t"),
        (
            {"slo": {"ttft_p99": "1 s", "tpot_p99": "0.5 ms"}},
            InfeasibleError,
            r"services.chat.decode.b.*a further token takes at least",
        ),
        (
            {"slo": {"ttft_p99": "1 ms", "tpot_p99": "50 ms"}},
            InfeasibleError,
            r"services.chat.prefill.a.*the first token takes at least",
        ),
    ],
)
def test_what_is_wrong_of_a_role_is_said_at_its_place(changes, error, said):
    data = apart(data_of())
    far = {"chip": "nvidia/h20", "chips": 64}
    data["sites"]["t"] = {**data["sites"]["s"], "pools": {"far": far}}
    data["services"]["chat"] |= changes
    with pytest.raises(error, match=said):
        plan_services(cp.load(data))


def test_limits_at_several_percentiles_go_to_their_roles():
    """The middle of further tokens binds decode alone; a limit of prompts leaves it as it is."""

    def rates(**slo):
        found = plan_services(cp.load(apart(data_of(slo=slo))))
        return [found[f"chat.{role}"].on[0].per_s for role in ("prefill", "decode")]

    base = rates(ttft_p99="1 s", tpot_p99="60 ms")
    middle = rates(ttft_p99="1 s", tpot_p99="60 ms", tpot_p50="10 ms")
    prompts = rates(ttft_p99="1 s", ttft_p50="0.2 s", tpot_p99="60 ms")
    assert middle[0] == base[0]
    assert middle[1] < base[1]
    assert prompts[1] == base[1]
    assert prompts[0] < base[0]
