"""A job of the event engine that goes on with fewer replicas while it lacks nodes.

Between two changes of its size such a job is like any other, so it is played as one whose positions
(work, saves) are counted in seconds of training at its present size: a change of size converts
them. It changes size where it does not train: when a fault has struck it, and, when nodes come
back, after a save. `n_missing` is 0 while it goes on, and all nodes it lacks while it is blocked.

Chips that it holds and that make no whole replica are blocked, whatever the others do. So the
chip-seconds of kept training, over the chips of the full size, are seconds of training at full
size: what they have always been where nothing shrinks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

from computeplan.engines.event.gang import Gang
from computeplan.engines.event.pacedgang import PacedGang
from computeplan.engines.event.sharedgang import SharedGang, Storage
from computeplan.engines.event.tiergang import TieredGang
from computeplan.ledger import BLOCKED, LOST, PHASES, RESTART, SAVE, TRAIN, Span
from computeplan.world.jobs import Job
from computeplan.world.pools import Pool, is_slowed

__all__ = ["gang_of"]


def gang_of(
    index: int,
    spec: Job,
    pools: Sequence[Pool],
    spans: list[Span] | None,
    storages: Mapping[str, Storage],
) -> Gang:
    """Return a job, as it saves, as it goes on after a loss, and as its speed varies."""
    if any(spec.storage):
        return SharedGang(index, spec, spans, storages)
    if any(is_slowed(pool) for pool, n in zip(pools, spec.n_nodes, strict=True) if n):
        return PacedGang(index, spec, spans, [pool.throttle_frac for pool in pools])
    if spec.shrinking is not None:
        return _ShrinkingGang(index, spec, spans)
    return (TieredGang if any(spec.tiers) else Gang)(index, spec, spans)


class _ShrinkingGang(TieredGang):
    """A job whose nodes that are left train on.

    `n_active` replicas train. `booked_s` is what of `job_s` has been turned into `active_s`,
    chip-seconds of active replicas over the chips of the full size; `over_chip_s` is of chips that
    wait beside them, counted until `counted_s`. `trained` tells at which sizes what is kept was
    trained: seconds at full size and replicas, oldest first.
    """

    def start(self, pool: int, chips_per_node: int, now_s: float) -> None:
        """Begin on a pool whose nodes it has been given."""
        super().start(pool, chips_per_node, now_s)
        assert self.spec.shrinking is not None
        self.shrinking = self.spec.shrinking
        self.n_active = self.shrinking.n_replicas
        self.full_work_s, self.counted_s = self.work_s, now_s
        self.n_short, self.is_saving = 0, False
        self.booked_s = list(self.job_s)
        self.active_s, self.over_chip_s = [0.0] * len(PHASES), 0.0
        self.trained: list[tuple[float, int]] = []

    @property
    def n_lacking(self) -> int:
        """Nodes that it lacks, whether or not it goes on; those that come back are its own."""
        return self.n_short if self.runs else 0

    @property
    def n_whole(self) -> int:
        """Replicas that its nodes make."""
        return self.shrinking.n_whole(self.n_nodes, self.n_short)

    @property
    def active_chips(self) -> float:
        """Chips of its active replicas."""
        share = self.n_active / self.shrinking.n_replicas
        return self.n_nodes * self.chips_per_node * share

    def n_chips_in(self, phase: int) -> int:
        """Return the chips that take part in a phase now."""
        return super().n_chips_in(phase) if phase == BLOCKED else round(self.active_chips)

    # -- its size --------------------------------------------------------------------------------

    def _count_over(self, now_s: float) -> None:
        """Count the chips that it holds beside its active replicas; before either changes."""
        held = (self.n_nodes - self.n_short) * self.chips_per_node
        self.over_chip_s += (now_s - self.counted_s) * (held - self.active_chips)
        self.counted_s = now_s

    def _settle(self) -> None:
        """Turn what was booked into chip-seconds; before the number of replicas changes."""
        share = self.n_active / self.shrinking.n_replicas
        for phase in (TRAIN, LOST, SAVE, RESTART):
            seconds = (self.job_s[phase] - self.booked_s[phase]) * share
            self.active_s[phase] += seconds
            if phase == TRAIN and seconds:
                self.trained.append((seconds, self.n_active))
        self.booked_s = list(self.job_s)

    def _take_up(self, now_s: float) -> None:
        """Go on with all replicas that are whole; everything is booked."""
        self._count_over(now_s)
        self.is_saving = False
        if self.n_active == self.n_whole:
            return
        self._settle()
        longer = self.n_active / self.n_whole
        self.n_active = self.n_whole
        self.work_s = self.full_work_s * self.shrinking.n_replicas / self.n_active
        self.kept_s *= longer
        self.pending_s *= longer
        self.saved_s = [saved_s * longer for saved_s in self.saved_s]
        saves = ((when_s, position_s * longer) for when_s, position_s in self.complete)
        self.complete = deque(saves, self.complete.maxlen)

    # -- what a gang is told ---------------------------------------------------------------------

    def lack(self, now_s: float) -> None:
        """Note that a node is gone and none is free: go on without it, if enough are left.

        The fault that took it has begun a restart.
        """
        if self.n_missing:
            super().lack(now_s)
            self.n_short += 1
            return
        since_s = self.missing_since_s if self.n_short else now_s
        self._count_over(now_s)
        self.n_short += 1
        if self.n_whole >= self.shrinking.n_least:
            self._take_up(now_s)
        else:
            self._settle()
            super().lack(now_s)
            self.n_missing = self.n_short
        self.missing_since_s = since_s

    def receive(self, now_s: float) -> None:
        """Note that a missing node has come: take it up at once where it does not train.

        Where it trains and the node makes a replica whole, it saves first.
        """
        self.ending = None
        if self.n_missing:
            self.book_blocked(now_s)
            self.n_short -= 1
            self.n_missing = self.n_short if self.n_whole < self.shrinking.n_least else 0
            self.counted_s = now_s
            if not self.n_missing:
                self._take_up(now_s)
                self._down(now_s, self.restart_s)
            return
        self._book_until_ready(now_s)
        self._count_over(now_s)
        self.n_short -= 1
        trains = now_s > self.ready_s
        if not trains and not self.is_saving:
            self._take_up(now_s)
        elif trains and self.n_whole > self.n_active:
            stop_until_s = self.stop_until_s
            self.stop(now_s, self.shrinking.resize_s)
            self.stop_until_s = stop_until_s  # a fault may end it early

    def stop(self, now_s: float, lasts_s: float) -> bool:
        """Save, then stand still; replicas that have come meanwhile are taken up."""
        trains = not self.n_missing and now_s > self.ready_s
        stops = super().stop(now_s, lasts_s)
        self.is_saving |= stops and trains
        return stops

    def interrupt(
        self, now_s: float, restart_s: float, level: int, clean_by_s: float = float("inf")
    ) -> None:
        """Throw away what was not saved and begin a restart with the replicas that are whole."""
        super().interrupt(now_s, restart_s, level, clean_by_s)
        if not self.n_missing:
            self._take_up(now_s)

    def end(self, now_s: float) -> None:
        """Book the rest of the work, which ends now."""
        super().end(now_s)
        self._count_over(now_s)
        self._settle()

    def close(self, wall_s: float) -> None:
        """Book what is under way at the end of the run."""
        if self.runs and not self.n_missing:
            self._book_until_ready(wall_s)  # it may change size before
            self._count_over(wall_s)
        super().close(wall_s)
        if self.pool >= 0:
            self._settle()

    # -- books -----------------------------------------------------------------------------------

    def left_s(self) -> float:
        """Return the training left once it resumes, with the replicas it will have then. [s]"""
        left_s = super().left_s()
        return left_s * self.n_active / self.n_whole if self.is_saving else left_s

    def _book_until_ready(self, now_s: float) -> None:
        if self.is_saving and now_s >= self.saving_until_s:
            super()._book_until_ready(self.saving_until_s)
            self._take_up(self.saving_until_s)
        super()._book_until_ready(now_s)

    def _lose(self, trained_s: float) -> None:
        """Count training as lost that was booked as kept, each second at the size it had."""
        self._settle()
        lost_s = trained_s * self.n_active / self.shrinking.n_replicas
        while lost_s > 0 and self.trained:
            at_full_s, n_replicas = self.trained.pop()
            taken_s = min(lost_s, at_full_s)
            if at_full_s > taken_s:
                self.trained.append((at_full_s - taken_s, n_replicas))
            lost_s -= taken_s
            self.active_s[TRAIN] -= taken_s
            self.active_s[LOST] += taken_s
            super()._lose(taken_s * self.shrinking.n_replicas / n_replicas)
        self.booked_s = list(self.job_s)

    def chip_s(self) -> list[float]:
        """Return the chip-seconds of each phase. [s]"""
        blocked_chip_s = super().chip_s()[BLOCKED]
        n_chips = self.n_nodes * self.chips_per_node
        booked = [seconds * n_chips for seconds in self.active_s]
        booked[BLOCKED] = blocked_chip_s + self.over_chip_s
        return booked
