"""Services as they are written: one number or one an hour, and clear words where it is wrong."""

import pytest
from pydantic import ValidationError

from computeplan.specs.services import Service
from computeplan.specs.serving import Drafts, ServingPool

DAY = [16] * 8 + [64] * 16
RUN = {"engine": "vllm", "precision": "fp8"}
TOKENS = {"in": 1155, "out": 211}
APART = {"prefill": {"b": RUN}, "decode": {"a": RUN}}
CHAT = {
    "model": "llama-3.3-70b",
    "requests": {"per_day": 200e6, "tokens": TOKENS, "day": {"peak": 1.5, "at": "20 h"}},
    "slo": {"ttft_p99": "1 s", "tpot_p99": "50 ms", "availability": 0.999},
    "pools": {"b": RUN, "a": {"engine": "MindIE", "precision": "int8", "layout": "tp8 pp2"}},
    "scale": {"start": "3 min", "drain": "2 min"},
    "lend": True,
}


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
        ({"chips": None}, "say either its chips, or model and requests; got none"),
        ({"least": 65}, "least: 65 is more than the 64 chips;"),
        ({"chips": DAY, "least": 17}, "least: 17 is more than the 16 chips of hour 0"),
        ({"least": -1}, "greater than or equal to 0"),
        ({"priority": -1}, "greater than or equal to 0"),
        ({"pools": ["b"]}, "as pool or pools, or as prefill and decode; got pool and pools"),
        ({"pool": None}, "say once where it runs, as pool or pools, .*; got none"),
        ({"pool": None, "pools": []}, "at least 1 item"),
        ({"pool": None, "pools": ["a", "b", "a"]}, "pools: 'a' is named twice"),
        ({"qps": 100}, "Extra inputs"),
        ({"requests": {"per_s": 1}}, "say how long requests are"),
        ({"slo": {"ttft_p99": "1 s"}}, "say either its chips, or .*; got chips and slo"),
        ({"lend": True}, "say either its chips, or .*; got chips and lend"),
        ({"chips": None, "model": "m"}, "got model, without requests"),
        ({"pool": None, "pools": {"a": RUN}}, "they are a list, pools: "),
        ({"pool": None, **APART}, "say either its chips, or .*; got chips and prefill and decode"),
    ],
)
def test_what_is_wrong_is_said(changes, message):
    with pytest.raises(ValidationError, match=message):
        Service.model_validate({"pool": "a", "chips": 64, **changes})


def test_keys_that_people_try_are_answered():
    assert Service.tried["qps"].startswith("write requests: ")
    assert Service.tried["min_replicas"] == "write least: 16, in chips"
    assert not set(Service.tried) & set(Service.model_fields)


def test_the_schema_knows_hours():
    chips = Service.model_json_schema()["properties"]["chips"]["anyOf"][0]
    sizes = [kind["minItems"] for kind in chips["anyOf"] if kind["type"] == "array"]
    assert sizes == [1, 24, 168]


def test_requests_stand_in_the_place_of_chips():
    service = Service.model_validate(CHAT)
    assert service.chips is None
    assert service.pool_names == ("b", "a")
    assert service.roles["both"]["a"].engine == "mindie"
    assert service.roles["both"]["a"].layout.n_ranks == 16
    assert service.roles["both"]["b"].kv == "bf16"
    assert (service.derating, service.balance) == (0.7, 0.94)
    assert service.slo.limits_s("ttft") == {0.99: 1.0}
    assert service.slo.limits_s("tpot") == {0.99: 0.05}
    assert (service.scale.start, service.scale.drain, service.scale.target) == (180, 120, 1)


