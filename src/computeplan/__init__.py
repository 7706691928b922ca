"""computeplan: plan AI compute by simulating it.

>>> import computeplan as cp
>>> scenario = cp.load("llama3-405b").with_({"simulate.runs": 64})
>>> result = cp.run(scenario)
>>> list(result.cases)[0]
'every 15 min, 64 spares'

Names are loaded when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from computeplan.analytic.mixed_price import MixPrice, price_mix
    from computeplan.analytic.step_price import StepPrice, price_step
    from computeplan.errors import (
        ComputePlanError,
        InfeasibleError,
        ScenarioError,
        UnsupportedByEngine,
    )
    from computeplan.planner.need import Need, need
    from computeplan.results.cases import CaseResult
    from computeplan.results.estimates import Estimate
    from computeplan.specs.jobs import Parallelism
    from computeplan.specs.scenario import Scenario, load
    from computeplan.study.compare import Comparison, compare
    from computeplan.study.result import Result
    from computeplan.study.run import run
    from computeplan.study.store import load_result, save_result

__version__ = "0.1.0"

__all__ = [
    "CaseResult",
    "Comparison",
    "ComputePlanError",
    "Estimate",
    "InfeasibleError",
    "MixPrice",
    "Need",
    "Parallelism",
    "Result",
    "Scenario",
    "ScenarioError",
    "StepPrice",
    "UnsupportedByEngine",
    "__version__",
    "compare",
    "load",
    "load_result",
    "need",
    "price_mix",
    "price_step",
    "run",
    "save_result",
]

_WHERE = {
    "CaseResult": "results.cases",
    "Comparison": "study.compare",
    "ComputePlanError": "errors",
    "Estimate": "results.estimates",
    "InfeasibleError": "errors",
    "MixPrice": "analytic.mixed_price",
    "Need": "planner.need",
    "Parallelism": "specs.jobs",
    "Result": "study.result",
    "Scenario": "specs.scenario",
    "ScenarioError": "errors",
    "StepPrice": "analytic.step_price",
    "UnsupportedByEngine": "errors",
    "compare": "study.compare",
    "load": "specs.scenario",
    "load_result": "study.store",
    "need": "planner.need",
    "price_mix": "analytic.mixed_price",
    "price_step": "analytic.step_price",
    "run": "study.run",
    "save_result": "study.store",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'computeplan' has no attribute {name!r}")
    return getattr(import_module(f"computeplan.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
