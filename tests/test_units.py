"""What people write is read exactly, and nothing else is read at all."""

import contextlib
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from computeplan.units import (
    MAX_TEXT,
    dimension_name,
    parse,
    parse_rate_per_node,
    parse_unit_of,
    rewritten,
)


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("700 W", "W", 700.0),
        ("1 kW", "W", 1e3),
        ("1 kWh", "J", 3.6e6),
        ("80 GB", "B", 8e10),
        ("80 GiB", "B", 85_899_345_920.0),
        ("8 Kibit", "B", 1024.0),
        ("400 Gbit/s", "B/s", 5e10),
        ("100 Gb/s", "B/s", 1.25e10),  # not gilbert
        ("1 min", "s", 60.0),
        ("2.5 h", "s", 9000.0),
        ("54 d", "s", 4_665_600.0),
        ("1 week", "s", 604_800.0),
        ("1 year", "s", 31_557_600.0),
        ("50.7 kh", "s", 182_520_000.0),
        ("3 ms", "s", 0.003),
        ("3 µs", "s", 3e-6),
        ("3 us", "s", 3e-6),
        ("989.4 TFLOP/s", "FLOP/s", 9.894e14),
        ("1 PFLOPS", "FLOP/s", 1e15),
        ("3.8e25 FLOP", "FLOP", 3.8e25),
        ("15.6 Ttoken", "token", 1.56e13),
        ("16.8 Mtok", "token", 1.68e7),
        ("3.6 g/kWh", "kg/J", 1e-9),
        ("0.36 USD/kWh", "USD/J", 1e-7),
        ("3.6 USD/chip/h", "USD/(chip*s)", 1e-3),
        ("3.6 USD/(chip*h)", "USD/(chip*s)", 1e-3),
        ("0.14 USD/CNY", "USD/CNY", 0.14),
        ("3.6 CNY/kWh", "CNY/J", 1e-6),
        ("3.6 元/kWh", "CNY/J", 1e-6),
        ("3.6元/kWh", "CNY/J", 1e-6),
        ("3.6 RMB/kWh", "CNY/J", 1e-6),
        ("3.6 ￥/kWh", "CNY/J", 1e-6),
        ("3.6 ¥/kWh", "CNY/J", 1e-6),
        ("￥3.6/kWh", "CNY/J", 1e-6),
        ("¥ 3.6 /kWh", "CNY/J", 1e-6),
        ("￥30_000", "CNY", 30_000.0),
        ("18 元/chip/h", "CNY/(chip*s)", 0.005),
        ("7 元/USD", "CNY/USD", 7.0),
        ("16 nodes", "node", 16.0),
        ("1 node", "node", 1.0),
        ("1_000 W", "W", 1000.0),
        ("+5 W", "W", 5.0),
        (".5 W", "W", 0.5),
        ("5. W", "W", 5.0),
        ("5W", "W", 5.0),
        ("  5 W  ", "W", 5.0),
        ("-5 W", "W", -5.0),  # signs are the business of the field
        ("1e-400 W", "W", 0.0),
    ],
)
def test_reads_what_people_write(text, unit, value):
    assert parse(text, unit) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "unit", "why"),
    [
        ("700 GiB", "W", "'700 GiB' is an amount of data, not a power"),
        ("400 Gbit", "B/s", "is an amount of data, not a bandwidth"),
        ("1 kWh", "W", "is an energy, not a power"),
        ("5 TFLOP", "FLOP/s", "is an amount of work, not a speed"),
        ("5 TFLOP/s", "FLOP", "is a speed, not an amount of work"),
        ("0.62 CNY/kWh", "USD/J", "is a price of energy in CNY, not a price of energy"),
        ("0.62 元/kWh", "USD/J", "a price of energy in CNY, not a price of energy in USD"),
        ("5 s*s", "s", "is in "),
        ("5 TFLOPs", "FLOP", "'FLOPs' may mean an amount or a rate; write FLOP or FLOP/s"),
        ("5 FLOPs/s", "FLOP/s", "'FLOPs' may mean"),
        ("5 parsec", "s", "unknown unit 'parsec'"),
        ("5 degC", "s", "unknown unit 'degC'"),
        ("5 D", "s", "unknown unit 'D'"),
        ("5 s2", "s", "'5 s2' is not a number with a unit"),
        ("5 W**2", "W", "'5 W**2' is not a number with a unit"),
        ("5", "s", "'5' is not a number with a unit"),
        ("s", "s", "is not a number with a unit"),
        ("", "s", "is not a number with a unit"),
    ],
)
def test_says_what_is_wrong(text, unit, why):
    with pytest.raises(ValueError, match=re.escape(why)):
        parse(text, unit)


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("1h30m", "90 min"),
        ("1h 30min", "90 min"),
        ("1.5h30m", "2 h"),
        ("1d12h", "36 h"),
        ("2h30m15s", "9015 s"),
        ("30m", "30 min"),
        ("1:30:00", "90 min"),
        ("01:30:15", "5415 s"),
        ("８ 小时", "8 h"),
        ("90分钟", "90 min"),
        ("“12 h”", "12 h"),
        ("１２ h", "12 h"),
    ],
)
def test_what_a_person_understands_is_answered_with_what_to_write(text, other):
    with pytest.raises(ValueError, match=re.escape(f"; write '{other}'")):
        parse(text, "s")
    assert parse(other, "s") > 0  # it would be read


