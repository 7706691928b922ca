"""Disaggregated instances: each role sized by itself, beside both played together."""

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from computeplan.engines.serve.apart import play_apart
from computeplan.engines.serve.largest_rate import (
    drawn_requests,
    enough_requests,
    largest_rate,
)
from computeplan.engines.serve.policy import Slo
from computeplan.fleet.layouts import Settings, candidates
from computeplan.fleet.roles import APART, load_of_role, slo_of_role
from computeplan.fleet.search import best_layout
from computeplan.fleet.sizes import use_of
from computeplan.physics.serving.instance import Speculation
from computeplan.physics.serving.steady import transfer_s
from computeplan.specs.catalogue.lookup import load_chip, load_model
from computeplan.trace.requests import at_rate
from computeplan.world.load import Lengths, Load

H100, LLAMA = load_chip("H100-SXM")[0], load_model("llama-3.3-70b")[0]
LOAD = Load(np.ones(1), 1.0, Lengths(1000, 0.5, 8000), Lengths(200, 0.5, 2000), 0.0)
SLO = Slo(ttft_s=2.0, tpot_s=0.03)
PAIR = [("vllm", "fp8")]


@cache
def best_of(role, *, n_out=200, cached_frac=0.0, slo=SLO, drafts=None):
    """Return the best layout of a role, with its rate."""
    answers = Lengths(n_out, 0.5, 10 * n_out)
    load = replace(LOAD, output_tokens=answers, cached_frac=cached_frac)
    load, slo = load_of_role(load, role), slo_of_role(slo, role)
    settings = Settings(role=role, speculation=drafts)
    found, n = candidates(H100, LLAMA, load, slo, PAIR, settings, most=6)
    search = best_layout(found, n, load, slo, lambda rate, n_chips: math.ceil(1e3 / rate) * n_chips)
    return search.best


def test_roles_that_are_sized_apart_hold_together():
    """Fleets of three to eight instances of each role keep both limits at nearly their rate."""
    prefill, decode = (best_of(role) for role in APART)
    n = (4, math.ceil(4 * prefill.rate.per_s / decode.rate.per_s))
    per_s = min(n[0] * prefill.rate.per_s, n[1] * decode.rate.per_s)
    later = float(transfer_s(prefill.candidate.compiled.instance, LOAD.input_tokens.mean))
    served = play_apart(
        (prefill.candidate.times, decode.candidate.times),
        at_rate(drawn_requests(LOAD, 20_000), 0.97 * per_s),
        (prefill.candidate.policy, decode.candidate.policy),
        n,
    )
    assert prefill.candidate.times.first_token_s > later > 0
    warm = slice(2_000, None)
    tpot_s = served.tpot_s[warm]
    assert np.quantile(served.ttft_s[warm], 0.99) <= 1.05 * SLO.ttft_s
    assert np.quantile(tpot_s[~np.isnan(tpot_s)], 0.99) <= 1.05 * SLO.tpot_s


def test_each_role_is_bounded():
    """But for the lengths that are drawn, whose mean is not quite that of their law."""
    for role in APART:
        found = best_of(role)
        assert found.rate.per_s <= 1.05 * found.candidate.bound_per_s


def test_a_prefill_instance_knows_no_answers_and_a_decode_instance_no_prompts():
    prefill, decode = (best_of(role).rate.per_s for role in APART)
    assert best_of("prefill", n_out=400).rate.per_s == prefill
    assert best_of("decode", n_out=400).rate.per_s < decode
    assert best_of("decode", cached_frac=0.5).rate.per_s == decode
    assert best_of("prefill", cached_frac=0.5).rate.per_s > 1.5 * prefill
    for role, prompt_frac in zip(APART, (1.0, 0.0), strict=True):
        found = best_of(role)
        use = use_of(found.candidate.compiled.instance, found.rate.served, role)
        assert use.prompt_frac == prompt_frac


def test_drafts_that_are_accepted_gain_and_others_cost():
    plain = best_of("both").rate.per_s
    gains = best_of("both", drafts=Speculation(3.0, 2.9)).rate.per_s
    costs = best_of("both", drafts=Speculation(3.0, 1.0)).rate.per_s
    assert costs < plain < gains


@pytest.mark.parametrize("role", ["both", "decode"])
def test_a_rate_is_judged_by_enough_requests_for_the_batch(role):
    """With four times as many requests it is the same within 5 %; with as many as fit it is not."""
    slo = Slo(tpot_s=0.1)
    found = best_of(role, slo=slo)
    one, load = found.candidate, load_of_role(LOAD, role)
    n = enough_requests(one.bound_batch)

    def rate(n_requests):
        return largest_rate(one.times, load, slo, one.policy, n_requests=n_requests).per_s

    assert rate(n) == found.rate.per_s
    assert rate(4 * n) == pytest.approx(rate(n), rel=0.05)
    assert rate(one.bound_batch) > 1.1 * rate(n)
