"""The case that everything about faults is measured on, and the least that any engine must do.

2,048 nodes of 8 chips, 16 spare nodes, 1,166 hours of kept training, about 416 faults.
"""

from collections.abc import Mapping

import numpy as np
import yardstick

import computeplan as cp
from computeplan.compiler.compile import compile_world
from computeplan.units import HOUR_S
from computeplan.world.world import World

SEED = 2048
N_FLOOR_RUNS = 500  # per array: what stays in the cache is drawn fastest

CASE = yardstick.Case(
    n_nodes=2_048,
    n_spares=16,
    node_mtbf_s=6_800 * HOUR_S,
    takes_node_frac=0.78,
    restart_median_s=660.0,
    restart_sigma=0.5,
    repair_median_s=24 * HOUR_S,
    repair_sigma=1.0,
    interval_s=1_800.0,
    save_s=30.0,
    work_s=1_166 * HOUR_S,
)
SCENARIO = {
    "computeplan": 1,
    "name": "yardstick",
    "sites": {
        "here": {
            "pue": 1.1,
            "pools": {
                "h100": {
                    "chip": "nvidia/h100-sxm",
                    "chips": 16_384,
                    "chips_per_node": 8,
                    "spares": "16 nodes",
                }
            },
        }
    },
    "faults": {
        "unexpected": {
            "mtbf": "6800 h",
            "per": "node",
            "takes": {"node": 0.78, "nothing": 0.22},
            "restart": {"lognormal": {"median": "11 min", "sigma": 0.5}},
            "repair": {"lognormal": {"median": "24 h", "sigma": 1.0}},
        }
    },
    "jobs": {
        "pretrain": {
            "train_for": "1166 h",
            "chips": 16_384,
            "checkpoint": {"every": "30 min", "stall": "30 s"},
        }
    },
    "simulate": {"engine": "batch"},
}

POOL, FAULTS, JOB = "sites.here.pools.h100", "faults.unexpected", "jobs.pretrain"


def world(changes: Mapping[str, object] | None = None) -> World:
    """Return the case with some paths of the scenario changed, compiled."""
    return compile_world(cp.load(SCENARIO).with_(dict(changes or {})))


def draw_floor(n_runs: int, n_faults: int) -> None:
    """Draw the numbers of a run's faults (gap, node or nothing, restart, repair), and no more."""
    rng = np.random.default_rng(SEED)
    shape = (n_faults, N_FLOOR_RUNS)
    for _ in range(n_runs // N_FLOOR_RUNS):
        rng.exponential(1.0, shape)
        rng.random(shape)
        rng.lognormal(0.0, CASE.restart_sigma, shape)
        rng.lognormal(0.0, CASE.repair_sigma, shape)
