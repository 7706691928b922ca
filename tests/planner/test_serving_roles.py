"""Fleets of prefill and decode instances: sums by hand, one engine for both, mixed kinds."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from computeplan.engines.serve.largest_rate import LargestRate
from computeplan.engines.serve.policy import Slo
from computeplan.engines.serve.replica import play
from computeplan.fleet.layouts import engines_on
from computeplan.fleet.mix import Kind, cheapest_mix
from computeplan.fleet.roles import APART, load_of_role
from computeplan.fleet.search import Search, Simulated, requests_for
from computeplan.fleet.sizes import Reliability
from computeplan.planner.serving import Refused, plan_serving
from computeplan.planner.serving_curves import batch_curve, frontier_curve, latency_curve
from computeplan.planner.serving_fleet import fleet
from computeplan.trace.requests import at_rate
from computeplan.units import DAY_S
from computeplan.world.load import Lengths, Load
from tests.planner.test_serving import (
    ALIKE,
    H100,
    LLAMA,
    NO_SPARES,
    candidate,
    question,
    tiny_times,
)

LOAD = Load(np.array([2000.0]), 1.0, Lengths(500, 0.5, 8000), Lengths(100, 0.5, 8000), 0.0)
ASKED = replace(
    question(load=LOAD, slo=Slo(1.0, 0.02), engine="vllm", precision="fp8"), roles=APART
)


def search_at(role: str, rate: float, n_chips: int) -> Search:
    """Return an instance of a role that holds a rate, with steps of the test's own."""
    one = candidate(tiny_times(), n_chips)
    policy = replace(one.policy, has_prompts=role != "decode")
    one = replace(one, policy=policy, role=role)
    load = load_of_role(ALIKE, role)
    served = play(one.times, at_rate(requests_for(one, load, 1, 500), rate), policy)
    return Search(Simulated(one, LargestRate(rate, 3.0, served, 1)), (), 1, 1, 1)


def test_a_fleet_of_roles_sums_them_by_hand():
    searches = (search_at("prefill", 4.0, 4), search_at("decode", 1.0, 8))
    found = fleet(question(roles=APART), H100, searches)
    # 20 requests/s in the busiest minute: at 4 x 0.5 ten instances of 4, at 1 x 0.5 forty of 8.
    prefill, decode = found.roles
    assert (prefill.n_instances, prefill.n_chips) == (10, 40)
    assert (decode.n_instances, decode.n_chips) == (40, 320)
    assert found.n_chips == 360
    assert found.price.chips == pytest.approx(360 * 24 * 2.0)
    joules = 40 * prefill.watts.facility + 320 * decode.watts.facility
    assert found.request_j("facility") == pytest.approx(joules / 10.0)
    assert found.carbon_kg == pytest.approx(joules * DAY_S * 0.5 / 3.6e6)
    assert found.low_chips == prefill.low_chips + decode.low_chips
    assert found.merit("chips") == 360
    # A prompt takes 0.1 s; further tokens 0.01 s, with no prompt between them.
    assert found.ttft_s == prefill.ttft_s
    assert found.ttft_s.value > 0.1
    assert found.tpot_s == decode.tpot_s
    assert math.isnan(prefill.tpot_s.value)
    # Prompts are paid by prefill instances alone, answers by the others.
    of_input, of_output = found.of_tokens(lambda role: role.price.whole)
    requests = 10.0 * DAY_S
    assert of_input * 100 * requests / 1e6 == pytest.approx(prefill.price.whole)
    assert of_output * 51 * requests / 1e6 == pytest.approx(decode.price.whole)


@pytest.fixture(scope="module")
def apart():
    return plan_serving(ASKED, [("H100", None)]).chips[0]


def test_each_limit_is_kept_by_its_role(apart):
    prefill, decode = apart.roles
    assert (prefill.role, decode.role) == APART
    assert apart.ttft_s.value <= 1.0
    assert apart.tpot_s.value <= 0.02
    assert prefill.use.prompt_frac == 1.0
    assert decode.use.prompt_frac == 0.0


def test_a_shorter_limit_of_one_role_leaves_the_other(apart):
    sooner = plan_serving(replace(ASKED, slo=Slo(1.0, 0.008)), [("H100", None)]).chips[0]
    assert sooner.roles[0].n_chips == apart.roles[0].n_chips
    assert sooner.roles[1].n_chips > apart.roles[1].n_chips


def test_a_limit_that_no_instance_of_a_role_keeps_is_said():
    for slo, code in ((Slo(1.0, 1e-5), "serve_tpot_limit"), (Slo(0.081, 0.02), "serve_ttft_limit")):
        one = plan_serving(replace(ASKED, slo=slo), [("H100", None)]).chips[0]
        assert isinstance(one, Refused)
        assert one.why.code == code


def test_both_roles_have_one_engine_and_precision_the_best_of_all():
    asked = replace(ASKED, engine=None, precision=None)
    best = plan_serving(asked, [("H100", None)]).chips[0]
    pairs = engines_on(H100, LLAMA)[0]
    assert len(pairs) > 1
    assert (best.engine, best.precision) in pairs
    for one in best.roles:
        assert (one.best.compiled.engine, one.best.precision) == (best.engine, best.precision)
    sizes = [
        plan_serving(replace(asked, engine=engine, precision=precision), [("H100", None)])
        .chips[0]
        .n_chips
        for engine, precision in pairs
        if (engine, precision) != (best.engine, best.precision)
    ]
    assert best.n_chips <= 1.02 * min(sizes)


# Curves ------------------------------------------------------------------------------------------


