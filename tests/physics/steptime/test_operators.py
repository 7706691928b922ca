"""Operators: below the peak and the memory's rate, near what was measured, and lawful."""

from __future__ import annotations

import csv
import dataclasses
import math
from importlib import resources

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from computeplan.compiler.hardware import Numbers, device_of
from computeplan.physics.steptime.operators import (
    Device,
    GemmCurve,
    attention_s,
    backward_gemm_s,
    gemm_s,
    move_s,
)
from computeplan.specs.catalogue.fitted_speed import speed_tables
from computeplan.specs.catalogue.lookup import load_chip

SYSTEMS = {  # of the measured tables
    "nvidia/a100-80gb": "a100_sxm",
    "nvidia/h100-sxm": "h100_sxm",
    "nvidia/h200": "h200_sxm",
    "nvidia/b200": "b200_sxm",
    "nvidia/gb200": "gb200",
}
CURVES = [
    (chip, precision)
    for chip, measured in speed_tables().operators.items()
    for precision in measured.gemm
]
AS_MEASURED = Numbers(gemm_frac=1.0, launch_s=0.0, traffic=1.0, op_s=0.0)

sides = st.integers(1, 100_000).map(float)
halves = st.floats(1.0, 5000.0)
curves = st.builds(GemmCurve, st.floats(0.1, 1.0), halves, halves, halves)
devices = st.builds(
    Device,
    flop_per_s=st.floats(1e12, 1e16),
    half_flop_per_s=st.floats(1e12, 1e16),
    gemm=curves,
    half_gemm=curves,
    attention_frac=st.floats(0.1, 1.0),
    memory_bytes=st.just(80e9),
    memory_bytes_per_s=st.floats(1e11, 1e13),
    operand_bytes=st.sampled_from([1.0, 2.0]),
    gemm_frac=st.floats(0.5, 1.0),
)


def curve_of(chip: str, precision: str) -> GemmCurve:
    found = speed_tables().operators[chip].gemm[precision]
    return GemmCurve(found.best, found.m_half, found.n_half, found.k_half)


def measured(chip: str, precision: str) -> dict[tuple[int, int, int], float]:
    """Return the measured shares of the peak, by the sides of the product."""
    path = resources.files("computeplan") / "data" / "measured" / "gemm_efficiency.csv"
    with path.open(encoding="utf-8") as file:
        return {
            (int(row["m"]), int(row["n"]), int(row["k"])): float(row["efficiency"])
            for row in csv.DictReader(file)
            if (row["system"], row["precision"]) == (SYSTEMS[chip], precision)
        }


# Curves -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("chip", "precision"), CURVES)
@given(st.tuples(sides, sides, sides), st.floats(1.01, 8.0))
def test_a_share_is_at_most_one_and_rises_in_every_side(chip, precision, shape, factor):
    curve = curve_of(chip, precision)
    frac = curve.frac(*shape)
    assert 0 < frac < 1
    for i, side in enumerate(shape):
        longer = [*shape[:i], side * factor, *shape[i + 1 :]]
        assert frac < curve.frac(*longer) < 1


@given(curves, sides)
def test_a_factor_is_one_half_at_its_half(curve, side):
    share = curve.frac(curve.m_half, side, side)
    assert curve.frac(1e12, side, side) == pytest.approx(2 * share)


# Measured tables ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chip", "precision", "sides"),
    [
        ("nvidia/a100-80gb", "bf16", (4096, 4096, 4096)),
        ("nvidia/a100-80gb", "bf16", (4096, 8192, 1024)),  # cut by tensor parallelism
        ("nvidia/a100-80gb", "bf16", (2048, 8192, 8192)),
        ("nvidia/h100-sxm", "bf16", (8192, 4096, 4096)),
        ("nvidia/h100-sxm", "bf16", (8192, 8192, 8192)),
        ("nvidia/h100-sxm", "fp8", (8192, 16384, 4096)),
        ("nvidia/h100-sxm", "fp8", (8192, 1024, 8192)),  # 23 % of the peak, cut as it is
        ("nvidia/h200", "bf16", (4096, 1024, 8192)),
        ("nvidia/b200", "bf16", (4096, 4096, 4096)),
        ("nvidia/b200", "fp8", (8192, 4096, 4096)),
        ("nvidia/gb200", "fp8", (4096, 4096, 4096)),
    ],
)
def test_a_product_takes_what_was_measured(chip, precision, sides):
    """Within the mean error of its curve, from 6 to 20 %, as the catalogue's file records it."""
    device = device_of(load_chip(chip)[0], precision, "flash-2", "eager", AS_MEASURED).device
    took_s = 2 * math.prod(sides) / (device.flop_per_s * measured(chip, precision)[sides])
    recorded = speed_tables().operators[chip].gemm[precision].error
    assert abs(math.log(float(gemm_s(device, *sides)) / took_s)) <= recorded


