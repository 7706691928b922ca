"""Time shares of jobs on types of chips: one linear program, and the goals put to it.

A share ``x[j, w]`` is the part of the time that job j holds its nodes of type w. With ``T`` the
speed of a whole job, ``g`` the nodes it holds and ``n`` the nodes there are, every program has

    x >= 0,  sum_w x[j, w] <= 1,  sum_j g[j, w] x[j, w] <= n[w],

and a goal in the progress ``sum_w T[j, w] x[j, w]`` of the jobs. Like jobs are one class: the
program is convex and treats them alike, so the mean of their shares is as good as any division of
them (exact by symmetry), and the program grows with the classes. Many shares may be best: of these,
the ones nearest to isolated shares are returned. A corner of the program, which a simplex method
returns, may leave one job on one type and another on the next for no reason of the goal; the
published results come from an interior-point method, which returns shares amid the best ones. A
job with no type to run on gets no share and holds no other job back.

Long because each goal is a few lines beside its formula, its source and its example.

Sources
-------
.. [1] D. Narayanan et al., "Heterogeneity-aware cluster scheduling policies for deep learning
       workloads", OSDI 2020: shares as variables, goals as programs over progress.
.. [2] K. Mahajan et al., "Themis: fair and efficient GPU cluster scheduling", NSDI 2020:
       finish-time fairness.
.. [3] Q. Huangfu, J. A. J. Hall, "Parallelizing the dual revised simplex method", Mathematical
       Programming Computation 10, 2018: HiGHS, the solver.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq, linprog
from scipy.sparse import csr_array, eye_array, hstack, vstack

from computeplan.arrays import FloatArray, IntArray, at_least_zero

__all__ = [
    "Asked",
    "finish_time_fairness",
    "isolated_shares",
    "least_power",
    "makespan_bound_s",
    "max_min_fairness",
    "max_throughput",
    "min_makespan",
    "within_reach",
]

SAME = 1e-9  # relative: progress nearer than this is the same
NOTHING = 1e-8  # a share below it is rounding of the solver
MOST_STEPS = 100  # of finish-time fairness; a handful is usual


class Asked(NamedTuple):
    """What every program is asked about."""

    speed: FloatArray
    """Work per second of a whole job, 0 where it cannot run; shape (n_jobs, n_types). [1/s]"""
    n_nodes: FloatArray
    """Nodes that a job holds; shape (n_jobs, n_types), or (n_jobs,) if alike on all types."""
    capacity: FloatArray
    """Nodes of each type; shape (n_types,)."""


def within_reach(asked: Asked) -> Asked:
    """Return what is asked as checked float arrays, with speed 0 where a job does not fit.

    Raises
    ------
    ValueError
        If a number is negative, or shapes do not agree.
    """
    speed, n_nodes, capacity = at_least_zero(
        speed=asked.speed, n_nodes=asked.n_nodes, capacity=asked.capacity
    )
    if n_nodes.ndim == 1:
        n_nodes = n_nodes[:, None]
    if speed.ndim != 2 or capacity.shape != speed.shape[1:] or len(n_nodes) != len(speed):
        shapes = f"speed {speed.shape}, n_nodes {n_nodes.shape}, capacity {capacity.shape}"
        raise ValueError(f"shapes must be (n_jobs, n_types) twice and (n_types,): {shapes}")
    n_nodes = np.broadcast_to(n_nodes, speed.shape)
    can = (speed > 0) & (n_nodes > 0) & (n_nodes <= capacity)
    return Asked(np.where(can, speed, 0.0), n_nodes, capacity)


@dataclass(frozen=True, eq=False)
class _Program:
    """The rows that all goals share, over one variable for each class and type it can run on."""

    of_job: IntArray  # the class of each job
    first: IntArray  # a job of each class
    shape: tuple[int, int]  # classes, types
    row: IntArray  # class of each variable
    column: IntArray  # type of each variable
    count: FloatArray  # jobs of each variable's class
    nodes: FloatArray  # that one job of each variable's class holds
    speed: FloatArray  # of one job of each variable's class
    limits: csr_array  # rows: time of each class, nodes of each type
    most: FloatArray  # right side of `limits`

    def spread(self, x: FloatArray) -> FloatArray:
        """Return the shares of all jobs, from those of the variables."""
        share = np.zeros(self.shape)
        share[self.row, self.column] = np.where(x > NOTHING, np.minimum(x, 1.0), 0.0)
        return share[self.of_job]

    def progress(self, scale: FloatArray) -> csr_array:
        """Return the rows ``sum_w T x / scale`` of the classes."""
        value = self.speed / scale[self.row]
        return csr_array((value, (self.row, np.arange(len(self.row)))), (self.shape[0], value.size))


class _Solved(NamedTuple):
    x: FloatArray
    marginals: FloatArray  # change of the cost with the right side of each row


def _program(asked: Asked, *columns: FloatArray) -> tuple[_Program, list[FloatArray]]:
    """Return the program over classes of jobs that agree in all, and further columns by class."""
    speed, n_nodes, capacity = asked
    n_jobs, n_types = speed.shape
    rows = np.column_stack([speed, n_nodes, *columns]).astype(np.float64) + 0.0  # no -0.0
    keys = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.itemsize * rows.shape[1])))
    _, first, of_job, count = np.unique(
        keys.ravel(), return_index=True, return_inverse=True, return_counts=True
    )
    row, column = np.nonzero(speed[first])
    nodes = n_nodes[first][row, column]
    variables = np.arange(len(row))
    limits = csr_array(
        (
            np.concatenate([np.ones(len(row)), count[row] * nodes]),
            (np.concatenate([row, len(first) + column]), np.concatenate([variables, variables])),
        ),
        (len(first) + n_types, len(row)),
    )
    program = _Program(
        of_job=of_job.reshape(n_jobs),
        first=first,
        shape=(len(first), n_types),
        row=row,
        column=column,
        count=count[row].astype(np.float64),
        nodes=nodes,
        speed=speed[first][row, column],
        limits=limits,
        most=np.concatenate([np.ones(len(first)), capacity]),
    )
    return program, [np.asarray(of_each)[first] for of_each in columns]


def _solve(cost: FloatArray, rows: csr_array, most: FloatArray) -> _Solved | None:
    """Return the least cost with ``rows x <= most`` and ``x >= 0``, None if there is none."""
    found = linprog(cost, A_ub=rows, b_ub=most, bounds=(0, None), method="highs")
    if found.status == 2:
        return None
    if found.x is None:
        raise ArithmeticError(f"the linear program of the shares was not solved: {found.message}")
    return _Solved(np.asarray(found.x), np.asarray(found.ineqlin.marginals))


def _nearest(
    asked: Asked, program: _Program, rows: csr_array, most: FloatArray
) -> FloatArray | None:
    """Return the shares nearest to isolated ones with ``rows x <= most``, None if there are none.

    Nearest in what they have of them: ``max sum_j,w min(x, isolated)``.
    """
    isolated = isolated_shares(asked)[program.first][program.row, program.column]
    n = len(isolated)
    one, nothing = eye_array(n), csr_array((rows.shape[0], n))
    both = vstack([hstack([rows, nothing]), hstack([-one, one])], format="csr")
    both = vstack([both, hstack([csr_array((n, n)), one])], format="csr")
    cost = np.concatenate([np.zeros(n), -program.count / program.count.max()])
    found = _solve(cost, both, np.concatenate([most, np.zeros(n), isolated]))
    return None if found is None else found.x[:n]


def _possible(asked: Asked, need: ArrayLike) -> FloatArray:
    """Return the needs, 0 for a job that can run nowhere."""
    return np.where(asked.speed.max(axis=1, initial=0.0) > 0, need, 0.0)


@dataclass(frozen=True, eq=False)
class _Common:
    """The largest part of all needs that can be met, and what else the program says."""

    asked: Asked
    program: _Program
    wanted: FloatArray  # need of each class in units of its fastest speed
    fastest: FloatArray  # speed of each class
    found: FloatArray  # shares of the variables
    part: float  # largest common part of `wanted`
    unit: float  # `wanted` is the need divided by it
    price: FloatArray  # of each job's need: a sum of price x need > 1 cannot be met

    def shares(self, part: float) -> FloatArray:
        """Return the shares nearest to isolated ones that meet this part of the needs."""
        rows = vstack([self.program.limits, -self.program.progress(self.fastest)], format="csr")
        least = self.wanted / self.fastest * part * self.unit * (1.0 - SAME)
        near = _nearest(self.asked, self.program, rows, np.append(self.program.most, -least))
        return self.program.spread(self.found if near is None else near)


def _common(asked: Asked, need: FloatArray) -> _Common:
    """Return the largest t such that each job's progress can be ``t need``; some need is > 0."""
    best = asked.speed.max(axis=1, initial=0.0)
    unit = float((need / np.where(best > 0, best, 1.0)).max())
    program, (wanted,) = _program(asked, need / unit)
    fastest = best[program.first]
    fastest[fastest == 0] = 1.0
    rows = vstack(
        [
            hstack([program.limits, csr_array((len(program.most), 1))]),
            hstack([-program.progress(fastest), csr_array((wanted / fastest)[:, None])]),
        ],
        format="csr",
    )
    cost = np.zeros(len(program.row) + 1)
    cost[-1] = -1.0
    solved = _solve(cost, rows, np.concatenate([program.most, np.zeros(len(wanted))]))
    if solved is None:  # no share at all is always possible
        raise ArithmeticError("the linear program of the shares was not solved: infeasible")
    part = float(solved.x[-1])
    jobs = np.bincount(program.of_job)
    price = -solved.marginals[len(program.most) :] / fastest / jobs / part
    return _Common(
        asked, program, wanted, fastest, solved.x[:-1], part / unit, unit, price[program.of_job]
    )