def changed(changes):
    """Return the chat service with a value at each dotted path; None removes."""
    service = {**CHAT}
    for path, value in changes.items():
        above, last = service, path.split(".")
        for part in last[:-1]:
            above[part] = {**above[part]}
            above = above[part]
        if value is None:
            above.pop(last[-1])
        else:
            above[last[-1]] = value
    return service


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"chips": 64}, "say either its chips, or model and requests; got chips and model"),
        ({"model": None}, "got requests and slo .* without model"),
        ({"requests": None}, "got model and slo .* without requests"),
        ({"scale": None}, "lend: instances that are lent end and start again"),
        ({"lend": {"to": "pretrain"}}, "must be true or false"),
        ({"pools": {}}, "at least 1 item"),
        ({"pools": None, "pool": "a"}, "says what each pool runs, pools: "),
        ({"pools": ["a"]}, "says what each pool runs, pools: "),
        ({"derating": 0}, "greater than 0"),
        ({"derating": 1.1}, "less than or equal to 1"),
        ({"balance": "0.9"}, "must be a number"),
        ({"pools.b.engine": "vlm"}, "engine must be one of .*, not .vlm"),
        ({"pools.b.engine": ""}, "must be the name of an engine, such as vllm"),
        ({"pools.b.precision": "fp6"}, "'fp8'"),
        ({"pools.b.layout": "8"}, "must be 'tp8', or several parts as 'tp8 pp2'"),
        ({"pools.b.layout": "tp8 tp4"}, "must be 'tp8'"),
        ({"pools.b.layout": "tp0"}, "must be 'tp8'"),
        ({"pools.b.layout": "tp4 ep3"}, "ep3 must divide the 4 ranks"),
        ({"pools.b.layout": ""}, "must be 'tp8'"),
        ({"slo.ttft_p50": "2 s"}, "ttft_p50 must be at most ttft_p99; got 2 s and 1 s"),
        ({"slo.tpot_p99": 50}, "needs a unit"),
        ({"slo.tpot_p99": "0 s"}, "must be > 0"),
        ({"slo.availability": 1}, "less than 1"),
        ({"pools.b.speculation": {"draft": 3}}, "Field required"),
        ({"pools.b.speculation": {"draft": 0, "accepted": 1}}, "greater than 0"),
        ({"pools.b.speculation": {"draft": 3, "accepted": 0.9}}, "greater than or equal to 1"),
        ({"pools.b.speculation": {"draft": 3, "accepted": 4.1}}, "at most its 3 drafts and one"),
        (
            {"pools.b.speculation": {"draft": 3, "accepted": 2}, "pools.b.shares": {"table": "a"}},
            "speculation: steps of a table were measured with their drafts",
        ),
        ({"prefill": {"b": RUN}}, "decode is missing: prompts and answers each need pools"),
        ({"pools": None, "decode": {"b": RUN}}, "prefill is missing: prompts and answers"),
        (APART, "as pool or pools, or as prefill and decode; got pools and prefill"),
        ({"pools": None, "prefill": {}, "decode": {}}, "at least 1 item"),
        (
            {"pools": None, **APART, "prefill": {"b": {**RUN, "kv": "fp8"}}},
            "kv: decode reads the cache .* got fp8 of prefill.b and bf16 of decode.a",
        ),
        (
            {
                "pools": None,
                **APART,
                "prefill": {"b": {**RUN, "speculation": {"draft": 1, "accepted": 1}}},
            },
            r"prefill.b.speculation: prompts are not drafted",
        ),
        ({"scale.start": None}, "Field required"),
        ({"scale.target": 0}, "greater than 0"),
        ({"scale.start": "13 h"}, "start: must be at most 12 h, got 13 h"),
        ({"scale.drain": "13 h"}, "drain: must be at most 12 h, got 13 h"),
        ({"requests.per_day": None}, "say how many come once, .* got none"),
        ({"requests.per_s": 3}, "got per_s and per_day"),
        ({"requests.per_day": 0}, "greater than 0"),
        ({"requests.per_day": -5}, "greater than 0"),
        ({"requests.per_day": "200M"}, "must be a number"),
        ({"requests.per_day": 1e15}, "requests a second are more than 1e.09"),
        ({"requests.tokens": None}, "say how long requests are, .* got none"),
        ({"requests.trace": "a.csv"}, "say how long requests are, .* got both"),
        ({"requests.tokens": None, "requests.trace": "a.txt"}, "must be a file such as"),
        (
            {"requests.tokens": None, "requests.trace": "a.csv", "requests.gaps_cv": 2},
            "gaps_cv: a trace has its own times",
        ),
        ({"requests.tokens": {"in": 0, "out": 1}}, "greater than or equal to 1"),
        ({"requests.tokens": {"in": 10}}, "Field required"),
        ({"requests.tokens": {**TOKENS, "cv": -1}}, "greater than or equal to 0"),
        ({"requests.tokens": {**TOKENS, "cv": 1, "in_cv": 1}}, "got cv and in_cv"),
        ({"requests.cached": 1}, "less than 1"),
        ({"requests.gaps_cv": -1}, "greater than or equal to 0"),
        ({"requests.day": {"peak": 2.1, "at": "20 h"}}, "less than or equal to 2"),
        ({"requests.day": {"peak": 0.9, "at": "20 h"}}, "greater than or equal to 1"),
        ({"requests.day": {"peak": 1.5, "at": "24 h"}}, "a full hour from 0 h to 23 h"),
        ({"requests.day": {"peak": 1.5, "at": "90 min"}}, "a full hour from 0 h to 23 h"),
        ({"requests.day": [1] * 23}, "this list has 23"),
        ({"requests.day": [0] * 24}, "all weights are 0"),
        ({"requests.day": [1] * 23 + [-1]}, "hour 23: must be a number >= 0, not -1"),
        ({"requests.day": [1] * 23 + [float("nan")]}, "hour 23: must be a number >= 0"),
        ({"requests.day": "busy"}, "must be {peak: 1.5, at: 20 h}"),
    ],
)
def test_what_is_wrong_of_requests_is_said(changes, message):
    with pytest.raises(ValidationError, match=message):
        Service.model_validate(changed(changes))