def test_latency_is_that_of_both_roles_at_their_ratio(apart):
    curve = latency_curve(apart)
    prefill, decode = apart.roles
    chips = sum(one.n_instances * one.best.n_chips for one in apart.roles)
    for i in (0, curve.per_chip_s.size // 2):
        for role, times in ((prefill, curve.ttft_s), (decode, curve.tpot_s)):
            one = role.best
            rate = curve.per_chip_s[i] * chips / role.n_instances
            served = play(one.times, at_rate(requests_for(one, role.asked.load), rate), one.policy)
            values = served.ttft_s if role is prefill else served.tpot_s
            later = values[math.ceil(0.1 * len(served)) :]
            assert times[:, i] == pytest.approx(np.nanquantile(later, (0.5, 0.99)), rel=1e-6)
    within = (curve.ttft_s[1] <= 1.0) & (curve.tpot_s[1] <= 0.02)
    assert within[curve.per_chip_s <= curve.largest_per_chip_s].all()


def test_energy_by_batch_is_above_the_prompts_and_below_the_fleet(apart):
    curve = batch_curve(apart)
    assert (np.diff(curve.wh) < 0).all()
    assert curve.wh[-1] < apart.request_j() / 3600
    # A prompt of 500 tokens, 16 GFLOP each, at the peak of 1,979 TFLOP/s: some watt-seconds.
    assert curve.wh[-1] > 500 * 16e9 / 1979e12 * 0.65 * 700 / 3600


def test_cost_at_the_limit_asked_is_that_of_the_plan(apart):
    curve = frontier_curve(ASKED, H100)
    at = float(np.interp(0.02, curve.tpot_s, curve.per_mtok))
    assert at == pytest.approx(1e6 * apart.price.whole / (2000 * DAY_S * 600), rel=0.05)
    assert all(" + " in layout for layout in curve.layouts)


# Kinds -------------------------------------------------------------------------------------------


def kinds_of(rows, caches=("x", "x")) -> list[Kind]:
    """Return instances of both roles of chips: chips of each, rates, the chips there are."""
    return [
        Kind(f"k{i}", n_chips, 8, float(rate), 1.0 + i / 8, most, role, caches[i % len(caches)])
        for i, (sizes, rates, most) in enumerate(rows)
        for role, n_chips, rate in zip(APART, sizes, rates, strict=True)
    ]


def held(kinds, counts) -> float:
    """Return what instances hold: of each name of caches the role that holds less."""
    of_role = {role: [i for i, one in enumerate(kinds) if one.role == role] for role in APART}
    frac = {
        role: 0.94 if sum(counts[i] > 0 for i in mine) > 1 else 1.0
        for role, mine in of_role.items()
    }
    return sum(
        min(
            frac[role] * sum(counts[i] * kinds[i].per_s for i in mine if kinds[i].cache == name)
            for role, mine in of_role.items()
        )
        for name in dict.fromkeys(one.cache for one in kinds)
    )


def fits(kinds, counts) -> bool:
    used = {}
    for n, one in zip(counts, kinds, strict=True):
        used[one.chip] = used.get(one.chip, 0) + n * one.n_chips
    return all(one.most is None or used[one.chip] <= one.most for one in kinds)


PAIR = st.tuples(st.integers(1, 3), st.integers(1, 3))
RATES = st.tuples(st.integers(1, 6), st.integers(1, 6))


@given(
    st.lists(st.tuples(PAIR, RATES, st.integers(3, 9)), min_size=2, max_size=2),
    st.sampled_from([("x", "x"), ("x", "y")]),
    st.floats(0.5, 12.0),
)
@settings(max_examples=15, deadline=None)
def test_mixed_roles_are_the_least_of_all_that_can_be_counted(rows, caches, peak):
    """Every number of instances of every kind and role is tried."""
    kinds = kinds_of(rows, caches)
    mix = cheapest_mix(kinds, peak, NO_SPARES)
    least, most = math.inf, 0.0
    for counts in np.ndindex(*(one.most // one.n_chips + 1 for one in kinds)):
        if not fits(kinds, counts):
            continue
        rate = held(kinds, counts)
        most = max(most, rate)
        if rate >= peak - 1e-9:
            cost = sum(n * k.n_chips * k.a_chip for n, k in zip(counts, kinds, strict=True))
            least = min(least, cost)
    assert mix.counted == pytest.approx(least)
    assert mix.most_per_s == pytest.approx(most)
    for role in {part.role for part in mix.parts}:
        shares = [part.share for part in mix.parts if part.role == role]
        assert sum(shares) == pytest.approx(1.0)


def test_a_cache_goes_only_to_its_own_engine():
    rows = [((8, 8), (5, 1), None), ((8, 8), (1, 4), None)]
    both = cheapest_mix(kinds_of(rows), 20.0, NO_SPARES)
    assert [(part.chip, part.role) for part in both.parts] == [("k0", "prefill"), ("k1", "decode")]
    assert both.efficiency == 1.0
    assert both.most_per_s == math.inf
    unlike = cheapest_mix(kinds_of(rows, ("x", "y")), 20.0, NO_SPARES)
    assert len({part.chip for part in unlike.parts}) == 1
    assert unlike.counted > both.counted


@given(st.integers(10, 60), st.floats(0.9, 0.9999))
@settings(max_examples=8, deadline=None)
def test_spares_of_all_roles_have_room_on_the_chips_there_are(most, availability):
    law = Reliability(availability=availability, chip_mtbf_s=8 * 100.0, repair_s=5.0)
    kinds = kinds_of([((1, 2), (2, 3), most), ((2, 1), (3, 2), most)])
    mix = cheapest_mix(kinds, 20.0, law)
    for chip in ("k0", "k1"):
        assert sum(part.n_chips for part in mix.parts if part.chip == chip) <= most
    assert mix.most_per_s <= mix.most_unspared_per_s
    assert bool(mix.parts) == (mix.most_per_s >= 20.0)
