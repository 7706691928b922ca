"""Static batches: all prompts at once, then steps until the longest answer is whole.

A batch takes what waits when the one before it has ended, in the order in which it came, as much as
the cache and the batch hold. Answers that are whole go out, but their place stays taken: a step
costs the same until the batch has ended.
"""

from __future__ import annotations

import numpy as np

from computeplan.arrays import FloatArray, IntArray
from computeplan.engines.serve.policy import ServePolicy
from computeplan.engines.serve.served import Served, cached_tokens
from computeplan.physics.serving.steps import StepTimes, prefill_s, windowed_tokens
from computeplan.world.load import RequestTrace

__all__ = ["play_static"]


def play_static(times: StepTimes, requests: RequestTrace, policy: ServePolicy) -> Served:
    """Return what one replica does with requests in static batches."""
    arrival_s, cached = requests.arrival_s, cached_tokens(requests)
    fresh = requests.input_tokens - cached
    pairs = fresh * (cached + fresh / 2.0)
    needs = np.concatenate([[0], np.cumsum(requests.input_tokens + requests.output_tokens)])
    first_s, done_s = np.empty(len(requests)), np.empty(len(requests))
    batch_s = np.zeros(policy.max_batch + 1)
    now_s = busy_s = sequence_s = 0.0
    begin = n_steps = n_read = peak = 0
    while begin < len(requests):
        now_s = max(now_s, float(arrival_s[begin]))
        there = int(np.searchsorted(arrival_s, now_s, side="right"))
        fits = int(np.searchsorted(needs, needs[begin] + times.cache_tokens, side="right")) - 1
        end = min(there, fits, begin + policy.max_batch)
        now, n = slice(begin, end), end - begin
        prompt_s = float(prefill_s(times, fresh[now].sum(), pairs[now].sum()))
        context = requests.input_tokens[now] + 1
        steps = requests.output_tokens[now] - 1
        taken_s = _taken_s(times, context, steps)
        longest, longest_s = int(steps.max()), float(taken_s.max())
        first_s[now] = now_s + prompt_s
        done_s[now] = first_s[now] + taken_s
        batch_s[0] += prompt_s
        batch_s[n] += longest_s
        busy_s += prompt_s + longest_s
        sequence_s += n * (prompt_s + longest_s)
        n_steps += longest + 1
        n_read += longest * int(context.sum()) + n * longest * (longest - 1) // 2
        peak = max(peak, int(needs[end] - needs[begin]))
        now_s += prompt_s + longest_s
        begin = end
    return Served(
        requests=requests,
        first_s=first_s,
        done_s=done_s,
        first_token_s=times.first_token_s,
        busy_s=busy_s,
        batch_s=batch_s,
        sequence_s=sequence_s,
        n_steps=n_steps,
        n_prompt_tokens=int(fresh.sum()),
        n_again_tokens=0,
        n_read_tokens=n_read,
        n_peak_tokens=peak,
        n_preemptions=0,
    )


def _taken_s(times: StepTimes, context: IntArray, steps: IntArray) -> FloatArray:
    """Return when each sequence of a batch has its last token, counted from the first step. [s]

    All decode in every step; `context` is what each reads in the first one.
    """
    n = len(context)
    ends, which = np.unique(steps, return_inverse=True)
    reads = ends * context.sum() + n * ends * (ends - 1) / 2
    taken_s = ends * times.decode_s[n] + times.context_s * reads
    if times.window_s:
        windowed = windowed_tokens(context, times.window, ends[:, None]).sum(axis=1)
        taken_s = taken_s + times.window_s * windowed
    found: FloatArray = taken_s[which]
    return found
