"""Later days of a log against what earlier days lead to expect, with own random streams."""

from __future__ import annotations

from computeplan.fitting.forecast import MODELS, Prediction, predict
from computeplan.fitting.history import FaultHistory
from computeplan.fitting.retirement import LemonGain, lemon_gain
from computeplan.trace.streams import Stream, generator

__all__ = ["predictions_of", "retired"]

_KEY = 0x666974  # "fit": apart from the streams of any kind and pool


def predictions_of(history: FaultHistory, fit_until_s: float, seed: int) -> list[Prediction]:
    """Return what each model, fitted until then, says of the rest of the window.

    `fit_until_s` is since the window began; a ScenarioError if it lies outside. [s]
    """
    return [
        predict(
            history,
            fit_until_s,
            history.length_s,
            model=model,
            uniforms=generator(seed, i, Stream.GAP, _KEY),
        )
        for i, model in enumerate(MODELS)
    ]


def retired(history: FaultHistory, split_s: float, share: float, seed: int) -> LemonGain:
    """Return what it gains to retire a share of the nodes, the worst before `split_s`.

    That is since the window began [s]; a ScenarioError if it lies outside, or the share outside
    (0, 1).
    """
    return lemon_gain(history, split_s, share, generator(seed, 0, Stream.NODE, _KEY))
