"""Prompts on some instances, answers on others."""

import math

import numpy as np
import pytest
from scipy import stats

from computeplan.analytic.serving import mean_wait_s
from computeplan.engines.serve.apart import Handover, play_apart
from computeplan.engines.serve.percentiles import in_parts
from computeplan.engines.serve.policy import ServePolicy
from computeplan.engines.serve.replica import play
from computeplan.physics.serving.steps import StepTimes
from computeplan.trace.requests import draw_requests
from computeplan.world.load import Lengths, Load, RequestTrace

KNOTS = np.array([0.0, 100.0])
PROMPTS = StepTimes(
    np.array([0.0, 0.01]), 0.0, 0.0, math.inf, KNOTS, np.array([0.0, 0.1]), 0.0, 1e5, 0.0
)
ANSWERS = StepTimes(
    np.append(0.0, np.full(64, 0.01)), 1e-6, 0.0, math.inf, KNOTS, KNOTS, 0.0, 1e5, 0.0
)
POLICIES = (ServePolicy(1, 1000), ServePolicy(64, 1000))


def rows(*arrivals, n_in=100, n_out=11):
    n = len(arrivals)
    return RequestTrace(np.array(arrivals), np.full(n, n_in), np.full(n, n_out))


def test_a_request_walks_from_prompt_to_answer():
    served = play_apart((PROMPTS, ANSWERS), rows(1.0), POLICIES, (1, 1), Handover(0.02, 1e-4))
    assert served.ttft_s[0] == pytest.approx(0.1 + 0.02 + 1e-4 * 100)
    steps_s = 10 * 0.01 + 1e-6 * sum(range(101, 111))
    assert served.tpot_s[0] == pytest.approx(steps_s / 10)
    assert served.prefill[0].n_prompt_tokens == 100
    assert served.decode[0].n_prompt_tokens == 0


def test_instances_take_turns():
    arrivals = rows(0.0, 0.0, 0.0)
    served = play_apart((PROMPTS, ANSWERS), arrivals, POLICIES, (2, 3))
    assert served.ttft_s == pytest.approx([0.1, 0.1, 0.2])
    assert [len(one) for one in served.prefill] == [2, 1]
    assert [len(one) for one in served.decode] == [1, 1, 1]


def test_there_must_be_instances_of_both():
    with pytest.raises(ValueError, match="an instance for prompts and one for answers"):
        play_apart((PROMPTS, ANSWERS), rows(0.0), POLICIES, (0, 1))


def test_answers_do_not_wait_for_prompts_of_others():
    load = Load(np.array([4.0]), 1.0, Lengths(100, 0, 100), Lengths(50, 0, 50), 0.0)
    requests = draw_requests(load, "chat", 1, 600.0)
    apart = play_apart((PROMPTS, ANSWERS), requests, POLICIES, (1, 1))
    both = StepTimes(
        ANSWERS.decode_s, 1e-6, 0.0, math.inf, KNOTS, np.array([0.0, 0.1]), 0.0, 1e5, 0.0
    )
    together = play(both, requests, POLICIES[1])
    # Apart a step is at most 10 ms and the reads of 10 sequences; together prompts add 0.1 s.
    assert apart.tpot_s.max() < 0.010 + 1e-6 * 10 * 150
    assert together.tpot_s.mean() > 1.5 * apart.tpot_s.mean()


@pytest.mark.parametrize("share", [0.3, 0.6, 0.8])
def test_prompts_by_themselves_wait_like_an_m_d_1_queue(share):
    """Prompts of one length, each a step: Pollaczek and Khinchine, exact."""
    times = StepTimes(
        PROMPTS.decode_s, 0.0, 0.0, math.inf, KNOTS, np.array([0.0, 0.1]), 0.0, 1e9, 0.0
    )
    load = Load(np.array([share / 0.1]), 1.0, Lengths(100, 0, 100), Lengths(1, 0, 1), 0.0)
    requests = draw_requests(load, "prompts", 2, 5e3 / share)
    served = play(times, requests, ServePolicy(1, 100))
    done_s, right_s = -math.inf, []
    for at_s in requests.arrival_s.tolist():
        done_s = max(at_s, done_s) + 0.1
        right_s.append(done_s)
    assert served.first_s == pytest.approx(np.array(right_s))
    waits_s = served.ttft_s - 0.1
    of_parts = [part.mean() for part in in_parts(waits_s, 20)]
    error_s = stats.sem(of_parts)
    assert error_s < 0.08 * waits_s.mean()
    assert abs(np.mean(of_parts) - share * 0.1 / 2 / (1 - share)) < 3.5 * error_s
    assert mean_wait_s(share / 0.1, 0.1, 1, 1.0, 0.0) == pytest.approx(share * 0.05 / (1 - share))
