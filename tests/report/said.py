"""Values for every note and phrase whose words are a function of them.

Names are of a kind that no language has, so that what is left is the catalogue's own.
"""

DAY_S = 86_400.0

LAYOUT = {
    "tp": 8, "pp": 2, "dp": 8, "cp": 1, "ep": 1, "micro_batch": 1, "pieces": 2, "zero": 3,
    "shard": 4, "recompute": 2, "sequence_parallel": False,
}  # fmt: skip
STEP = (
    ("step_s", 12.0),
    ("low_s", 9.0),
    ("high_s", 15.0),
    ("extrapolated", 8.0),
    ("n_chips", 128),
    ("chip", "acme/x1"),
    ("layout", tuple(LAYOUT.items())),
)
RATES = {"rates_per_s": (1e-4, 2e-4), "p_constant": 1e-9, "p_trend": 0.2, "trend_z": 1.5}
CLOSED = {
    "unblocked_frac": 0.95, "stopped_frac": 0.01, "blocked_frac": 0.02, "days_to_train": 60.0,
    "least_ettr": None, "ettr": 0.92, "interval_s": 900.0,
}  # fmt: skip
LACKING = {"long_run_frac": 0.3, "long_run_ettr": 0.6, "run_frac": 0.1, "run_s": 50 * DAY_S}
OTHER = {
    "low": 1.0, "high": 3.0, "is_assumed": True, "path": "q.a", "kinds": ("k1", "k2"),
    "chip": "acme/x1", "other": "acme/x2",
}  # fmt: skip
MFU = {
    "mfu": 0.4, "chip": "acme/x1", "estimate": True, "remark": "with full recomputation",
    "like": "acme/m1, seq 8192, 64 chips, bf16", "software": "q9", "source_title": "q8",
}  # fmt: skip
BREAK_EVEN = {
    "chip": "acme/x1", "base": "acme/x2", "ratio": 3.0, "case": "c1", "base_case": "c2",
    "is_assumed": True, "here": 1.2,
}  # fmt: skip
BEYOND = {
    "cut_days": 54.0,
    "n_jobs": 3,
    "blocked_frac": 0.3,
    "why": "replay",
    "about": "k1",
}
LAW = {"law": "weibull_min", "shape_name": "c", "shape": 0.6, "scale_s": 1e5, "p": 1e-9}
ONE_CHIP_KIND = {"pool": "p1", "states": ("load", "wait", "idle"), "meter": "chip"}

PLACE = {
    "site": "s1", "place": "q1", "what": "price", "basis": "posted", "when": "2025-06",
    "value": 2e-7, "currency": "CNY", "load": 0.85,
}  # fmt: skip

