"""Services with requests, from YAML to the books: against the step simulator, and by hand."""

import copy
import math

import numpy as np
import pytest
from chats import DAY, PHASES, STATES, data_of, lending, with_faults
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

import computeplan as cp
from computeplan.compiler.compile import compile_world
from computeplan.compiler.service_plans import busiest_minutes
from computeplan.compiler.serving import served
from computeplan.engines import event
from computeplan.engines.serve.largest_rate import drawn_requests, largest_rate
from computeplan.engines.serve.policy import ServePolicy, Slo
from computeplan.engines.serve.replica import play
from computeplan.errors import InfeasibleError, ScenarioError
from computeplan.fleet.services import (
    WIDEST_RANKS,
    WIDEST_TP,
    _place,
    _played,
    plan_services,
)
from computeplan.metrics import by_site, measure
from computeplan.physics.serving.instance import Split
from computeplan.physics.serving.tabulate import step_times
from computeplan.report.notes import all_notes
from computeplan.report.service_answer import service_lines
from computeplan.results.power_series import power_of
from computeplan.specs.catalogue.lookup import find_chip, find_model
from computeplan.study.cases import compile_cases, notes_of
from computeplan.trace.requests import at_rate
from computeplan.validation.serving_cases import published_serving

H = 3600.0


def planned(data):
    return plan_services(cp.load(data))["chat"]


def told(found, code):
    (one,) = (dict(note.values) for note in found.notes if note.code == code)
    return one


# The step simulator


def test_one_replica_is_the_step_simulator_to_the_last_digit():
    """Rate and percentiles, from the parts that a run is made of, one by one."""
    scenario = cp.load(data_of())
    found = plan_services(scenario)["chat"]
    chip, model = find_chip("h100-sxm")[0], find_model("llama-3.1-8b")[0]
    instance = served(chip, model, "vllm", "fp8", Split.of(), cache="fp8").instance
    times = step_times(instance, 400, 100)
    policy = ServePolicy(times.max_batch, int(instance.engine.chunk), "grow")
    rate = largest_rate(times, found.load, Slo(1.0, 0.03), policy).per_s
    assert found.on[0].per_s == rate
    minute, given = 20 * (1 + 2.3193 / math.sqrt(20 * 60)), rate * 0.7 * 8  # of one server
    assert minute < given
    at_peak = play(times, at_rate(drawn_requests(found.load), minute / given * rate), policy)
    on_pool = told(found, "service_on_pool")
    first = slice(math.ceil(len(at_peak) / 10), None)  # the others find it emptier
    for name, values in (("ttft_s", at_peak.ttft_s), ("tpot_s", at_peak.tpot_s)):
        seen = values[first][~np.isnan(values[first])]
        assert on_pool[name][0] == np.quantile(seen, 0.99)
    world = compile_world(scenario, {"chat": found})
    assert world.services[0].gives == (given,)


def test_evenly_spaced_requests_have_no_busiest_minute_and_need_no_more():
    def of(cv):
        requests = {**data_of()["services"]["chat"]["requests"], "gaps_cv": cv}
        return planned(data_of(requests=requests))

    even, poisson = of(0), of(1)
    assert even.load.gaps_cv == 0
    assert busiest_minutes(even.load).tolist() == [1.0]
    assert busiest_minutes(poisson.load).max() > 1.0
    assert even.on[0].per_s >= poisson.on[0].per_s


