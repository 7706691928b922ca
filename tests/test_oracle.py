"""Both engines against a plain SimPy model that shares no code: one process per node."""

from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import computeplan as cp
from computeplan.compiler import compile_world
from computeplan.engines import batch, event
from computeplan.ledger import BLOCKED, IDLE, LOST, REPAIR, RESTART, SAVE, TRAIN

HOUR_S = 3600.0
PHASES = {"lost": LOST, "save": SAVE, "restart": RESTART, "blocked": BLOCKED}


@pytest.fixture(scope="module")
def yardstick():
    path = Path(__file__).resolve().parents[1] / "benchmarks" / "yardstick.py"
    spec = importlib.util.spec_from_file_location("yardstick", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["yardstick"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("spares", [0, 2])
def test_engines_agree_with_one_process_per_node(yardstick, spares):
    """16 nodes of 400 h, repairs of a median of 8 h: often blocked, so that mistakes show."""
    n_oracle, n_batch, n_event = 600, 4000, 400
    case = yardstick.Case(
        n_nodes=16,
        n_spares=spares,
        node_mtbf_s=400 * HOUR_S,
        takes_node_frac=0.7,
        restart_median_s=0.3 * HOUR_S,
        restart_sigma=0.5,
        repair_median_s=8 * HOUR_S,
        repair_sigma=1.0,
        interval_s=2 * HOUR_S,
        save_s=0.1 * HOUR_S,
        work_s=150 * HOUR_S,
    )
    runs = [yardstick.play(case, seed) for seed in range(n_oracle)]
    world = compile_world(
        cp.load(
            {
                "computeplan": 1,
                "name": "oracle",
                "sites": {
                    "s": {
                        "pue": 1,
                        "pools": {
                            "p": {
                                "chip": "H100-SXM",
                                "chips": 16,
                                "chips_per_node": 1,
                                "spares": f"{spares} nodes",
                            }
                        },
                    }
                },
                "faults": {
                    "f": {
                        "mtbf": "400 h",
                        "per": "node",
                        "takes": {"node": 0.7, "nothing": 0.3},
                        "restart": {"lognormal": {"median": "0.3 h", "sigma": 0.5}},
                        "repair": {"lognormal": {"median": "8 h", "sigma": 1.0}},
                    }
                },
                "jobs": {
                    "j": {
                        "train_for": "150 h",
                        "chips": 16,
                        "checkpoint": {"every": "2 h", "stall": "0.1 h"},
                    }
                },
            }
        )
    )
    expected = {
        "end_s": [run.end_s for run in runs],
        "n_unexpected": [run.n_unexpected for run in runs],
        "n_idle_faults": [run.n_idle_faults for run in runs],
        **{name: [run.node_s[name] for run in runs] for name in (*PHASES, "idle", "repair")},
    }
    for engine, n_runs in ((batch, n_batch), (event, n_event)):
        ledger = engine.play(world, 3, 0, n_runs)
        found = {
            "end_s": ledger.end_s[:, 0],
            "n_unexpected": ledger.n_interruptions[:, 0],
            "n_idle_faults": ledger.n_idle_faults[:, 0],
            "idle": ledger.chip_s[:, -1, 0, IDLE],
            "repair": ledger.chip_s[:, -1, 0, REPAIR],
            **{name: ledger.chip_s[:, 0, 0, phase] for name, phase in PHASES.items()},
        }
        assert ledger.job_s[:, 0, TRAIN] == pytest.approx(150 * HOUR_S)
        for name, values in found.items():
            theirs, ours = np.asarray(expected[name], dtype=float), np.asarray(values, dtype=float)
            spread = math.hypot(
                theirs.std(ddof=1) / math.sqrt(theirs.size), ours.std(ddof=1) / math.sqrt(ours.size)
            )
            # 4 standard errors: 1 false alarm in 16,000, and the seeds are fixed
            assert abs(theirs.mean() - ours.mean()) <= 4 * spread + 1e-9, (engine.__name__, name)
        # all quantiles of the wall time at once; p > 1e-4, and the seeds are fixed
        assert stats.ks_2samp(found["end_s"], expected["end_s"]).pvalue > 1e-4, engine.__name__
