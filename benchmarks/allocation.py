"""Max-min fairness over classes of like jobs: ``python benchmarks/allocation.py``.

10,000 jobs of 200 classes on six types of chips, and the same program with a variable for every job
and type, written down plainly and given to the same solver. Both must reach the same level.
"""

import statistics

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_array, vstack
from timing import cpu_s, heading, in_words, ratios

from computeplan.scheduling.allocation import Asked, max_min_fairness

N_JOBS, N_CLASSES, N_TYPES, N_ROUNDS = 10_000, 200, 6, 3


def asked(seed: int = 17) -> Asked:
    """Return jobs of a few classes, which ask for about twice the nodes that there are."""
    rng = np.random.default_rng(seed)
    speed = rng.uniform(0.2, 2.0, (N_CLASSES, N_TYPES))
    n_nodes = rng.choice([1.0, 2.0, 4.0, 8.0], N_CLASSES)
    of_job = rng.integers(0, N_CLASSES, N_JOBS)
    capacity = np.full(N_TYPES, n_nodes[of_job].sum() / N_TYPES / 2)
    return Asked(speed[of_job], n_nodes[of_job], capacity)


def plain(of: Asked) -> float:
    """Return the level of max-min fairness from a program over single jobs."""
    speed, n_nodes, capacity = of
    n_jobs, n_types = speed.shape
    in_proportion = speed @ capacity / capacity.sum()
    jobs, types = np.indices(speed.shape)
    variables = np.arange(speed.size)
    ones = np.ones(speed.size)
    time = csr_array((ones, (jobs.ravel(), variables)), (n_jobs, speed.size + 1))
    nodes = csr_array(
        (n_nodes[jobs.ravel()], (types.ravel(), variables)), (n_types, speed.size + 1)
    )
    reached = (speed / in_proportion[:, None] * n_nodes[:, None]).ravel()
    level = csr_array(
        (
            np.concatenate([-reached, np.ones(n_jobs)]),
            (
                np.concatenate([jobs.ravel(), np.arange(n_jobs)]),
                np.concatenate([variables, np.full(n_jobs, speed.size)]),
            ),
        ),
        (n_jobs, speed.size + 1),
    )
    rows = vstack([time, nodes, level], format="csr")
    most = np.concatenate([np.ones(n_jobs), capacity, np.zeros(n_jobs)])
    cost = np.zeros(speed.size + 1)
    cost[-1] = -1.0
    return -float(linprog(cost, A_ub=rows, b_ub=most, bounds=(0, None), method="highs").fun)


def main() -> None:
    of = asked()
    ours_s, plain_s = [], []
    for _ in range(N_ROUNDS):
        took_s, (_, level) = cpu_s(lambda: max_min_fairness(of))
        ours_s.append(took_s)
        took_s, same = cpu_s(lambda: plain(of))
        plain_s.append(took_s)
        assert abs(level / same - 1) < 1e-6, (level, same)
    print(heading("computeplan", "numpy", "scipy"), end="\n\n")
    print(
        f"Max-min fairness, {N_JOBS:,} jobs of {N_CLASSES} classes on {N_TYPES} types of chips.\n"
    )
    print("| program | CPU time | ratio | goal |")
    print("|---|---|---|---|")
    print(f"| over single jobs | {statistics.median(plain_s):.2f} s | | |")
    times = in_words(ratios(plain_s, ours_s))
    print(f"| over classes | {statistics.median(ours_s) * 1e3:.1f} ms | {times} | at least 40 |")


if __name__ == "__main__":
    main()