def isolated_shares(asked: Asked) -> FloatArray:
    """Return the shares when each of m jobs has an m-th of every type to itself.

    ``x[j, w] = n[w] / m / g[j, w]``, each row scaled down to a sum of 1 [1]_.

    Parameters
    ----------
    asked : Asked
        Speeds, nodes held, and nodes there are.

    Returns
    -------
    numpy.ndarray
        Shares; shape (n_jobs, n_types).

    Examples
    --------
    >>> isolated_shares(Asked(np.ones((2, 2)), np.array([1.0, 4.0]), np.array([1.0, 4.0])))
    array([[0.2, 0.8],
           [0. , 0.5]])

    Sources
    -------
    .. [1] D. Narayanan et al., OSDI 2020, section 4.
    """
    speed, n_nodes, capacity = within_reach(asked)
    can = speed > 0
    share = np.divide(capacity / max(1, len(speed)), n_nodes, out=np.zeros(speed.shape), where=can)
    scaled: FloatArray = share / np.maximum(share.sum(axis=1, keepdims=True), 1.0)
    return scaled


def max_min_fairness(asked: Asked, weight: ArrayLike = 1.0) -> tuple[FloatArray, float]:
    """Return the shares whose worst-off job is best off, and how well off it is.

    ``max t`` with ``(g[j] / weight[j]) sum_w T[j, w] x[j, w] / P[j] >= t`` and ``P[j] = sum_w
    T[j, w] n[w] / sum_w n[w]``, the progress with a share of each type in proportion to its nodes
    [1]_. `g[j]` is the mean of ``g[j, w]`` over the nodes of the types that can hold the job. With
    all speeds 1 it is fairness in time, which does not know of types.

    Parameters
    ----------
    asked : Asked
        Speeds, nodes held, and nodes there are.
    weight : array_like
        How much each job counts; shape (n_jobs,).

    Returns
    -------
    shares : numpy.ndarray
        Shape (n_jobs, n_types).
    level : float
        The t of the worst-off job.

    Examples
    --------
    >>> speed = np.array([[4, 2, 1], [3, 2.5, 1], [10, 2, 1]])
    >>> shares, level = max_min_fairness(Asked(speed, np.ones(3), np.ones(3)))
    >>> round(level * 47, 9)
    54.0

    Sources
    -------
    .. [1] D. Narayanan et al., OSDI 2020, section 4.1.
    """
    asked = within_reach(asked)
    speed, n_nodes, capacity = asked
    can = speed > 0
    room = (can * capacity).sum(axis=1)
    size = np.divide((can * n_nodes) @ capacity, room, out=np.ones(len(speed)), where=room > 0)
    in_proportion = speed @ capacity / max(float(capacity.sum()), 1.0)
    need = _possible(asked, np.asarray(weight, dtype=np.float64) / size * in_proportion)
    if not need.any():
        return np.zeros(speed.shape), math.inf
    common = _common(asked, need)
    return common.shares(common.part), common.part


