"""Requests on the whole road: YAML to load, with places where something is wrong."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import computeplan as cp
from computeplan.compiler.compile import compile_world
from computeplan.compiler.serving_load import load_of, mean_kept_frac
from computeplan.errors import ScenarioError
from computeplan.specs.documents.document import parse_document

CHAT = """\
computeplan: 1
name: chat
sites:
  here:
    pue: 1.2
    price: 0.1 USD/kWh
    carbon: 400 g/kWh
    pools:
      a: {chip: nvidia/h100-sxm, chips: 64}
      b: {chip: huawei/ascend-910b2, chips: 64}
services:
  chat:
    model: meta/llama-3.3-70b
    requests:
      {per_day: 200e6, tokens: {in: 1155, out: 211, cv: 0.9}, day: {peak: 1.5, at: 20 h},
       cached: 0.35}
    slo: {ttft_p99: 1 s, tpot_p99: 50 ms, availability: 0.999}
    pools: {a: {engine: vllm, precision: fp8}, b: {engine: mindie, precision: int8}}
    scale: {start: 3 min, drain: 2 min}
    lend: true
simulate: {horizon: 7 d, runs: 2}
"""
TRACE = "seconds,input_tokens,output_tokens\n0,400,40\n2,800,80\n3,600,60\n6,600,60\n"
OF_TRACE = CHAT.replace("per_day: 200e6, tokens: {in: 1155, out: 211, cv: 0.9}", "trace: t.csv")
OF_TRACE = OF_TRACE.replace("},\n       cached: 0.35", "}")


def scenario_of(text):
    return cp.load(parse_document(text, "chat.yaml").data)


def load_file(tmp_path, text, trace=TRACE):
    (tmp_path / "chat.yaml").write_text(text)
    (tmp_path / "t.csv").write_text(trace)
    return cp.load(tmp_path / "chat.yaml")


def said_of(tmp_path, text, trace=TRACE):
    with pytest.raises(ScenarioError) as error:
        load_file(tmp_path, text, trace)
    (problem,) = error.value.problems
    return problem


def test_the_load_of_two_hundred_million_requests_a_day():
    load, notes = load_of(scenario_of(CHAT), "chat")
    assert load.per_s.shape == (24,)
    assert load.per_s.mean() * 86_400 == pytest.approx(200e6)
    assert load.per_s.argmax() == 20
    assert load.per_s.max() * 86_400 == pytest.approx(300e6)
    assert (load.gaps_cv, load.cached_frac, load.trace) == (1, 0.35, None)
    assert (load.input_tokens.mean, load.input_tokens.cv) == (1155, 0.9)
    assert (load.output_tokens.mean, load.output_tokens.cv) == (211, 0.9)
    assert load.input_tokens.most + 211 == 131_072
    assert not notes


def test_a_spread_that_is_left_out_is_noted():
    load, (said,) = load_of(scenario_of(CHAT.replace(", cv: 0.9", "")), "chat")
    assert (load.input_tokens.cv, load.output_tokens.cv) == (0.96, 0.77)
    assert said.code == "service_spread_assumed"


def test_a_value_is_changed_by_its_path():
    changes = {
        "services.chat.requests.tokens.in": 2000,
        "services.chat.requests.per_s": 5,
        "services.chat.pools.a.layout": "tp4",
    }
    scenario = scenario_of(CHAT).with_(changes)
    service = scenario.services["chat"]
    assert service.requests.tokens.mean_in == 2000
    assert service.requests.mean_per_s == 5
    assert service.roles["both"]["a"].layout.tp == 4
    with pytest.raises(ScenarioError, match="write in: 1155"):
        scenario.with_({"services.chat.requests.tokens.isl": 5})


def test_stated_chips_take_the_place_of_requests():
    changes = {"services.chat.chips": 16, "services.chat.pool": "a"}
    service = scenario_of(CHAT).with_(changes).services["chat"]
    assert (service.chips, service.model, service.requests) == ((16,), None, None)


def test_a_world_of_requests_that_nobody_planned_for_is_refused():
    with pytest.raises(ScenarioError, match="how many chips requests take is found out before"):
        compile_world(scenario_of(CHAT))


def test_a_trace_brings_rate_lengths_and_spread(tmp_path):
    load, _ = load_of(load_file(tmp_path, OF_TRACE), "chat")
    assert load.per_s.mean() == pytest.approx(3 / 6)
    assert load.trace.arrival_s.tolist() == [0, 2, 3, 6]
    assert load.input_tokens.mean == 600
    assert load.input_tokens.cv == pytest.approx(np.std([400, 800, 600, 600]) / 600)
    assert load.gaps_cv == pytest.approx(np.std([2, 1, 3]) / 2)
    assert load.cached_frac == 0
    faster = load_file(tmp_path, OF_TRACE.replace("trace: t.csv", "trace: t.csv, per_s: 9"))
    assert load_of(faster, "chat")[0].per_s.mean() == pytest.approx(9)


def test_a_silence_of_a_trace_is_told_with_its_place(tmp_path):
    rows = [f"{at},400,40" for at in (*range(300), *range(1000, 1300))]
    trace = "\n".join([TRACE.splitlines()[0], *rows])
    _, (said,) = load_of(load_file(tmp_path, OF_TRACE, trace), "chat")
    assert said.code == "service_trace_gap"
    values = dict(said.values)
    assert (values["line"], values["at_s"], values["gap_s"], values["n"]) == (301, 299, 701, 1)


def test_a_trace_says_what_a_cache_could_hold(tmp_path):
    header, *rows = TRACE.splitlines()
    known = "\n".join([f"{header},reusable_prefix_tokens", *(f"{row},120" for row in rows)])
    scenario = load_file(tmp_path, OF_TRACE, known + "\n")
    assert load_of(scenario, "chat")[0].cached_frac == pytest.approx(480 / 2400)
    twice = load_file(tmp_path, OF_TRACE.replace("t.csv", "t.csv, cached: 0.3"), known + "\n")
    with pytest.raises(ScenarioError, match="leave out cached"):
        load_of(twice, "chat")


def test_a_scenario_with_a_trace_is_written_whole(tmp_path):
    scenario = load_file(tmp_path, OF_TRACE)
    folder = tmp_path / "again"
    (folder / "inputs").mkdir(parents=True)
    for name, data in scenario.input_files().items():
        (folder / name).write_bytes(data)
    (folder / "scenario.yaml").write_text(scenario.to_yaml())
    again = cp.load(folder / "scenario.yaml")
    assert again.services["chat"].requests.trace == "inputs/chat-requests.csv"
    one, other = (load_of(each, "chat")[0].trace for each in (scenario, again))
    assert np.array_equal(one.arrival_s, other.arrival_s)
    assert np.array_equal(one.input_tokens, other.input_tokens)


STEPS = "batch,context,prompt_tokens,step_s\n1,1000,0,0.02\n8,1000,0,0.025\n0,0,1000,0.09\n"
OWN = CHAT.replace(
    "engine: mindie, precision: int8", "engine: ours, precision: int8, shares: {table: s.csv}"
)


def test_times_of_steps_of_ones_own_are_read_and_written(tmp_path):
    (tmp_path / "s.csv").write_text(STEPS)
    scenario = load_file(tmp_path, OWN)
    table = scenario.step_tables["chat", "b"]
    assert table.step_s.tolist() == [0.02, 0.025, 0.09]
    assert scenario.input_files()["inputs/chat-b-steps.csv"].decode().count("\n") == 4
    folder = tmp_path / "again"
    (folder / "inputs").mkdir(parents=True)
    for name, data in scenario.input_files().items():
        (folder / name).write_bytes(data)
    (folder / "scenario.yaml").write_text(scenario.to_yaml())
    again = cp.load(folder / "scenario.yaml").step_tables["chat", "b"]
    assert np.array_equal(table.batch, again.batch)
    assert np.array_equal(table.step_s, again.step_s)


def test_a_pool_with_both_roles_has_a_table_of_each(tmp_path):
    run = "{b: {engine: ours, precision: int8, layout: tp8, shares: {table: %s.csv}}}"
    pools = CHAT[CHAT.index("    pools: {a: {engine") : CHAT.index("    scale:")]
    text = CHAT.replace(pools, f"    prefill: {run % 's'}\n    decode: {run % 't2'}\n")
    (tmp_path / "s.csv").write_text(STEPS)
    (tmp_path / "t2.csv").write_text(STEPS.replace("0.02\n", "0.01\n"))
    scenario = load_file(tmp_path, text)
    folder = tmp_path / "again"
    (folder / "inputs").mkdir(parents=True)
    for name, data in scenario.input_files().items():
        (folder / name).write_bytes(data)
    (folder / "scenario.yaml").write_text(scenario.to_yaml())
    again = cp.load(folder / "scenario.yaml").step_tables
    assert {called: table.step_s[0] for called, table in again.items()} == {
        ("chat.prefill", "b"): 0.02,
        ("chat.decode", "b"): 0.01,
    }


def test_times_of_steps_that_are_wrong_are_said_at_the_pool(tmp_path):
    (tmp_path / "s.csv").write_text(STEPS + "8,1000,0,\n")
    problem = said_of(tmp_path, OWN)
    assert problem.path == "services.chat.pools.b.shares.table"
    assert "line 5" in problem.message


@pytest.mark.parametrize(
    ("old", "new", "path", "said"),
    [
        ("in: 1155", "in: 131000", "requests.tokens", "are longer than the 131072 that meta"),
        (
            "engine: mindie",
            "engine: trt-llm",
            "pools.b.engine",
            "does not run on huawei/ascend-910b2",
        ),
        ("pools: {a:", "pools: {c:", "pools", "no pool 'c'"),
        ("meta/llama-3.3-70b", "meta/llama-3.9-70b", "model", "no model 'meta/llama-3.9-70b'"),
        ("per_day: 200e6", "per_day: -1", "requests.per_day", "should be greater than 0"),
        ("per_day:", "rps:", "requests.rps", "write per_s: 20"),
        ("ttft_p99: 1 s", "ttft: 1 s", "slo.ttft", "write ttft_p99: 1 s"),
        ("in: 1155", "input: 1155", "requests.tokens.input", "write in: 1155"),
        ("engine: vllm", "framework: vllm", "pools.a.framework", "write engine: vllm"),
        ("lend: true", "lend: {to: j}", "lend", "must be true or false"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path, old, new, path, said):
    (tmp_path / "chat.yaml").write_text(CHAT.replace(old, new))
    with pytest.raises(ScenarioError) as error:
        cp.load(tmp_path / "chat.yaml")
    found = [one for one in error.value.problems if one.path == f"services.chat.{path}"]
    assert found, str(error.value)
    assert said in found[0].message
    assert found[0].line > 8


@pytest.mark.parametrize(
    ("trace", "said"),
    [
        (TRACE + "1,5,5\n", "'t.csv' line 6: is 5 s earlier than the request before it"),
        (TRACE + "7,,5\n", "'t.csv' line 6: input_tokens is empty"),
        (TRACE + "7,131000,100\n", "line 6: a request of 131100 tokens with its answer is longer"),
    ],
)
def test_a_bad_trace_is_said_at_the_service(tmp_path, trace, said):
    problem = said_of(tmp_path, OF_TRACE, trace)
    assert problem.path == "services.chat.requests.trace"
    assert said.replace(":", "") in problem.message.replace(":", "")


def test_a_trace_that_is_not_there_is_said(tmp_path):
    problem = said_of(tmp_path, OF_TRACE.replace("t.csv", "u.csv"))
    assert "'u.csv'" in problem.message
    assert "is not a file" in problem.message


def test_lengths_whose_spread_the_model_does_not_take_are_refused():
    text = CHAT.replace("meta/llama-3.3-70b", "eleutherai/gpt-j-6b")
    with pytest.raises(ScenarioError) as error:
        load_of(scenario_of(text), "chat")
    at = "services.chat.requests.tokens"
    assert [one.path for one in error.value.problems] == [f"{at}.in", f"{at}.out"]
    assert "do not fit the 2048 that the model takes" in str(error.value)
    load_of(scenario_of(text.replace("cv: 0.9", "cv: 0.2")), "chat")


@given(st.floats(10, 1e4), st.floats(0.05, 3), st.floats(1.1, 50))
def test_the_mean_that_a_limit_keeps_is_that_of_draws(mean, cv, times):
    """Ten thousand quantiles of the law, those beyond the limit left out: no shared formula."""
    sigma = np.sqrt(np.log(1 + cv * cv))
    z = st_normal_quantiles()
    draws = np.exp(np.log(mean) - sigma**2 / 2 + sigma * z)
    kept = draws[draws <= mean * times]
    expected = kept.mean() / mean
    assert mean_kept_frac(mean, cv, mean * times) == pytest.approx(expected, rel=0.02)


def st_normal_quantiles():
    from statistics import NormalDist

    normal = NormalDist()
    return np.array([normal.inv_cdf((i + 0.5) / 10_000) for i in range(10_000)])
