"""What happens next: exact times, ranks, places, and the order of entry."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from computeplan.engines.event.calendar import Calendar, Rank, cancel

END = (100.0, Rank.FAULT)
entry = st.tuples(
    st.sampled_from([0.0, 0.1 + 0.2, 0.3, 1.0, 99.0]),
    st.sampled_from(list(Rank)),
    st.integers(-1, 2),
    st.integers(-1, 2),
)


@given(st.lists(entry, max_size=30))
def test_entries_come_by_time_rank_pool_node_and_as_they_were_entered(entries):
    calendar, seen = Calendar(END), []
    for i, (time_s, rank, pool, node) in enumerate(entries):
        key = (time_s, rank, pool, node, i)
        calendar.at(time_s, rank, lambda now_s, key=key: seen.append((now_s, key)), pool, node)
    calendar.run()
    assert [key for _, key in seen] == sorted((*one, i) for i, one in enumerate(entries))
    assert all(now_s == key[0] for now_s, key in seen)  # exact, not SimPy's rounded clock


def test_what_is_cancelled_does_not_happen():
    calendar, seen = Calendar(END), []
    first = calendar.at(1.0, Rank.FAULT, seen.append)
    calendar.at(2.0, Rank.FAULT, lambda _: cancel(second))
    second = calendar.at(3.0, Rank.FAULT, seen.append)
    cancel(first)
    calendar.run()
    assert not seen


def test_what_is_entered_while_it_runs_comes_in_its_place():
    calendar, seen = Calendar(END), []
    calendar.at(1.0, Rank.FAULT, lambda now_s: calendar.at(now_s, Rank.JOB_ENDS, seen.append))
    calendar.at(1.0, Rank.POLICY, lambda _: seen.append("policy"))
    calendar.run()
    assert seen == [1.0, "policy"]


def test_nothing_happens_from_the_end_on():
    calendar, seen = Calendar(END), []
    for time_s, rank in ((100.0, Rank.JOB_ENDS), (100.0, Rank.FAULT), (101.0, Rank.SAVED)):
        calendar.at(time_s, rank, lambda _, rank=rank: seen.append(rank))
    calendar.run()
    assert seen == [Rank.JOB_ENDS]


def test_who_stops_it_leaves_the_rest():
    calendar, seen = Calendar(END), []
    calendar.at(1.0, Rank.FAULT, lambda _: calendar.entries.clear())
    calendar.at(2.0, Rank.FAULT, seen.append)
    calendar.run()
    assert not seen