def finish_time_fairness(
    asked: Asked, left: ArrayLike, age_s: ArrayLike, isolated_s: ArrayLike
) -> tuple[FloatArray, float]:
    """Return the shares whose job that ends latest beside its own isolated end is nearest to it.

    ``min max_j (age[j] + left[j] / sum_w T x) / isolated[j]`` [2]_. For a ratio r to hold, the
    progress must be ``left / (r isolated - age)`` or more: whether it can is a linear program. If
    not, its dual values price the progress of each job, and no ratio can hold at which all progress
    costs more than there is: the ratio at which it costs just as much is asked next. These ratios
    rise to the least possible one, as in Newton's method.

    Parameters
    ----------
    asked : Asked
        Speeds, nodes held, and nodes there are.
    left : array_like
        Work that is left; shape (n_jobs,).
    age_s : array_like
        Time since the arrival; shape (n_jobs,). [s]
    isolated_s : array_like
        When the job ends with isolated shares, since its arrival; shape (n_jobs,). [s]

    Returns
    -------
    shares : numpy.ndarray
        Shape (n_jobs, n_types).
    ratio : float
        The largest ratio of a job; inf if some job that can run has no share.

    Examples
    --------
    >>> asked = Asked(np.ones((2, 1)), np.ones(2), np.ones(1))
    >>> shares, ratio = finish_time_fairness(asked, [100, 100], [0, 0], [200, 100])
    >>> shares.round(4).ravel().tolist(), round(ratio, 4)
    ([0.3333, 0.6667], 1.5)
    """
    asked = within_reach(asked)
    needs = _possible(asked, left)
    counts = needs > 0
    if not counts.any():
        return np.zeros(asked.speed.shape), 0.0
    to_do, best = needs[counts], asked.speed.max(axis=1)[counts]
    age_s = np.broadcast_to(np.asarray(age_s, dtype=np.float64), counts.shape)[counts]
    isolated_s = np.broadcast_to(np.asarray(isolated_s, dtype=np.float64), counts.shape)[counts]
    alone = (age_s + to_do / best) / isolated_s

    def need(ratio: float) -> FloatArray:
        until_s = np.maximum(ratio * isolated_s - age_s, to_do / best)
        progress: FloatArray = to_do / until_s
        return progress

    ratio = float(alone.min())
    for _ in range(MOST_STEPS):
        needs[counts] = need(ratio)
        common = _common(asked, needs)
        if common.part >= 1.0 - SAME:
            break
        ratio = _affordable(need, ratio, common.price[counts])
    return common.shares(min(common.part, 1.0)), max(ratio, float(alone.max()))


