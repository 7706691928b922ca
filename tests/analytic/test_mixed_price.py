"""One job on several kinds of chips: against the step of one kind, every pipeline, by hand."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from computeplan.analytic import mixed_price
from computeplan.analytic.mixed_price import price_mix
from computeplan.compiler.hardware import Band
from computeplan.errors import InfeasibleError, ScenarioError
from computeplan.physics.mixed import bytes_held
from computeplan.physics.steptime.layout import RECOMPUTE, Layout
from computeplan.physics.steptime.memory import memory_of_stage
from computeplan.physics.steptime.search import HEADROOM
from computeplan.physics.steptime.step import Training, slowest_rank, stage_end_s, step_time
from computeplan.physics.steptime.transformer import shape_of
from computeplan.specs.catalogue.lookup import load_model
from computeplan.specs.software import Switches

MIX = [("h100", 256), ("910b2", 512)]


def asked_of(model, chips, seq, batch, link="direct"):
    """Return a question as it is looked up, without what each kind does alone."""
    training = Training(shape_of(load_model(model)[0].architecture()), seq, batch)
    parts, _ = mixed_price._parts(chips, {}, "bf16", Switches(), training)
    return mixed_price._Asked(training, parts, (), "bf16", Switches(), link, None)


def test_two_names_of_one_chip_train_as_one_kind(tmp_path):
    """Half of the chips under another name: the step of one kind with these stages, and one hop.

    The step of one kind is priced without any of the code that is tested: `step_time` with its
    layers by stage. Its end is that of the mean stage, ours that of the slowest.
    """
    other = tmp_path / "other.yaml"
    other.write_text("name: acme/other\nextends: nvidia/h100-sxm\n", "utf-8")
    found = price_mix(
        "llama-3.1-70b",
        [("h100", 32), (str(other), 32)],
        batch=64,
        way="pipeline",
        tp={"h100": 8, str(other): 8},
    )
    asked = asked_of("llama-3.1-70b", [("h100", 64)], 8192, 64)
    (part,), first = asked.parts, found.split[0]
    layers = tuple(n for group in found.split for n in group.layers)
    again = {name for group in found.split for name in group.recompute}
    assert len(again) == 1
    layout = Layout.of(
        tp=8,
        pp=len(layers),
        dp=first.dp,
        micro_batch=first.micro_batch,
        stages=layers,
        recompute=RECOMPUTE.index(again.pop()),
    )
    lost = float(slowest_rank(64))
    one = step_time(asked.training, part.device, part.fabric, layout, part.software)
    mean = stage_end_s(
        asked.training, part.device, part.fabric, layout, 80 / len(layers), part.software
    )
    ends = max(float(group.end_s.max()) for group in found.split)
    hop = 2 * 8192 * 8192 * first.micro_batch / 8 / part.fabric.out_rate + part.fabric.out_step_s
    expected = float(one.step_s) + lost * (ends - float(mean) + 2 * hop)
    assert found.step_s == pytest.approx(expected, rel=1e-9)
    assert found.efficiency.value == pytest.approx(1.0, abs=0.15)


def test_what_stages_hold_is_what_the_memory_of_a_stage_is():
    """The search takes what a stage holds as so much for each layer: it is."""
    asked = asked_of("llama-3.1-8b", [("h100", 8), ("910b2", 16)], 4096, 32)
    times = [mixed_price._stage_times(asked, part) for part in asked.parts]
    options = tuple(
        next(one for one in mixed_price._options(k, asked, times[k], 8) if one.n_stages == n)
        for k, n in ((0, 2), (1, 4))
    )
    n_micro = 32 // 8
    stages = mixed_price._stages(asked, options, n_micro)
    for layers in (1, 2, 5, 17):
        held = bytes_held(stages, [layers] * 6, n_micro)
        for s in range(6):
            option = options[s >= 2]
            part = asked.parts[option.place]
            layout = mixed_price._layout(option, 6, mixed_price._choices(part))
            own = memory_of_stage(asked.training, layout, float(s), layers, part.software).total
            assert held[s] == pytest.approx(own, rel=1e-9)


@pytest.mark.parametrize("link", ["direct", "host"])
def test_the_best_pipeline_is_the_best_of_all(link):
    """Every cut, every order of the kinds, none left out by a bound."""
    asked = asked_of("llama-3.1-8b", [("h100", 8), ("910b2", 16)], 4096, 16, link)
    found, n_priced = mixed_price._best_line(asked)
    times = [mixed_price._stage_times(asked, part) for part in asked.parts]
    best, n_all = math.inf, 0
    for at_once in (1, 2, 4, 8, 16):
        ways = [mixed_price._options(k, asked, times[k], at_once) for k in range(2)]
        for options in itertools.product(*ways):
            for ordered in itertools.permutations(options):
                n_all += 1
                line = mixed_price._line(asked, ordered, 16 // at_once)
                best = min(best, math.inf if line is None else line.step_s)
    assert found.step_s == best
    assert n_priced < n_all / 2


def test_a_mixture_says_its_split_and_its_bounds():
    found = price_mix("llama-3.1-70b", MIX, batch=512, way="pipeline")
    h100, ascend = found.kinds
    assert sum(sum(group.layers) for group in found.split) == 80
    assert sum(group.n_used for group in found.split) == 768
    for group in found.split:
        assert group.dp * group.micro_batch * found.n_micro == 512
        assert (group.held_bytes <= group.memory_bytes * (1 - HEADROOM)).all()
    together = 1 / (1 / h100.alone_s + 1 / ascend.alone_s)
    assert found.efficiency.bound == "sum of homogeneous"
    assert found.efficiency.value == pytest.approx(together / found.step_s)
    bounds = [(each.bound, each.of) for each in found.baselines]
    assert bounds == [
        ("equal count", "nvidia/h100-sxm"),
        ("equal count", "huawei/ascend-910b2"),
        ("even split", ""),
    ]
    assert found.baselines[0].value == pytest.approx(h100.equal_s / found.step_s)
    assert found.baselines[2].value > 1.2
    assert 0.8 < found.efficiency.value < 1.0
    assert found.low_s < found.step_s < found.high_s
    fast, slow = (sum(g.layers) for g in sorted(found.split, key=lambda g: g.chip, reverse=True))
    assert fast > slow, "256 H100 do more than 512 910B2"


def test_by_batch_every_kind_has_its_share():
    found = price_mix("llama-3.1-70b", MIX, batch=512, way="batch")
    assert not found.is_pipeline
    assert sum(one.batch for one in found.split) == 512
    slowest = max(one.step_s for one in found.split)
    assert found.step_s == pytest.approx(slowest + found.across_s)
    best = price_mix("llama-3.1-70b", MIX, batch=512)
    layers = price_mix("llama-3.1-70b", MIX, batch=512, way="pipeline")
    assert best.step_s == min(found.step_s, layers.step_s)
    assert best.other_s == max(found.step_s, layers.step_s)


@pytest.mark.parametrize("way", ["pipeline", "batch"])
def test_slower_links_never_help(way):
    steps = [
        price_mix("llama-3.1-70b", MIX, batch=512, way=way, link=link, link_bytes_per_s=rate).step_s
        for link, rate in (("direct", 1e12), ("direct", 50e9), ("host", 50e9), ("host", 1e7))
    ]
    assert steps == sorted(steps)
    assert steps[3] > 1.2 * steps[0], "10 MB/s for a pair of chips is felt"


def test_a_kind_too_small_for_the_model_counts_as_nothing_and_helps():
    found = price_mix("llama-3.1-70b", [("h100", 4), ("910b2", 128)], batch=128, way="pipeline")
    small, large = found.kinds
    assert math.isinf(small.alone_s)
    assert "does_not_fit_alone" in {note.code for note in found.notes}
    assert found.efficiency.value == pytest.approx(large.alone_s / found.step_s)


def test_errors_of_kinds_are_independent_and_lognormal():
    kind = price_mix("llama-3.1-8b", [("h100", 8), ("910b2", 16)], batch=32).kinds[0]
    kinds = [replace(kind, band=Band(*ends, 1.0)) for ends in ((0.8, 1.25), (0.5, 2.0))]
    errors = mixed_price._errors(kinds)
    assert np.quantile(errors, 0.05, axis=0) == pytest.approx([0.8, 0.5], rel=0.05), (
        "of 41 quantiles"
    )
    assert np.quantile(errors, 0.95, axis=0) == pytest.approx([1.25, 2.0], rel=0.05)
    assert np.corrcoef(np.log(errors).T)[0, 1] == pytest.approx(0.0, abs=1e-12)
    sure = [replace(kind, band=Band(1.0, 1.0, 1.0)) for _ in range(3)]
    assert (mixed_price._errors(sure) == 1.0).all()


@pytest.mark.parametrize(
    ("model", "chips", "options", "message"),
    [
        ("llama-3.1-8b", [("h100", 8)], {}, "chips must be of 2 to 4 kinds, got 1"),
        ("llama-3.1-8b", [("h100", 8), ("H100-SXM", 8)], {}, "every kind of chips is named once"),
        ("llama-3.1-8b", [("h100", 0), ("910b2", 8)], {}, "chips of h100 must be a whole number"),
        ("llama-3.1-8b", [("h100", 8), ("910b2", 8)], {"seq": 0}, "seq must be a whole number"),
        ("llama-3.1-8b", [("h100", 8), ("910b2", 8)], {"link": "x"}, "link must be direct or"),
        ("llama-3.1-8b", [("h100", 8), ("910b2", 8)], {"link_bytes_per_s": 0.0}, "must be > 0"),
        ("llama-3.1-8b", [("h100", 8), ("910b2", 8)], {"tp": {"h100": 3}}, "tp 3 does not divide"),
        ("llama-3.1-8b", [("h100", 8), ("910b2", 8)], {"tp": {"a100": 2}}, "tp names a100"),
        ("deepseek-v3", [("h100", 8), ("910b2", 8)], {}, "deepseek-v3 has experts"),
        ("llama-3.1-8b", [("h100", 8), ("910b9", 8)], {}, "910b9"),
    ],
)
def test_says_what_is_wrong(model, chips, options, message):
    with pytest.raises(ScenarioError, match=message):
        price_mix(model, chips, **options)


def test_says_when_nothing_fits():
    with pytest.raises(InfeasibleError, match=r"no split of meta/llama-3\.1-405b"):
        price_mix("llama-3.1-405b", [("h100", 8), ("910b2", 8)], batch=64)
