"""Spares: how often a job lacks a node, by closed form and as simulated."""

import numpy as np
import pytest
from scipy.stats import poisson

import computeplan as cp
from computeplan.physics.reliability import short_share

TEXT = """
computeplan: 1
name: short
sites:
  here: {{pue: 1.0, pools: {{p: {{chip: nvidia/h100-sxm, chips: 2048, spares: {spares} nodes}}}}}}
faults: {{f: {{rate: 4 / 1000 node-days, takes: {{node: 0.75, nothing: 0.25}}, restart: 1 min,
  repair: {repair}}}}}
jobs: {{j: {{train_for: 2000 d, chips: 2048, checkpoint: {{every: 1 h, stall: 0 s}}}}}}
simulate: {{runs: 60, seed: 7, horizon: 1500 d, engine: {engine}}}
"""
LAWS = {"const": "2 d", "lognormal": "{lognormal: {median: 1 d, mean: 2 d}}"}


@pytest.mark.parametrize("repair", LAWS)
@pytest.mark.parametrize("spares", [1, 3])
def test_the_share_does_not_depend_on_the_law_of_repairs(tmp_path, spares, repair):
    file = tmp_path / "short.yaml"
    file.write_text(TEXT.format(spares=spares, repair=LAWS[repair], engine="batch"))
    case = next(iter(cp.run(cp.load(file)).cases.values()))
    lacking = 1 - case.values["available_frac"]
    expected = short_share(256, spares, 0.004 * 0.75 * 2)
    error = lacking.std(ddof=1) / np.sqrt(lacking.size)
    started_whole = 0.01  # the first days of 1,500 have no node in repair
    assert lacking.mean() == pytest.approx(expected, abs=4 * error + started_whole * expected)


def test_both_engines_report_the_same_availability(tmp_path):
    found = []
    for engine in ("batch", "event"):
        file = tmp_path / f"{engine}.yaml"
        text = TEXT.format(spares=2, repair=LAWS["const"], engine=engine)
        file.write_text(text.replace("runs: 60", "runs: 3"))
        result = cp.run(cp.load(file))
        found.append(next(iter(result.cases.values())).values["available_frac"])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-9)


def test_many_nodes_make_the_poisson_tail():
    assert short_share(100_000, 110, 1e-3) == pytest.approx(poisson.sf(110, 100.11), rel=0.02)


def test_limits_and_refusals():
    assert short_share(8, 0, 0.0) == 0.0
    assert short_share(8, 0, 0.25) == pytest.approx(1 - 0.8**8)
    assert short_share(8, 2, float("inf")) == 1.0
    assert short_share(8, 10**6, 0.5) == 0.0
    for wrong in ((0, 1, 0.1), (8, -1, 0.1), (8, 1, -0.1), (8, 1, float("nan"))):
        with pytest.raises(ValueError, match="nodes >= 1"):
            short_share(*wrong)