def _affordable(need: Callable[[float], FloatArray], ratio: float, price: FloatArray) -> float:
    """Return the ratio from which on the progress that is needed costs no more than there is."""

    def too_much(ratio: float) -> float:
        return float(price @ need(ratio)) - 1.0

    high = 2.0 * ratio
    while too_much(high) > 0:
        ratio, high = high, 2.0 * high
    return float(brentq(too_much, ratio, high, xtol=1e-300, rtol=1e-12))


def min_makespan(asked: Asked, left: ArrayLike) -> tuple[FloatArray, float]:
    """Return the shares with which all jobs end soonest, and when that is. [s]

    The least H with ``sum_w T[j, w] x[j, w] >= left[j] / H`` [1]_. It is linear in 1 / H, so no
    search for H is needed: the largest common part t of the work that is left is 1 / H.

    Parameters
    ----------
    asked : Asked
        Speeds, nodes held, and nodes there are.
    left : array_like
        Work that is left; shape (n_jobs,).

    Returns
    -------
    shares : numpy.ndarray
        Shape (n_jobs, n_types).
    makespan_s : float
        When the last job ends. [s]

    Examples
    --------
    >>> speed = np.array([[4, 2, 1], [3, 2.5, 1], [10, 2, 1]])
    >>> asked = Asked(speed, np.ones(3), np.ones(3))
    >>> round(min_makespan(asked, [4000, 5000, 20000])[1] * 3, 6)
    7000.0
    """
    asked = within_reach(asked)
    (left,) = at_least_zero(left=left)
    need = _possible(asked, left)
    if not need.any():
        return np.zeros(asked.speed.shape), 0.0
    common = _common(asked, need)
    return common.shares(common.part), 1.0 / common.part


