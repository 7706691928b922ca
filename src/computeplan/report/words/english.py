"""What notes say in English: by code, a text with the names of values, or a function of them.

Long because it is a table.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from computeplan.physics.reliability import rate_forms
from computeplan.physics.steptime.layout import Layout
from computeplan.physics.steptime.search import in_words
from computeplan.report.words.energy_english import ENERGY
from computeplan.report.words.fitting_english import FITTING
from computeplan.report.words.job_logs_english import JOB_LOGS
from computeplan.report.words.mixing_english import MIXING
from computeplan.report.words.places_english import PLACES
from computeplan.report.words.serve_plan_english import SERVE_PLAN
from computeplan.report.words.services_english import SERVICES
from computeplan.specs.uncertain import Factor
from computeplan.units import DAY_S, HOUR_S, KWH_J, MINUTE_S

__all__ = ["SENTENCES", "layout_words"]

Values = Mapping[str, Any]

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
    "log_slurm_no_duplicates": "No JobID stands twice: if sacct was not asked with -D, faults of"
    " jobs that were requeued are missing.",
    "log_slurm_events": "Nodes that were drained count as faults, like those that went down: the"
    " causes say why.",
    "log_slurm_clusters": "{n} events of a whole cluster are not faults of nodes.",
    "log_fta_states": "Only times in which a node was not available (event_type 0) are faults; {n}"
    " other rows are not.",
    "log_unknown_node": "{n} faults do not say which node failed and are left out.",
    "log_outside_window": "{n} faults lie outside the window and are left out.",
    "log_down_at_first": "{n} faults began before the window and are left out: their nodes are up"
    " at time 0.",
    "log_merged": "{n} faults began while their node was down: each is one with the earlier fault.",
    "log_without_end": "{n} faults have no end: what they take, and how long, is drawn.",
}

_LEFT_OUT = {
    "log_left_cells": "cells that have no certain place (a bar or a line break in a text, or a line"
    " that was cut): leave out columns of free text such as JobName",
    "log_left_entry": "not of the form of the others",
    "log_left_no_end": "no end: the job is still running, or its record was never closed (sacctmgr"
    " show runawayjobs)",
    "log_left_node": "no readable name of a node",
    "log_left_order": "an end before the start",
    "log_left_time": "a time that cannot be read: say its form with --dates, its unit with --unit",
}


_STATES = {
    "compute": "computing",
    "comm": "communication",
    "load": "saving and loading",
    "context": "blocked",
    "idle": "idle",
    "node_overhead": "node overhead",
    "network": "network",
}


def _rows_left(why: str) -> Callable[[Values], str]:
    def said(v: Values) -> str:
        kind = f"{v['kind']}: " if "kind" in v else ""
        n, by = v["n"], v["counted_by"]
        rows = by if n > 1 else {"lines": "line", "entries": "entry"}[by]
        more = ", ..." if n > len(v["first"]) else ""
        which = f"{rows} {', '.join(map(str, v['first']))}{more}"
        return f"{kind}{n:,} {rows} of the log left out ({which}): {why}."

    return said


def _of_log(words: str) -> Callable[[Values], str]:
    return lambda v: (f"{v['kind']}: " if "kind" in v else "") + words.format(**v)


def _mfu_measured(v: Values) -> str:
    how = "estimated from" if v["estimate"] else "measured on"
    remark = f"; {v['remark']}" if v["remark"] else ""
    run = f"{v['like']} with {v['software']} [{v['source_title']}]"
    return f"mfu {v['mfu']:g} on {v['chip']} is {how} {run}{remark}"


LEAST_SLOWER = 0.0005  # relative; what one digit of a percent shows
LEAST_SHORT = 1e-4  # share of time that two digits of a percent show


def _counted(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %" if share >= LEAST_SHORT else "less than 0.01 %"


def _batches_rounded(v: Values) -> str:
    jobs = (f"{job} {n} ({n * seq:,} tokens)" for job, n, seq in v["jobs"])
    return f"batches rounded to whole sequences: {', '.join(jobs)}"


def _faults_of_other_chip(v: Values) -> str:
    factor = Factor(v["low"], v["high"])
    how = "once a run, log-uniform" if factor.low < factor.high else "in every run"
    if v["is_assumed"]:
        mark = f"ASSUMED {factor} times as often ({how}); {v['path']}.fault_factor sets it"
    else:
        mark = f"{factor} times as often, as given ({how})"
    kinds = ", ".join(v["kinds"])
    return f"faults of {v['chip']} are not known: {kinds} occur as on {v['other']}, {mark}"


def _faults_left_out(v: Values) -> str:
    own, left_out = ", ".join(v["own"]), ", ".join(v["left_out"])
    return (
        f"pool {v['pool']} has fault kinds of its own ({own}): those observed on another chip do"
        f" not occur on it ({left_out})"
    )


_SPEEDS = {"given": "given in the scenario", "priced": "priced by its layout"}


def _not_like_for_like(v: Values) -> str:
    kinds = sorted(_SPEEDS.get(kind, kind) for kind in v["kinds"])
    return f"not like for like: MFUs of different runs ({'; '.join(kinds)})"


def layout_words(layout: Layout, only: Iterable[str] = ()) -> tuple[str, ...]:
    """Return what there is to say of a single layout, or of some fields of it, a part each."""
    return tuple(in_words(layout, only).split(", "))


def _new_in_kind(v: Values) -> str:
    new = ", ".join(layout_words(Layout.of(**dict(v["layout"])), v["new"]))
    return (
        f"{v['chip']}: {new}: none of the {v['n_runs']} published runs of {v['chips']} had it, so"
        " its time is extrapolated in kind"
    )


def _within_error(v: Values) -> str:
    slower = f", {v['slower']:.1%} behind the fastest" if v["slower"] >= LEAST_SLOWER else ""
    return (
        f"{v['chip']}: within the error ({math.expm1(v['error']):.0%} between two layouts):"
        f" {_counted(v['n'], 'layout')}; of these the one most like published runs of"
        f" {v['chips']}{slower}"
    )


def _mfu_outside_band(v: Values) -> str:
    how = f"it ran {v['software']}"
    if v["layout"] is not None:
        how += f" with {in_words(Layout.of(**dict(v['layout'])))}"
    return (
        f"{v['chip']}: the MFU measured with such a model, {v['mfu']:.3g} ({v['like']}), is outside"
        f" the band of the layout found, {v['low']:.3g} to {v['high']:.3g} with the switches of"
        f" {v['framework']}: {how}"
    )


def _chips_unused(v: Values) -> str:
    other = "another batch may"
    if v.get("batch_of_all"):
        other = f"a batch of {v['batch_of_all'] / 1e6:.3g} Mtoken uses all"
    return (
        f"{v['job']} uses {v['n_used']:,} of {v['n_chips']:,} chips of {v['chip']}:"
        f" {v['n_sequences']} sequences and the layers divide no better; {other}"
    )


def _step(v: Values) -> str:
    beyond = f", extrapolated x {v['extrapolated']:.3g}" if v["extrapolated"] > 1 else ""
    layout = in_words(Layout.of(**dict(v["layout"])))
    return (
        f"a step takes {v['step_s']:.4g} s (90 % band {v['low_s']:.3g} to {v['high_s']:.3g}"
        f"{beyond}) on {v['n_chips']:,} x {v['chip']}: {layout}"
    )


def _layout_checks_speed(v: Values) -> str:
    step, given_s = dict(v["step"]), v["given_s"]
    where = "inside" if step["low_s"] <= given_s <= step["high_s"] else "OUTSIDE"
    return (
        f"{v['job']}: a step takes {given_s:.3g} s at the speed given, {where} the band that its"
        f" layout is priced at: {_step(step)}"
    )


def _steps(v: Values) -> str:
    told = [f"{job}: {_step(dict(step))}" if job else _step(dict(step)) for job, step in v["steps"]]
    return "; ".join([*told, *([f"and {v['n_more']} more"] if v["n_more"] else [])])


def _chips(v: Values) -> str:
    pools = [
        f"{pool}: {n_chips:,} x {chip}"
        + (f" + {_counted(n_spare, 'spare node')}" if n_spare else "")
        for pool, n_chips, chip, n_spare in v["pools"]
    ]
    return "; ".join([*pools, *(f"spares shared by {', '.join(near)}" for near in v["sharing"])])


def _meters(v: Values) -> str:
    names = {"chip": "chips, nodes and network"}
    return "; ".join(f"facility = {names.get(at, at)} x PUE {pue:g}" for at, pue in v["meters"])


def _mfus(v: Values) -> str:
    return "MFU " + "; ".join(dict.fromkeys(f"{mfu:.3g} on {pool}" for mfu, pool in v["mfus"]))


def _fault_rates(v: Values) -> str:
    """Say the rates of each pool in the three forms people use, and the MTBF of a single job."""
    pools = []
    for pool, per_node, kinds, factors, job in v["pools"]:
        texts = []
        for kind, rate in kinds:
            if rate is None:
                texts.append(f"{kind}: replayed from a log")
                continue
            forms = rate_forms(rate, per_node, 1)
            texts.append(
                f"{kind} on {pool}: MTBF {forms.chip_mtbf_s / (1000 * HOUR_S):.3g} kh per chip,"
                f" {forms.node_mtbf_s / DAY_S:.4g} d per node,"
                f" {forms.per_1000_node_days:.3g} per 1000 node-days"
            )
        texts += [_factor(*factor) for factor in factors]
        if job is not None:
            rate, n_nodes = job
            hours = rate_forms(rate, per_node, n_nodes).job_mtbf_s / HOUR_S
            texts.append(f"job MTBF {hours:.2f} h" if hours < 1e6 else f"job MTBF {hours:.3g} h")
        pools.append(", ".join(texts))
    return "; ".join(text for text in dict.fromkeys(pools) if text)


def _factor(kinds: tuple[str, ...], low: float, high: float, chip: str, is_assumed: bool) -> str:
    factor = Factor(low, high)
    mean = f" (mean {factor.mean:.3g}, used above)" if low < high else ""
    mark = "ASSUMED" if is_assumed else "as given"
    return f"{', '.join(kinds)} at {factor} times the rate of {chip}{mean}, {mark}"


def _saving(v: Values) -> str:
    if v["interval_s"] is None:
        return "never saving"
    return f"saving every {v['interval_s'] / MINUTE_S:.3g} min of training"


def _closed_form(v: Values) -> str:
    parts = [f"{v['unblocked_frac']:.4f} with saves and faults"]
    if v["stopped_frac"]:
        share = f"{1 - v['stopped_frac']:.4f}"
        parts.append(f"{share} outside planned stops (each its mean length and half a save)")
    if v["blocked_frac"] >= LEAST_SHORT:
        parts.append(f"{1 - v['blocked_frac']:.4f} lacking no node over the run")
    product = f" ({' x '.join(parts)})" if len(parts) > 1 else ""
    days = f"{v['days_to_train']:,.4g} days to train"
    if (ends := v.get("days_of_inputs")) is not None:
        days += f" (uncertain inputs alone: {ends[0]:,.3g} to {ends[1]:,.3g})"
    if v["least_ettr"] is not None:
        days = f"{days} or more"
        product += f", or less, down to {v['least_ettr']:.4f}, as repairs may outlast the run"
    return f"ettr {v['ettr']:.4f} and {days} by closed form{product}; {_saving(v)}"


def _lacking(v: Values) -> str:
    """Say how often a node is lacking: in the long run, and over a run from every node up."""
    crews = "if no repair waits for a crew"
    long_run = f"{_percent(v['long_run_frac'])} of the time by closed form, in the long run"
    if v["long_run_frac"] < LEAST_SHORT:
        return f"a node is lacking {long_run}, {crews}"
    return (
        f"a node is lacking {long_run} (ettr {v['long_run_ettr']:.4f}), and"
        f" {_percent(v['run_frac'])} of these {v['run_s'] / DAY_S:.3g} days, which start with every"
        f" node up; {crews}"
    )


SENTENCES: dict[str, str | Callable[[Values], str]] = {
    # two results side by side
    "other_currency": "money is in {a} in A and in {b} in B; set currency alike",
    "other_work": "the work differs: {a} in A, {b} in B",
    "one_unfinished": "work is unfinished at the end of {which} and finished in the other; give it"
    " a later {key}, or none",
    "other_end": "work is unfinished, and A ends at {key_a} {a}, B at {key_b} {b}",
    "case_alone": "only {of} has the case {case}",
    "quoted": "{text}",
    # models
    "language_model_only": "{model}: its language model is counted, not what reads images or sound",
    "mtp_apart": lambda v: (
        f"{v['model']}: {_counted(v['n'], 'extra prediction layer')} (multi-token prediction)"
        " counted apart: not in its parameters, and not in its FLOP unless a job trains them"
    ),
    # chips and speeds
    "chip_is_estimate": "{chip}: its profile is an estimate",
    "peak_is_estimate": "{chip}: its {precision} peak is an estimate ({confidence})",
    "tdp_is_estimate": "{chip}: its TDP is an estimate ({confidence})",
    "speeds_without_band": lambda v: (
        f"{', '.join(v['jobs'])}: no band is stated for the speed, so it counts as known exactly;"
        " with one, write mfu: 0.40 +- 0.03"
    ),
    "layout_checks_speed": _layout_checks_speed,
    "layout_not_priced": "{job}: its layout on {chip} cannot be priced to check its speed: {why}",
    "inputs_fixed": "inputs are fixed: step times as priced or given, fault rates of other chips at"
    " the mean of their factor; how uncertain they are is not in these numbers",
    "batches_rounded": _batches_rounded,
    "batch_of_decimal_prefix": lambda v: (
        f"{v['job']}: batch {v['times']} {v['prefix']}token is rounded to {v['n']:,} sequences of"
        f" {v['seq']:,}; {v['times']} {v['prefix'].upper()}itoken is {v['n_binary']:,} of them"
    ),
    "seq_beyond_context": "{job}: seq {seq:,} is beyond the context of {model}, {context:,} tokens:"
    " is it meant?",
    "holds_whole_nodes": "{job} holds whole nodes of {pool}: {n_held} chips for {n_chips}",
    "service_holds_whole_nodes": "{path}: {n:,} chips are not whole nodes: it holds"
    " {held:,} for them",
    "service_spread_assumed": "{path}: the spread of lengths is assumed, a cv of {cv_in} of"
    " requests and {cv_out} of answers, as of conversations of Azure in 2023; write in_cv and"
    " out_cv",
    "quota_beyond_pool": "{path}: {n:,} chips are more than the pool has, {has:,}: the quota limits"
    " nothing; write {has} or less",
    "quota_of_whole_nodes": "{path}: {n:,} chips are not whole nodes of {size}: they count as"
    " {held:,}; write a multiple of {size}",
    "chips_unused": _chips_unused,
    "step_rests_on": "{chip} {precision}: step times rest on {n_runs} published runs ({family}) of"
    " at most {largest:,} chips",
    "experts_not_fitted": "{chip}: no published run of a model with experts is fitted; takes the"
    " numbers of {other}'s chips",
    "expert_switches": lambda v: (
        f"experts: dispatcher {v['dispatcher']}, overlap {'on' if v['overlap'] else 'off'}, CUDA"
        f" graphs {'full' if 'full' in v['graphs'] else '+'.join(v['graphs']) or 'none'}, grouped"
        f" products {v['grouped']}, as stated or usual with {v['framework']}"
    ),
    "software_not_fitted": "{framework}: no published run of such software ({stack}) is fitted on"
    " these chips; takes the time per kernel of {other}",
    "few_fit_without_host": "{chip}: hardly a layout fits the memory of the chips alone: as people"
    " do then, the memory of the host is used (offload: {what}), at 25 GB/s a chip (estimate)",
    "long_sequences": "long sequences over several context parallel ranks: public runs of"
    " torchtitan took up to 1.9 times what is said",
    "within_error": _within_error,
    "new_in_kind": _new_in_kind,
    "mfu_above_published": "{chip}: MFU {mfu:.3g} is above the best one published for {chips},"
    " {best:.3g} ({of})",
    "mfu_outside_band": _mfu_outside_band,
    "numbers_of_other_family": "{chip}: no published training run at {precision}; takes the fitted"
    " numbers of {family} (estimate)",
    "products_of_other_chip": "{chip}: matrix products as measured on {other} (estimate)",
    "links_of_other_chip": "{chip}: links used as measured on {other} (estimate)",
    # watts, price
    "watts_by_state": lambda v: (
        f"{v['chip']}: watts by state: {', '.join(_STATES[s] for s in v['estimates'])} and 0 W in"
        " repair are estimates"
    ),
    "training_mix": lambda v: (
        f"pool {v['pool']}: a chip draws {v['chip_w']:.0f} W in training,"
        f" {_percent(v['exposed_frac'])} of which it waits for communication"
        + (
            ", as its steps are priced"
            if v["is_priced"]
            else ", a usual share (estimate) for jobs whose steps are not priced"
        )
    ),
    "no_tdp": "{chip}: no TDP is published; give the pool's power to get energy",
    "no_tdp_of_own_chip": "{chip}: no TDP, so no energy; fill in {field} of your chip, or give"
    " the pool's power",
    "watts_as_of_compute": lambda v: (
        f"pool {v['pool']}: {', '.join(v['states'])} are assumed to draw the watts of compute"
        " (estimate)"
    ),
    "exchange_rate": lambda v: (
        f"1 CNY is {v['usd_per_cny']:.4g} USD, as given, of"
        f" {v['on'] or 'a day that is not given'}; 1 USD is"
        f" {1 / v['usd_per_cny']:.4g} CNY"
    ),
    "price_is_high": lambda v: (
        f"site {v['site']}: {v['per_j'] * KWH_J:.4g} {v['currency']}/kWh is a very high price of"
        f" electricity (above {v['usual_per_j'] * KWH_J:g}): is the unit right?"
    ),
    "carbon_is_high": lambda v: (
        f"site {v['site']}: {v['kg_per_j'] * KWH_J:.4g} kg/kWh is more carbon than any grid emits"
        f" (above {v['usual_kg_per_j'] * KWH_J:g}): is the unit right?"
    ),
    "no_price": "site {site} has no price of electricity: no cost, the rent included",
    # faults, stops, saves
    "faults_of_other_chip": _faults_of_other_chip,
    "faults_left_out": _faults_left_out,
    "factor_unused": "{path}.fault_factor changes nothing: no rate is of another chip",
    "stops_without_end": "planned.{stop}: stops last as long as the time between them or longer, so"
    " jobs on {pool} hardly train",
    "mixed_across_sites": lambda v: (
        f"{v['job']} may run on several sites at once ({', '.join(v['sites'])}), at the efficiency"
        " that the scenario states; only names the pools or chips it may use"
    ),
    "mixed_over_uplink": lambda v: (
        f"{v['job']} may run on several sites at once ({', '.join(v['sites'])}), whole replicas at"
        f" each: every step of {v['step_s']:.3g} s then waits {v['wait_s']:.3g} s to sum gradients,"
        f" for which a site sends {v['n_bytes'] / 1e9:,.0f} GB at"
        f" {v['bytes_per_s'] * 8 / 1e9:,.6g} Gbit/s"
        + (f" with {v['latency_s'] * 1e3:.3g} ms on the way" if v["latency_s"] else "")
        + f"; two halves train at {v['frac']:.3g} of what they train apart"
        + ("" if v["latency_s"] else "; no latency, as mixed.distance is not written")
    ),
    "mixed_efficiency": "{job}: on several kinds of chips at once it trains at {frac:.3g} of the"
    " sum of what they train apart, as the scenario says; computeplan mix prices it",
    "shrinks_in_proportion": "{job}: with fewer replicas it is assumed to train that much slower,"
    " at the same batch",
    "tiers_alone": "{job}: its tiers are assumed to have the storage to themselves",
    # all cases of a study
    "unfinished": "jobs are unfinished at the horizon: totals are up to it, not of all the work",
    "power_capped": lambda v: (
        "jobs were slowed down to a power cap or limit"
        + (
            f"; that the speed of {', '.join(v['estimates'])} falls in proportion to power is an"
            " estimate"
            if v["estimates"]
            else ", to the speed measured under it"
        )
    ),
    "not_like_for_like": _not_like_for_like,
    # why a case has no result
    "case_not_reached": "not played to its end: the run was stopped",
    "case_lost_worker": "a worker was killed, perhaps for lack of memory; try fewer --workers or"
    " --runs",
    "case_out_of_memory": "out of memory; try fewer --workers or --runs",
    "case_failed": "{why}",
    "case_broke": "{error}: {why}. This is a defect of computeplan; --debug shows where",
    # facts of a case
    "chips": _chips,
    "meters": _meters,
    "fault_rates": _fault_rates,
    "mfus": _mfus,
    "step": _step,
    "steps": _steps,
    "no_end": lambda v: f"no end by closed form; {_saving(v)}",
    "closed_form": _closed_form,
    "lacking": _lacking,
    "saves_at_best": lambda v: f"saves every {v['interval_s'] / MINUTE_S:.3g} min",
    "spares_needed": lambda v: (
        f"spares with which a node is lacking less than {100 * v['lacking_frac']:g} % of the time:"
        f" {v['n_run']:,} for this run, {v['n_long_run']:,} in the long run"
    ),
    # fitting and validation
    **FITTING,
    **ENERGY,
    **MIXING,
    **SERVE_PLAN,
    **SERVICES,
    **PLACES,
    # specs
    "mfu_measured": _mfu_measured,
    **{code: _of_log(words) for code, words in _OF_LOGS.items()},
    **{code: _rows_left(why) for code, why in _LEFT_OUT.items()},
    **JOB_LOGS,
}


# analytic

_NO_CLOSED_FORM = {
    "several_jobs": "{about} jobs, which may wait for each other",
    "arrives_later": "a job that comes later may have to queue",
    "several_pools": "{about} pools could hold the job, so a policy decides",
    "share_spares": "pools share their spares",
    "services": "services hold chips beside the jobs ({about})",
    "caps_power": "policy {about} holds jobs to a power cap",
    "power_limit": "jobs give way where a site may not draw more",
    "moves": "the data of a job lies at another site",
    "pauses": "policy {about} lets jobs pause",
    "replay": "{about}: replayed from a log",
    "shrinks": "a job that goes on with fewer replicas",
    "tiers": "checkpoints to several places",
    "slows": "{about}: nodes that hold their job back",
    "throttle": "a speed that varies with the time of day",
    "slower_across": "a speed that depends on where the nodes of a job stand",
    "memory": "{about}: a law with memory",
    "lemons": "{about}: rates that differ between nodes",
    "relapse": "{about}: faults that come back",
    "found_late": "{about}: damage that is found late",
    "groups": "a fault may take several nodes",
    "crews": "repairs may wait for a crew",
    "retire": "nodes are retired",
    "booting_spares": "spares take time until they can train",
    "busy_repairs": "faults that take nodes run on the wall clock and on the busy clock",
    "rolling": "{about}: nodes are taken out in turn",
    "listed_stops": "{about}: planned stops at times of their own",
    "late_stops": "{about}: the first planned stop comes late",
    "never_saves": "a job that never saves keeps all or nothing, by the horizon",
    "stops_all_the_time": "planned stops leave no time between them",
}
_MOST_TOLD = 3


def _no_closed_form(values: Mapping[str, Any]) -> str:
    reason = _NO_CLOSED_FORM.get(values["why"], "{path} is not in it")
    return f"no closed form: {reason.format(**values)}"


_BESIDE = {
    "expected": "the closed form",
    "agreement": "the comparison with the closed form",
    "break_even": "the break-even of chips",
}


def _beside_failed(values: Mapping[str, Any]) -> str:
    return (
        f"{_BESIDE[values['what']]} could not be computed ({values['error']}:"
        f" {values['why']}): a defect of"
        " computeplan, please report it; the simulated numbers do not depend on it"
    )


def _departs(values: Mapping[str, Any]) -> str:
    both = {
        "ettr": "ettr {:.4f} simulated, {:.4f}",
        "days": "{:,.4g} days to train simulated, {:,.4g}",
    }
    cases = ((name, both[unit].format(*two)) for name, unit, *two in values["cases"])
    told = _told(f"{name}: {text} by closed form" for name, text in cases)
    return (
        f"WARNING: the simulation departs from the closed form: {told}. That is more than"
        f" {values['sigmas']:g} standard errors and what the form leaves out (how stops and faults"
        " meet, the ends of a run): trust neither before you know why"
    )


def _not_the_long_run(values: Mapping[str, Any]) -> str:
    told = _told(
        f"{name}: ettr {pace:.4f} simulated, {long_run:.4f} in the long run by closed form"
        for name, pace, long_run in values["cases"]
    )
    return (
        "WARNING: not the long run: runs start with every node up, and fewer nodes are in repair"
        " than after a long time; a fleet that has been running for long is blocked more often:"
        f" {told}"
    )


def _told(texts: Iterable[str]) -> str:
    cases = [*texts]
    more = len(cases) - _MOST_TOLD
    return " | ".join(cases[:_MOST_TOLD]) + (f" | and {more} more" if more > 0 else "")


def _break_even(values: Mapping[str, Any]) -> str:
    chip, base, ratio = values["chip"], values["base"], values["ratio"]
    how = f"(cases '{values['case']}' and '{values['base_case']}'; closed form, never blocked)"
    if ratio is None:
        band = ""
        if values.get("overlaps"):
            band = "; within the bands of the step times they cannot be told apart"
        return (
            f"on {chip} the time to train never matches {base}, however rarely its nodes"
            f" fail{band} {how}"
        )
    here = f"{'ASSUMED ' if values['is_assumed'] else ''}{values['here']:.3g} times"
    band = ""
    if (ends := values.get("band")) is not None:
        low, high = (f"{end:.3g}" if end is not None else "no such rate" for end in ends)
        band = f" ({low} to {high}, over the 90 % bands of the step times)"
    verdict = (
        ", where within those bands they cannot be told apart" if values.get("overlaps") else ""
    )
    return (
        f"on {chip} the time to train matches {base} when its nodes fail {ratio:.3g} times as often"
        f" as those of {base}{band}; here it is {here}{verdict} {how}"
    )


def _beyond(reason: str) -> Callable[[Values], str]:
    return lambda v: (
        f"the time is only known to be longer than {v['cut_days']:.4g} d, where runs were cut, and"
        f" is not extrapolated: {reason.format(**v)}"
    )


def _beyond_not_steady(v: Values) -> str:
    blocked = _percent(v["blocked_frac"])
    reason = f"jobs lack a node {blocked} of the time in the long run, and less before the cut"
    return _beyond(reason)(v)


def _beyond_no_closed_form(v: Values) -> str:
    reason = _NO_CLOSED_FORM.get(v["why"], "{path}").format(**v)
    return _beyond(f"no closed form says whether the pace stays ({reason})")(v)


SENTENCES |= {
    "carried_on": "the time of {n_runs:,} runs is extrapolated from {cut_days:.4g} d: their pace"
    " stays, by closed form",
    "beyond_several_jobs": _beyond("the {n_jobs} jobs may wait for each other"),
    "beyond_no_closed_form": _beyond_no_closed_form,
    "beyond_not_steady": _beyond_not_steady,
    "beyond_too_short": _beyond("too few faults or saves come before the cut to tell the pace"),
    "no_closed_form": _no_closed_form,
    "no_break_even": "no break-even: {path} is not in its closed form",
    "beside_failed": _beside_failed,
    "departs_from_closed_form": _departs,
    "not_the_long_run": _not_the_long_run,
    "break_even": _break_even,
}
