"""Fleets that serve a load: sizes and energy by hand, laws, what is said where there is none."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from computeplan.compiler.serving import served
from computeplan.engines.serve.largest_rate import LargestRate, drawn_requests, holds, largest_rate
from computeplan.engines.serve.policy import ServePolicy, Slo
from computeplan.engines.serve.replica import play
from computeplan.fleet.layouts import Candidate, bound_of, candidates, engines_on
from computeplan.fleet.mix import Kind, cheapest_mix
from computeplan.fleet.search import Search, Simulated, best_layout
from computeplan.fleet.sizes import Reliability, fleet_of, spare_instances
from computeplan.physics.serving.instance import Split
from computeplan.physics.serving.steps import StepTimes
from computeplan.planner.serving import Refused, plan_serving
from computeplan.planner.serving_fleet import Fleet, fleet
from computeplan.planner.serving_question import Question, Site
from computeplan.planner.serving_search import levels_of
from computeplan.report.words import sentence
from computeplan.specs.catalogue.lookup import find_chip, find_model
from computeplan.specs.money import Money
from computeplan.trace.requests import at_rate
from computeplan.units import DAY_S, HOUR_S
from computeplan.world.load import Lengths, Load

ALIKE = Load(np.array([10.0]), 1.0, Lengths(100, 0, 1000), Lengths(51, 0, 1000), 0.0)
NO_SPARES = Reliability(availability=1e-9)
H100 = find_chip("H100")[0]
LLAMA = find_model("llama-3.1-8b")[0]


def tiny_times(step_s: float = 0.01, prompt_s: float = 0.1, batch: int = 2) -> StepTimes:
    """Return steps that all take as long, and a prompt of 100 tokens."""
    decode = np.append(0.0, np.full(batch, step_s))
    knots = np.array([0.0, 100.0])
    return StepTimes(decode, 0.0, 0.0, np.inf, knots, np.array([0.0, prompt_s]), 0.0, 1e6)


def candidate(times: StepTimes, n_chips: int = 4) -> Candidate:
    """Return a layout of an H100 with step times of the test's own."""
    split = Split.of(tp=n_chips)
    compiled = served(H100, LLAMA, "vllm", "bf16", split)
    policy = ServePolicy(times.max_batch)
    bound = bound_of(times, ALIKE, Slo())
    return Candidate(compiled, "bf16", split, n_chips, times, policy, *bound)


def question(**changes) -> Question:
    """Return a question with numbers that are easy to follow."""
    plain = Question(
        model=LLAMA,
        load=ALIKE,
        peak=2.0,
        slo=Slo(10.0, 1.0),
        site=Site("here", pue=1.5, price=Money(1.0 / 3.6e6, "USD"), carbon_kg_per_j=0.5 / 3.6e6),
        derating=0.5,
        reliability=NO_SPARES,
        rents=(("nvidia/h100-sxm", Money(2.0 / 3600, "USD")),),
    )
    return replace(plain, **changes)


def fleet_at(rate: float, **changes) -> Fleet:
    """Return the fleet of instances of four chips that hold a rate."""
    one = candidate(tiny_times())
    drawn = at_rate(drawn_requests(ALIKE, 500), rate)
    found = LargestRate(rate, 3.0, play(one.times, drawn, one.policy), 1)
    search = Search(Simulated(one, found), (), 1, 1, 1)
    return fleet(question(**changes), H100, (search,))


def test_a_fleet_by_hand():
    found = fleet_at(1.0)
    # 10 requests/s, 20 in the busiest minute; an instance holds 1 x 0.5: 40 of four chips.
    (role,) = found.roles
    assert (role.n_instances, role.n_spares, found.n_chips) == (40, 0, 160)
    watts = role.watts
    assert watts.facility == pytest.approx(1.5 * watts.it)
    assert watts.chip < watts.node < watts.it
    assert found.request_j("chip") == pytest.approx(160 * watts.chip / 10.0)
    assert found.output_token_j("it") == pytest.approx(160 * watts.it / (10.0 * 51))
    kwh = 160 * watts.facility * 24 / 1000
    assert found.price.chips == pytest.approx(160 * 24 * 2.0)
    assert found.price.electricity == pytest.approx(kwh)
    assert found.carbon_kg == pytest.approx(kwh / 2)
    # What falls on tokens adds up to the whole.
    of_input, of_output = found.of_tokens(lambda role: role.price.whole)
    requests = 10.0 * DAY_S
    whole = (of_input * 100 + of_output * 51) * requests / 1e6
    assert whole == pytest.approx(found.price.whole)
    assert found.low_chips <= found.n_chips <= found.high_chips


