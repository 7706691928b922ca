"""Watts and joules of the published rows: how near, in-sample and left out, and what ships."""

from dataclasses import replace

import numpy as np
import pytest

from computeplan.specs.catalogue.lookup import find_chip
from computeplan.specs.catalogue.serving_power import known_draw, serving_draws
from computeplan.specs.documents.document import DATA
from computeplan.validation.serving_power import (
    draws_left_out,
    errors_j,
    errors_w,
    fit_draw,
    of_chips,
    power_rows,
    power_yaml,
)

MOST_W, MOST_J = 0.13, 0.22


@pytest.fixture(scope="module")
def rows():
    return power_rows()


def test_all_rows_at_the_meters_of_chips_take_part(rows):
    assert len(rows) == 109
    assert {name: len(those) for name, those in of_chips(rows).items()} == {
        "nvidia/b200": 54,
        "nvidia/h100-sxm": 55,
    }


@pytest.mark.parametrize("chip", ["nvidia/h100-sxm", "nvidia/b200"])
def test_watts_are_near_and_nearer_than_a_constant(rows, chip):
    those = of_chips(rows)[chip]
    error = np.abs(errors_w(fit_draw(those), those)).mean()
    watts = np.array([row.measured_w for row in those])
    constant = np.sum(1 / watts) / np.sum(1 / watts**2)  # least squares of relative errors
    assert error <= MOST_W
    assert error < np.abs(constant / watts - 1).mean()


@pytest.mark.parametrize("chip", ["nvidia/h100-sxm", "nvidia/b200"])
def test_watts_of_a_model_left_out_are_near(rows, chip):
    those = of_chips(rows)[chip]
    errors = draws_left_out(those, lambda row: row.case.row.model)
    assert np.abs(errors).mean() <= MOST_W


def test_joules_a_token_with_speed_and_watts_predicted_are_near(rows):
    errors = errors_j(rows)
    assert np.abs(errors).mean() <= MOST_J
    for those in of_chips(rows).values():
        assert np.abs(errors_j(those)).mean() <= MOST_J


def test_measured_joules_are_watts_over_tokens(rows):
    """The source states all three: what is compared is consistent."""
    for row in rows:
        joules = row.case.measured["joule_per_output_token"]
        watts = row.measured_w * row.case.row.n_chips
        assert watts / row.tokens_per_s == pytest.approx(joules, rel=0.02)


def test_the_fit_finds_numbers_that_are_there(rows):
    """Watts made of three known numbers give these numbers again, at the fit's own shares."""
    known = np.array([0.4, 0.3, 0.5])
    made = [
        replace(
            row,
            measured_w=row.limit_w * float(known @ [1.0, row.bandwidth_frac, row.peak_frac]),
        )
        for row in of_chips(rows)["nvidia/b200"]
    ]
    assert fit_draw(made) == pytest.approx(known)


def test_what_ships_is_what_the_rows_give(rows):
    assert (DATA / "serving_power.yaml").read_text("utf-8") == power_yaml(rows)


def test_a_chip_without_rows_scales_with_its_power_limit_and_says_so():
    any_of, h20, h800 = serving_draws().any, find_chip("H20")[0], find_chip("H800")[0]
    for chip in (h20, h800):
        known = known_draw(chip)
        assert known.is_borrowed
        assert known.base_w == pytest.approx(any_of.base * chip.tdp_w)
        assert known.limit_w == chip.tdp_w
        assert known.p90 == any_of.p90
    own = known_draw(find_chip("H100")[0])
    assert not own.is_borrowed
    assert own.p90 < any_of.p90


def test_a_chip_whose_power_limit_is_not_known_is_refused():
    chip = find_chip("H100")[0]
    power = chip.power.model_copy(update={"tdp": None})
    with pytest.raises(ValueError, match=r"write power: \{tdp: 700 W\}"):
        known_draw(chip.model_copy(update={"power": power}))
