"""One replica as a loop over its steps, of which those that are alike are taken at once.

Between two steps the replica first takes in prompts: of requests that wait, in the order in which
they came, as long as the cache has room for them, the batch is not full, and the step has tokens
left for prompts. Then it makes a step: every sequence that decodes gets a token, and prompts that
are finished get their first one. A sequence whose answer is whole leaves.

If no prompt comes in, nothing changes until a sequence ends, or the next request comes, or a
sequence fills the window of layers that have one, or the cache is full: when these are, in steps,
is known (a heap of the steps at which sequences end), and the time of the steps until then is a sum
in closed form. So a request costs a few turns of the loop, however long its answer. A request that
comes while the one before it waits changes nothing, and no turn ends for it.

Where sequences take cache as they grow and it is full, the one that came last gives way. It waits
before all others, and what it had is computed again, its answer so far as part of the prompt.

Long because all that a step may change stands in one class: parts of it would share its state.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush

from computeplan.engines.serve.clock import (
    TICKS_PER_S,
    Ticks,
    least_steps,
    steps_ticks,
    to_s,
    to_ticks,
)
from computeplan.engines.serve.policy import ServePolicy, checked_requests
from computeplan.engines.serve.served import Served, cached_tokens, check_run
from computeplan.engines.serve.static import play_static
from computeplan.physics.serving.steps import StepTimes
from computeplan.world.load import RequestTrace

__all__ = ["Due", "play", "play_until_late"]

NONE = -1
NEVER = 1 << 200


@dataclass(frozen=True, slots=True)
class Due:
    """When requests are late, and how many of them may be; in ticks."""

    first: list[int]
    """The time after which the first token of each is late."""
    answer: list[int]
    """The time from its first token to its last after which its answer is."""
    most_first: int
    most_answers: int
    """How many may be late with each."""


def play(
    times: StepTimes, requests: RequestTrace, policy: ServePolicy, *, most_steps: int | None = None
) -> Served:
    """Return what one replica does with requests, all of them to their end.

    Parameters
    ----------
    times : StepTimes
    requests : RequestTrace
        What a cache of prefixes holds of them occupies memory, and is not computed; at least one
        token of each prompt is.
    policy : ServePolicy
    most_steps : int, optional
        Steps at once; with 1 it goes step by step, which gives the same to the last digit.

    Raises
    ------
    ValueError
        If the batch is larger than the times are tabulated for, or a request does not fit the cache
        by itself.

    Examples
    --------
    >>> import numpy as np
    >>> ones, knots = np.array([0.0, 0.01, 0.01]), np.array([0.0, 100.0])
    >>> times = StepTimes(ones, 0.0, 0.0, np.inf, knots, np.array([0.0, 0.1]), 0.0, 1e4)
    >>> two = RequestTrace(np.array([0.0, 0.0]), np.array([50, 50]), np.array([11, 21]))
    >>> served = play(times, two, ServePolicy(max_batch=2))
    >>> (served.ttft_s - times.first_token_s).round(3).tolist(), served.done_s.round(3).tolist()
    ([0.1, 0.1], [0.2, 0.3])
    """
    checked_requests(times, requests, policy)
    if policy.is_static:
        return play_static(times, requests, policy)
    served = _Replica(Ticks(times), requests, policy, times, most_steps).play()
    assert served is not None  # nothing is due
    return served


def play_until_late(
    times: StepTimes, requests: RequestTrace, policy: ServePolicy, due: Due
) -> Served | None:
    """Return what one replica does with requests, or None once too many are late.

    Parameters
    ----------
    times : StepTimes
    requests : RequestTrace
    policy : ServePolicy
        Static batches are played to their end.
    due : Due

    Raises
    ------
    ValueError
        As `play`.

    Examples
    --------
    >>> import numpy as np
    >>> ones, knots = np.array([0.0, 0.01]), np.array([0.0, 100.0])
    >>> times = StepTimes(ones, 0.0, 0.0, np.inf, knots, np.array([0.0, 0.1]), 0.0, 1e4)
    >>> two = RequestTrace(np.array([0.0, 0.0]), np.array([50, 50]), np.array([11, 21]))
    >>> for most in (0, 1):  # the second has its first token after 0.2 s
    ...     due = Due([to_ticks(0.1)] * 2, [to_ticks(9.0)] * 2, most, 0)
    ...     play_until_late(times, two, ServePolicy(max_batch=1), due) is None
    True
    False
    """
    if policy.is_static:
        return play(times, requests, policy)
    checked_requests(times, requests, policy)
    return _Replica(Ticks(times), requests, policy, times, due=due).play()


class _Replica:
    """The state of a replica; times are in ticks, and steps are counted from the first."""

    def __init__(
        self,
        ticks: Ticks,
        requests: RequestTrace,
        policy: ServePolicy,
        times: StepTimes,
        most_steps: int | None = None,
        due: Due | None = None,
    ) -> None:
        n = len(requests)
        self.ticks, self.requests, self.policy = ticks, requests, policy
        self.first_token_s = times.first_token_s
        self.most_steps = most_steps or 1 << 62
        self.arrival = [to_ticks(one) for one in requests.arrival_s.tolist()]
        self.arrival.append(NEVER)
        self.due = due or Due([NEVER] * n, [NEVER] * n, n, n)
        self.n_in, self.n_out = requests.input_tokens.tolist(), requests.output_tokens.tolist()
        self.cached: list[int] = cached_tokens(requests).tolist()
        self.grows = policy.keeps == "grow"
        self.room = int(times.cache_tokens)
        self.spare = int(policy.watermark_frac * times.cache_tokens) if self.grows else 0
        # What each has, had, and when
        brought = 0 if policy.has_prompts else 1
        self.made = [brought] * n  # tokens of its answer, when it last began to wait
        self.entered, self.end_step = [0] * n, [0] * n
        self.first, self.done = [NONE] * n, [NONE] * n
        # Who waits, who comes in, who decodes
        self.head, self.again = 0, list[int]()
        self.prompt, self.at, self.until = NONE, 0, 0
        self.finished: list[int] = []
        self.batch: dict[int, int] = {}  # by when it joined, the last one last
        self.n_joined = 0
        self.ends: list[tuple[int, int]] = []
        self.fills: list[tuple[int, int]] = []
        self.context = self.windowed = self.n_below = self.used = 0
        # What is counted
        self.now = self.steps = self.busy = self.sequence = self.stays = 0
        self.n_left, self.peak = n, 0
        self.n_late_first = self.n_late_answers = 0
        self.n_prompt = self.n_again = self.n_given = self.n_preempted = 0
        self.n_read = self.n_windowed = 0
        self.batch_ticks = [0] * (policy.max_batch + 1)

    def play(self) -> Served | None:
        """Return what was served; None once too many are late."""
        arrival, due = self.arrival, self.due
        self.now = arrival[0]
        while self.n_left:
            if self.n_late_first > due.most_first or self.n_late_answers > due.most_answers:
                return None
            if self.used > self.room:
                self._make_room()
            n_prompt, two_pairs = self._take_in()
            if n_prompt:
                first = self._first() + self.ticks.prompt(n_prompt, two_pairs)
                self._step(*self._chunks(first))
                self._join()
            elif self.batch:
                self._run()
            elif self.n_left:
                self.now = arrival[self.head]
        return self._served()

    def _take_in(self) -> tuple[int, int]:
        """Let requests in; return prompt tokens of this step, and twice the pairs they make."""
        if self.prompt < 0 and not self.again and self.arrival[self.head] > self.now:
            return 0, 0
        left, two_pairs = self.policy.chunk_tokens, 0
        while left and (self.prompt >= 0 or self._admit()):
            if self.prompt < 0:  # it came with its cache
                continue
            at = self.at
            n = min(left, self.until - at)
            two_pairs += n * (2 * at + n)
            left -= n
            self.at = at + n
            if self.at == self.until:
                self.finished.append(self.prompt)
                self.prompt = NONE
        n_prompt = self.policy.chunk_tokens - left
        self.n_prompt += n_prompt
        return n_prompt, two_pairs

    def _admit(self) -> bool:
        """Let the next request in if it is there and fits, and return whether it did."""
        is_again = bool(self.again)
        one = self.again[-1] if is_again else self.head
        if not is_again and self.arrival[one] > self.now:
            return False
        n_others = len(self.batch) + len(self.finished)
        needs = self.n_in[one] + (self.made[one] if self.grows else self.n_out[one])
        if n_others and (
            n_others >= self.policy.max_batch or self.used + needs > self.room - self.spare
        ):
            return False
        if is_again:
            self.again.pop()
        else:
            self.head += 1
        self.entered[one] = self.now
        self.used += needs
        if self.used > self.peak:
            self.peak = self.used
        if is_again or self.policy.has_prompts:
            self.prompt, self.at = one, self.cached[one]
            self.until = self.n_in[one] + self.made[one]
        else:
            self.first[one] = self.arrival[one]
            self._decode(one)
        return True

    def _first(self) -> int:
        """Return what a step takes in which those of the batch decode."""
        ticks = self.ticks
        reads = ticks.context * self.context + ticks.windowed * self.windowed
        return ticks.decode[len(self.batch)] + reads

    def _alike(self) -> tuple[int, int]:
        """Return how many steps end no sequence before the last, and what each adds to the next."""
        n, n_batch = self.most_steps, len(self.batch)
        if n_batch:
            n = min(n, self.ends[0][0] - self.steps)
            if self.fills:
                n = min(n, self.fills[0][0] - self.steps)
            if self.grows:
                n = min(n, (self.room - self.used) // n_batch + 1)
        return n, self.ticks.context * n_batch + self.ticks.windowed * self.n_below

    def _chunks(self, first: int) -> tuple[int, int]:
        """Return how many steps are made, and what they take; take in all chunks but the first.

        A prompt of which whole chunks are left lets no other in: with each of them a step sees as
        many more pairs, so they are taken at once. Not so where another prompt ended in this step:
        it had less than a chunk of this one, and who ended gets a token after it.
        """
        chunk = self.policy.chunk_tokens
        left = self.until - self.at
        if self.prompt < 0 or self.finished or left <= chunk:
            return 1, first
        n, growth = self._alike()
        n = min(n, 1 + (left - 1) // chunk)  # the last of its tokens stand for themselves
        self.at += (n - 1) * chunk
        self.n_prompt += (n - 1) * chunk
        return n, steps_ticks(first, growth + self.ticks.half_pair * 2 * chunk * chunk, n)

    def _run(self) -> None:
        """Make all steps until something changes."""
        n, growth = self._alike()
        first = self._first()
        taken = steps_ticks(first, growth, n)
        until = self.arrival[self.head] - self.now
        if 0 < until < taken and not self.again:  # who waits already waits for an end
            n = least_steps(first, growth, until)
            taken = steps_ticks(first, growth, n)
        self._step(n, taken)

    def _step(self, n: int, taken: int) -> None:
        """Make some steps, the last of which may end what sequences ask for."""
        batch = self.batch
        n_batch = len(batch)
        self.now += taken
        self.busy += taken
        self.batch_ticks[n_batch] += taken
        self.sequence += taken * (n_batch + len(self.finished) + (self.prompt >= 0))
        self.n_given += n * n_batch
        self.n_read += steps_ticks(self.context, n_batch, n)
        self.n_windowed += steps_ticks(self.windowed, self.n_below, n)
        self.context += n * n_batch
        self.windowed += n * self.n_below
        self.steps = steps = self.steps + n
        if self.grows:
            held = self.used + (n - 1) * n_batch
            self.used = held + n_batch
            if held > self.peak:
                self.peak = held
        ends = self.ends
        while ends and ends[0][0] <= steps:
            one = batch.pop(heappop(ends)[1], NONE)
            if one >= 0:
                context = self.n_in[one] + self.n_out[one]
                # One that fills its window as it ends was not counted as full yet.
                self._drop(context, context <= self.ticks.window)
                self._leave(one)
        while self.fills and self.fills[0][0] <= steps:
            self.n_below -= heappop(self.fills)[1] in batch

    def _join(self) -> None:
        """Give those whose prompts this step finished their token, and let them decode."""
        for one in self.finished:
            self.made[one] += 1
            self.n_given += 1
            self.used += self.grows
            if self.first[one] < 0:
                self.first[one] = self.now
                self.n_late_first += self.now > self.due.first[one]
            self._decode(one)
        self.finished.clear()

    def _decode(self, one: int) -> None:
        """Let a sequence decode that has its first token, if it wants more."""
        made, n_out = self.made[one], self.n_out[one]
        if made == n_out:
            self._leave(one)
            return
        join = self.n_joined = self.n_joined + 1
        self.batch[join] = one
        self.end_step[one] = end = self.steps + n_out - made
        heappush(self.ends, (end, join))
        context, window = self.n_in[one] + made, self.ticks.window
        self.context += context
        if window:
            self.windowed += min(context, window)
            self.n_below += context < window
            full = self.steps + window - context
            if context < window and full < end:
                heappush(self.fills, (full, join))

    def _drop(self, context: int, is_below: bool) -> None:
        """Take the cached tokens of a sequence out of what steps read."""
        self.context -= context
        self.n_below -= is_below
        self.windowed -= min(context, self.ticks.window)

    def _leave(self, one: int) -> None:
        """Let a request go whose answer is whole."""
        self.done[one] = self.now if self.n_out[one] > 1 else self.first[one]
        self.n_late_answers += self.done[one] - self.first[one] > self.due.answer[one]
        self.used -= self.n_in[one] + self.n_out[one]
        self.stays += self.now - self.entered[one]
        self.n_left -= 1

    def _make_room(self) -> None:
        """Let those that came last give way until the cache is not too full.

        None of them fits at once: what the last of them leaves is less than it needs.
        """
        while self.used > self.room:
            if self.prompt >= 0:
                one, self.prompt = self.prompt, NONE
                self.n_again += self.at - self.cached[one]
                self.used -= self.until
            else:
                _, one = self.batch.popitem()
                self.made[one] = self.n_out[one] - (self.end_step[one] - self.steps)
                context = self.n_in[one] + self.made[one]
                self.n_again += context - self.cached[one]
                self.used -= context
                self._drop(context, context < self.ticks.window)
            self.again.append(one)
            self.stays += self.now - self.entered[one]
            self.n_preempted += 1

    def _served(self) -> Served:
        """Return what is known at the end.

        Raises
        ------
        AssertionError
            If tokens or sequences got lost.
        """
        policy, requests = self.policy, self.requests
        n_brought = 0 if policy.has_prompts else len(requests)
        fresh = sum(self.n_in) - sum(self.cached) if policy.has_prompts else 0
        check_run(
            prompts=(self.n_prompt, fresh + self.n_again),
            outputs=(self.n_given, sum(self.n_out) - n_brought),
            stays=(self.sequence, self.stays),
            left=(self.used, self.context, self.windowed, self.n_below),
        )
        return Served(
            requests=requests,
            first_s=to_s(self.first),
            done_s=to_s(self.done),
            first_token_s=self.first_token_s if policy.has_prompts else 0.0,
            busy_s=self.busy / TICKS_PER_S,
            batch_s=to_s(self.batch_ticks),
            sequence_s=self.sequence / TICKS_PER_S,
            n_steps=self.steps,
            n_prompt_tokens=self.n_prompt,
            n_again_tokens=self.n_again,
            n_read_tokens=self.n_read,
            n_windowed_tokens=self.n_windowed,
            n_peak_tokens=self.peak,
            n_preemptions=self.n_preempted,
        )
