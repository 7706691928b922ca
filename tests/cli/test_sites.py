"""``computeplan sites``: the list, one place, JSON, and both languages."""

import json

import pytest

from computeplan.specs.catalogue.place_lookup import place_names


def test_the_list_has_all_and_marks_estimates(call):
    printed = call("sites", "list")
    assert printed == call("sites")
    lines = {line.split()[0]: line for line in printed.splitlines() if line.strip()}
    assert set(place_names()) <= set(lines)
    assert "~0.608 CNY" in lines["guangdong"]
    assert "0.634 CNY" in lines["guizhou"]
    assert "~" not in lines["guizhou"]
    assert lines["guizhou"].endswith("0.35 CNY")


@pytest.mark.parametrize("name", ["guangdong", "广东", "Guangdong"])
def test_one_place_with_its_sources(call, name):
    printed = call("sites", "show", name)
    assert printed.startswith("guangdong  Guangdong  广东\n")
    assert "441.9 g/kWh" in printed
    assert "~0.55 CNY/kWh (0.48 to" in printed
    assert "粤发改价格〔2021〕331号" in printed
    assert "months 7-9: sharp 11-12 15-17" in printed
    assert "https://www.mee.gov.cn/" in printed


def test_json_is_in_si_with_documents(call):
    shown = json.loads(call("sites", "show", "horinger", "--json"))
    assert shown["holds"]["contracted"]["unit"] == "CNY/J"
    assert shown["holds"]["contracted"]["value"] == pytest.approx(0.35 / 3.6e6)
    assert shown["holds"]["carbon"]["of"] == "inner-mongolia"
    assert {"nea-hohhot", "era5", "mee-2025"} <= set(shown["sources"])
    listed = json.loads(call("sites", "--json", "list"))
    assert [row["name"] for row in listed] == [*place_names()]
    guangdong = next(row for row in listed if row["name"] == "guangdong")["holds"]["posted"]
    low, high = guangdong["limits"]
    assert guangdong["estimate"]
    assert low < guangdong["value"] < high


def test_in_chinese(call):
    printed = call("sites", "list", "--lang", "zh")
    assert printed == call("sites", "--lang", "zh")
    assert "协议电价" in printed
    shown = call("sites", "show", "贵安", "--lang", "zh")
    assert "目标价，并非实付" in shown
    shown = call("sites", "show", "guizhou", "--lang", "zh")
    assert "1-12 月：高峰 10-13 17-22，平段 8-10 13-17 22-24，低谷 0-8" in shown


def test_a_name_that_is_nearly_right_is_told(call):
    assert "no place 'guandong'. Did you mean 'guangdong'?" in call(
        "sites", "show", "guandong", expect=2
    )
