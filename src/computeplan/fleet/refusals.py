"""Why no layout serves, as an error says it: with the limit, and what to try."""

from __future__ import annotations

from typing import Any

from computeplan.notes import Note

__all__ = ["why_refused"]


def why_refused(why: Note) -> str:
    """Return why no layout serves.

    Parameters
    ----------
    why : Note
        As of `NoneHolds`.

    Examples
    --------
    >>> from computeplan.notes import note
    >>> values = {"chip": "acme/x1", "limit_s": 0.03, "floor_s": 0.02, "later_s": 0.0}
    >>> values |= {"asked_s": 0.01, "layout": "tp1 pp1 fp8", "floor_layout": "tp1 pp1 fp8"}
    >>> why_refused(note("serve_tpot_limit", **values))[:45]
    'a further token takes at least 20 ms on acme/'
    """
    v: dict[str, Any] = dict(why.values)
    if why.code == "serve_no_room":
        return (
            f"no layout holds the model: on {v['n_ranks']:,} ranks of {v['chip']} a rank needs"
            f" {v['need_gib']:.1f} GiB of {v['has_gib']:.1f} GiB; write a precision of fewer bytes,"
            " a wider layout, or shorter requests"
        )
    if why.code in ("serve_tpot_limit", "serve_ttft_limit"):
        what = "a further token" if why.code == "serve_tpot_limit" else "the first token"
        asked = (
            f", and slo asks {_s(v['asked_s'])}; write a longer limit, another precision or"
            " another chip"
        )
        if v["floor_s"] > v["asked_s"]:
            return (
                f"{what} takes at least {_s(v['floor_s'])} on {v['chip']} ({v['floor_layout']}:"
                f" bytes over bandwidth or FLOP over peak){asked}"
            )
        later = (
            f"; {_s(v['later_s'])} of it are the published median after the prompt is done"
            if v["later_s"]
            else ""
        )
        return (
            f"{what} takes {_s(v['limit_s'])} on {v['chip']} by what is fitted to published rows"
            f" ({v['layout']}, a request that meets no other{later}){asked}"
        )
    if why.code == "serve_both_limits":
        return (
            f"no layout of {v['chip']} keeps both limits: by what is fitted a further token"
            f" takes {_s(v['tpot_s'])} at best, in another layout the first one {_s(v['ttft_s'])}"
        )
    times = (("the first token takes", "ttft"), ("a further one", "tpot"))
    told = [
        f"{what} {_s(v[f'{name}_s'])} at {100 * v[f'{name}_frac']:g} %"
        for what, name in times
        if v[f"{name}_s"] is not None  # instances of prompts give no further one
    ]
    return (
        f"no rate keeps the limits on {v['chip']}: with hardly any requests {', '.join(told)}"
        f" ({v['layout']})"
    )


def _s(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms"
