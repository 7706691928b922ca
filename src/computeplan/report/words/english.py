"""What notes say in English: by code, a text with the names of values, or a function of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["SENTENCES"]

# specs: notes on fault logs, behind the name of the kind that replays them
_OF_LOGS = {
    "log_sentence": "{text}",
    "log_without_ends": "The log says no ends of faults: repairs are not known.",
    "log_began_again": "{n} faults began again before they ended: their ends are not known.",
    "log_without_start": "{n} faults end without a start: they began before the log.",
    "log_slurm_states": "Only NODE_FAIL and BOOT_FAIL are faults of nodes; {n} other jobs are not.",
    "log_slurm_no_repairs": "sacct does not say how long a node was away: repairs are not known.",
    "log_slurm_unknown_node": "{n} faults are of jobs on several nodes and do not say which node"
    " failed: ask sacct for FailedNode.",
    "log_unknown_node": "{n} faults do not say which node failed and are left out.",
    "log_outside_window": "{n} faults lie outside the window and are left out.",
    "log_down_at_first": "{n} faults began before the window and are left out: their nodes are up"
    " at time 0.",
    "log_merged": "{n} faults began while their node was down: each is one with the earlier fault.",
    "log_without_end": "{n} faults have no end: what they take, and how long, is drawn.",
}


def _of_log(words: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda v: (f"{v['kind']}: " if "kind" in v else "") + words.format(**v)


def _mfu_measured(v: Mapping[str, Any]) -> str:
    how = "estimated from" if v["estimate"] else "measured on"
    remark = f"; {v['remark']}" if v["remark"] else ""
    run = f"{v['like']} with {v['software']} [{v['source_title']}]"
    return f"mfu {v['mfu']:g} on {v['chip']} is {how} {run}{remark}"


SENTENCES: dict[str, str | Callable[[Mapping[str, Any]], str]] = {
    "chip_is_estimate": "{chip}: its profile is an estimate",
    # specs
    "quoted": "{text}",
    "mfu_measured": _mfu_measured,
    **{code: _of_log(words) for code, words in _OF_LOGS.items()},
}
