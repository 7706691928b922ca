"""Published energy: gates, hand arithmetic, keys that choose the formula, hostile files."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from places import REPO
from ruamel.yaml import YAML

from computeplan.errors import ScenarioError
from computeplan.report.energy import energy_json, energy_remarks, energy_table, gates_table
from computeplan.report.words import sentence
from computeplan.validation.energy import predict_energy
from computeplan.validation.energy_cases import METER_TEXTS, METERS, meter_of, read_energy

SHIPPED = REPO / "src" / "computeplan" / "data" / "published" / "energy.yaml"
CASES, GATES = read_energy()
ROWS = predict_energy(CASES, GATES)
FIELDS = ("meter", "quantity", "expected", "predicted", "error", "within", "skipped")


def of(case, quantity, rows=ROWS):
    """Return one row."""
    (row,) = (row for row in rows if row.id == case and row.quantity == quantity)
    return row


def shipped():
    return YAML(typ="safe").load(SHIPPED)


def written(folder, document):
    """Return the rows of a document, written to a file."""
    path = folder / "energy.yaml"
    with path.open("w", encoding="utf-8") as file:
        YAML().dump(document, file)
    return path


def test_every_gate_holds_and_judges_something():
    assert not [row for row in ROWS if row.within is False]
    judged = {name: sum(row.gate == name for row in ROWS) for name in GATES}
    assert judged == {"chain": 26, "chip": 2, "node": 1, "nodes": 2, "system": 2, "caps": 17}


@pytest.mark.parametrize(
    ("case", "quantity", "by_hand"),
    [
        ("gpt3-patterson2021", "days", 3.14e23 / (10_000 * 24.6e12) / 86_400),
        ("tpu-t5-patterson2021", "mwh", 512 * 310 * 20 * 24 * 1.12 / 1e6),
        ("tpu-gshard-patterson2021", "tco2e", 1024 * 288 * 3.1 * 24 * 1.09 / 1e6 * 0.177),
        ("bloom-176b", "total_t", (1_082_990 * 0.4 + 256_646) * 0.057 / 1000 + 11.2),
        ("llama2-cards", "tco2e.70B", 1_720_320 * 0.4 * 1.1 * 0.385 / 1000),
        ("llama3.1-cards", "tco2e_location.total", 39.3e6 * 0.7 * 0.414 / 1000),
        ("olmo2-rows", "OLMoE-0924.kl", 54 * 1.29),
        ("olmo3-7b-gpu", "w_avg", 100 + 5.93e12 / 7700 / 3600 / 234_000 * (668.2 - 100)),
        ("mlperf-smc-lora", "node_kw[0]", 8 * 0.6682 + 0.3078 * 4.6),
        ("apertus-70b-8b", "gwh", 4096 * 560 * 90 * 24 / 1e9),
        ("chatgpt-2023-2024", "wh_per_request", 3617 * 6500 * 24 / 195e6),
        ("nvidia-gtc2024", "ratio", 3.75),
    ],
)
def test_a_prediction_by_hand(case, quantity, by_hand):
    assert of(case, quantity).predicted == pytest.approx(by_hand, rel=1e-9)


def test_a_machine_put_together_by_hand():
    node_w = (280 + 4 * 560 + 74.26 + 80 + 30 + 13) / 0.98
    rack_w = ((128 * node_w + 32 * 250) / 32 + 17) / 0.96 * 32
    row = of("frontier-system", "peak_mw")
    assert row.predicted == pytest.approx((74 * rack_w + 25 * 8473.47) / 1e6)
    assert abs(row.error) < 0.02


def test_the_formula_is_chosen_by_keys_and_never_by_the_name():
    renamed = [replace(case, id=f"row {i}") for i, case in enumerate(CASES)]
    for row, again in zip(ROWS, predict_energy(renamed, GATES), strict=True):
        assert [getattr(row, name) for name in FIELDS] == [getattr(again, name) for name in FIELDS]
        assert again.id.startswith("row ")


def test_what_set_a_model_gates_nothing():
    setting = {text for gate in GATES.values() for text in gate.set_by}
    for row in ROWS:
        assert row.within is None or row.id not in setting
    assert "dgx-a100-all-reduce (host)" in GATES["node"].set_by
    assert of("dgx-a100-all-reduce", "node_kw").within is None
    assert of("dgx-a100-all-reduce", "node_kw").error == pytest.approx(0, abs=1e-3)


def test_sanity_gates_nothing_and_recalled_rows_fail_nothing():
    assert of("nvidia-gtc2024", "mwh.H100").within is None
    meena = next(case for case in CASES if case.id == "tpu-meena-patterson2021")
    (row, _) = predict_energy([replace(meena, expect={"mwh": 500, "tco2e": 96.4})], GATES)
    assert (row.within, row.stops) == (False, False)


def test_the_row_that_contradicts_itself_is_an_erratum():
    row = of("olmo2-rows", "OLMo-2-13B.t")
    assert row.predicted == pytest.approx(230 * 0.352)
    assert row.within is None
    assert "erratum: printed as 230 MWh" in sentence(row.skipped)
    assert abs(257 * 1.12 * 0.352 / 101 - 1) < 0.005, "as its erratum says"


@pytest.mark.parametrize(
    ("case", "key", "quantities", "said"),
    [
        ("llama3.1-cards", "grid_kg_per_kwh", 4, "inputs.grid_kg_per_kwh is missing"),
        ("olmo2-rows", "site_of", 6, "inputs.site_of is missing"),
        ("mlperf-smc-lora", "cooling", 8, "inputs.cooling is missing"),
        ("gpt3-patterson2021", "pue", 2, "inputs.pue is missing"),
        ("tpu-t5-patterson2021", "w_avg", 2, "inputs.w_avg is missing"),
        ("olmo3-7b-gpu", "tokens", 2, "inputs.tokens is missing"),
        ("frontier-system", "sivoc", 2, "inputs.sivoc is missing"),
        ("zeus-power-caps", "dataset", 20, "inputs.dataset is missing"),
    ],
)
def test_what_lacks_a_key_is_listed_with_the_key(tmp_path, case, key, quantities, said):
    document = shipped()
    (row,) = (row for row in document["cases"] if row["id"] == case)
    del row["inputs"][key]
    cases, gates = read_energy(written(tmp_path, document))
    found = [one for one in predict_energy(cases, gates) if one.id == case and one.skipped]
    assert len(found) == quantities
    assert all(one.predicted is None and one.within is None for one in found)
    assert {sentence(one.skipped) for one in found} == {said}


def test_a_row_of_the_13b_model_without_its_energy_names_the_key(tmp_path):
    document = shipped()
    (row,) = (row for row in document["cases"] if row["id"] == "olmo2-rows")
    del row["inputs"]["rows_mwh_incl_pue"]["OLMo-2-13B"]
    del row["erratum"]
    rows = predict_energy(*read_energy(written(tmp_path, document)))
    said = sentence(of("olmo2-rows", "OLMo-2-13B.t", rows).skipped)
    assert said == "inputs.rows_mwh_incl_pue.OLMo-2-13B is missing"


def test_efficiency_follows_from_nodes_and_minutes_and_a_node_from_its_words(tmp_path):
    document = shipped()
    for row in document["cases"]:
        for key in (
            "parallel_efficiency",
            *(("chip", "chips", "cooling") * ("node" in row["inputs"])),
        ):
            row["inputs"].pop(key, None)
    rows = predict_energy(*read_energy(written(tmp_path, document)))
    for case, quantity in (
        ("mlperf-smc-lora", "node_kw[1]"),
        ("h100-node-bnl", "mean_fraction_of_rated_compute_heavy"),
    ):
        row = of(case, quantity, rows)
        assert row.within is True
        assert row.predicted == pytest.approx(of(case, quantity).predicted, rel=1e-3)


def test_meters_map_to_the_six_by_one_table():
    assert {meter for meter, _ in METER_TEXTS.values()} == set(METERS)
    assert {row.meter for row in ROWS} <= set(METERS)
    assert meter_of(" GPU x  PUE") == ("chip", "times PUE")
    assert meter_of("node + network (DC)") == ("node+network", "DC")
    assert meter_of("rack") is None


def test_a_meter_that_is_none_is_listed_with_the_ones_known(tmp_path):
    document = shipped()
    document["cases"] = [{**document["cases"][0], "meter": "somewhere"}]
    rows = predict_energy(*read_energy(written(tmp_path, document)))
    assert [row.predicted for row in rows] == [None] * 3
    assert sentence(rows[0].skipped).startswith(
        "the meter 'somewhere' is none that is known; known:"
    )
    assert json.loads(energy_json(rows))["rows"][0]["meter"] is None


def test_json_has_the_shape_and_the_table_both_languages(call):
    document = json.loads(call("validate", "energy", "--json"))
    assert set(document) == {"suite", "rows"}
    assert document["suite"] == "energy"
    keys = {"id", "meter", "quantity", "expected", "predicted", "error", "within", "skipped"}
    assert all(set(row) == keys for row in document["rows"])
    assert "发表值" in call("validate", "energy", "--lang", "zh")
    assert "| gate | at most |" in call("validate", "energy", "--markdown", "--lang", "en")


def test_a_gate_that_is_missed_ends_with_1(call, tmp_path):
    document = shipped()
    document["cases"] = document["cases"][:1]
    document["cases"][0]["expect"]["mwh"] = 1500
    call("validate", "energy", "--cases", str(written(tmp_path, document)), expect=1)


def test_rows_that_cannot_be_read_are_listed_and_the_rest_is_computed(tmp_path):
    document = shipped()
    document["cases"] = ["text", {"id": "half"}, document["cases"][0]]
    rows = predict_energy(*read_energy(written(tmp_path, document)))
    assert [row.id for row in rows[:2]] == ["row 1", "half"]
    assert "inputs: Field required" in sentence(rows[1].skipped)
    assert rows[-1].within is True
    for language in ("en", "zh"):
        assert energy_table(rows, language).rows
        assert gates_table(rows, GATES, language).rows
        assert energy_remarks(rows, language)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cases: 3\n", "needs a list of rows under 'cases'"),
        ("schema: 1\n", "needs a list of rows under 'cases'"),
        ("gates: {chip: {within: -1}}\ncases: []\n", "gates"),
        ("", "is empty"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path, text, message):
    path = tmp_path / "energy.yaml"
    path.write_text(text)
    with pytest.raises(ScenarioError, match=message):
        read_energy(path)


HOSTILE = st.sampled_from(
    [None, 0, -1, 1e308, 1e-308, True, "", "x", "acme/none", [], [1], {}, {"a": 1}, float("inf")]
)


@given(st.integers(0, len(CASES) - 1), st.data())
def test_no_input_makes_a_row_raise(place, data):
    case = CASES[place]
    key = data.draw(st.sampled_from(sorted(case.inputs)))
    changed = replace(case, inputs={**case.inputs, key: data.draw(HOSTILE)})
    rows = predict_energy([changed], GATES)
    assert len(rows) == sum(row.id == case.id for row in ROWS)
    for row in rows:
        assert (row.predicted is None) <= (row.skipped is not None)
    energy_json(rows)


@given(st.integers(0, len(CASES) - 1), st.data())
def test_no_expectation_makes_a_row_raise(place, data):
    case = CASES[place]
    key = data.draw(st.sampled_from(sorted(case.expect)))
    changed = replace(case, expect={**case.expect, key: data.draw(HOSTILE)})
    energy_json(predict_energy([changed], GATES))


def test_rows_of_which_nothing_can_be_computed_say_so_and_end_with_1(call, tmp_path):
    for cases in ([], [{"id": "x", "meter": "node", "inputs": {}, "expect": {"mwh": 3.0}}]):
        said = call(
            "validate", "energy", "--cases", str(written(tmp_path, {"cases": cases})), expect=1
        )
        assert "Nothing of these rows can be computed" in said