def test_what_a_service_states_takes_effect():
    base = planned(data_of())
    rate = base.on[0].per_s
    pool = data_of()["services"]["chat"]["pools"]["a"]

    def rate_of(**changes):
        return planned(data_of(pools={"a": {**pool, **changes}})).on[0].per_s

    assert rate_of(max_batch=4) < 0.5 * rate
    assert rate_of(layout="tp2") != rate
    assert rate_of(precision="bf16", kv="bf16") < rate
    tight = planned(data_of(slo={"ttft_p99": "1 s", "tpot_p99": "8 ms"}))
    both = planned(data_of(slo={"ttft_p99": "1 s", "tpot_p99": "30 ms", "tpot_p50": "8 ms"}))
    assert tight.on[0].per_s <= both.on[0].per_s < rate

    def gives_of(**changes):
        data = data_of(**changes)
        return compile_world(cp.load(data), plan_services(cp.load(data))).services[0]

    assert gives_of(derating=0.35).gives[0] == pytest.approx(8 * 0.35 * rate)
    many = {"per_s": 600, "tokens": {"in": 400, "out": 100, "cv": 0.5}}
    plain = gives_of(requests=many)
    half = gives_of(requests=many, scale={"start": "3 min", "target": 0.5})
    nodes = [math.ceil(one.demand.most / one.gives[0] - 1e-9) for one in (plain, half)]
    assert nodes[1] in (2 * nodes[0], 2 * nodes[0] - 1)
    assert half.demand.start_s == 180


def test_what_is_said_of_a_service_names_the_cases_where_they_differ():
    data = data_of()
    wide = {"services": {"chat": {"pools": {"a": {"layout": "tp2"}}}}}
    data["cases"] = {"one": {}, "two": wide, "three": {"sites": {"s": {"pue": 1.4}}}}
    notes = notes_of(compile_cases(cp.load(data)).cases)
    said = [line.text for line in all_notes(notes, {}, "en") if "an instance is" in line.text]
    starts = [text.split(" on ")[0] for text in said if " on " in text]
    assert starts == ["one; three: chat", "two: chat"]
    assert "(tp1, vllm" in said[0]
    assert "(tp2, vllm" in said[1]
    alone = notes_of(compile_cases(cp.load(data_of())).cases)
    assert not any("of_case" in one.values for one in alone)


def test_a_table_of_steps_takes_the_place_of_what_is_fitted(tmp_path):
    rows = ["batch,context,prompt_tokens,step_s", "1,100,0,0.01", "8,100,0,0.011", "0,0,512,0.02"]
    (tmp_path / "step_s.csv").write_text("\n".join(rows) + "\n")
    data = data_of()
    pool = {**data["services"]["chat"]["pools"]["a"], "engine": "own"}
    data["services"]["chat"]["pools"] = {"a": {**pool, "shares": {"table": "step_s.csv"}}}
    with (tmp_path / "chat.yaml").open("w") as file:
        YAML().dump(data, file)
    found = plan_services(cp.load(tmp_path / "chat.yaml"))["chat"]
    assert told(found, "service_on_pool")["known"] == "table"
    # eight answers of 100 steps of 11 ms, and of each a prompt of 16 ms: at most 8 in 1.21 s
    most = 8 / (99 * 0.011 + 8 * 400 / 512 * 0.02)
    assert 0.6 * most < found.on[0].per_s < 1.05 * most
    del data["services"]["chat"]["pools"]["a"]["layout"]
    with (tmp_path / "chat.yaml").open("w") as file:
        YAML().dump(data, file)
    with pytest.raises(ScenarioError, match="a table of steps is of one layout; write it, layout"):
        plan_services(cp.load(tmp_path / "chat.yaml"))


def test_a_table_serves_on_a_chip_that_no_engine_runs_on(tmp_path):
    rows = ["batch,context,prompt_tokens,step_s", "1,100,0,0.01", "8,100,0,0.011", "0,0,512,0.02"]
    (tmp_path / "step_s.csv").write_text("\n".join(rows) + "\n")
    data = data_of()
    data["sites"]["s"]["pools"]["a"]["chip"] = "kunlunxin/r200"
    pool = {**data["services"]["chat"]["pools"]["a"], "precision": "fp16"}
    data["services"]["chat"]["pools"]["a"] = pool
    with pytest.raises(ScenarioError, match="no engine of the catalogue is documented to run on"):
        cp.load(data)
    pool |= {"engine": "own", "shares": {"table": "step_s.csv"}}
    with (tmp_path / "chat.yaml").open("w") as file:
        YAML().dump(data, file)
    found = plan_services(cp.load(tmp_path / "chat.yaml"))["chat"]
    assert told(found, "service_on_pool")["known"] == "table"
    assert found.on[0].per_s > 0