def makespan_bound_s(asked: Asked, left: ArrayLike) -> float:
    """Return a time before which no schedule can end all jobs; inf if one can never run. [s]

    The makespan of `min_makespan`, arrivals ignored: a schedule in which a job is on one type at
    a time has shares that fulfil the program.

    Examples
    --------
    >>> makespan_bound_s(Asked(np.ones((3, 1)), np.ones(3), np.full(1, 2.0)), [10, 10, 10])
    15.0
    """
    asked = within_reach(asked)
    left = np.broadcast_to(np.asarray(left, dtype=np.float64), len(asked.speed))
    if ((asked.speed.max(axis=1, initial=0.0) == 0) & (left > 0)).any():
        return math.inf
    return 1.0 / _common(asked, left).part if left.any() else 0.0


def max_throughput(asked: Asked, value: ArrayLike | None = None) -> tuple[FloatArray, float]:
    """Return the shares with the most progress in total, and that total.

    ``max sum_j,w v[j, w] x[j, w]`` with ``v = T`` [1]_; with ``v = T / price[w]`` it is progress
    per money. Speeds of jobs whose work is not in one unit must be made comparable in `value`.

    Parameters
    ----------
    asked : Asked
        Speeds, nodes held, and nodes there are.
    value : array_like, optional
        What a second of a job on a type is worth; shape (n_jobs, n_types).

    Returns
    -------
    shares : numpy.ndarray
        Shape (n_jobs, n_types).
    total : float
        The sum of the value.

    Examples
    --------
    >>> speed = np.array([[4, 2, 1], [3, 2.5, 1], [10, 2, 1]])
    >>> max_throughput(Asked(speed, np.ones(3), np.ones(3)))[1]
    13.5

    Sources
    -------
    .. [1] D. Narayanan et al., OSDI 2020, section 4.2.
    """
    asked = within_reach(asked)
    worth = asked.speed if value is None else np.asarray(value, dtype=np.float64)
    worth = np.broadcast_to(worth, asked.speed.shape)
    if not (asked.speed > 0).any():
        return np.zeros(asked.speed.shape), 0.0
    program, of_class = _program(asked, *worth.T)
    cost = program.count * np.column_stack(of_class)[program.row, program.column]
    unit = max(float(np.abs(cost).max()), 1e-300)
    cost = cost / unit
    solved = _solve(-cost, program.limits, program.most)
    if solved is None:
        raise ArithmeticError("the linear program of the shares was not solved: infeasible")
    rows = vstack([program.limits, csr_array(-cost[None, :])], format="csr")
    most = np.append(program.most, -(cost @ solved.x) * (1.0 - SAME))
    near = _nearest(asked, program, rows, most)
    return program.spread(solved.x if near is None else near), float(cost @ solved.x) * unit


