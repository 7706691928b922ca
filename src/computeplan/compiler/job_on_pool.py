"""A job on one pool, as written: what is compiled at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from computeplan.errors import ScenarioError
from computeplan.physics.steptime.transformer import Shape, shape_of
from computeplan.specs.catalogue.chips import Chip
from computeplan.specs.catalogue.lookup import is_named
from computeplan.specs.catalogue.models import Transformer
from computeplan.specs.documents.document import Document
from computeplan.specs.jobs import Job as JobSpec
from computeplan.specs.sites import Network
from computeplan.specs.software import Switches
from computeplan.world.pools import Pool

__all__ = ["JobOnPool"]


class JobOnPool(NamedTuple):
    """A job as written, a pool compiled, what both name, and the document that problems are in."""

    name: str
    job: JobSpec
    model: Transformer | None
    pool: Pool
    chip: Chip
    network: Network
    storage_bytes_per_s: float | None
    document: Document

    @property
    def shape(self) -> Shape:
        """Shape of the model."""
        assert self.model is not None  # validated
        return shape_of(self.model.architecture())

    @property
    def n_chips(self) -> int:
        """Chips that the job asks for, by number or by its layout."""
        if self.job.chips is not None:
            return self.job.chips
        assert self.job.layout is not None  # validated
        return -(-self.job.layout.n_ranks // self.chip.ranks_per_chip)

    def _named(self, names: Sequence[str]) -> int:
        """Return which of some names, of pools or kinds of chips, is of this one; -1 if none."""
        found = (i for i, n in enumerate(names) if n == self.pool.name or is_named(self.chip, n))
        return next(found, -1)

    @property
    def preference(self) -> int:
        """The place of the pool among those that the job would rather have; -1: it may not run."""
        if self._named(self.job.never or ()) >= 0:
            return -1
        return 0 if self.job.only is None else self._named(self.job.only)

    @property
    def ready_frac(self) -> float:
        """The share of its speed that its software has here; 0 if it is not ported."""
        names = list(self.job.ready or ())
        i = self._named(names)
        return 1.0 if i < 0 or self.job.ready is None else self.job.ready[names[i]]

    @property
    def switches(self) -> Switches:
        """Training software of the job; the usual one if it names none."""
        return self.job.framework or Switches()

    def error(self, message: str, *path: str) -> ScenarioError:
        """Return what is wrong with the job, at a path below it."""
        return ScenarioError([self.document.problem(("jobs", self.name, *path), message)])