def test_without_limits_the_band_is_that_of_the_step_times():
    """A replica that always has work serves in proportion to its steps."""
    one = candidate(tiny_times())
    rate = largest_rate(one.times, ALIKE, Slo(), one.policy)
    search = Search(Simulated(one, rate), (), 1, 1, 1)
    found = fleet(question(slo=Slo(), load=replace(ALIKE, per_s=np.array([1e4]))), H100, (search,))
    low, high = one.compiled.band
    assert found.low_chips / found.n_chips == pytest.approx(low, rel=0.05)
    assert found.high_chips / found.n_chips == pytest.approx(high, rel=0.05)


def test_hardly_any_load_still_takes_an_instance():
    assert fleet_of(1e-9, 5.0, 4, 8, 0.7, NO_SPARES) == (1, 0)
    found = fleet_at(1.0, load=replace(ALIKE, per_s=np.array([1e-8])))
    assert found.n_chips == 4
    assert found.roles[0].use.busy_frac < 1e-3
    assert found.roles[0].watts.chip < fleet_at(1.0).roles[0].watts.chip


def test_the_latency_told_is_that_of_the_simulator_at_the_peak():
    found = fleet_at(1.0)
    one = found.roles[0].best
    load = at_rate(drawn_requests(ALIKE), 20.0 / (40 * 0.5))
    ttft_s = play(one.times, load, one.policy).ttft_s
    warm = math.ceil(0.1 * len(ttft_s))
    assert found.ttft_s.value == pytest.approx(np.quantile(ttft_s[warm:], 0.99))
    assert found.tpot_s.low < found.tpot_s.value < found.tpot_s.high


def test_without_price_or_exchange_a_cost_is_not_known_and_chips_are_counted():
    found = fleet_at(1.0, rents=(("nvidia/h100-sxm", Money(14.0 / 3600, "CNY")),))
    assert math.isnan(found.price.chips)
    assert found.price.electricity > 0
    found = fleet_at(1.0, rents=(("", Money(14.0 / 3600, "CNY")),), usd_per_cny=0.125)
    assert found.price.chips == pytest.approx(160 * 24 * 14 * 0.125)


def test_spares_are_the_least_by_counting_servers_that_are_down():
    """The tail of a binomial, summed term by term."""
    law = Reliability(availability=0.999, chip_mtbf_s=8 * 400.0 * HOUR_S, repair_s=20 * HOUR_S)
    up = 400.0 / 420.0

    def enough(n: int, n_all: int) -> float:
        return sum(
            math.comb(n_all, k) * up**k * (1 - up) ** (n_all - k) for k in range(n, n_all + 1)
        )

    for n in (1, 7, 60):
        spares = spare_instances(n, 8, 8, law)
        assert enough(n, n + spares) >= 0.999 > enough(n, n + spares - 1)
    # Of two servers each: 60 servers are needed by 30, and any two that are up make one.
    assert spare_instances(30, 16, 8, law) == math.ceil(spare_instances(60, 8, 8, law) / 2)


@given(
    st.floats(0.1, 1e4), st.floats(1.0, 3.0), st.floats(0.05, 50.0), st.sampled_from([1, 2, 8, 16])
)
@settings(max_examples=40, deadline=None)
def test_more_load_and_slower_instances_never_take_fewer_chips(peak, more, rate, n_chips):
    law = Reliability()
    small = fleet_of(peak, rate, n_chips, 8, 0.7, law)
    assert sum(fleet_of(peak * more, rate, n_chips, 8, 0.7, law)) >= sum(small)
    assert sum(fleet_of(peak, rate / more, n_chips, 8, 0.7, law)) >= sum(small)
    assert sum(fleet_of(peak, rate, n_chips, 8, 0.7 / more, law)) >= sum(small)


