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
    from computeplan.errors import (
        ComputePlanError,
        InfeasibleError,
        ScenarioError,
        UnsupportedByEngine,
    )
    from computeplan.results import CaseResult, Estimate, Result
    from computeplan.specs.jobs import Parallelism
    from computeplan.specs.scenario import Scenario, load
    from computeplan.steps import StepPrice, price_step
    from computeplan.store import load_result, save_result
    from computeplan.study import run

__version__ = "0.1.0"

__all__ = [
    "CaseResult",
    "ComputePlanError",
    "Estimate",
    "InfeasibleError",
    "Parallelism",
    "Result",
    "Scenario",
    "ScenarioError",
    "StepPrice",
    "UnsupportedByEngine",
    "__version__",
    "load",
    "load_result",
    "price_step",
    "run",
    "save_result",
]

_WHERE = {
    "CaseResult": "results",
    "ComputePlanError": "errors",
    "Estimate": "results",
    "InfeasibleError": "errors",
    "Parallelism": "specs.jobs",
    "Result": "results",
    "Scenario": "specs.scenario",
    "ScenarioError": "errors",
    "StepPrice": "steps",
    "UnsupportedByEngine": "errors",
    "load": "specs.scenario",
    "load_result": "store",
    "price_step": "steps",
    "run": "study",
    "save_result": "store",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        message = f"module 'computeplan' has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(f"computeplan.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