def least_power(
    asked: Asked,
    node_cost: ArrayLike,
    need: ArrayLike,
    draw_w: ArrayLike = 0.0,
    cap_w: float = math.inf,
) -> tuple[FloatArray, float]:
    """Return the shares that give each job the progress it needs at the least cost of nodes.

    ``min sum_j,w g[j, w] c[w] x[j, w]`` with ``sum_w T[j, w] x[j, w] >= need[j]`` and, if there is
    a cap, ``sum_j,w g[j, w] W[w] x[j, w] <= cap``. With watts as cost it is the least energy, with
    kilograms of carbon per second the least carbon. Where not all needs can be met, first the sum
    of the parts of the needs that are not met is made least, then the cost with these parts.

    Parameters
    ----------
    asked : Asked
        Speeds, nodes held, and nodes there are.
    node_cost : array_like
        What a second of a node that trains costs; shape (n_types,).
    need : array_like
        Progress that a job must have; shape (n_jobs,). [1/s]
    draw_w : array_like, optional
        What a node that trains draws; shape (n_types,). [W]
    cap_w : float, optional
        The most that all nodes may draw. [W]

    Returns
    -------
    shares : numpy.ndarray
        Shape (n_jobs, n_types).
    missing : float
        The sum of the parts of the needs that are not met; 0 where all are.

    Examples
    --------
    >>> asked = Asked(np.array([[2.0, 1.0]]), np.ones(1), np.ones(2))
    >>> least_power(asked, [900, 300], [1.0])[0]  # half the speed at a third of the power
    array([[0., 1.]])
    >>> least_power(asked, [900, 300], [1.5])[0]
    array([[0.5, 0.5]])
    """
    asked = within_reach(asked)
    cost, watts = (
        np.broadcast_to(np.asarray(a, dtype=np.float64), asked.capacity.shape)
        for a in (node_cost, draw_w)
    )
    best = asked.speed.max(axis=1, initial=0.0)
    part = np.divide(need, best, out=np.zeros(len(best)), where=best > 0)  # of the time at best
    if not (part > 0).any():
        return np.zeros(asked.speed.shape), 0.0
    program, (wanted,) = _program(asked, np.minimum(part, 1.0))
    fastest = np.where(best > 0, best, 1.0)[program.first]
    rows, most = program.limits, program.most
    if math.isfinite(cap_w):
        draw = program.count * program.nodes * watts[program.column]
        unit_w = max(float(draw.max()), 1e-300)
        rows = vstack([rows, csr_array((draw / unit_w)[None, :])], format="csr")
        most = np.append(most, cap_w / unit_w)
    rows = vstack([rows, -program.progress(fastest)], format="csr")
    price = program.count * program.nodes * cost[program.column]
    price = price / max(float(np.abs(price).max()), 1e-300)
    solved, missing = _solve(price, rows, np.append(most, -wanted)), 0.0
    if solved is None:
        met, missing = _most_met(program, rows, most, wanted)
        solved = _solve(price, rows, np.append(most, -met))
        if solved is None:
            raise ArithmeticError("the linear program of the shares was not solved: infeasible")
    return program.spread(solved.x), missing


def _most_met(
    program: _Program, rows: csr_array, most: FloatArray, wanted: FloatArray
) -> tuple[FloatArray, float]:
    """Return how much of each class's need is met where least is missing, and what is missing."""
    n_classes, n = len(wanted), rows.shape[1]
    lacks = vstack([csr_array((len(most), n_classes)), -eye_array(n_classes)])
    count = np.bincount(program.of_job, minlength=n_classes)
    weight = np.divide(count, wanted, out=np.zeros(n_classes), where=wanted > 0)
    weight_of_all = np.concatenate([np.zeros(n), weight])
    solved = _solve(weight_of_all, hstack([rows, lacks], format="csr"), np.append(most, -wanted))
    if solved is None:
        raise ArithmeticError("the linear program of the shares was not solved: infeasible")
    missing = solved.x[n:]
    return np.maximum(wanted - missing - SAME, 0.0), float(weight @ missing)
