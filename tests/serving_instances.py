"""Small instances whose steps are worked out by hand."""

from __future__ import annotations

from dataclasses import replace

from computeplan.physics.serving.instance import Engine, Formats, Instance, Rank, Speed, Split
from computeplan.physics.steptime.collectives import Fabric, Link
from computeplan.physics.steptime.transformer import Experts, LatentAttention, Shape

DENSE = Shape(
    layers=4, hidden=64, ffn=256, heads=8, kv_heads=2, head_dim=8, vocab=100, gated_mlp=False
)
MIXTURE = replace(DENSE, moe=Experts(experts=8, top_k=2, expert_ffn=128))
LATENT = replace(DENSE, mla=LatentAttention(0, 16, 8, 4, 8))
WINDOWED = replace(DENSE, sliding_window=16, full_attention_every=2)
SHAPES = (DENSE, MIXTURE, LATENT, WINDOWED)

NO_OVERHEAD = Speed(1.0, 1.0, 0.0, 0.0, 0.0, 0.0)
USUAL = Speed(0.9, 0.4, 1e-3, 3e-5, 1e-5, 1e-5)
LINK = Link(frac=0.7, call_s=1e-5, rank_s=1e-6)
FABRIC = Fabric(
    8,
    400e9,
    400e9,
    50e9,
    dict.fromkeys(("all_reduce", "all_gather", "reduce_scatter", "all_to_all"), LINK),
)
RANK = Rank(80e9, 2e12, 1e15, 1e15, 1e15)


def instance(
    shape: Shape = DENSE,
    *,
    speed: Speed = NO_OVERHEAD,
    rank: Rank = RANK,
    of_free: bool = True,
    grows: bool = False,
    max_batch: int = 10**9,
    **split: float,
) -> Instance:
    """Return an instance of 16-bit weights and cache."""
    engine = Engine(0.9, of_free, grows, max_batch, 8192.0)
    formats = Formats(2.0, 2.0, 2.0)
    return Instance(shape, rank, formats, FABRIC, Split.of(**split), speed, engine)
