"""What is said of one job on several kinds of chips, in English, by code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["MIXING", "MIXING_PHRASES"]

Values = Mapping[str, Any]

MIXING: dict[str, str | Callable[[Values], str]] = {
    "does_not_fit_alone": "the model does not fit {n:,} × {chip} alone: in the sum of homogeneous"
    " throughputs these count as nothing",
    "mixed_chips_unused": "{n:,} of {n_chips:,} × {chip} are not used: no number of stages takes"
    " them all",
}

_BOUNDS = {
    "sum of homogeneous": "the sum of what each kind trains alone",
    "equal count": "as many {of} only",
    "even split": "the same chips with equal shares",
}


def _bound(v: Values) -> str:
    return _BOUNDS[v["bound"]].format(of=v["of"])


MIXING_PHRASES: dict[str, str | Callable[[Values], str]] = {
    "mix_answer": "{tokens} tokens/s (90 % band {low} to {high}), {efficiency} of {bound}; {step} s"
    " a step.",
    "mix_by_layers": "Split by layers: every replica runs through stages of all kinds, {n_micro:,}"
    " micro-batches a step.",
    "mix_by_batch": "Split by batch: every kind trains whole replicas.",
    "mix_bound": _bound,
    "mix_title": "{model} on {chips}: a step of {batch:,} × {seq:,} tokens in {precision}",
    "mix_chips": "{n:,} × {chip}",
    "mix_against": "against",
    "mix_share": "mixed over it",
    "mix_chip": "chip",
    "mix_stages": "stages",
    "mix_layers": "layers",
    "mix_ranks": "tp × dp × mb",
    "mix_again": "recomputed",
    "mix_seconds_of_micro": "s per mb",
    "mix_held": "GiB held",
    "mix_sequences": "sequences",
    "mix_note_band": "The split is planned by predicted speeds. Where these are off as their bands"
    " say, each kind on its own, it reaches {low_frac} to {high_frac} (90 % band) until it is dealt"
    " anew by measured ones.",
    "mix_note_across": "Messages between the kinds, {link}, show for {seconds} s of a step at most"
    " ({share}).",
    "mix_direct": "directly",
    "mix_host": "through the memory of the hosts",
    "mix_note_other_pipeline": "Split by layers a step takes {seconds} s: pipelines of several"
    " kinds are priced without virtual stages.",
    "mix_note_other_batch": "Split by batch a step takes {seconds} s.",
    "mix_again_none": "none",
    "mix_again_selective": "selective",
    "mix_again_full": "full",
}
