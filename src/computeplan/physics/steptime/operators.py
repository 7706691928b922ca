"""Operators on one rank: times of matrix products, attention and element-wise work.

A matrix product of m x k with k x n reaches a share of the dense peak that grows with each of its
sides, ``best * m/(m+m_half) * n/(n+n_half) * k/(k+k_half)``. So it takes as long as a product at
`best` whose sides were longer by these constants: three additions, no table at run time. Never
less than the time to move its operands. The backward pass is two products of the same three
sides. The attention core runs in half precision, at a share of the peak that the kernel sets; a
flash kernel computes half of a causal mask and computes the scores again in the backward pass,
an unfused one computes all of it and moves the scores through memory. Everything else
(norms, activation functions, residuals, cross-entropy) is counted as bytes moved.

Sources
-------
.. [1] NVIDIA ai-dynamo/aiconfigurator @095f58a: measured matrix products, from which
       ``validation.operator_curves`` fits the curves.
.. [2] T. Dao, "FlashAttention-2", arXiv 2307.08691: 25 to 40 % of the A100's peak for
       FlashAttention, 50 to 73 % for FlashAttention-2; the backward pass is 2.5 forward ones.
.. [3] V. Korthikanti et al., arXiv 2205.05198, section 4.1: bytes of the scores of unfused
       attention.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from computeplan.arrays import FloatArray

__all__ = ["Device", "GemmCurve", "Product", "attention_s", "backward_gemm_s", "gemm_s", "move_s"]

Product = Literal["linear", "half", "grouped"]

HBM_FRAC = 0.85
"""Share of the memory bandwidth that streaming kernels reach [1]_: 0.82 to 0.86."""
FLASH_BACKWARD = 2.5
"""FLOP of a flash kernel's backward pass over its forward pass [2]_."""
SCORE_BYTES_FORWARD = 12.0
SCORE_BYTES_BACKWARD = 8.0
"""Bytes an unfused kernel moves for one score: written, read and masked in half precision by
softmax and dropout. Derived from the tensors kept in [3]_; an estimate."""


@dataclass(frozen=True, slots=True)
class GemmCurve:
    """The share of the dense peak that matrix products reach, by their sides [1]_."""

    best: float
    """Share of the peak as all sides grow; may exceed 1 where the fit covers no such size."""
    m_half: float
    n_half: float
    k_half: float
    """Rows, columns and depth at which each factor is one half."""

    def frac(self, m: Any, n: Any, k: Any) -> Any:
        """Return the share of the dense peak.

        Examples
        --------
        >>> f"{GemmCurve(0.9, 291.0, 131.0, 225.0).frac(8192, 4096, 4096):.2f}"
        '0.80'
        """
        return self.best * m / (m + self.m_half) * n / (n + self.n_half) * k / (k + self.k_half)


@dataclass(frozen=True, slots=True)
class Device:
    """What one rank computes with."""

    flop_per_s: float
    half_flop_per_s: float
    """Dense peak of the linear layers, and of attention and logits (bf16 or fp16). [FLOP/s]"""
    gemm: GemmCurve
    half_gemm: GemmCurve
    """Curves at these two precisions."""
    attention_frac: float
    """Share of `half_flop_per_s` that the attention core reaches."""
    memory_bytes: float
    memory_bytes_per_s: float
    """Capacity and peak bandwidth. [B], [B/s]"""
    operand_bytes: float = 2.0
    """Of one number that the linear layers multiply. [B]"""
    gemm_frac: float = 1.0
    """Training products over measured inference kernels; fitted."""
    launch_s: float = 0.0
    """Time lost per kernel on the host and to small kernels; fitted. [s]"""
    host_bytes_per_s: float = 25e9
    """To the memory of the host, in one direction: four fifths of 16 lanes of PCIe 4.0. An
    estimate. [B/s]"""
    grouped_gemm: GemmCurve | None = None
    """Curve of the grouped products of experts; that of other products if left out."""
    traffic: float = 1.0
    """Time of the kernels around experts over that of a stream of the same bytes; fitted."""
    op_s: float = 0.0
    """Time of the host for one operator of a layer with experts; fitted. [s]"""

    def rate(self, product: Product) -> tuple[GemmCurve, float, float]:
        """Return curve, peak in FLOP/s with what training reaches, bytes of an operand."""
        if product == "half":
            return self.half_gemm, self.half_flop_per_s * self.gemm_frac, 2.0
        if product == "grouped" and self.grouped_gemm is not None:
            return self.grouped_gemm, self.flop_per_s, self.operand_bytes
        return self.gemm, self.flop_per_s * self.gemm_frac, self.operand_bytes


def gemm_s(device: Device, m: Any, n: Any, k: Any, product: Product = "linear") -> Any:
    """Return the time of one matrix product of m x k with k x n.

    Parameters
    ----------
    device : Device
    m, n, k : array_like
        Sides.
    product : str
        Of a linear layer; ``half`` runs in half precision whatever the linear layers do;
        ``grouped`` is one of many experts, in one kernel.

    Returns
    -------
    ndarray, broadcast shape of the sides
        [s]

    Examples
    --------
    >>> h100 = Device(989e12, 989e12, GemmCurve(0.9, 291.0, 131.0, 225.0),
    ...               GemmCurve(0.9, 291.0, 131.0, 225.0), 0.6, 80e9, 3.35e12)
    >>> f"{1e3 * gemm_s(h100, 8192, 4096, 4096):.3f} ms"
    '0.348 ms'
    """
    curve, flop_per_s, operand_bytes = device.rate(product)
    scale = 2.0 / (flop_per_s * curve.best)
    computing = (m + curve.m_half) * (n + curve.n_half) * (k + curve.k_half) * scale
    moved = operand_bytes * (m * k + k * n) + 2.0 * (m * n)
    return np.maximum(computing, move_s(device, moved))


def backward_gemm_s(device: Device, m: Any, n: Any, k: Any, product: Product = "linear") -> Any:
    """Return the time of both products of the backward pass: of the input, of the weights. [s]"""
    return gemm_s(device, m, k, n, product) + gemm_s(device, n, k, m, product)


def attention_s(device: Device, flop: Any, scores: Any, *, flash: bool = True) -> tuple[Any, Any]:
    """Return forward and backward time of the attention core of one layer.

    Parameters
    ----------
    device : Device
    flop : array_like
        Forward FLOP: of half the mask with a flash kernel, of all of it without.
    scores : array_like
        Scores of all heads, of use without a flash kernel only.
    flash : bool
        Whether the scores stay on the chip.

    Returns
    -------
    tuple of ndarray
        Forward and backward. [s]
    """
    forward = flop / (device.half_flop_per_s * device.attention_frac)
    if flash:
        return forward, FLASH_BACKWARD * forward
    return (
        forward + move_s(device, SCORE_BYTES_FORWARD * scores),
        2.0 * forward + move_s(device, SCORE_BYTES_BACKWARD * scores),
    )


def move_s(device: Device, n_bytes: Any) -> FloatArray:
    """Return the time to move bytes through the memory of a rank. [s]"""
    seconds: FloatArray = n_bytes / (device.memory_bytes_per_s * HBM_FRAC)
    return seconds
