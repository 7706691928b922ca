"""A year of one large machine, with its power curve: ``python benchmarks/power_year.py``.

One job on 9,472 nodes and 50 background jobs, 3 or more faults a day, a price and a PUE for each of
the 8,760 hours, the ledger and the power curve kept. A twin of that machine that goes from second
to second does 0.125 simulated days per CPU second, by its own account (ORNL, RAPS). The same again
under a limit that changes each hour, and holds the jobs back in half of the hours, which takes
events; the others take none. Energy is booked by the hour with training and saving in proportion
within what happens between two faults; the curve knows when each was, as far as it shows saves.
"""

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from timing import cpu_s, heading, in_words

import computeplan as cp
from computeplan.compiler.compile import compile_world
from computeplan.engines import event
from computeplan.ledger import Ledger
from computeplan.metrics import by_site
from computeplan.results.power_series import power_of
from computeplan.world.world import World

N_NODES, N_BACKGROUND, BACKGROUND_NODES = 9_472, 50, 656
DAYS, HOURS = 365, 8_760
N_ROUNDS = 5
GOAL = 100  # simulated days per CPU second
KWH_J = 3.6e6


def world_of(folder: Path, *, limited: bool) -> World:
    """Return the world of the year."""
    rng, hour = np.random.default_rng(14), np.arange(HOURS)
    season, day = np.cos(2 * np.pi * hour / HOURS), np.cos(2 * np.pi * hour / 24)
    columns = {
        ("price", "USD/kWh"): 0.08 - 0.02 * day + rng.normal(0, 0.005, HOURS),
        ("pue", "pue"): 1.12 - 0.05 * season - 0.02 * day,
        ("power_limit", "MW"): 33 + 8 * rng.random(HOURS),
    }
    for (name, unit), values in columns.items():
        rows = "".join(f"{h},{value:.6f}\n" for h, value in zip(hour, values, strict=True))
        (folder / f"{name}.csv").write_text(f"hour,{unit}\n{rows}", "utf-8")
    pool = {"chip": "nvidia/h100-sxm", "chips_per_node": 4}
    varies = {"price": "price.csv", "pue": "pue.csv"}
    limit = {}
    if limited:
        limit, varies = {"power_limit": "37 MW"}, varies | {"power_limit": "power_limit.csv"}
    sizes = np.clip(rng.lognormal(3.0, 1.0, N_BACKGROUND), 1, BACKGROUND_NODES).astype(int)
    starts_d = np.sort(rng.uniform(0, 350, N_BACKGROUND))
    saves = {"every": "1 h", "stall": "1 min"}
    background = {
        f"b{i}": {
            "train_for": f"{rng.uniform(2, 30):.3f} d",
            "chips": int(4 * size),
            "arrival": f"{start:.3f} d",
            "home": "background",
            "checkpoint": saves,
        }
        for i, (size, start) in enumerate(zip(sizes, starts_d, strict=True))
    }
    large = {"train_for": "400 d", "chips": 4 * N_NODES, "home": "main", "checkpoint": saves}
    scenario = {
        "computeplan": 1,
        "name": "a year",
        "sites": {
            "s": {
                "pue": 1.12,
                "price": "0.08 USD/kWh",
                **limit,
                "varies": varies,
                "pools": {
                    "main": {**pool, "chips": 4 * N_NODES, "spares": "64 nodes"},
                    "background": {**pool, "chips": 4 * BACKGROUND_NODES},
                },
            }
        },
        "faults": {
            "f": {
                "mtbf": "60 kh",
                "per": "node",
                "takes": "node",
                "restart": {"lognormal": {"median": "10 min", "p95": "30 min"}},
                "repair": {"lognormal": {"median": "20 h", "p90": "5 d"}},
            }
        },
        "jobs": {"large": large, **background},
        "policy": "silo",
        "simulate": {"horizon": f"{DAYS} d", "runs": 1, "seed": 14, "start": "2026-01-01"},
    }
    file = folder / "year.yaml"
    file.write_text(json.dumps(scenario), "utf-8")  # which is YAML, too
    return compile_world(cp.load(file))


def main() -> None:
    print(heading("computeplan", "numpy", "simpy"), "\n")
    print("| a year of 9,472 nodes and 50 jobs | simulated days per CPU second | goal |")
    print("|---|---|---|")
    for name, limited in (("tariff, weather, power curve", False), ("a limit each hour", True)):
        with tempfile.TemporaryDirectory() as folder:
            world = world_of(Path(folder), limited=limited)
        found = []
        for _ in range(N_ROUNDS):
            seconds, (ledger, series) = cpu_s(lambda world=world: played(world))
            found.append(DAYS / seconds)
        print(f"| {name} | {in_words(found)} | {f'at least {GOAL}' if not limited else ''} |")
        n_faults = int(ledger.counts["interruptions"].sum() + ledger.counts["idle_faults"].sum())
        assert n_faults >= 3 * DAYS, n_faults
        as_it, varied = apart(ledger, replace(world, signals={})), apart(ledger, world)
        assert as_it < 1e-9, as_it
        print(
            f"|  | {n_faults:,} faults, {len(series.watts):,} steps of power; integral and books"
            f" {as_it:.0e} apart at a constant PUE, {varied:.0e} as it varies | |"
        )


def apart(ledger: Ledger, world: World) -> float:
    """Return by how much the integral of the curve differs from the energy in the books."""
    found = by_site(ledger, world)
    booked = sum(part["energy_kwh"][0].sum() for part in (found.jobs, found.idle)) * KWH_J
    return abs(float(power_of(ledger, world)["s"].energy_j.sum()) / booked - 1)


def played(world):
    """Return the books and the power of a run."""
    ledger = event.play(world, 14, 0, 1, timeline=True)
    return ledger, power_of(ledger, world)["s"]


if __name__ == "__main__":
    main()
