"""A replica of a service, with jumps and without: ``python benchmarks/serving.py``.

An hour of requests like those of a chat (1,155 tokens in and 211 out on the mean, lognormal), which
come at random to a 70B model in FP8 on H100s. The engine jumps over steps in which nothing changes;
the same loop step by step is the engine with one step at a time; the plain loop is that of
``step_loop.py``, which looks at all sequences in every step. All give the same times of all
requests, to the last digit. Then the same for longer spans, at a rate that the replica holds and at
one where a queue grows: what a request costs must not grow with them. At last a whole answer: 200
million such requests a day on five kinds of chips, their layouts searched.
"""

import argparse
import math
import statistics

import numpy as np
import step_loop
from timing import cpu_s, heading, in_words, ratios

from computeplan.engines.serve.largest_rate import largest_rate
from computeplan.engines.serve.policy import ServePolicy, Slo
from computeplan.engines.serve.replica import play
from computeplan.physics.serving.steps import StepTimes
from computeplan.planner.serving import plan_serving
from computeplan.planner.serving_question import Question, site_of
from computeplan.specs.catalogue.lookup import load_model
from computeplan.trace.requests import draw_requests
from computeplan.units import HOUR_S
from computeplan.world.load import Lengths, Load, RequestTrace

PARAMETERS, LAYERS, HIDDEN, CACHE_BYTES = 70e9, 80, 8192, 163_840  # FP8, 8 KV heads of 128
BYTES_PER_S, FLOP_PER_S, BF16_FLOP_PER_S, MEMORY = (
    3.35e12 * 0.85,
    1979e12 * 0.59,
    989e12 * 0.4,
    80e9,
)
MESSAGE_S, LINK_BYTES_PER_S = 10e-6, 300e9
POLICY = ServePolicy(max_batch=256)
N_ROUNDS = 5
PLAIN_S = 600.0  # of the plain loop
CASES = ((8, 5.0, "at least 2.5"), (8, 0.5, "at least 15"), (2, 5.0, ""))
SPANS_H = (1, 8)
CHIPS = ("H100", "H200", "B200", "MI300X", "910B2")
QUESTION = Question(
    model=load_model("llama-3.3-70b")[0],
    load=Load(
        np.array([200e6 / 86_400]),
        1.0,
        Lengths(1155, 0.96, 130_000),
        Lengths(211, 0.77, 130_000),
        cached_frac=0.0,
    ),
    peak=1.8,
    slo=Slo(ttft_s=1.0, tpot_s=0.08),
    site=site_of("virginia"),
)


def step_times(tp: int) -> StepTimes:
    """Return plain roofline times: weights, products, messages, host."""
    batch = np.arange(POLICY.max_batch + 1)
    read_s = PARAMETERS / tp / BYTES_PER_S
    linear_s = np.hypot(read_s, 2 * PARAMETERS * batch / (FLOP_PER_S * tp))
    decode_s = linear_s + 2e-3 + LAYERS * (30e-6 + 2 * MESSAGE_S) + batch * 6e-6
    decode_s[0] = 0.0
    knots = np.array([0.0, 1.0, 128.0, 512.0, 2048.0, 8192.0])
    messages_s = LAYERS * 4 * HIDDEN * 2 * knots / LINK_BYTES_PER_S
    return StepTimes(
        decode_s=decode_s,
        context_s=CACHE_BYTES / tp / BYTES_PER_S,
        window_s=0.0,
        window=math.inf,
        prompt_tokens=knots,
        prefill_s=2 * PARAMETERS * knots / (FLOP_PER_S * tp) + messages_s,
        prompt_context_s=4 * LAYERS * HIDDEN / (BF16_FLOP_PER_S * tp),
        cache_tokens=(0.9 * MEMORY * tp - PARAMETERS - 2.5e9 * tp) / CACHE_BYTES,
    )


def load(per_s: float) -> Load:
    return Load(np.array([per_s]), 1.0, Lengths(1155, 0.96, 16_384), Lengths(211, 0.77, 4096), 0.0)


def requests(per_s: float, span_s: float) -> RequestTrace:
    return draw_requests(load(per_s), "chat", 1, span_s)


