"""Whether what is printed holds: ranges hold other runs, intervals of differences the truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

import computeplan as cp
from computeplan.results.cases import differences

QUANTITIES = ("time_to_train_days", "ettr", "energy_jobs_kwh")


def drawn(rng, **changes):
    """Return a scenario drawn at random: a fleet with faults, repairs, saves and stops."""
    nodes = int(rng.integers(8, 200))
    days = float(rng.uniform(2, 20))
    rate = float(rng.uniform(0.2, 4))  # faults of the job a day
    base = {
        "computeplan": 1,
        "name": "drawn",
        "sites": {
            "s": {
                "pue": 1.2,
                "carbon": "400 g/kWh",
                "price": "0.08 USD/kWh",
                "pools": {
                    "p": {
                        "chip": "nvidia/h100-sxm",
                        "chips": 8 * nodes,
                        "spares": f"{int(rng.integers(2, 8))} nodes",
                    }
                },
            }
        },
        "faults": {
            "f": {
                "mtbf": f"{24 * nodes / rate:.6g} h",
                "per": "node",
                "takes": {"node": 0.7, "nothing": 0.3},
                "restart": {"lognormal": {"median": "10 min", "p95": "40 min"}},
                "repair": {"lognormal": {"median": f"{rng.uniform(1, 12):.4g} h", "p90": "1 d"}},
            }
        },
        "jobs": {
            "j": {
                "model": "meta/llama-3.1-8b",
                "tokens": f"{days * 8 * nodes * 0.9:.6g} Gtoken",
                "batch": "4 Mitoken",
                "seq": 8192,
                "chips": 8 * nodes,
                "mfu": f"{rng.uniform(0.3, 0.5):.3f} +- {rng.uniform(0.0, 0.06):.3f}",
                "checkpoint": {"every": f"{int(rng.integers(5, 120))} min", "stall": "20 s"},
            }
        },
    }
    return cp.load(base).with_(changes)


def test_the_printed_range_holds_another_run():
    """200 scenarios; 90 % of them on the mean, with a standard error of 2.1 %."""
    rng, held = np.random.default_rng(23), []
    for seed in range(200):
        scenario = drawn(rng, **{"simulate.runs": 101, "simulate.seed": seed})
        values = cp.run(scenario).cases["drawn"].values
        for name in QUANTITIES:
            found = cp.Estimate.of(values[name][:100])
            held.append(found.p5 <= values[name][100] <= found.p95)
    assert 0.85 < np.mean(held) < 0.95


def part(case, runs):
    """Return some runs of a case."""
    values = {name: case.values[name][runs] for name in QUANTITIES}
    return replace(case, values=values, jobs={}, inputs={}, by_site=None)


def test_intervals_of_paired_differences_hold_the_truth():
    """1,005 intervals: disjoint samples of 200 runs, as many as a scenario has by default.

    Of three quantities in five scenarios, against the mean of all runs. 95 % on the mean, with a
    standard error of 1.2 %, as the three share their samples.
    """
    held = [one for seed in range(5) for one in _held(seed)]
    assert len(held) >= 1_000
    assert 0.92 < np.mean(held) < 0.98


def _held(seed):
    rng = np.random.default_rng(100 + seed)
    n_samples, n_runs = 67, 200
    cases = {"base": {}, "other": {"jobs.j.checkpoint.every": "30 min"}}
    runs = {"simulate.runs": n_samples * n_runs, "simulate.seed": seed}
    found = cp.run(drawn(rng, cases=cases, **runs)).cases
    truth = {
        q: float((found["other"].values[q] - found["base"].values[q]).mean()) for q in QUANTITIES
    }
    held = []
    for i in range(n_samples):
        some = slice(i * n_runs, (i + 1) * n_runs)
        both = differences(part(found["other"], some), part(found["base"], some))
        held += [both[q].low <= truth[q] <= both[q].high for q in QUANTITIES]
    return held
