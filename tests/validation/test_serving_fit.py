"""Shares of engines: what published rows say, rows left out, what is borrowed."""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
import pytest

from computeplan.compiler.hardware import INTERVAL
from computeplan.compiler.serving import cache_bytes, served
from computeplan.physics.serving.instance import Split
from computeplan.specs.catalogue.lookup import chip_names, load_chip, load_model
from computeplan.specs.catalogue.serving import engine_of, engines_of, serving_tables, share_of
from computeplan.validation.serving_fit import (
    fit_share,
    out_of_sample,
    predicted,
    priced_rows,
)

rows = cache(priced_rows)


@cache
def outside():
    return out_of_sample(rows(), serving_tables().hosts)


def _relative(kind):
    some = [row for row in rows() if row.kind == kind and row.case.row.kind != "prefill"]
    return np.array([predicted(row).tokens_per_s / row.measured - 1.0 for row in some])


def _left_out(known, kind):
    return np.array([error for row, error in outside()[known] if row.kind == kind])


@pytest.mark.parametrize(
    ("kind", "mean", "median", "fewest"), [("dense", 0.09, 0.06, 340), ("experts", 0.23, 0.18, 230)]
)
def test_tokens_a_second(kind, mean, median, fewest):
    error = np.abs(_relative(kind))
    assert len(error) >= fewest
    assert error.mean() <= mean
    assert np.median(error) <= median


@pytest.mark.parametrize(
    ("known", "kind", "mean"),
    [("chip", "dense", 0.13), ("precision", "dense", 0.12), ("chip", "experts", 0.32)],
)
def test_a_model_or_a_chip_left_out(known, kind, mean):
    error = np.abs(np.expm1(_left_out(known, kind)))
    assert len(error) > 100
    assert error.mean() <= mean


@pytest.mark.parametrize("known", ["chip", "precision", "engine", "none"])
@pytest.mark.parametrize("kind", ["dense", "experts"])
def test_bands_hold_rows_left_out(known, kind):
    error = np.abs(_left_out(known, kind))
    inside = (error <= INTERVAL * serving_tables().spread[kind][known]).mean()
    assert 0.85 <= inside <= 0.95


def test_time_between_tokens():
    some = [r for r in rows() if r.kind == "dense" and r.case.row.source == "aic-silicon"]
    error = [1e3 * predicted(r).tpot_s / r.case.measured["tpot_ms"] - 1.0 for r in some]
    assert len(error) == 77
    assert np.abs(error).mean() <= 0.12


def test_no_row_uses_more_than_the_data_sheet():
    for row in rows():
        bandwidth, peak = predicted(row).utilisation
        assert 0 < bandwidth <= 0.96
        assert 0 < peak < 1


def test_no_row_under_a_limit_of_latency_takes_part():
    assert not {row.case.row.kind for row in rows()} & {"server", "interactive"}


def test_the_file_is_what_the_fit_gives():
    tables = serving_tables()
    for name in ("tensorrt-llm fp8 dense", "vllm bf16 experts"):
        some = [row for row in rows() if row.group == name]
        share = fit_share(some, tables.hosts[some[0].engine])
        entry = tables.shares[name]
        assert entry.memory_frac == pytest.approx(share.memory_frac, rel=0.02)
        assert entry.peak_frac == pytest.approx(share.peak_frac, rel=0.02)
        assert entry.rows == len(some)


def test_too_few_rows_are_refused():
    with pytest.raises(ValueError, match="too few"):
        fit_share(rows()[:2], serving_tables().hosts["vllm"])


# What is borrowed


def test_what_is_known_widens_the_band():
    spread = [
        share_of(*ask, experts=False)
        for ask in (
            ("tensorrt-llm", "fp8", "nvidia/h200"),
            ("tensorrt-llm", "fp8", "nvidia/h20"),
            ("tensorrt-llm", "bf16", "nvidia/h200"),
            ("other", "bf16", "metax/c500"),
        )
    ]
    assert [b.known for b in spread] == ["chip", "precision", "engine", "none"]
    assert all(a.spread <= b.spread for a, b in itertools.pairwise(spread))
    assert spread[0].spread < spread[-1].spread


def test_every_engine_has_shares_for_every_precision_and_chip():
    tables = serving_tables()
    for engine in tables.engines:
        for precision in tables.precisions:
            for experts in (False, True):
                found = share_of(engine, precision, "acme/x1", experts=experts)
                assert found.share.memory_frac > 0
                assert found.known != "chip"


@pytest.mark.parametrize(
    ("engine", "chip", "said"),
    [("MindIE", "nvidia/h200", "does not run on nvidia/h200"), ("exllama", "amd/mi300x", "vLLM")],
)
def test_engines_that_do_not_run(engine, chip, said):
    with pytest.raises(ValueError, match=said):
        engine_of(engine, chip)


def test_every_chip_has_engines_or_is_said_to_have_none():
    """The table speaks of all makers of the catalogue, and names no chip that is not there."""
    tables, chips = serving_tables(), chip_names()
    makers = {chip.partition("/")[0] for chip in chips}
    of_engines = {maker for entry in tables.engines.values() for maker in entry.makers}
    assert of_engines.isdisjoint(tables.unserved)
    assert makers == of_engines | {name for name in tables.unserved if "/" not in name}
    left_out = {chip for entry in tables.engines.values() for chip in entry.not_on}
    assert left_out | {name for name in tables.unserved if "/" in name} <= set(chips)
    for chip in chips:
        served_by = engines_of(chip)
        is_unserved = chip in tables.unserved or chip.partition("/")[0] in tables.unserved
        assert bool(served_by) != is_unserved
        assert "other" not in served_by


def test_an_instance_of_the_catalogue():
    chip, model = load_chip("910C")[0], load_model("openai/gpt-oss-120b")[0]
    found = served(chip, model, "vllm", "int4", Split.of(tp=4))
    assert found.engine == "vllm-ascend"
    assert found.instance.formats.dense == 2.0  # only the experts are in four bits
    assert found.instance.rank.memory_bytes_per_s == chip.memory.bandwidth.value / 2
    low, high = found.band
    assert low * high == pytest.approx(1.0)
    assert high > 1.2
    own = served(chip, model, "vllm", "int4", Split.of(tp=4), share=found.borrowed.share)
    assert own.borrowed is None
    with pytest.raises(ValueError, match="no precision 'fp3'"):
        served(chip, model, "vllm", "fp3", Split.of(tp=4))
    with pytest.raises(ValueError, match="of a cache"):
        cache_bytes("fp3", "bf16")