def of_trace(tmp_path, times_s, answers=None):
    """Return a scenario whose service has a trace of requests, alike but for their answers."""
    answers = [100] * len(times_s) if answers is None else answers
    rows = [f"{at_s!r},400,{n}" for at_s, n in zip(times_s.tolist(), answers, strict=True)]
    (tmp_path / "t.csv").write_text("\n".join(["seconds,input_tokens,output_tokens", *rows]))
    with (tmp_path / "chat.yaml").open("w") as file:
        YAML().dump(data_of(requests={"trace": "t.csv"}), file)
    return cp.load(tmp_path / "chat.yaml")


def test_busy_minutes_do_not_lower_the_rate_of_an_instance(tmp_path):
    """Ten minutes at 40/s, the fourth at four times that: bursts count in the busiest minute."""
    rng = np.random.default_rng(1)

    def rate(counts):
        times = [60 * m + np.sort(rng.uniform(0, 60, n)) for m, n in enumerate(counts)]
        found = plan_services(of_trace(tmp_path, np.concatenate(times)))["chat"]
        return found.on[0].per_s, busiest_minutes(found.load)[0]

    calm, _ = rate([2400] * 10)
    busy, factor = rate([2400] * 3 + [9600] + [2400] * 6)
    assert factor == pytest.approx(4 / 1.3, rel=0.01)
    assert busy == pytest.approx(calm, rel=0.05)


def test_traces_that_differ_in_the_order_of_answers_are_not_alike(tmp_path):
    times_s = np.arange(200.0)
    for answers in ([50, 150] * 100, [50] * 100 + [150] * 100):
        for is_new in (True, False):
            seen = []
            plan_services(of_trace(tmp_path, times_s, answers), seen.append)
            assert bool(seen) == is_new


def test_a_trace_of_even_gaps_plays(tmp_path):
    assert plan_services(of_trace(tmp_path, np.arange(100.0)))["chat"].load.gaps_cv == 0


@pytest.mark.parametrize(
    ("service", "said"),
    [
        ({"slo": {"tpot_p99": "0.5 ms"}}, "a further token takes at least .* and slo asks 0.5 ms"),
        ({"slo": {"ttft_p99": "1 ms"}}, "the first token takes at least .* and slo asks 1 ms"),
        ({"model": "meta/llama-3.1-405b"}, "no layout holds the model: on 1 ranks"),
    ],
)
def test_limits_that_nothing_holds_are_refused_with_their_place(service, said):
    with pytest.raises(InfeasibleError, match=said) as error:
        plan_services(cp.load(data_of(**service)))
    assert "services.chat.pools.a" in str(error.value)


@pytest.mark.parametrize("layout", ["tp3", "tp64 pp1"])
def test_heads_that_no_rank_has_whole_are_refused_with_what_may_be(layout):
    pool = {**data_of()["services"]["chat"]["pools"]["a"], "layout": layout}
    said = r"8 KV heads\); tp may be 1, 2, 4, 8, 16, 32"
    with pytest.raises(ScenarioError, match=said):
        plan_services(cp.load(data_of(pools={"a": pool})))


def test_a_layout_over_servers_is_beyond_what_was_published():
    pool = {**data_of()["services"]["chat"]["pools"]["a"], "layout": "tp16"}
    said = told(planned(data_of(pools={"a": pool})), "service_layout_beyond")
    assert (said["what"], said["n"], said["most"]) == ("tp", 16, 8)


def test_no_published_row_is_wider_than_what_is_taken_as_the_widest():
    rows = [case.row for case in published_serving() if case.row.gate and case.row.dp in (None, 1)]
    assert max(row.tp or 1 for row in rows) == WIDEST_TP
    assert max(case.row.ep or 1 for case in published_serving()) == WIDEST_RANKS


def test_cases_that_are_alike_are_found_out_once():
    data = data_of(derating=0.69)  # of no other test
    data["cases"] = {
        "a": {},
        "b": {"sites.s.pue": 1.5},
        "c": {"services.chat.scale": {"start": "9 min"}},
    }
    seen = []
    first, again = (compile_cases(cp.load(data), seen.append).cases for _ in range(2))
    assert seen == ["chat: nvidia/h100-sxm tp1"]
    for one, other in zip(first, again, strict=True):
        assert repr(one.world.services) == repr(other.world.services)