@given(st.floats(0.002, 0.05), st.floats(0.005, 0.3), st.integers(1, 24), st.floats(0.003, 0.2))
@settings(max_examples=25, deadline=None)
def test_no_simulation_exceeds_the_bound(step_s, prompt_s, batch, tpot_s):
    load = replace(
        ALIKE, input_tokens=Lengths(100, 0.5, 10_000), output_tokens=Lengths(51, 0.7, 900)
    )
    times, slo = tiny_times(step_s, prompt_s, batch), Slo(2.0, tpot_s)
    found = largest_rate(times, load, slo, ServePolicy(batch), n_requests=400)
    assert found.per_s <= 1.15 * bound_of(times, load, slo).per_s  # 400 requests: lengths by chance


def test_the_search_leaves_out_nothing_better():
    """All layouts are searched, one by one, by the engine alone."""
    slo = Slo(0.6, 0.02)
    many = [
        candidate(tiny_times(step_s, prompt_s, batch), n_chips)
        for step_s, prompt_s, batch, n_chips in (
            (0.012, 0.05, 2, 1),
            (0.009, 0.03, 4, 2),
            (0.006, 0.02, 8, 4),
            (0.005, 0.02, 8, 8),
        )
    ]
    many.sort(key=lambda one: -one.bound_per_s / one.n_chips)

    def size(rate: float, n_chips: int) -> int:
        return math.ceil(1000.0 / rate) * n_chips

    found = best_layout(many, 4, ALIKE, slo, size, n_requests=1000)
    rates = [largest_rate(one.times, ALIKE, slo, one.policy, n_requests=1000).per_s for one in many]
    sizes = [size(rate, one.n_chips) for rate, one in zip(rates, many, strict=True) if rate > 0]
    assert found is not None
    best = size(found.best.rate.per_s, found.best.candidate.n_chips)
    assert best <= min(sizes) / 0.98


def test_a_layout_that_holds_the_limits_at_no_rate_is_none():
    late = candidate(tiny_times(step_s=0.05))
    assert best_layout([late], 1, ALIKE, Slo(1.0, 0.04), lambda _, n: n, n_requests=300) is None
    drawn = at_rate(drawn_requests(ALIKE, 300), 0.01)
    assert not holds(play(late.times, drawn, late.policy), Slo(1.0, 0.04))


def test_mixed_kinds_by_hand():
    kinds = [Kind("a", 4, 8, 2.0, 1.0, 12), Kind("b", 8, 8, 4.0, 2.0, None)]
    # 10 / 0.94 = 10.6 in all: of b alone three, 48; two of both, 2 x 4 + 2 x 16 = 40; three of a
    # and two of b hold more than is asked.
    mix = cheapest_mix(kinds, 10.0, NO_SPARES)
    assert [(part.chip, part.n_instances) for part in mix.parts] == [("a", 2), ("b", 2)]
    assert mix.counted == 8 * 1.0 + 16 * 2.0
    assert mix.efficiency == 0.94
    assert [part.share for part in mix.parts] == pytest.approx([4 / 12, 8 / 12])
    alone = cheapest_mix([replace(kinds[0], most=40), kinds[1]], 10.0, NO_SPARES)
    assert [(part.chip, part.n_instances) for part in alone.parts] == [("a", 5)]
    assert alone.efficiency == 1.0
    short = cheapest_mix([kinds[0], replace(kinds[1], most=8)], 10.0, NO_SPARES)
    assert short.parts == ()
    assert short.most_per_s == pytest.approx(0.94 * 10.0)