def row(tp: int, per_s: float, goal: str, n_rounds: int) -> str:
    """Return a row of the table: all play the same requests, and give the same times."""
    times, hour = step_times(tp), requests(per_s, HOUR_S)
    few = requests(per_s, PLAIN_S)
    ours_s, loop_s, few_s, plain_s = [], [], [], []
    for _ in range(n_rounds):
        took_s, served = cpu_s(lambda: play(times, hour, POLICY))
        ours_s.append(took_s)
        took_s, same = cpu_s(lambda: play(times, hour, POLICY, most_steps=1))
        loop_s.append(took_s)
        assert (served.first_s == same.first_s).all(), "first tokens differ"
        assert (served.done_s == same.done_s).all(), "ends differ"
        took_s, served_few = cpu_s(lambda: play(times, few, POLICY))
        few_s.append(took_s)
        took_s, (_, sequences) = cpu_s(lambda: step_loop.play(times, few, POLICY))
        plain_s.append(took_s)
        ends = [one.done / step_loop.TICK for one in sequences]
        assert served_few.done_s.tolist() == ends, "ends of the plain loop differ"
    return (
        f"| {tp} chips, {per_s} requests/s | {len(hour):,} | {served.n_steps:,}"
        f" | {statistics.median(ours_s):.2f} s | {in_words(ratios(loop_s, ours_s))} | {goal}"
        f" | {in_words(ratios(plain_s, few_s))} |"
    )


def exponent(tp: int, per_s: float) -> tuple[float, float]:
    """Return the CPU time of a request in the longer span [s], and the power by which all grows."""
    few, many = (requests(per_s, hours * HOUR_S) for hours in SPANS_H)
    times = step_times(tp)
    few_s, many_s = (
        min(cpu_s(lambda part=part: play(times, part, POLICY))[0] for _ in range(3))
        for part in (few, many)
    )
    return many_s / len(many), math.log(many_s / few_s) / math.log(len(many) / len(few))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=N_ROUNDS)
    args = parser.parse_args()
    print(heading("computeplan", "numpy"), end="\n\n")
    print(
        f"CPU time of one process, median of {args.rounds} interleaved rounds (lowest to highest);"
    )
    print("all times of all requests are equal. The plain loop plays ten minutes.\n")
    print("| an hour | requests | steps | engine | step by step | goal | plain loop |")
    print("|---|---|---|---|---|---|---|")
    for tp, per_s, goal in CASES:
        print(row(tp, per_s, goal, args.rounds), flush=True)
    print(f"\nCost of a request over {SPANS_H[1]} hours; growth from {SPANS_H[0]}.\n")
    print("| load | CPU time of a request | grows with the power | goal |")
    print("|---|---|---|---|")
    for name, tp, per_s in (("held", 8, 5.0), ("beyond what is served", 2, 12.0)):
        request_s, grows = exponent(tp, per_s)
        print(f"| {name} | {request_s * 1e6:.1f} us | {grows:.2f} | at most linear |", flush=True)
    slo = Slo(ttft_s=1.0, tpot_s=0.05)
    took_s, found = cpu_s(lambda: largest_rate(step_times(2), load(1.0), slo, POLICY))
    print(f"\nThe largest rate that holds 1 s and 50 ms on 2 chips: {found.per_s:.2f} requests/s,")
    print(f"from {found.n_plays} rates of 4,000 requests each in {took_s:.2f} s of CPU.")
    took_s, found = cpu_s(lambda: plan_serving(QUESTION, [(chip, None) for chip in CHIPS]))
    searches = [role.search for one in found.fleets for role in one.roles]
    tried = sum(one.n_tried for one in searches)
    plays = sum(one.n_searched for one in searches)
    said = ", ".join(f"{one.n_chips:,} {one.chip} ({one.layout})" for one in found.fleets)
    print(
        f"\nA fleet answer over {len(CHIPS)} chips, layouts searched: {took_s:.1f} s of CPU (goal:"
    )
    print(f"at most 30 s on one core); {tried} layouts simulated, {plays} for their largest rate:")
    print(f"{said}.")


if __name__ == "__main__":
    main()