def test_a_least_beyond_the_pools_is_refused_with_its_place():
    with pytest.raises(ScenarioError, match=r"services\.chat\.least: 33 chips .* 32 of a"):
        cp.load(data_of(least=33))
    assert cp.load(data_of(least=32)).services["chat"].least == 32


# The day


LONG = {"per_s": 400, "tokens": {"in": 400, "out": 100, "cv": 1.5}}


@pytest.mark.parametrize("lend", [False, True])
def test_misses_of_a_day_are_those_of_its_hours_by_their_requests(lend):
    """Every hour simulated by itself, at its mean rate on the instances that are there for it."""
    scale = {"lend": True, "scale": {"start": "3 min"}} if lend else {}
    data = data_of(requests={**LONG, "day": {"peak": 1.9, "at": "12 h"}}, **scale)
    scenario = cp.load(data)
    found = plan_services(scenario)["chat"]
    world = compile_world(scenario, {"chat": found})
    (place,) = [_place(scenario, "chat", "both", "a", found.load, None)]
    (gives,) = world.services[0].gives
    missed = []
    n_most = math.ceil(world.services[0].demand.most / gives - 1e-9)
    for per_s, factor in zip(found.load.per_s, busiest_minutes(found.load), strict=True):
        n = math.ceil(per_s * factor / gives - 1e-9) if lend else n_most
        missed.append(_played(place, per_s / (n * gives)).missed_frac)
    day = told(found, "service_day")
    by_hand = np.average(missed, weights=found.load.per_s)
    assert by_hand > 1e-3
    assert day["missed_frac"] == pytest.approx(by_hand, abs=3e-4)
    ((pool, ttft_s, tpot_s),) = day["pools"]
    assert (pool, len(ttft_s), len(tpot_s)) == ("a", 24, 24)
    if not lend:  # the more requests, the longer each takes
        assert max(ttft_s) == ttft_s[np.argmax(found.load.per_s)]
        assert tpot_s[12] > 1.2 * tpot_s[0]
        assert day["missed_frac"] < told(found, "service_on_pool")["missed_frac"]


def test_a_day_without_swings_is_its_mean_and_silent_hours_see_nothing():
    day = told(planned(data_of()), "service_day")
    ((_, ttft_s, _),) = day["pools"]
    assert len(set(ttft_s)) == 1
    halves = {"per_s": 20, "tokens": {"in": 400, "out": 100, "cv": 0.5}, "day": [0] * 12 + [1] * 12}
    ((_, ttft_s, _),) = told(planned(data_of(requests=halves)), "service_day")["pools"]
    assert ttft_s[:12] == (None,) * 12
    assert None not in ttft_s[12:]


# The order in which pools fill


def on_pools(choose=None, n_chips=4000, **prices):
    """Return a service on pools of its own sites, which fill in an order; prices by pool."""
    data = data_of(requests={"per_s": 10_000, "tokens": {"in": 400, "out": 100, "cv": 0.5}})
    chat, (site,) = data["services"]["chat"], data["sites"].values()
    (run,), pool = chat["pools"].values(), site["pools"]["a"]
    data["sites"] = {
        f"at {name}": {
            **site,
            "price": f"{price} USD/kWh",
            "pools": {name: {**pool, "chips": n_chips}},
        }
        for name, price in prices.items()
    }
    chat["pools"] = dict.fromkeys(prices, run)
    if choose is not None:
        chat["choose"] = choose
    return data