def test_a_table_of_ones_own_takes_an_engine_of_any_name():
    run = {**RUN, "engine": "my own", "shares": {"table": "step_s.csv"}}
    service = Service.model_validate(changed({"pools.b": run}))
    assert service.roles["both"]["b"].refusal("nvidia/h100-sxm") == ""


def test_prompts_and_answers_have_pools_of_their_own():
    service = Service.model_validate(changed({"pools": None, **APART}))
    assert service.pool_names == ("b", "a")
    assert {role: [*runs] for role, runs in service.roles.items()} == {
        "prefill": ["b"],
        "decode": ["a"],
    }
    shared = Service.model_validate(changed({"pools": None, **APART, "prefill": {"a": RUN}}))
    assert shared.pool_names == ("a",)


@pytest.mark.parametrize(
    ("model", "word", "said"),
    [
        (Service, "pd", "prefill: {POOL"),
        (Service, "disaggregated", "prefill: {POOL"),
        (Service, "mtp", "speculation: {draft: 3"),
        (ServingPool, "spec_decode", "write speculation: {draft: 3, accepted: 2.9}"),
        (ServingPool, "eagle3", "write speculation: {draft: 3, accepted: 2.9}"),
        (ServingPool, "role", "prefill: {POOL"),
        (Drafts, "acceptance_length", "write accepted: 2.9"),
        (Drafts, "num_speculative_tokens", "write draft: 3"),
    ],
)
def test_words_of_roles_and_drafts_are_answered(model, word, said):
    assert said in model.tried[word]
    assert not set(model.tried) & set(model.model_fields)


@pytest.mark.parametrize(
    ("engine", "chip", "runs"),
    [
        ("vllm", "nvidia/h100-sxm", True),
        ("vLLM", "metax/c550", True),
        ("sglang", "metax/c550", False),
        ("sglang", "amd/mi300x", True),
        ("sglang", "amd/mi325x", True),
        ("sglang", "amd/mi355x", True),
        ("sglang", "amd/mi250x", False),
        ("vllm", "amd/mi250x", True),
        ("vllm", "google/tpu-v5e", True),
        ("sglang", "google/tpu-v5e", False),
        ("sglang", "google/tpu-v6e", True),
        ("sglang", "intel/gaudi3", True),
        ("vllm", "aws/trainium2", True),
        ("sglang", "aws/trainium2", False),
        ("vllm", "nvidia/v100", True),
        ("sglang", "nvidia/v100", False),
        ("sglang", "acme/x1", True),
        ("vllm", "huawei/ascend-910c", True),
        ("trt-llm", "nvidia/h20", True),
        ("MindIE", "huawei/ascend-910b3", True),
        ("sglang", "huawei/ascend-910c", True),
        ("trt-llm", "amd/mi300x", False),
        ("mindie", "nvidia/h100-sxm", False),
        ("tensorrt-llm", "huawei/ascend-910c", False),
        ("vllm-ascend", "nvidia/h100-sxm", False),
    ],
)
def test_an_engine_runs_on_the_chips_of_its_makers(engine, chip, runs):
    run = Service.model_validate(changed({"pools.b.engine": engine})).roles["both"]["b"]
    why = run.refusal(chip)
    assert (why == "") == runs
    assert runs or f"does not run on {chip}; what does: " in why


@pytest.mark.parametrize("chip", ["groq/lpu-v1", "enflame/t20", "nvidia/k80", "kunlunxin/r200"])
def test_a_chip_without_an_engine_asks_for_a_table(chip):
    run = Service.model_validate(changed({"pools.b.engine": "vllm"})).roles["both"]["b"]
    why = run.refusal(chip)
    assert f"no engine of the catalogue is documented to run on {chip}" in why
    assert "shares: {table: step_s.csv}" in why
    table = {**RUN, "engine": "own", "shares": {"table": "step_s.csv"}}
    of_table = Service.model_validate(changed({"pools.b": table})).roles["both"]["b"]
    assert of_table.refusal(chip) == ""