@given(
    st.lists(
        st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 5)), min_size=2, max_size=3
    ),
    st.integers(1, 40),
)
@settings(max_examples=30, deadline=None)
def test_mixed_kinds_are_the_least_of_all_that_can_be_counted(rows, peak):
    """Every number of instances of every kind is tried."""
    kinds = [
        Kind(f"k{i}", n_chips, 8, float(rate), 1.0 + i / 8, n_chips * most)
        for i, (n_chips, rate, most) in enumerate(rows)
    ]
    mix = cheapest_mix(kinds, float(peak), NO_SPARES)
    least = math.inf
    for counts in np.ndindex(*(most + 1 for _, _, most in rows)):
        held = sum(n * kind.per_s for n, kind in zip(counts, kinds, strict=True))
        held *= 1.0 if np.count_nonzero(counts) == 1 else 0.94
        if held >= peak:
            cost = sum(n * k.n_chips * k.a_chip for n, k in zip(counts, kinds, strict=True))
            least = min(least, cost)
    assert mix.counted == pytest.approx(least)


def test_what_is_known_best_of_a_chip_comes_first():
    first = engines_on(H100, LLAMA)[0]
    assert ("tensorrt-llm", "fp8") in first
    assert ("vllm", "fp8") in first
    assert engines_on(H100, LLAMA, engine="vLLM", precision="fp8") == [[("vllm", "fp8")]]
    with pytest.raises(ValueError, match="mindie"):
        engines_on(H100, LLAMA, engine="mindie")


def test_four_bits_are_taken_only_where_chip_or_model_has_them():
    def precisions(chip, model):
        found = engines_on(find_chip(chip)[0], find_model(model)[0])
        return {precision for level in found for _, precision in level}

    assert "fp4" in precisions("B200", "deepseek-v3")
    assert "fp4" in precisions("H100", "gpt-oss-120b")
    assert not {"fp4", "int4", "w4a8"} & precisions("H100", "deepseek-v3")
    assert not {"int4", "w4a8"} & precisions("H200", "kimi-k2")


@pytest.fixture(scope="module")
def plans():
    """Return fleets of a small model at limits and loads, each wider or larger than the last."""
    load = Load(np.array([50.0]), 1.0, Lengths(500, 0.5, 8000), Lengths(100, 0.5, 8000), 0.0)
    asked = question(load=load, slo=Slo(1.0, 0.02), engine="vllm", precision="fp8", n_shown=0)

    def plan(**changes):
        return plan_serving(replace(asked, **changes), [("H100", None)]).chips[0]

    return {
        "as asked": plan(),
        "looser": plan(slo=Slo(2.0, 0.05)),
        "more": plan(load=replace(load, per_s=np.array([150.0]))),
        "cached": plan(load=replace(load, cached_frac=0.5)),
        "impossible": plan(slo=Slo(1.0, 1e-4)),
        "first too soon": plan(slo=Slo(0.08, 0.02)),
    }


def test_looser_limits_and_cached_prompts_never_take_more_chips(plans):
    assert plans["looser"].n_chips <= plans["as asked"].n_chips
    assert plans["cached"].n_chips <= plans["as asked"].n_chips
    assert plans["more"].n_chips >= plans["as asked"].n_chips


def test_limits_are_held_at_the_peak(plans):
    for name in ("as asked", "looser", "more", "cached"):
        one = plans[name]
        assert one.ttft_s.value <= one.question.slo.ttft_s
        assert one.tpot_s.value <= one.question.slo.tpot_s
        assert one.roles[0].best.bound_per_s >= one.roles[0].search.best.rate.per_s


def test_a_limit_below_the_physical_one_says_that_one(plans):
    one = plans["impossible"]
    assert isinstance(one, Refused)
    assert one.why.code == "serve_tpot_limit"
    # Weights of 8 bits over the bandwidth of eight chips, at the very least.
    assert one.why.values["limit_s"] > one.why.values["floor_s"] > 8e9 / (8 * 3.35e12)
    assert plans["first too soon"].why.code == "serve_ttft_limit"