def test_pools_fill_from_the_cheapest_and_that_follows_a_price():
    """Three pools of one kind of chip, of which two are full."""
    prices = {"a": 0.12, "b": 0.1, "c": 0.11}
    data = on_pools("cost", 96, **prices)
    found = planned(data)
    assert found.pools == ("b", "c", "a")
    on_pool = [dict(one.values) for one in found.notes if one.code == "service_on_pool"]
    assert [one["pool"] for one in on_pool] == ["b", "c", "a"]
    scenario = cp.load(data)
    world = compile_world(scenario, {"chat": found})
    (sized,) = (dict(one.values) for one in world.notes if one.code == "service_sized")
    (b, n_b, *_), (c, n_c, *_), (a, n_a, *_) = sized["pools"]
    assert (b, n_b, c, n_c, a) == ("b", 96, "c", 96, "a")
    assert 0 < n_a <= 96
    assert [world.pools[p].name for p in world.services[0].pools] == ["b", "c", "a"]
    assert planned(on_pools("cost", 96, **prices | {"a": 0.09})).pools == ("a", "b", "c")
    assert planned(on_pools("energy", 96, **prices)).pools == ("a", "b", "c")  # all alike
    assert planned(on_pools(None, 96, **prices)).pools == ("a", "b", "c")


def test_a_case_for_each_choice():
    data = on_pools(None, 96, a=0.12, b=0.1)
    data["sites"]["at b"]["pue"] = 1.5
    data["cases"] = {name: {"services.chat.choose": name} for name in ("cost", "energy")}
    filled = [
        [pool for pool, _ in one.values["pools"]]
        for case in compile_cases(cp.load(data)).cases
        for one in case.world.notes
        if one.code == "service_filled_by"
    ]
    assert filled == [["a", "b"], ["a", "b"]]
    data["sites"]["at b"]["pue"] = 1.3
    chosen = cp.load(data).with_({"cases": None, "services.chat.choose": "cost"})
    assert plan_services(chosen)["chat"].pools == ("b", "a")


@given(
    choose=st.sampled_from(["cost", "energy", "carbon"]),
    chip=st.sampled_from(["nvidia/h100-sxm", "nvidia/h200"]),
    price=st.floats(0.05, 0.2),
    pue=st.floats(1.0, 1.6),
    carbon=st.floats(100.0, 900.0),
)
def test_what_a_request_takes_is_never_more_than_in_the_order_written(
    choose, chip, price, pue, carbon
):
    """Where one pool holds all, but for the rounding to whole nodes: at most one of them more."""
    data = on_pools(a=0.1, b=price)
    data["sites"]["at b"] |= {"pue": pue, "carbon": f"{carbon} g/kWh"}
    data["sites"]["at b"]["pools"]["b"]["chip"] = chip
    measures = {"cost": "usd_per_krequest", "energy": "wh_per_request", "carbon": "g_per_request"}

    def play():
        scenario = cp.load(data)
        world = compile_world(scenario, plan_services(scenario))
        (service,) = world.services
        takes = measure(event.play(world, 0, 0, 1), world)[measures[choose]]
        return takes, service.gives[0] / service.demand.most

    written, _ = play()
    data["services"]["chat"]["choose"] = choose
    chosen, of_a_node = play()
    assert of_a_node < 0.05
    assert chosen <= written * (1 + of_a_node)


def test_a_choice_composes_with_lending_spares_and_a_table_of_steps(tmp_path):
    """Every chip-hour is counted once, and what is given back is of the dearest pool first."""
    data = lending()
    chat, site = data["services"]["chat"], data["sites"]["s"]
    rows = ["batch,context,prompt_tokens,step_s", "1,100,0,0.01", "8,100,0,0.011", "0,0,512,0.02"]
    (tmp_path / "step_s.csv").write_text("\n".join(rows) + "\n")
    run = chat["pools"]["a"]
    chat["pools"]["b"] = {**run, "engine": "own", "shares": {"table": "step_s.csv"}}
    chat["slo"]["availability"] = 0.999
    chat["choose"] = "energy"
    site["pools"]["a"]["chips"] = 16
    site["pools"]["b"] = {"chip": "nvidia/h100-sxm", "chips": 400}
    chat["requests"]["day"] = [0.5] * 12 + [1.5] * 12
    data["simulate"] = {"horizon": "2 d", "runs": 2}
    with (tmp_path / "chat.yaml").open("w") as file:
        YAML().dump(data, file)
    scenario = cp.load(tmp_path / "chat.yaml")
    case = next(iter(cp.run(scenario).cases.values()))
    values, fact = case.values, case.facts["service chat"].values
    assert [pool for pool, *_ in fact["pools"]] == ["a", "b"]  # the table is of slow steps
    served = sum(values[f"service_{state}_chip_h"] for state in STATES)
    jobs = sum(values[f"{phase}_chip_h"] for phase in PHASES)
    idle = case.by_site.idle["chip_h"].sum(axis=1)
    assert served + jobs + idle == pytest.approx(416 * 24 * values["wall_days"], rel=1e-9)
    other = scenario.with_({"services.chat.pools": {"b": chat["pools"]["b"], "a": run}})
    again = next(iter(cp.run(other).cases.values()))
    for name in ("service_chip_h", "wh_per_request"):
        np.testing.assert_allclose(again.values[name], values[name], rtol=1e-9)