NOTES = {
    "serve_no_room": [
        {
            "chip": "acme/x1", "n_ranks": 64, "need_gib": 21.5, "has_gib": 20.0, "precision": "bf16"
        }
    ],
    **{
        code: [
            {
                "chip": "acme/x1", "limit_s": 1.7, "asked_s": 1.5, "layout": "q1",
                "floor_s": floor_s, "floor_layout": "q2", "later_s": later_s,
            }
            for floor_s, later_s in ((1.6, 0.0), (0.06, 0.0), (0.06, 0.08))
        ]
        for code in ("serve_tpot_limit", "serve_ttft_limit")
    },
    "serve_both_limits": [{"chip": "acme/x1", "tpot_s": 0.06, "ttft_s": 1.5}],
    "serve_tail": [
        {
            "chip": "acme/x1", "layout": "q1", "ttft_s": ttft_s, "tpot_s": tpot_s,
            "ttft_frac": 0.99, "tpot_frac": 0.95,
        }
        for ttft_s, tpot_s in ((1.5, 0.06), (1.5, None), (None, 0.06))
    ],
    "mixed_across_sites": [{"job": "j", "sites": ("west", "east")}],
    "mixed_over_uplink": [
        {
            "job": "j", "sites": ("west", "east"), "n_bytes": 280e9, "bytes_per_s": 50e9,
            "latency_s": late, "wait_s": 5.6, "step_s": 20.0, "frac": 0.78,
        }
        for late in (0.0, 0.006)
    ],
    "service_beyond_pools": [
        {"path": "q.a", "n": 128, "pools": ("p1", "p2"), "has": 64, "unit": unit}
        for unit in ("chip", "request/s")
    ]
    + [
        {
            "path": "q.a", "n": 128, "pools": ("p1",), "has": 64, "unit": "request/s",
            "beside": "q1",
        }
    ],
    "service_on_pool": [
        {
            "service": "q1", "pool": "p1", "chip": "acme/x1", "layout": "tp2", "engine": "k1",
            "precision": "fp8", "n_chips": 2, "per_s": 3.0, "low_per_s": 2.0, "high_per_s": 4.0,
            "ttft_s": ttft_s, "tpot_s": tpot_s,
            "missed_frac": 0.01, "known": known, "of": "k1 fp8", "is_draw_borrowed": borrowed,
            "has_limit": borrowed is not False,
        }
        for known in ("chip", "precision", "engine", "none", "table")
        for borrowed in (None, True, False)
        for ttft_s, tpot_s in (
            ((1.5, 0.9, 2.0, 0.99), (0.05, 0.04, 0.06, 0.99)),
            ((1.5, 0.9, 2.0, 0.99), None),
            (None, (0.05, 0.04, 0.06, 0.99)),
        )
    ],
    "service_sized": [
        {
            "service": "q1", "pools": (("p1", 16, more, 2, 0.8, 1.2), ("p2", 0, 0, 2, 1.0, None)),
            "peak_per_s": 30.0, "mean_per_s": 20.0, "derating": 0.7, "balance": balance,
        }
        for more, balance in ((0, 1.0), (8, 0.94))
    ],
    "service_day": [
        {
            "service": "q1", "missed_frac": 0.0031, "has_limit": has_limit,
            "ttft_frac": 0.99, "tpot_frac": 0.95, "ttft_limit_s": 1.0, "tpot_limit_s": None,
            "pools": pools,
        }
        for has_limit in (True, False)
        for pools in (
            (),
            (("p1", (0.2, None, 0.9), (0.03, None, 0.03)),),
            (("p1", (0.2, 0.9), ()), ("p2", (), (0.03, None))),
        )
    ],
    "service_filled_by": [
        {
            "service": "q1", "choose": choose, "currency": "CNY",
            "pools": (("p1", 1e-3), ("p2", 2.5e-3)),
        }
        for choose in ("cost", "energy", "carbon")
    ],
    "service_trace_gap": [
        {"path": "q.a", "line": 301, "at_s": 299.0, "gap_s": 701.0, "n": n, "span_s": 1299.0}
        for n in (1, 3)
    ],
    "service_layout_beyond": [
        {"service": "q1", "pool": "p1", "layout": "tp64", "n": 64, "most": 8, "what": what}
        for what in ("tp", "ranks")
    ],
    "service_watts_of_training": [{"service": "q1", "pools": ("p1", "p2")}],
    "chips_unused": [
        {
            "job": "j1", "n_used": 1024, "n_chips": 1280, "chip": "acme/x1", "n_sequences": 512,
            "batch_of_all": batch,
        }
        for batch in (None, 5_242_880)
    ],
    "saves_at_best": [{"interval_s": 330.0}],
    "spares_needed": [{"lacking_frac": 1e-3, "n_run": 44, "n_long_run": 53}],
    "expert_switches": [
        {
            "framework": "Megatron-Bridge", "dispatcher": "hybridep", "overlap": True,
            "graphs": graphs, "grouped": "te",
        }
        for graphs in ((), ("attn", "moe_router"), ("attn", "full"))
    ],
    "mtp_apart": [{"model": "acme/m1", "n": 1}, {"model": "config.json", "n": 3}],
    "quoted": [{"text": "Mixtral is read as mistral/mixtral-8x7b"}, {"text": "q9"}],
    "peak_is_estimate": [{"chip": "acme/x1", "precision": "bf16", "confidence": "recalled"}],
    "tdp_is_estimate": [{"chip": "acme/x1", "confidence": "press"}],
    "speeds_without_band": [{"jobs": ("j1", "j2")}],
    "layout_checks_speed": [{"job": "j1", "given_s": x, "step": STEP} for x in (11.0, 33.0)],
    "batch_of_decimal_prefix": [
        {"job": "j1", "times": 4, "prefix": p, "n": 488, "seq": 8192, "n_binary": 512} for p in "Mk"
    ],
    "price_is_high": [
        {"site": "s1", "currency": "USD", "per_j": 4 / 3.6e6, "usual_per_j": 1 / 3.6e6}
    ],
    "of_place": [
        PLACE | {"what": what, "basis": basis, "currency": currency}
        for what, basis, currency in (
            ("pue", "target", ""), ("carbon", "carbon", ""), ("price", "posted", "CNY"),
            ("price", "aim", "CNY"), ("price", "paid", "CNY"), ("price", "press", "CNY"),
            ("pue", "usual", ""), ("pue", "measured", ""), ("price", "energy", "USD"),
            ("demand_charge", "demand", "CNY"), ("residual_carbon", "residual_carbon", ""),
            ("water_on_site", "on_site", ""), ("water_off_site", "off_site", ""),
        )
    ],
    "estimate_of_place": [
        PLACE | {"low": 1e-7, "high": 3e-7, "is_middle": is_middle} for is_middle in (True, False)
    ],
    "embodied_is_estimate": [{"pool": "p1", "low": 1e-6, "value": 2e-6, "high": 3e-6}],
    "price_is_reported": [
        {"pool": "p1", "chip": "acme/x1", "value": 2e4, "low": 1e4, "high": 3e4, "currency": "USD"}
    ],
    "varies": [
        {"site": "s1", "what": what, "by": by, "origin": "q1", "currency": "CNY"}
        | {"low": 1e-7, "mean": 2e-7, "high": 3e-7, "period_s": 86_400.0}
        for what, by in (("price", ""), ("carbon", "factor"), ("pue", "degC"), ("power_limit", ""))
    ],
    "not_of_place": [{"site": "s1", "place": "q1", "what": what} for what in ("price", "carbon")],
    "energy_erratum": [{"why": "q1"}],
    "carbon_bases": [
        {"sites": (("s1", "CO2"), ("s2", "life-cycle CO2e"), ("s3", "CO2e"))}
    ],
    "carbon_is_high": [{"site": "s1", "kg_per_j": 4 / 3.6e6, "usual_kg_per_j": 2 / 3.6e6}],
    "batches_rounded": [{"jobs": (("j1", 512, 8192),)}],
    "watts_by_state": [
        {
            "chip": "acme/x1",
            "estimates": (
                *("compute", "comm", "load", "context", "idle", "node_overhead", "network"),
            ),
        },
    ],
    "training_mix": [
        {"pool": "p1", "exposed_frac": 0.14, "is_priced": priced, "chip_w": 600.0}
        for priced in (True, False)
    ],
    "power_capped": [{"estimates": ("acme/x1",)}, {"estimates": ()}],
    "watts_as_of_compute": [ONE_CHIP_KIND],
    "exchange_rate": [{"usd_per_cny": 0.14, "on": "2026-01-01"}],
    "faults_of_other_chip": [OTHER, OTHER | {"high": 1.0, "is_assumed": False}],
    "faults_left_out": [{"pool": "p1", "own": ("k1",), "left_out": ("k2", "k3")}],
    "not_like_for_like": [{"kinds": ("given", "priced", "acme/m1, seq 8192, 64 chips, bf16")}],
    "chips": [{"pools": (("p1", 1024, "acme/x1", 4),), "sharing": (("p1", "p2"),)}],
    "meters": [{"meters": (("chip", 1.2), ("node", 1.3))}],
    "fault_rates": [
        {
            "pools": (
                (
                    "p1",
                    8,
                    (("k1", 1e-9), ("k2", None)),
                    ((("k1",), 1.0, 3.0, "acme/x2", True), (("k2",), 2.0, 2.0, "acme/x2", False)),
                    (1e-9, 128),
                ),
            )
        }
    ],
    "mfus": [{"mfus": ((0.4, "p1"), (0.5, "p2"))}],
    "step": [dict(STEP)],
    "steps": [{"steps": (("j1", STEP), ("", STEP)), "n_more": 3}],
    "no_end": [{"interval_s": None}, {"interval_s": 900.0}],
    "closed_form": [
        CLOSED,
        CLOSED | {"least_ettr": 0.8},
        CLOSED | {"days_of_inputs": (45.0, 78.0)},
    ],
    "lacking": [LACKING, LACKING | {"long_run_frac": 1e-6}],
    "within_error": [
        {"chip": "acme/x1", "chips": chips, "n": 37, "error": 0.2, "slower": slower}
        for chips, slower in (("NVIDIA Hopper and Ada", 0.109), ("q9", 0.0))
    ],
    "new_in_kind": [
        {
            "chip": "acme/x1", "chips": "q9", "n_runs": 42, "new": ("zero", "cp"),
            "layout": tuple((LAYOUT | {"cp": 2}).items()),
        }
    ],
    "mfu_above_published": [
        {"chip": "acme/x1", "mfu": 0.61, "best": 0.53, "of": "q8", "chips": chips}
        for chips in ("Chinese accelerators", "q9")
    ],
    "mfu_outside_band": [
        {
            "chip": "acme/x1", "mfu": 0.33, "like": "q1", "software": "q2", "low": 0.36,
            "high": 0.52, "framework": "q3", "layout": layout,
        }
        for layout in (None, (("tp", 8), ("recompute", 2)))
    ],
    "mfu_measured": [MFU, MFU | {"estimate": False, "remark": ""}],
    "no_closed_form": [{"path": "q.a", "about": "k1", "why": "replay"}, {"path": "q.a", "why": ""}],
    "beside_failed": [{"what": what, "error": "e1", "why": "q9"} for what in ("expected",)],
    "departs_from_closed_form": [
        {"cases": (("c1", "ettr", 0.9, 0.8), ("c2", "days", 50.0, 60.0)) * 2, "sigmas": 4.0}
    ],
    "not_the_long_run": [{"cases": (("c1", 0.9, 0.6),)}],
    "break_even": [
        BREAK_EVEN,
        BREAK_EVEN | {"band": (0.7, 5.0), "overlaps": True},
        BREAK_EVEN | {"band": (None, 5.0), "overlaps": True},
        *(BREAK_EVEN | {"ratio": None, "overlaps": overlaps} for overlaps in (False, True)),
    ],
    "beyond_several_jobs": [BEYOND],
    "beyond_no_closed_form": [BEYOND],
    "beyond_not_steady": [BEYOND],
    "beyond_too_short": [BEYOND],
    # fits
    "rate_drifts": [RATES],
    "rate_constant": [RATES],
    "rate_wanders": [
        {
            "shape": 4.0, "low": 2.0, "high": 8.0, "correlation": 0.3, "why": "neighbours_unlike",
            "why_values": (("correlation", 0.3), ("n", 6)),
        }
    ],
    "days_alike": [{"n": 3, "n_lags": 14, "p": 0.01, "drifts": drifts} for drifts in (True, False)],
    "nodes_equal": [{"ratio": 1.05, "p": 0.3}],
    "nodes_unequal": [{"ratio": 2.0, "p": 1e-9, "shape": 1.2, "low": 0.9, "high": 1.6}],
    "repaired_fail": [{"ratio": ratio} for ratio in (3.0, 0.5)],
    "gaps_not_exponential": [LAW | {"aic_less": 30.0}, LAW | {"shape": None, "aic_less": 30.0}],
    "repairs_heavy_tailed": [
        {"median_s": 1e5, "mean_s": 4e5, "longest_s": 9e6, "shape": 0.5, "high": 0.6}
    ],
    "repair_law_untested": [{"law": "lognorm", "n_laws": n} for n in (1, 2)],
    "repairs_as_seen": [
        {"law": "lognorm", "cause": "GPU", "law_mean_s": 3e4, "seen_mean_s": 2e5}
        | {"n": n, "n_causes": n}
        for n in (1, 2)
    ],
    "repair_law_fits": [{"law": "lognorm", "p": 0.4}],
    "repair_law_fits_badly": [{"law": "lognorm", "p": 0.001, "n_laws": n} for n in (1, 2)],
    "row_assumed": [{"field": "attention", "value": "flash", "framework": "q9"}],
    "row_as_catalogue": [{"fields": ("q1", "q2"), "model": "acme/m1"}],
    "unplayed_gaps": [LAW],
    "unplayed_wander": [{"rate_per_node_s": 1e-8, "shape": 4.0, "correlation": 0.3}],
    "unplayed_nodes": [{"shape": 1.2, "p_chance": p} for p in (None, 0.4)],
    **{
        code: [{"kind": "k1", "n": 3, "text": "q9"}, {"n": 3, "text": "q9"}]
        for code in (
            "log_sentence", "log_without_ends", "log_began_again", "log_without_start",
            "log_slurm_states", "log_slurm_no_repairs", "log_slurm_unknown_node",
            "log_unknown_node", "log_outside_window", "log_down_at_first", "log_merged",
            "log_without_end", "log_slurm_no_duplicates", "log_slurm_events", "log_slurm_clusters",
            "log_fta_states",
        )
    },
    **{
        code: [
            {"kind": "k1", "n": 3, "counted_by": "lines", "first": (4, 17, 123)},
            {"n": 1, "counted_by": "entries", "first": (4,)},
            {"n": 1000, "counted_by": "entries", "first": (4, 17, 123)},
        ]
        for code in (
            "log_left_cells", "log_left_entry", "log_left_no_end", "log_left_node",
            "log_left_order", "log_left_time",
        )
    },
    **{
        code: [{"n": 3000, "first": (4, 17, 123)}, {"n": 1, "first": (4,)}]
        for code in (
            "job_left_cells", "job_left_number", "job_left_text", "job_left_time",
            "job_left_length", "job_left_cancelled", "job_left_waiting", "job_left_running",
            "job_left_no_chips", "job_left_no_time", "job_left_part",
        )
    },
    "estimates_of_sites": [{"n": 35, "n_estimates": 10, "n_aims": n} for n in (0, 5)],
    **{
        code: [
            {"account": "cost", "neighbours": (("c1", "c2", 0.8, False), ("c2", "c3", 0.5, True))},
            {"account": "water", "neighbours": (("c1", "c2", 1.0, True),)},
        ]
        for code in ("ranking_asked", "ranking_beside")
    },
    "ranges_of_case": [
        {
            "accounts": (("cost", 3e6, 2e6, 4e6, (("price", "q1", 2e6, 4e6),)),),
            "currency": "CNY",
        }
    ],
    "job_log_begins": [{"epoch_s": 1.7e9}],
    "job_log_unused": [{"columns": ("q1",)}, {"columns": ("q1",) * 20}],
    "throughput_missing": [
        {"n": 5, "n_sorts": 2, "sorts": (("q1", 8), ("q2", 4))},
        {"n": 5, "n_sorts": 20, "sorts": (("q1", 8),)},
    ],
}  # fmt: skip