@pytest.mark.parametrize("text", ["1:30", "12 parsec", "1h30x", "5 s2", "1", "m", "h1", "1h-30m"])
def test_what_is_not_clear_is_answered_with_nothing(text):
    assert rewritten(text) == ""


@pytest.mark.parametrize(
    "text",
    [
        *("9**9**9 W", "9**9**9", "1 W**9**9", "2*3 W", "(1) W", "1 - 1 W", "1+1 W", "0x10 W"),
        *("__import__('os') W", "1 __import__", "1 W.__class__", "1 W;1", "1 lambda: W", "1 {W}"),
        *("nan W", "inf W", "-inf W", "1e400 W", "-1e400 W", "1e999999999 W", "1e W", "1e1.5 W"),
        *("١٢ W", "１２ W", "1２ W", "Ⅻ W", "² W", "1² W", "1e５ W", "一 W"),
        *("1 W/", "1 W*", "1 W)", "1 (W", "1 /W", "1 W//s", "1 W**", "1 ( W", "1 W W)"),
        *("1\x00 W", "1 W\x00", "1\nW; rm", "1,5 W", "1 000 W", "--1 W", "1..2 W", "1%", "$1"),
        "1 " + "W" * 79,
        "9" * 100_000 + " W",
        "1 " + "(" * 70 + "W",
    ],
)
def test_hostile_text_is_refused_in_our_words(text):
    for read in (
        lambda: parse(text, "W"),
        lambda: parse_unit_of(text, ("W", "node")),
        lambda: parse_rate_per_node(text),
    ):
        with pytest.raises(ValueError, match=r"not a|unknown unit|characters long") as caught:
            read()
        assert len(str(caught.value)) < 300


def test_the_longest_text_is_eighty_characters():
    longest = "1" * (MAX_TEXT - 2) + " W"
    assert parse(longest, "W") == float("1" * (MAX_TEXT - 2))
    with pytest.raises(ValueError, match=r"is 81 characters long; .* has at most 80"):
        parse("1" + longest, "W")


units = st.sampled_from(["s", "W", "J", "B", "B/s", "FLOP", "FLOP/s", "token", "kg/J", "USD/J"])


@given(st.floats(allow_nan=False, allow_infinity=False), units)
def test_a_number_comes_back_as_it_was_written(number, unit):
    assert parse(f"{number!r} {unit}", unit) == number


@given(st.floats(1e-3, 1e9), st.sampled_from([("k", 3), ("M", 6), ("G", 9), ("T", 12), ("m", -3)]))
def test_a_prefix_is_a_power_of_ten(number, prefix):
    letter, power = prefix
    assert parse(f"{number!r} {letter}W", "W") == pytest.approx(number * 10.0**power, rel=1e-14)


@given(st.text(max_size=MAX_TEXT + 5))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(ValueError):  # and nothing but a ValueError
        assert math.isfinite(parse(text, "s"))


@given(st.from_regex(r"[0-9]{1,3}(e[0-9]{1,3})? ?[A-Za-zµ/*() ]{1,12}", fullmatch=True))
def test_nearly_a_quantity_is_read_or_refused(text):
    with contextlib.suppress(ValueError):  # and nothing but a ValueError
        assert math.isfinite(parse(text, "s"))


@pytest.mark.parametrize(
    ("text", "per_node_day"),
    [
        ("3.79 / 1000 node-days", 0.00379),
        ("3.79/1000 node-days", 0.00379),
        ("1 / 1 node-day", 1.0),
        ("5e-3 / 1 node day", 0.005),
        ("2 / 1_000 node*days", 0.002),
    ],
)
def test_a_rate_per_node_is_faults_over_node_time(text, per_node_day):
    assert parse_rate_per_node(text) * 86_400 == pytest.approx(per_node_day, rel=1e-12)


@pytest.mark.parametrize(
    "text", ["3.79", "3.79 / node-day", "3 / 1000 chip-days", "0 / 1 node-days", "1 / 0 node-days"]
)
def test_a_rate_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="is not a"):
        parse_rate_per_node(text)


def test_the_unit_written_is_the_unit_found():
    assert parse_unit_of("16 nodes", ("node", "chip")) == (16.0, "node")
    assert parse_unit_of("128 chips", ("node", "chip")) == (128.0, "chip")
    with pytest.raises(ValueError, match="is a power, not a number of nodes or a number of chips"):
        parse_unit_of("16 W", ("node", "chip"))


def test_dimensions_have_names():
    assert dimension_name("W") == "a power"
    assert dimension_name("kg") == "a quantity in kg"


@given(
    st.integers(0, 40),
    st.integers(0, 23),
    st.integers(0, 59),
    st.integers(0, 59),
    st.sampled_from(["", " "]),
    st.sampled_from(["m", "min"]),
)
def test_a_time_in_several_units_is_rewritten_as_the_same_time(d, h, minutes, s, space, name):
    """Any two or more of days, hours, minutes and seconds, as people write them together."""
    parts = [(d, "d", 86_400), (h, "h", 3_600), (minutes, name, 60), (s, "s", 1)]
    said = [f"{count}{unit}" for count, unit, _ in parts if count]
    if len(said) < 2:
        return
    other = rewritten(space.join(said))
    assert parse(other, "s") == sum(count * seconds for count, _, seconds in parts)
    with pytest.raises(ValueError, match=re.escape(f"write '{other}'")):
        parse(space.join(said), "s")
