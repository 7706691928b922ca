"""Services as they are written: one number or one an hour, and clear words where it is wrong."""

import pytest
from pydantic import ValidationError

from computeplan.specs.services import Service

DAY = [16] * 8 + [64] * 16


def test_what_is_written_is_read():
    service = Service.model_validate(
        {"pool": "h100", "chips": DAY, "least": 16, "priority": 10, "tenant": "web"}
    )
    assert service.chips == tuple(DAY)
    assert (service.least, service.priority, service.tenant) == (16, 10, "web")
    assert service.pool_names == ("h100",)


def test_a_number_is_the_same_at_all_hours():
    assert Service.model_validate({"pool": "a", "chips": 64}).chips == (64,)


def test_several_pools_keep_their_order():
    service = Service.model_validate({"pools": ["b", "a"], "chips": [8] * 168})
    assert service.pool_names == ("b", "a")


def test_what_is_dumped_is_read_again():
    service = Service.model_validate({"pool": "a", "chips": 64, "least": 8})
    assert Service.model_validate(service.model_dump()) == service


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"chips": 0}, "must be 64, or a list of 24 numbers"),
        ({"chips": True}, "not True"),
        ({"chips": 6.5}, "not 6.5"),
        ({"chips": "64"}, "not '64'"),
        ({"chips": -8}, "not -8"),
        ({"chips": [8] * 23}, "this list has 23"),
        ({"chips": []}, "this list has 0"),
        ({"chips": [0] * 24}, "all are 0"),
        ({"chips": [8] * 23 + ["many"]}, "hour 23: must be a whole number of chips .* not 'many'"),
        ({"chips": [8] * 5 + [-1] * 19}, "hour 5: must be a whole number"),
        ({"chips": {"day": 8}}, "must be 64, or a list"),
        ({"chips": None}, "must be 64, or a list"),
        ({"least": 65}, "least: 65 is more than the 64 chips;"),
        ({"chips": DAY, "least": 17}, "least: 17 is more than the 16 chips of hour 0"),
        ({"least": -1}, "greater than or equal to 0"),
        ({"priority": -1}, "greater than or equal to 0"),
        ({"pools": ["b"]}, "say once where it runs, as pool or pools; got pool and pools"),
        ({"pool": None}, "say once where it runs, as pool or pools; got none"),
        ({"pool": None, "pools": []}, "at least 1 item"),
        ({"pool": None, "pools": ["a", "b", "a"]}, "pools: 'a' is named twice"),
        ({"requests": 100}, "Extra inputs"),
    ],
)
def test_what_is_wrong_is_said(changes, message):
    with pytest.raises(ValidationError, match=message):
        Service.model_validate({"pool": "a", "chips": 64, **changes})


def test_keys_that_people_try_are_answered():
    assert "requests are not simulated" in Service.tried["qps"]
    assert Service.tried["min_replicas"] == "write least: 16, in chips"
    assert not set(Service.tried) & set(Service.model_fields)


def test_the_schema_knows_hours():
    chips = Service.model_json_schema()["properties"]["chips"]
    sizes = [kind["minItems"] for kind in chips["anyOf"] if kind["type"] == "array"]
    assert sizes == [1, 24, 168]