# The books


def test_every_chip_hour_of_a_run_is_counted_once():
    """Served, starting, draining, standing by, jobs, idle and in repair are all chip-hours."""
    case = next(iter(cp.run(cp.load(lending())).cases.values()))
    values = case.values
    served = sum(values[f"service_{state}_chip_h"] for state in STATES)
    assert served == pytest.approx(values["service_chip_h"], rel=1e-9)
    assert (served > 0).all()
    by_site = case.by_site
    idle = by_site.idle["chip_h"].sum(axis=1)
    jobs = sum(values[f"{phase}_chip_h"] for phase in PHASES)
    assert served + jobs + idle == pytest.approx(32 * 24 * values["wall_days"], rel=1e-9)
    beside = values["beside_kept_chip_h"] + values["beside_paid_chip_h"]
    assert beside == pytest.approx(values["beside_chip_h"], rel=1e-9)
    assert values["beside_chip_h"] == pytest.approx(jobs, rel=1e-9)


def test_services_of_all_cases_are_counted_in_one_window(tmp_path):
    """Also in the case that ends first, whose services go on; a day has the same requests."""
    data = lending()
    data["simulate"] = {"runs": 3}
    data["jobs"]["j"]["train_for"] = "1.3 d"
    data["cases"] = {"lent": {}, "longer": {"jobs.j.train_for": "3 d"}}
    result = cp.run(cp.load(data))
    short, long = (case.values for case in result.cases.values())
    assert (short["wall_days"] < short["window_days"]).all()
    for values in (short, long):
        days = values["window_days"]
        served = sum(values[f"service_{state}_chip_h"] for state in STATES)
        assert served == pytest.approx(values["service_chip_h"], rel=1e-9)
        jobs = sum(values[f"{phase}_chip_h"] for phase in PHASES)
        total = served + jobs + values["idle_chip_h"] + values["repair_chip_h"]
        np.testing.assert_allclose(total, 32 * 24 * days, rtol=1e-9)
        n = values["requests_answered"]
        assert values["requests_per_day"] == pytest.approx(n / days)
        per_day_kwh = values["serving_kwh_per_day"]
        assert per_day_kwh == pytest.approx(values["energy_services_kwh"] / days, rel=1e-9)
    case = result.cases["lent"]
    whole_s = DAY * np.ceil(case.values["wall_days"] + 400)  # parts of a day hardly count
    assert case.counted_to(whole_s).values["requests_per_day"] == pytest.approx(400 * DAY, rel=2e-3)
    cp.save_result(result, tmp_path / "out")
    loaded = cp.load_result(tmp_path / "out")
    assert loaded.cases["lent"].facts["day chat"] == case.facts["day chat"]
    assert all("of requests miss a limit" in line for line in service_lines(loaded, "en"))
    again = loaded.cases["lent"].counted_to(whole_s)
    for name, value in case.counted_to(whole_s).values.items():
        np.testing.assert_allclose(again.values[name], value, rtol=1e-9, err_msg=name)


def test_what_services_do_after_a_run_is_what_they_do_in_one():
    """The mean day without jobs and faults, against the engine: each state, and each request."""
    data = lending()
    del data["jobs"], data["faults"], data["policy"]
    data["services"]["chat"]["least"] = 16
    data["simulate"] = {"horizon": "12 d", "runs": 1}
    scenario = cp.load(data)
    world = compile_world(scenario, plan_services(scenario))
    found = by_site(event.play(world, 0, 0, 1), world)
    for state in STATES:
        assert found.served[f"service_{state}_chip_h"].all()  # or nothing is shown
    for name, value in found.served.items():
        assert value.sum() / 12 == pytest.approx(found.served_per_day[name].sum(), rel=1e-9)


