"""``computeplan serve-plan``: chips that serve a load within limits of latency.

Long because each of some thirty options is read, and refused, where it is declared.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from computeplan.cli.options import (
    BIGGEST,
    json_option,
    language_option,
    model_option,
    quantity,
    say_unseen,
    show_lines,
    show_table,
)
from computeplan.errors import InfeasibleError, ScenarioError
from computeplan.report import Language

if TYPE_CHECKING:
    from computeplan.engines.serve.policy import Slo
    from computeplan.physics.serving.instance import Speculation
    from computeplan.planner.serving import ServingPlan
    from computeplan.specs.catalogue.models import Transformer
    from computeplan.specs.money import Money
    from computeplan.world.load import Lengths

__all__ = ["serve_plan"]

_TIMES = {"s": 1.0, "second": 1.0, "min": 60.0, "minute": 60.0, "h": 3600.0, "hour": 3600.0}
_TIMES |= {"d": 86_400.0, "day": 86_400.0}
_SIZES = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9}
_RATE = re.compile(
    r"\s*(-?[0-9][0-9_,.]*(?:e[+-]?[0-9]+)?)\s*([kmbg]?)\s*/\s*([a-z]+)\s*", re.IGNORECASE
)

_WRONG = ("quoted", "serve_unserved")
"""Reasons that lie in what was written, not in what chips hold."""
MOST_DRAFT = 64
"""Tokens drafted a step: more than any that is published."""


@click.command("serve-plan")
@language_option
@model_option
@click.option(
    "--chip",
    "chips",
    required=True,
    multiple=True,
    metavar="CHIP[:N]",
    help="A name in the catalogue, or a YAML file; with :N no more than N. May be repeated.",
)
@click.option("--requests", required=True, metavar="N/TIME", help="Mean: 200M/day, 20/s.")
@click.option("--in", "n_in", required=True, type=float, help="Tokens of a prompt, mean.")
@click.option("--out", "n_out", required=True, type=float, help="Tokens of an answer, mean.")
@click.option("--ttft", help="Time to the first token, at most: 1 s, or 'p95 1 s'.  [default: p99]")
@click.option("--tpot", help="Time of a further token, at most: 50 ms, or 'p95 50 ms'.")
@click.option("--peak", type=float, default=1.8, show_default=True, help="Busiest minute / mean.")
@click.option("--cv", type=float, help="Spread of lengths.  [default: 0.96 in, 0.77 out]")
@click.option("--cached", type=float, default=0.0, help="Share of prompts that is cached.")
@click.option("--engine", help="What serves, such as vllm.  [default: the best that is known]")
@click.option("--precision", help="Of weights, such as fp8.  [default: the best known]")
@click.option("--disaggregated", is_flag=True, help="Prefill and decode on instances apart.")
@click.option("--draft", type=int, help="Tokens drafted a step and sequence.  [default: none]")
@click.option("--accepted", type=float, help="Tokens that a step yields, its own included.")
@click.option("--site", default="virginia", show_default=True, help="A place of the catalogue.")
@click.option("--derating", type=float, default=0.7, show_default=True, help="Of benchmarks.")
@click.option("--availability", type=float, default=0.999, show_default=True, help="Of instances.")
@click.option("--mtbf", default="50.7 kh", show_default=True, help="Of a chip, for spares.")
@click.option("--repair", default="24 h", show_default=True, help="Of an instance, for spares.")
@click.option("--rent", multiple=True, metavar="[CHIP=]PRICE", help="H100='2.5 USD/chip/h'.")
@click.option("--currency", type=click.Choice(("USD", "CNY")), default="USD", show_default=True)
@click.option("--exchange", help="Between currencies: 0.14 USD/CNY.")
@click.option(
    "--by",
    type=click.Choice(("cost", "energy", "carbon", "chips")),
    default="cost",
    show_default=True,
    help="What chips are compared by.",
)
@click.option("--layouts", is_flag=True, help="Show the ten best layouts of every chip.")
@click.option(
    "--figures",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Draw latency, cost and energy: latency.png, frontier.png, wh.png.",
)
@json_option
def serve_plan(
    language: Language,
    model: str,
    chips: tuple[str, ...],
    requests: str,
    n_in: float,
    n_out: float,
    ttft: str | None,
    tpot: str | None,
    peak: float,
    cv: float | None,
    cached: float,
    engine: str | None,
    precision: str | None,
    disaggregated: bool,
    draft: int | None,
    accepted: float | None,
    site: str,
    derating: float,
    availability: float,
    mtbf: str,
    repair: str,
    rent: tuple[str, ...],
    currency: str,
    exchange: str | None,
    by: Literal["cost", "energy", "carbon", "chips"],
    layouts: bool,
    figures: Path | None,
    as_json: bool,
) -> None:
    """Find how many chips of which kind serve a model's requests, within limits of latency.

    The busiest minute sizes the fleet; layouts are searched for each chip and the best ones
    simulated.

    \b
    computeplan serve-plan --model llama-3.3-70b --chip H100 --chip H200 --requests 200M/day
      --in 1155 --out 211 --ttft '1 s' --tpot '50 ms'
    """  # noqa: D301 - \b is for click
    # Long because every option is an argument.
    import numpy as np
    from rich.console import Console

    from computeplan.fleet.roles import APART
    from computeplan.fleet.sizes import Reliability
    from computeplan.planner.serving import plan_serving
    from computeplan.planner.serving_question import Question, site_of
    from computeplan.report.words import phrase
    from computeplan.world.load import Load

    found = _model(model)
    lengths = _lengths(found, n_in, n_out, cv)
    cached_frac = _share(cached, "--cached", zero=True)
    question = Question(
        model=found,
        load=Load(np.array([_rate(requests)]), 1.0, *lengths, cached_frac),
        peak=_above(peak, 1.0, "--peak"),
        slo=_slo(ttft, tpot),
        site=site_of(site),
        derating=_share(derating, "--derating", one=True),
        reliability=Reliability(
            _share(availability, "--availability"),
            _above(quantity(mtbf, "s", "--mtbf"), 1.0, "--mtbf"),
            _above(quantity(repair, "s", "--repair"), 0.0, "--repair"),
        ),
        engine=engine,
        precision=_precision(precision),
        currency=currency,
        usd_per_cny=math.nan if exchange is None else _exchange(exchange),
        rents=tuple(_rent(one) for one in rent),
        by=by,
        n_shown=10 if layouts else 0,
        roles=APART if disaggregated else ("both",),
        speculation=_speculation(draft, accepted),
    )
    asked = [_chip(one) for one in chips]
    _check_rents(question.rents, [name for name, _ in asked])
    if figures is not None:
        from computeplan.report.serving_figures import check_folder

        check_folder(figures)
    with Console(stderr=True).status("") as status:
        plan = plan_serving(
            question,
            asked,
            progress=lambda chip, layout: status.update(
                phrase("serve_searching", language, chip=chip, layout=layout)
            ),
        )
    _show(plan, language, as_json=as_json, layouts=layouts)
    if figures is not None:
        _draw(plan, figures, language)


def _draw(plan: ServingPlan, folder: Path, language: Language) -> None:
    from rich.console import Console

    from computeplan.report.serving_figures import save_serving_figures
    from computeplan.report.style import unseen

    with Console(stderr=True).status("") as status:
        names, missing = save_serving_figures(
            plan, folder, language=language, progress=status.update
        )
    for line in (*missing, *(str(folder / name) for name in names)):
        click.echo(line, err=True)
    texts = (plan.question.model.name, *(one.chip for one in plan.chips))
    say_unseen(unseen(texts), language, err=True)


def _show(plan: ServingPlan, language: Language, *, as_json: bool, layouts: bool) -> None:
    from computeplan.planner.serving import Refused
    from computeplan.report.serving import (
        answer,
        chips_table,
        faster,
        layouts_tables,
        reasons,
        remarks,
        shortage,
    )
    from computeplan.report.serving_document import as_document

    if not plan.fleets:
        whys = reasons(plan, language)
        if all(isinstance(one, Refused) and one.why.code in _WRONG for one in plan.chips):
            raise ScenarioError.of(" ".join(whys))
        raise InfeasibleError(" ".join(whys))
    if lack := shortage(plan, language):
        raise InfeasibleError(lack)
    if as_json:
        document = as_document(plan, language=language)
        click.echo(json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False))
        return
    show_lines(answer(plan, language))
    show_lines(faster(plan, language))
    show_table(chips_table(plan, language=language))
    if layouts:
        for one in plan.fleets:
            for table in layouts_tables(one, language=language):
                show_table(table)
    show_lines(reasons(plan, language))
    show_lines(f"- {line}" for line in remarks(plan, language))


def _model(name: str) -> Transformer:
    from computeplan.specs.catalogue.lookup import find_model

    try:
        return find_model(name)[0]
    except ScenarioError:
        raise
    except ValueError as error:
        raise ScenarioError.of(f"--model: {error}") from None


def _lengths(
    model: Transformer, n_in: float, n_out: float, cv: float | None
) -> tuple[Lengths, Lengths]:
    """Return lengths of prompts and answers, together no longer than what the model takes."""
    from computeplan.compiler.serving_load import NO_CONTEXT, lengths_within
    from computeplan.specs.requests import INPUT_CV, OUTPUT_CV

    for option, n in (("--in", n_in), ("--out", n_out)):
        _above(n, 1.0, option)
    context = model.n_context or NO_CONTEXT
    if n_in + n_out > context:
        raise ScenarioError.of(
            f"--in {n_in:g} and --out {n_out:g} are {n_in + n_out:,.0f} tokens together, and"
            f" {model.name} takes {context:,}: shorter ones, or another model"
        )
    spreads = (INPUT_CV, OUTPUT_CV) if cv is None else (cv, cv)
    try:
        found, wrong = lengths_within(context, (n_in, n_out), spreads)
    except ValueError as error:
        raise ScenarioError.of(f"--in, --out, --cv: {error}") from None
    if wrong:
        raise ScenarioError.of(
            "; ".join(f"--{key}, --cv: {message}" for key, message in wrong.items())
        )
    return found


def _rate(text: str) -> float:
    """Return requests a second."""
    match = _RATE.fullmatch(text)
    if match is None or match[3].casefold() not in _TIMES:
        raise ScenarioError.of(
            f"--requests must be a number over a time, such as 200M/day, 5k/h or 20/s, not {text!r}"
        )
    try:
        number = float(match[1].replace(",", "").replace("_", ""))
    except ValueError:
        raise ScenarioError.of(f"--requests: {match[1]!r} is no number") from None
    per_s = number * _SIZES[match[2].casefold()] / _TIMES[match[3].casefold()]
    if not 0 < per_s <= 1e9:
        raise ScenarioError.of(f"--requests must be above 0, and 1e9 a second at most, got {text}")
    return per_s


def _slo(ttft: str | None, tpot: str | None) -> Slo:
    from computeplan.engines.serve.policy import Slo

    first, further = _limit(ttft, "--ttft"), _limit(tpot, "--tpot")
    return Slo(first[0], further[0], first[1], further[1])


def _limit(text: str | None, option: str) -> tuple[float, float]:
    """Return a time and the share of requests that keep it."""
    if text is None:
        return math.inf, 0.99
    match = re.fullmatch(r"\s*(?:p([0-9]{1,2}(?:\.[0-9]+)?)\s+)?(.+)", text)
    frac = 0.99 if match is None or match[1] is None else float(match[1]) / 100.0
    written = text if match is None else match[2]
    spaced = re.sub(r"^\s*([0-9.eE+-]+?)\s*([a-zA-Z]+)\s*$", r"\1 \2", written)
    seconds = quantity(spaced, "s", option)
    if not (0 < frac < 1 and seconds > 0):
        raise ScenarioError.of(f"{option} must be a time above 0, such as 50 ms or 'p95 50 ms'")
    return seconds, frac


def _chip(text: str) -> tuple[str, int | None]:
    name, colon, number = text.rpartition(":")
    if not colon:
        return text, None
    digits = number.strip().replace("_", "")
    if not digits.isdecimal() or not 0 < int(digits) <= BIGGEST:
        raise ScenarioError.of(f"--chip {text}: write a chip, or how many there are: H100:512")
    return name, int(digits)


def _rent(text: str) -> tuple[str, Money]:
    from computeplan.specs.catalogue.lookup import find_chip
    from computeplan.specs.money import MOST_RENT, money_reader

    name, _, price = text.rpartition("=")
    try:
        rent = money_reader("/(chip*s)", "2.5 USD/chip/h", lower=0.0, most=MOST_RENT)(price)
        return (find_chip(name)[0].name if name else ""), rent
    except ScenarioError:
        raise
    except ValueError as error:
        raise ScenarioError.of(f"--rent: {error}") from None


def _check_rents(rents: Iterable[tuple[str, Money]], chips: Iterable[str]) -> None:
    """Refuse the rent of a chip that is not asked of."""
    from computeplan.specs.catalogue.lookup import find_chip

    try:
        names = {find_chip(name)[0].name for name in chips}
    except (ScenarioError, ValueError):  # the plan says which is not known
        return
    if others := sorted({name for name, _ in rents if name} - names):
        raise ScenarioError.of(
            f"--rent: {', '.join(others)} is no --chip; name it, or leave its rent out"
        )


def _exchange(text: str) -> float:
    from computeplan.specs.money import Exchange

    try:
        return float(Exchange.model_validate({"rate": text}).rate)
    except ValueError:
        raise ScenarioError.of(
            f"--exchange must be like '0.14 USD/CNY' or '7.1 CNY/USD', not {text!r}"
        ) from None


def _precision(name: str | None) -> str | None:
    from computeplan.specs.catalogue.serving import serving_tables

    known = serving_tables().precisions
    if name is not None and name not in known:
        raise ScenarioError.of(f"--precision must be one of {', '.join(known)}, not {name!r}")
    return name


def _speculation(draft: int | None, accepted: float | None) -> Speculation | None:
    """Return the tokens that a step drafts and yields, none where neither is given."""
    from computeplan.physics.serving.instance import Speculation

    if draft is None and accepted is None:
        return None
    if draft is None or accepted is None:
        given, lacks = ("--accepted", "--draft") if draft is None else ("--draft", "--accepted")
        raise ScenarioError.of(
            f"{given} needs {lacks}: write both, such as --draft 1 --accepted 1.8"
        )
    if not 1 <= draft <= MOST_DRAFT:
        raise ScenarioError.of(f"--draft must be 1 to {MOST_DRAFT} tokens a step, got {draft}")
    if not 1 <= accepted <= draft + 1:
        raise ScenarioError.of(
            f"--accepted must be between 1 and {draft + 1} (all {draft} of --draft and the model's"
            f" own token), got {accepted:g}"
        )
    return Speculation(float(draft), accepted)


def _share(value: float, option: str, *, zero: bool = False, one: bool = False) -> float:
    inside = 0 < value < 1 or (zero and value == 0) or (one and value == 1)
    if not inside:
        raise ScenarioError.of(f"{option} must be a share below 1, such as 0.7, got {value:g}")
    return value


def _above(value: float, least: float, option: str) -> float:
    if not least <= value < math.inf:
        raise ScenarioError.of(f"{option} must be at least {least:g}, got {value:g}")
    return value
