"""A replica as one writes it first: one step after the other, and in each a look at all sequences.

It shares no code with the engine, and serves the tests as an oracle. Times are whole ticks of the
same length, without which sums of many steps would differ in their last digits.
"""

from dataclasses import dataclass, field

import numpy as np

TICK = 2**60


@dataclass
class Sequence:
    number: int
    arrival: int
    n_in: int
    n_out: int
    cached: int
    made: int = 0
    at: int = 0  # prompt tokens that are there
    target: int = 0  # prompt tokens to be there
    first: int | None = None
    done: int | None = None


@dataclass
class Replica:
    times: object
    policy: object
    now: int = 0
    n_steps: int = 0
    n_prompt: int = 0
    n_read: int = 0
    n_preempted: int = 0
    peak: int = 0
    waiting: list = field(default_factory=list)
    coming_in: list = field(default_factory=list)  # prompts, in the order in which they came in
    decoding: list = field(default_factory=list)

    @property
    def grows(self):
        return self.policy.keeps == "grow"

    def held(self):
        """Return tokens that the cache holds or has promised, as the next step needs them."""
        if not self.grows:
            return sum(s.n_in + s.n_out for s in self.coming_in + self.decoding)
        return sum(s.target for s in self.coming_in) + sum(s.n_in + s.made for s in self.decoding)

    def make_room(self):
        gave_way = False
        while self.grows and self.held() > int(self.times.cache_tokens):
            last = (self.coming_in or self.decoding).pop()
            self.waiting.insert(0, last)
            self.n_preempted += 1
            gave_way = True
        return gave_way

    def fits(self, one):
        others = len(self.coming_in) + len(self.decoding)
        if not others:
            return True
        needs = one.n_in + (one.made if self.grows else one.n_out)
        room = int(self.times.cache_tokens)
        if self.grows:
            room -= int(self.policy.watermark_frac * self.times.cache_tokens)
        return others < self.policy.max_batch and self.held() + needs <= room

    def take_in(self):
        """Return prompt tokens of this step, pairs, and the prompts that it finishes."""
        left, pairs, finished = self.policy.chunk_tokens, 0, []
        while left > 0:
            partial = [s for s in self.coming_in if s.at < s.target]
            if partial:
                one = partial[0]
            elif (
                self.waiting and self.waiting[0].arrival <= self.now and self.fits(self.waiting[0])
            ):
                one = self.waiting.pop(0)
                one.at, one.target = one.cached, one.n_in + one.made
                self.coming_in.append(one)
            else:
                break
            n = min(left, one.target - one.at)
            pairs += sum(range(one.at, one.at + n)) * 2 + n  # the half of itself
            one.at += n
            left -= n
            if one.at == one.target:
                finished.append(one)
        self.peak = max(self.peak, self.held())
        return self.policy.chunk_tokens - left, pairs, finished

    def step(self):
        times = self.times
        gave_way = self.make_room()
        n_prompt, two_pairs, finished = (0, 0, []) if gave_way else self.take_in()
        if not n_prompt and not self.decoding:
            self.now = self.waiting[0].arrival
            return
        contexts = [s.n_in + s.made for s in self.decoding]
        ticks = round(times.decode_s[len(contexts)] * TICK)
        ticks += round(times.context_s * TICK) * sum(contexts)
        if np.isfinite(times.window):
            seen = sum(min(context, int(times.window)) for context in contexts)
            ticks += round(times.window_s * TICK) * seen
        if n_prompt:
            seconds = np.interp(n_prompt, times.prompt_tokens, times.prefill_s)
            if n_prompt > times.prompt_tokens[-1]:
                seconds = times.prefill_s[-1] * n_prompt / times.prompt_tokens[-1]
            ticks += round(seconds * TICK) + round(times.prompt_context_s / 2 * TICK) * two_pairs
        self.now += ticks
        self.n_steps += 1
        self.n_prompt += n_prompt
        self.n_read += sum(contexts)
        for one in [*self.decoding, *finished]:
            one.made += 1
            if one.first is None:
                one.first = self.now
        for one in finished:
            self.coming_in.remove(one)
            self.decoding.append(one)
        for one in [s for s in self.decoding if s.made == s.n_out]:
            one.done = self.now
            self.decoding.remove(one)


def play(times, requests, policy):
    """Return the replica after all requests, and the sequences in the order of the requests."""
    n = len(requests.arrival_s)
    cached = requests.reusable_tokens
    cached = np.zeros(n, dtype=int) if cached is None else cached
    sequences = [
        Sequence(i, round(float(requests.arrival_s[i]) * TICK), n_in, n_out, min(c, n_in - 1))
        for i, (n_in, n_out, c) in enumerate(
            zip(
                requests.input_tokens.tolist(),
                requests.output_tokens.tolist(),
                cached.tolist(),
                strict=True,
            )
        )
    ]
    replica = Replica(times, policy, waiting=list(sequences))
    while replica.waiting or replica.coming_in or replica.decoding:
        replica.step()
    return replica, sequences