def test_spares_are_within_the_pools_and_the_answer_is_the_fleet_that_is_held():
    """What a pool has no room for, faults and the slow end of the band too, the next gives."""
    data = with_faults(data_of(), "100 h")
    pools, chat = data["sites"]["s"]["pools"], data["services"]["chat"]
    pools["a"]["chips"] = 16
    pools["b"] = {"chip": "nvidia/h100-sxm", "chips": 400}
    chat["pools"]["b"] = chat["pools"]["a"]
    chat["slo"]["availability"] = 0.999
    chat["requests"]["per_s"] = 1500
    result = cp.run(cp.load(data))
    case = next(iter(result.cases.values()))
    (fact,) = (dict(one.values) for one in case.facts.values() if one.code == "service_sized")
    (a, n_a, more_a, _, *band_a), (b, n_b, more_b, _, low_b, high_b) = fact["pools"]
    assert (a, n_a, more_a, band_a) == ("a", 16, 0, [1.0, 1.0])
    assert b == "b"
    assert more_b > 0
    assert n_b + more_b <= 400
    assert low_b < 1 < high_b
    assert case.values["service_chip_h"] == pytest.approx(24 * (n_a + n_b + more_b), rel=0.02)
    answer = service_lines(result, "en")[0]
    assert f"takes 16 chips of a + {n_b + more_b} chips of b (" in answer


def test_a_service_that_lends_nothing_changes_no_number_of_the_job_beside_it():
    """On a pool of its own, and on one pool with the nodes that the service leaves."""
    names = ("ettr", "time_to_train_days", "train_chip_h", "save_chip_h", "energy_jobs_kwh")
    job = {"chips": 16, "train_for": "20 h", "checkpoint": {"every": "1 h", "stall": "20 s"}}
    apart = with_faults(data_of())
    apart["sites"]["s"]["pools"]["b"] = {"chip": "nvidia/h100-sxm", "chips": 24}
    apart["jobs"] = {"j": {**job, "home": "b"}}
    apart["policy"] = "silo"
    apart["simulate"] = {"horizon": "9 d", "runs": 3, "engine": "event"}
    alone = copy.deepcopy(apart)
    del alone["services"]
    together = data_of()
    together["jobs"] = {"j": job}
    together["simulate"] = {"horizon": "9 d", "engine": "event"}
    fewer = copy.deepcopy(together)
    del fewer["services"]
    fewer["sites"]["s"]["pools"]["a"]["chips"] = 24
    for with_service, without in ((apart, alone), (together, fewer)):
        first, second = (
            next(iter(cp.run(cp.load(one)).cases.values())).values
            for one in (with_service, without)
        )
        for name in names:
            if name == "energy_jobs_kwh" and with_service is together:
                continue  # the network is that of the whole pool
            assert first[name].tolist() == second[name].tolist(), name


def test_energy_is_that_of_held_chips_and_more_with_the_load():
    """By hand: 8 chips held a day, at the watts without requests and what 20 requests/s add."""
    data = data_of()
    scenario = cp.load(data)
    world = compile_world(scenario, plan_services(scenario))
    (one,), (drawn,) = world.services, world.services[0].drawn
    n_nodes = math.ceil(20 * (1 + 2.3193 / math.sqrt(1200)) / one.gives[0])
    chips = 8 * n_nodes
    loaded = 8 * 20 / one.gives[0]
    kwh = 1.2 * (chips * drawn.it_w + loaded * drawn.it_more_w) * 24 / 1000
    values = next(iter(cp.run(scenario).cases.values())).values
    assert values["energy_services_kwh"] == pytest.approx([kwh])
    n = 20 * DAY
    assert values["requests_answered"] == pytest.approx([n])
    assert values["wh_per_request"] == pytest.approx([1000 * kwh / n])
    assert values["usd_per_krequest"] == pytest.approx([1000 * 0.1 * kwh / n])
    assert values["g_per_request"] == pytest.approx([400 * kwh / n])
    parts = values["kwh_per_mtok_in"] * 400 + values["kwh_per_mtok_out"] * 100
    assert parts == pytest.approx([1e6 * kwh / n])
    assert values["usd_per_mtok_in"] == pytest.approx(0.1 * values["kwh_per_mtok_in"])
    assert values["serving_kwh_per_day"] == pytest.approx([kwh])