def test_at_least_is_said_of_bytes_and_flop_alone(plans):
    model = {"model": LLAMA, "load": ALIKE, "precision": "bf16", "engine": "vllm"}
    soon = question(**model, slo=Slo(0.05, 1.0))  # 0.05 s: less than the published median alone
    why = plan_serving(soon, [("H100", None)]).chips[0].why
    # 100 tokens: the 16 GB of weights over the bandwidth of eight chips, at the very least.
    assert why.values["floor_s"] == pytest.approx(16e9 / (8 * 3.35e12), rel=0.15)
    assert why.values["floor_s"] < 0.05 < why.values["later_s"] == 0.08 < why.values["limit_s"]
    assert "by what is fitted" in sentence(why, "en")
    assert "at least" not in sentence(why, "en")
    never = question(**model, slo=Slo(1.0, 1e-5))
    assert "at least" in sentence(plan_serving(never, [("H100", None)]).chips[0].why, "en")


def test_a_model_that_fits_no_layout_says_what_it_lacks():
    big = find_model("deepseek-v3")[0]
    load = replace(ALIKE, per_s=np.array([1.0]))
    asked = question(model=big, load=load, precision="bf16", engine="vllm")
    one = plan_serving(asked, [("RTX4090", None)]).chips[0]
    assert isinstance(one, Refused)
    assert one.why.code == "serve_no_room"
    assert one.why.values["need_gib"] > one.why.values["has_gib"] > 20


def test_the_others_are_answered_where_an_engine_does_not_run():
    plan = plan_serving(question(engine="mindie"), [("H100", None)])
    assert isinstance(plan.chips[0], Refused)
    assert plan.best is None


def test_experts_are_looked_for_over_many_servers_and_dense_models_are_not():
    load = Load(np.array([100.0]), 1.0, Lengths(3619, 0, 9000), Lengths(1000, 0, 9000), 0.0)
    limits = Slo(math.inf, 0.05, 0.99, 0.5)
    made = {
        name: candidates(H100, find_model(name)[0], load, limits, [("vllm", "fp8")])[0]
        for name in ("deepseek-v3", "llama-3.3-70b")
    }
    wide = [one for one in made["deepseek-v3"] if one.n_chips > 16]
    assert {one.n_chips for one in wide} == {32, 64, 128, 256}
    # Experts over all ranks of an instance; attention is cut inside a server at most.
    assert all(one.split.ep == one.split.n_ranks == one.n_chips for one in wide)
    assert all(one.split.tp <= 8 and one.split.pp == 1 for one in wide)
    # Of 256 ranks each holds one expert a layer, of 16 sixteen: more memory is for the cache.
    widest = max(wide, key=lambda one: (one.n_chips, one.split.dp))
    narrow = min(made["deepseek-v3"], key=lambda one: (one.n_chips, -one.split.dp))
    room = [one.times.cache_tokens / one.n_chips for one in (widest, narrow)]
    assert (widest.n_chips, narrow.n_chips) == (256, 16)
    assert room[0] > 2.0 * room[1]
    assert max(one.n_chips for one in made["llama-3.3-70b"]) == 8


def test_a_faster_engine_of_which_less_is_known_is_shown_beside():
    load = replace(ALIKE, per_s=np.array([2000.0]))
    asked = question(load=load, slo=Slo(2.0, 0.08), rents=())
    (one,) = plan_serving(asked, [("910B2", None)]).chips
    assert one.others
    for other in one.others:
        assert other.n_chips < one.n_chips
        assert (other.engine, other.precision) != (one.engine, one.precision)
        pair = replace(asked, engine=other.engine, precision=other.precision)
        (alone,) = plan_serving(pair, [("910B2", None)]).chips
        assert alone.n_chips <= 1.1 * other.n_chips  # of all layouts and requests, not a few
        assert not alone.others


def test_whole_numbers_of_eight_bits_are_tried_last_where_a_chip_has_no_others():
    ascend = find_chip("910B2")[0]
    *earlier, last = levels_of(question(), ascend)
    assert {precision for _, precision in last} == {"int8"}
    assert earlier
    assert all(
        precision != "int8" for pairs in levels_of(question(), H100) for _, precision in pairs
    )
    asked = levels_of(question(precision="bf16"), ascend)
    assert all(precision == "bf16" for pairs in asked for _, precision in pairs)