@pytest.mark.parametrize(
    ("chip", "precision"), [(chip, precision) for chip, precision in CURVES if chip in SYSTEMS]
)
def test_recorded_errors_are_those_of_the_curve(chip, precision):
    """Over the sizes that training meets, all of them."""
    curve = curve_of(chip, precision)
    errors = [
        abs(math.log(curve.frac(m, n, k) / share))
        for (m, n, k), share in measured(chip, precision).items()
        if m >= 1024 and min(n, k) >= 512 and max(n, k) <= 16_384
    ]
    recorded = speed_tables().operators[chip].gemm[precision]
    assert len(errors) == recorded.n
    assert np.mean(errors) == pytest.approx(recorded.error, rel=0.05)  # two digits are written


# Laws of products ---------------------------------------------------------------------------------


@given(devices, sides, sides, sides, st.sampled_from(["linear", "half"]))
def test_a_product_is_never_faster_than_peak_or_memory(device, m, n, k, product):
    half = product == "half"
    peak = device.half_flop_per_s if half else device.flop_per_s
    width = 2.0 if half else device.operand_bytes
    moved = width * (m * k + k * n) + 2.0 * m * n  # reads both operands, writes the result
    fastest_s = max(2 * m * n * k / peak, moved / device.memory_bytes_per_s)
    for took_s in (
        gemm_s(device, m, n, k, product),
        backward_gemm_s(device, m, n, k, product) / 2,
    ):
        assert float(took_s) >= 2 * m * n * k / peak * (1 - 1e-12)
    assert float(gemm_s(device, m, n, k, product)) >= fastest_s * (1 - 1e-12)


@given(devices, sides, sides, sides, st.floats(1.0, 10.0))
def test_a_better_device_never_slows_a_product(device, m, n, k, factor):
    before_s = float(gemm_s(device, m, n, k))
    for name in ("flop_per_s", "memory_bytes_per_s", "gemm_frac"):
        better = dataclasses.replace(device, **{name: getattr(device, name) * factor})
        assert float(gemm_s(better, m, n, k)) <= before_s * (1 + 1e-12)


@given(devices, sides, sides, sides, st.floats(1.0, 10.0))
def test_a_larger_product_is_never_faster_nor_less_efficient(device, m, n, k, factor):
    small_s, large_s = gemm_s(device, m * np.array([1, factor]), n, k)
    assert small_s * (1 - 1e-12) <= large_s <= small_s * factor * (1 + 1e-12)


@given(devices, sides)
def test_the_backward_pass_of_a_cube_is_two_forward_ones(device, side):
    """Of all other shapes too in FLOP; the sides change places, and with them the shares."""
    forward_s = float(gemm_s(device, side, side, side))
    assert float(backward_gemm_s(device, side, side, side)) == pytest.approx(2 * forward_s)


# Attention and memory -----------------------------------------------------------------------------


@given(devices, st.floats(1e6, 1e15), st.floats(1e3, 1e10))
def test_flash_attention_is_never_slower(device, flop, scores):
    """A kernel that keeps the scores computes half of a causal mask, and computes them again."""
    flash = attention_s(device, flop, scores, flash=True)
    unfused = attention_s(device, 2 * flop, scores, flash=False)
    assert flash[0] >= flop / device.half_flop_per_s
    assert flash[1] == pytest.approx(2.5 * flash[0])  # arXiv 2307.08691: five products for two
    assert all(np.array(flash) <= np.array(unfused))


@given(devices, st.floats(0, 1e12))
def test_bytes_move_at_most_at_the_memory_s_rate(device, n_bytes):
    assert float(move_s(device, n_bytes)) >= n_bytes / device.memory_bytes_per_s


def test_takes_arrays_as_gladly_as_numbers():
    device = device_of(load_chip("H100-SXM")[0], "bf16", "flash-2", "eager").device
    m, n = np.array([[1024.0], [8192.0]]), np.array([512.0, 4096.0, 16384.0])
    together_s = gemm_s(device, m, n, 4096.0)
    assert together_s.shape == (2, 3)
    assert together_s[1, 2] == gemm_s(device, 8192.0, 16384.0, 4096.0)
