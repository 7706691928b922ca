"""A job on one pool, as written: what is compiled at a time."""

from __future__ import annotations

from typing import NamedTuple

from computeplan.errors import ScenarioError
from computeplan.physics.steptime.transformer import Shape, shape_of
from computeplan.specs.catalogue.chips import Chip
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

    @property
    def switches(self) -> Switches:
        """Training software of the job; the usual one if it names none."""
        return self.job.framework or Switches()

    def error(self, message: str, *path: str) -> ScenarioError:
        """Return what is wrong with the job, at a path below it."""
        return ScenarioError([self.document.problem(("jobs", self.name, *path), message)])
