"""Places: every figure has a document or a range, tariffs cover every hour, names resolve."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from ruamel.yaml import YAML

from computeplan.errors import ScenarioError
from computeplan.specs.catalogue.facts import facts_in
from computeplan.specs.catalogue.hourly_price import hourly_prices
from computeplan.specs.catalogue.lookup import name_key
from computeplan.specs.catalogue.place_lookup import (
    FOLDER,
    carbon_at,
    climate_at,
    contracted_at,
    find_place,
    is_place,
    nearest_place,
    place_aliases,
    place_names,
    price_at,
    pue_at,
    residual_carbon_at,
    sources_of_places,
    tariff_at,
    water_at,
)
from computeplan.specs.catalogue.places import Hours, Place
from computeplan.specs.documents.document import parse_document
from computeplan.specs.documents.validation import validate

KWH_J = 3.6e6
FILES = ("china", "china-hubs", "countries", "us-states")
READER = YAML(typ="safe")
PLACES = {
    name: entry for file in FILES for name, entry in READER.load(FOLDER / f"{file}.yaml").items()
}
SOURCES = READER.load(FOLDER / "sources.yaml")


# The files, read without the package --------------------------------------------------------------


def unsaid(data, path="", inside=False):
    """Return figures that name no document and are no estimate, or are both."""
    if isinstance(data, list):
        return [x for i, item in enumerate(data) for x in unsaid(item, f"{path}[{i}]", inside)]
    if isinstance(data, dict) and "confidence" in data and not inside:
        problems = [] if data["confidence"] in KNOWN else [f"{path}: {data['confidence']}"]
        if data["confidence"] in ("estimate", "recalled"):
            missing = {"low", "high", "note"} - data.keys()
            problems += [f"{path}: an estimate without {x}" for x in sorted(missing)]
            problems += [f"{path}: an estimate with a document"] if "source" in data else []
            if data["confidence"] == "recalled" and "value" in data:
                problems.append(f"{path}: recalled, with a point")
        elif data.get("source") not in SOURCES:
            problems.append(f"{path}: no document")
        if "low" in data:
            ends = [number(data[key]) for key in ("low", "value", "high") if key in data]
            problems += [] if ends == sorted(ends) else [f"{path}: not in order"]
        return problems + unsaid({k: v for k, v in data.items() if k == "town"}, path)
    if isinstance(data, dict):
        return [x for key, item in data.items() for x in unsaid(item, f"{path}.{key}", inside)]
    is_number = isinstance(data, int | float) or re.match(r"-?[\d.]+ +\S", str(data))
    return [f"{path}: {data} says nothing"] if is_number and ".voltage" not in path else []


KNOWN = {"read", "secondary", "estimate", "recalled"}


def number(value):
    return float(str(value).partition(" ")[0])


@pytest.mark.parametrize("name", PLACES)
def test_every_figure_has_a_document_or_a_range(name):
    assert unsaid(PLACES[name], name) == []


@pytest.mark.parametrize(
    "data",
    [
        {"pue": 1.2},
        {"price": "0.4 CNY/kWh"},
        {"pue": {"value": 1.2, "confidence": "read"}},
        {"pue": {"value": 1.2, "confidence": "read", "source": "nobody"}},
        {"pue": {"value": 1.2, "confidence": "estimate", "note": "x"}},
        {"pue": {"low": 1.2, "high": 1.3, "confidence": "estimate"}},
        {"pue": {"low": 1.3, "high": 1.2, "confidence": "estimate", "note": "x"}},
        {"pue": {"low": 1.1, "high": 1.2, "confidence": "recalled", "note": "x", "value": 1.1}},
        {"pue": {"low": 1, "high": 2, "confidence": "estimate", "note": "x", "source": "gsf"}},
        {"pue": [{"value": 1.2, "confidence": "guess", "source": "gsf"}]},
    ],
)
def test_a_figure_that_says_nothing_is_seen(data):
    assert unsaid(data)


def test_every_document_is_in_use_and_says_what_it_is():
    text = "".join((FOLDER / f"{file}.yaml").read_text("utf-8") for file in FILES)
    assert set(re.findall(r"source: ([\w-]+)", text)) == set(SOURCES)
    assert {entry["kind"] for entry in SOURCES.values()} <= {"official", "data", "paper", "press"}


RULES = {
    (name, rule): entry["hours"][rule]
    for name, entry in PLACES.items()
    for rule in entry.get("hours", ())
}


@pytest.mark.parametrize("rule", RULES)
def test_a_day_has_each_hour_once_in_each_season_and_a_year_each_month_once(rule):
    seasons = RULES[rule]["seasons"]
    assert sorted(month for season in seasons for month in season["months"]) == [*range(1, 13)]
    for season in seasons:
        spans = [span for spans in season["hours"].values() for span in spans]
        assert sorted(h for start, end in spans for h in range(start, end)) == [*range(24)]


def test_every_tariff_names_hours_that_there_are():
    for name, entry in PLACES.items():
        for tariff in entry.get("tariffs", {}).values():
            assert tariff.get("hours") in (None, *entry.get("hours", {})), name


# What is there -----------------------------------------------------------------------------------


def test_counts():
    kinds = Counter(entry["kind"] for entry in PLACES.values())
    assert (kinds["hub"], kinds["grid"], kinds["state"]) == (8, 7, 17)
    assert sum(entry.get("otherwise") == "china" for entry in PLACES.values()) == 30 + 7
    hubs = [find_place(name) for name, entry in PLACES.items() if entry["kind"] == "hub"]
    clusters = [cluster for hub in hubs for cluster in hub.clusters]
    assert len(clusters) == len(set(clusters)) == 10
    for hub in hubs:
        assert pue_at(hub).fact.point > 1.0
        for name in hub.clusters:
            assert find_place(name).hub == hub.name


@pytest.mark.parametrize(
    ("name", "by_year"),
    [
        ("guangdong", (471.5, 440.3, 441.9)),
        ("guizhou", (518.2, 498.9, 568.3)),
        ("yunnan", (123.5, 107.3, 133.3)),
        ("hebei", (790.1, 725.2, 651.6)),
        ("xinjiang", (657.7, 623.1, 602.1)),
        ("southwest-china-grid", (211.3, 226.8, 247.2)),
    ],
)
def test_official_factors_by_year(name, by_year):
    place = find_place(name)
    assert [fact.when for fact in place.carbon] == ["2021", "2022", "2023"]
    assert [fact.point * KWH_J * 1e3 for fact in place.carbon] == pytest.approx(by_year)
    assert place.carbon_basis == "CO2"


def test_a_market_based_factor_is_the_nations():
    found = residual_carbon_at(find_place("horinger"))
    assert (found.place.name, found.fact.when) == ("china", "2023")
    assert found.fact.point * KWH_J * 1e3 == pytest.approx(609.6)
    assert residual_carbon_at(find_place("texas")) is None


# Energy and demand / (730 h x 0.85), worked out apart. [CNY/kWh]
ALL_IN = {
    "zhangjiakou": 0.638,
    "yangtze-delta": 0.728,
    "wuhu": 0.647,
    "shaoguan": 0.608,
    "tianfu": 0.573,
    "chongqing": 0.658,
    "guian": 0.634,
    "horinger": 0.493,
    "qingyang": 0.458,
    "zhongwei": 0.421,
    "kunming": 0.473,
    "hami": 0.325,
    "ulanqab": 0.493,
    "xining": 0.405,
}


@pytest.mark.parametrize("name", ALL_IN)
def test_posted_price_of_a_steady_load(name):
    found = price_at(find_place(name), "posted")
    assert found.fact.value.currency == "CNY"
    assert found.fact.value.amount * KWH_J == pytest.approx(ALL_IN[name], abs=6e-4)


def test_an_estimated_price_has_the_limits_of_its_parts():
    fact = price_at(find_place("guangdong"), "posted").fact
    assert fact.is_estimate
    demand = 36.1 / (730 * 0.85)
    limits = [end.amount * KWH_J for end in (fact.low, fact.point, fact.high)]
    assert limits == pytest.approx([0.48 + demand, 0.55 + demand, 0.64 + demand])
    assert not price_at(find_place("guizhou"), "posted").fact.is_estimate
    assert price_at(find_place("france"), "posted") is None


def test_what_is_recalled_has_its_middle_only():
    found = price_at(find_place("yaan"), "posted")
    assert found.fact.point.amount * KWH_J == pytest.approx((0.30 + 0.45) / 2)
    pue = pue_at(find_place("sichuan"))
    assert (pue.fact.point, pue.fact.is_estimate, pue.fact.value) == (1.225, True, None)


@pytest.mark.parametrize(
    ("name", "price", "who"),
    [
        ("guizhou", 0.35, "aim"),
        ("horinger", 0.35, "paid"),
        ("gansu", 0.398, "press"),
        ("ningxia", 0.36, "press"),
    ],
)
def test_contracted_prices_stand_apart(name, price, who):
    found = contracted_at(find_place(name))
    assert (found.fact.point.amount * KWH_J, found.what) == (pytest.approx(price), who)
    posted = price_at(find_place(name), "posted").fact.point
    assert posted.amount > found.fact.point.amount


def test_there_is_no_contract_where_none_was_read():
    assert contracted_at(find_place("guangdong")) is None
    assert contracted_at(find_place("anhui")) is None


@pytest.mark.parametrize(
    ("name", "pue", "what"),
    [
        ("horinger", 1.21, "measured"),
        ("ningxia", 1.25, "measured"),
        ("yangtze-delta", 1.25, "target"),
        ("qingyang", 1.2, "target"),
        ("fujian", 1.48, "usual"),
        ("yunnan", 1.34, "usual"),
    ],
)
def test_pue(name, pue, what):
    found = pue_at(find_place(name))
    assert (found.fact.point, found.what) == (pytest.approx(pue), what)


def test_water_and_temperatures():
    assert water_at(find_place("zhongwei"), "on_site").fact.point * KWH_J == pytest.approx(0.18)
    assert water_at(find_place("guizhou"), "off_site").fact.point * KWH_J == pytest.approx(6.01)
    assert water_at(find_place("singapore"), "off_site").place.name == "world"
    town, climate = climate_at(find_place("sichuan"))
    assert (town, climate.monthly_c[7]) == ("tianfu-chengdu", 26.5)
    assert climate.mean_c == pytest.approx(17.7, abs=0.1)
    assert climate.town.point == 16.9
    assert climate_at(find_place("texas")) is None


def test_a_tariff_in_another_currency_keeps_it():
    assert tariff_at(find_place("united-kingdom"))[0].currency == "GBP"
    assert tariff_at(find_place("quebec"))[0].currency == "CAD"
    price = price_at(find_place("texas"), "posted").fact.point
    assert (price.amount * KWH_J, price.currency) == (pytest.approx(0.0655), "USD")


# Time of use -------------------------------------------------------------------------------------

# Mean of the multiplier over the hours of a year, from the rules, worked out apart.
MEAN_MULTIPLIER = {
    ("guangdong", "guangdong"): 1.01,
    ("shanghai", "shanghai"): 1.04,
    ("jiangsu", "jiangsu"): 1.03,
    ("anhui", "anhui"): 1.01,
    ("beijing", "beijing"): 1.02,
    ("inner-mongolia", "mengxi"): 0.99,
    ("inner-mongolia", "mengdong"): 1.06,
    ("guizhou", "guizhou"): 1.00,
    ("qinghai", "qinghai"): 0.99,
    ("xinjiang", "xinjiang"): 1.00,
    ("yunnan", "yunnan"): 1.00,
    ("sichuan", "sichuan"): 0.99,
    ("shandong", "shandong"): 1.02,
    ("shaanxi", "shaanxi"): 0.95,
}


@pytest.mark.parametrize("rule", MEAN_MULTIPLIER)
def test_a_steady_load_hardly_sees_the_hours(rule):
    place, name = rule
    hours = find_place(place).hours[name]
    seasons = [hours.season_of(month) for month in range(1, 13)]
    times = [s.multipliers[s.band_at(hour)] for s in seasons for hour in range(24)]
    assert sum(times) / 288 == pytest.approx(MEAN_MULTIPLIER[rule], abs=0.0051)


@pytest.mark.parametrize(
    ("name", "tariff"),
    [
        ("beijing", "10kv"),
        ("inner-mongolia", "mengxi-2026"),
        ("jiangsu", "110kv-2026"),
        ("anhui", "110kv"),
        ("sichuan", "local-grid"),
        ("guangdong", "north-low-voltage"),
    ],
)
def test_posted_bands_are_those_of_the_rule(name, tariff):
    """The prices of one table and the multipliers of another document agree."""
    place = find_place(name)
    posted = place.tariffs[tariff]
    bare = posted.model_copy(update={"bands": {}})
    hours = place.hours[posted.hours]
    prices = hourly_prices(bare, hours, place.components.funds.point)
    season_month = {"sharp": 7}
    june = int((posted.energy.when.partition("-")[2]) or 6)
    for band, fact in posted.bands.items():
        month = season_month.get(band, june) if name in ("beijing", "guangdong") else june
        season = hours.season_of(month)
        hour = next(h for h in range(24) if season.band_at(h) == band)
        assert prices[month - 1][hour] * KWH_J == pytest.approx(
            fact.point.amount * KWH_J, abs=6e-4
        ), band


def test_only_what_floats_is_multiplied():
    """Mengxi, by hand: 0.4425 flat, of which 0.3281 float; Guizhou floats all but the funds."""
    place = find_place("inner-mongolia")
    prices = hourly_prices(place.tariffs["mengxi"], place.hours["mengxi"])
    told = [prices[month][hour] * KWH_J for month, hour in ((0, 7), (0, 12), (6, 20), (6, 14))]
    by_hand = [0.442525 + 0.3281 * (m - 1) for m in (1.68, 0.48, 1.848, 0.352)]
    assert told == pytest.approx(by_hand)
    place = find_place("guizhou")
    funds = place.components.funds.point
    prices = hourly_prices(place.tariffs["110kv"], place.hours["guizhou"], funds)
    by_hand = [0.025325 + (0.583744 - 0.025325) * m for m in (0.4, 1.0, 1.6)]
    assert [prices[3][hour] * KWH_J for hour in (0, 8, 10)] == pytest.approx(by_hand)


@pytest.mark.parametrize(
    ("name", "tariff", "message"),
    [
        ("gansu", "110kv", "its multiplier is not known for the band 'peak'"),
        ("beijing", "110kv", "what floats is not known"),
    ],
)
def test_a_price_that_does_not_follow_is_refused(name, tariff, message):
    place = find_place(name)
    posted = place.tariffs[tariff]
    with pytest.raises(ValueError, match=message):
        hourly_prices(posted, place.hours[posted.hours])


# Names -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "full"),
    [
        *(("广东", "guangdong"), ("Guangdong", "guangdong"), ("广东省", "guangdong")),
        *(("Inner Mongolia", "inner-mongolia"), ("内蒙古", "inner-mongolia")),
        *(("Gui'an", "guian"), ("贵安", "guian"), ("长三角", "yangtze-delta")),
        *(("yangtze_delta", "yangtze-delta"), ("乌兰察布", "ulanqab"), ("Hohhot", "horinger")),
        *(
            ("陕西", "shaanxi"),
            ("山西", "shanxi"),
            ("New York", "new-york"),
            ("US", "united-states"),
        ),
    ],
)
def test_a_name_means_the_place_people_mean(name, full):
    assert find_place(name).name == full


@pytest.mark.parametrize("name", place_names())
def test_every_place_is_whole(name):
    place = find_place(name)
    assert place.name == name
    assert place.chinese in place_aliases(name)
    assert pue_at(place) is not None
    assert (carbon_at(place) is None) == (name == "world")
    for _, fact in facts_in(place):
        assert fact.source in (None, *sources_of_places())


def test_no_name_is_claimed_twice_and_no_place_has_none():
    assert set(place_names()) == set(PLACES)
    claims = Counter(
        name_key(called) for name in place_names() for called in {name, *place_aliases(name)}
    )
    assert [name for name, n in claims.items() if n > 1] == []


def test_a_name_that_is_nearly_right():
    with pytest.raises(ValueError, match=r"no place 'guandong'\. Did you mean 'guangdong'\?"):
        find_place("guandong")
    with pytest.raises(ValueError, match="List: computeplan sites"):
        find_place("../sources")
    assert nearest_place("here") == nearest_place("east") == nearest_place("") == ""
    assert not any(map(is_place, ("here", "east", "west", "north", "main", "s", "甲")))


# What is refused ---------------------------------------------------------------------------------

BARE = "{name: x, title: X, chinese: 甲, kind: site"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pue: {target: 1.2}", "a figure is {value: ..., when"),
        ("pue: {target: {value: 0.9, source: gsf, confidence: read}}", "must be >= 1"),
        ("pue: {target: {value: 1.2, confidence: read}}", "needs the source that says so"),
        ("pue: {target: {value: 1.2, confidence: estimate, note: n}}", "needs low and high"),
        ("pue: {target: {low: 1.1, confidence: estimate, note: n}}", "low and high stand together"),
        ("pue: {target: {confidence: read, source: gsf}}", "needs a value, or low and high"),
        ("pue: {target: {low: 1.1, high: 1.3, confidence: estimate}}", "needs a note"),
        (
            "pue: {target: {low: 1.1, high: 1.3, source: gsf, confidence: estimate, note: n}}",
            "one of both",
        ),
        (
            "pue: {target: {value: 1.2, low: 1.1, high: 1.3, confidence: recalled, note: n}}",
            "give a range only",
        ),
        (
            "pue: {target: {low: 1.3, high: 1.1, confidence: estimate, note: n}}",
            "not in this order",
        ),
        (
            "contracted: {low: 1 CNY/kWh, high: 2 USD/kWh, confidence: estimate, note: n}",
            "in two currencies",
        ),
        ("carbon: [{value: 400 g, source: gsf, confidence: read}]", "not a carbon intensity"),
        ("carbon: [{value: 4 g/kWh, source: gsf, confidence: read}]", "needs a carbon_basis"),
        ("contracted: {value: 1 CNY/kWh, source: gsf, confidence: read}", "stand together"),
        ("colour: red", "unknown key 'colour'"),
    ],
)
def test_a_wrong_place_says_where_and_what(text, message):
    with pytest.raises(ScenarioError, match=re.escape(message)):
        validate(Place, parse_document(f"{BARE}, {text}}}", "own.yaml"))


@pytest.mark.parametrize(
    ("seasons", "message"),
    [
        ("[{months: [1, 2], hours: {flat: [[0, 24]]}}]", "a year has each month once"),
        ("[{months: [1], hours: {flat: [[0, 23]]}}]", "missing: [23]"),
        ("[{months: [1], hours: {flat: [[0, 24]], peak: [[8, 9]]}}]", "twice: [8]"),
        (
            "[{months: [1], hours: {flat: [[0, 24]]}, multipliers: {peak: 2}}]",
            "have the same bands",
        ),
        ("[{months: [13], hours: {flat: [[0, 24]]}}]", "12"),
    ],
)
def test_hours_that_do_not_cover_a_year(seasons, message):
    text = f"{{document: d, source: gsf, confidence: read, seasons: {seasons}}}"
    with pytest.raises(ScenarioError, match=re.escape(message)):
        validate(Hours, parse_document(text, "own.yaml"))