def test_energy_follows_the_hours_of_the_price():
    """Requests in the dear half of the day alone; what is held without them costs the mean."""
    data = data_of(
        requests={
            "per_s": 20,
            "tokens": {"in": 400, "out": 100, "cv": 0.5},
            "day": [0] * 12 + [1] * 12,
        }
    )
    data["sites"]["s"]["varies"] = {"price": [{"hours": [[12, 24]], "factor": 3}]}
    scenario = cp.load(data)
    world = compile_world(scenario, plan_services(scenario))
    (one,), (drawn,) = world.services, world.services[0].drawn
    values = next(iter(cp.run(scenario).cases.values())).values
    held = values["service_chip_h"][0] * drawn.it_w * 1.2 / 1000
    more = 8 * 40 / one.gives[0] * 12 * drawn.it_more_w * 1.2 / 1000
    assert values["energy_services_kwh"] == pytest.approx([held + more])
    cost = 0.1 * (2 * held + 3 * more)
    assert values["serving_usd_per_day"] == pytest.approx([cost])


def test_the_power_of_a_site_over_time_adds_up_to_its_energy():
    """With faults, lending and load by the hour; the curve is read from the timeline."""
    scenario = cp.load(lending())
    world = compile_world(scenario, plan_services(scenario))
    ledger = event.play(world, 3, 0, 1, timeline=True)
    series = power_of(ledger, world)["s"]
    taken = by_site(ledger, world)
    parts = (taken.jobs, taken.idle, taken.services)
    kwh = sum(part["energy_kwh"].sum() for part in parts if part is not None)
    assert series.energy_j.sum() / 3.6e6 == pytest.approx(kwh, rel=1e-9)


def test_a_limit_counts_services_by_the_load_of_the_hour():
    """What is refused is less than idle nodes and the service draw, at an hour at which they do."""
    data = data_of(
        requests={
            "per_s": 20,
            "tokens": {"in": 400, "out": 100, "cv": 0.5},
            "day": [0.2] * 12 + [1.8] * 12,
        }
    )
    data["simulate"]["start"] = "2026-03-01"
    plans = plan_services(cp.load(data))
    world = compile_world(cp.load(data), plans)
    (one,), (drawn,) = world.services, world.services[0].drawn
    held_w, more_w = 8 * 1.2 * drawn.it_w, 8 * 1.2 * drawn.it_more_w
    rest_w = float(world.rest_w[0])
    nights, days = (
        4 * rest_w + n * (held_w - rest_w) + need / one.gives[0] * more_w
        for need in (4.0, 36.0)
        for n in [math.ceil(one.demand.at(H if need < 20 else 13 * H) / one.gives[0] - 1e-9)]
    )
    assert nights < days

    def limited(night_w, day_w):
        data["sites"]["s"]["power_limit"] = f"{day_w} W"
        hours = [{"hours": [[0, 12]], "factor": night_w / day_w}]
        data["sites"]["s"]["varies"] = {"power_limit": hours}
        return cp.load(data)

    just = limited(1.001 * nights, 1.001 * days)
    (limit,) = compile_world(just, plans).limits
    ledger = event.play(compile_world(just, plans), 0, 0, 1, timeline=True)
    assert limit.limit_w == pytest.approx(1.001 * days)
    assert ledger.peak_w[0] == pytest.approx(days, rel=1e-9)
    for night_w, day_w, hour in ((0.999 * nights, 2 * days, 0), (1.001 * nights, 0.999 * days, 12)):
        with pytest.raises(ScenarioError, match=rf"MW {hour} h into .* idle nodes and services"):
            compile_world(limited(night_w, day_w), plans)