PHRASES = {
    "serve_mix_none": [
        {"instances": ("q1", "q2"), "has_room": room, "peak": "5"} for room in (True, False)
    ],
    "service_takes": [
        {
            "case": case, "service": "q1", "wh": wh, "missed_frac": missed, "parts": parts,
        }
        for case, wh, missed, parts in (
            ("k1", "0.3", 0.0031, (("p1", 16, 12.0, 20.0, "both"),)),
            ("", "", 1e-5, (("p1", 16, 12.0, None, "both"),)),
            ("", "", None, (("p1", 16, 12.0, 20.0, "prefill"), ("p2", 8, 8, 8, "decode"))),
            ("", "", None, ()),
        )
    ],
    "serve_answer": [
        {
            "n_chips": "128", "chip": "acme/x1", "low": "64", "high": "256", "roles": "q1",
            "by": "q2", "n": n,
        }
        for n in (1, 5)
    ],
    "serve_answer_role": [
        {"role": role, "n_instances": "15", "n_spares": "1", "each": 8, "layout": "q1"}
        for role in ("both", "prefill", "decode")
    ],
    "serve_mix_answer": [
        {"parts": "q1", "counted": "q2", "shares": shares, "efficiency": "0.94"}
        for shares in ("", "q3")
    ],
    "serve_mix_part": [
        {"n_chips": "128", "chip": "acme/x1", "role": role}
        for role in ("both", "prefill", "decode")
    ],
    "serve_mix_shares": [
        {"role": role, "shares": "40 : 60"} for role in ("both", "prefill", "decode")
    ],
    "n_chips": [{"n": 1}, {"n": 1280}],
    "n_jobs": [{"n": 1}, {"n": 12}],
    "all_jobs_of_runs": [{"n": 1}, {"n": 200}],
    "head_unused": [
        {"n_used": 1024, "n_chips": 1280, "batch": batch} for batch in (None, 5_242_880)
    ],
    "difference": [
        {"value": "-1.2", "interval": interval, "percent": percent}
        for interval, percent in (("-2～-1", "-3 %"), ("", "-3 %"), ("-2～-1", ""))
    ],
    "summary": [{"name": "q9", "n": n} for n in (1, 200)],
    "price_rests_on": [
        {
            "chip": "acme/x1", "n_runs": 19, "family": "q9", "largest": 128, "extrapolated": 8.0,
            "framework": "q8",
        }
    ],
    "need_failed": [{"n": n, "count": "q1", "why": "q2"} for n in (1, 3)],
    "mix_bound": [
        {"bound": name, "of": "acme/x1"}
        for name in ("sum of homogeneous", "equal count", "even split")
    ],
    "place_season": [{"months": "1-12", "bands": (("peak", "10-13 17-22"), ("flat", "0-8"))}],
    "need_skipped": [{"n": n, "count": "q1", "why": "q2"} for n in (1, 3)],
    "need_untold": [
        {"n_runs": 100, "limit": "q1", "first": "q2", "last": "q3", "one": one, "sure": sure}
        for one, sure in ((True, None), (False, "q4"))
    ],
    "how_predicted": [{"law": law, "n": 4000} for law in (None, "lognorm")],
}  # fmt: skip
