"""The W3C trace context of a request: taken if it is valid, and never in the request's way."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appserver.trace_context import MAX_STATE_CHARACTERS, TraceContext, trace_of

IDS = "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"
PARENT = f"00-{IDS}-01"

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def read(traceparent: object, tracestate: object = None) -> TraceContext | None:
    return trace_of({"id": 1, "method": "turn/start", "trace": {"traceparent": traceparent, "tracestate": tracestate}})


def state(tracestate: object) -> str | None:
    found = read(PARENT, tracestate)
    assert found is not None
    return found.tracestate


@pytest.mark.parametrize(
    "members",
    [
        {"trace": {"traceparent": PARENT, "tracestate": "a=b"}},
        {"params": {"_meta": {"traceparent": PARENT, "tracestate": "a=b"}}},
        {"trace": {"traceparent": PARENT, "tracestate": "a=b"}, "params": {"_meta": {"traceparent": f"00-{IDS}-00"}}},
        {"trace": {"traceparent": "nonsense"}, "params": {"_meta": {"traceparent": PARENT, "tracestate": "a=b"}}},
    ],
    ids=["in the envelope", "in the params", "in both", "only one can be read"],
)
def test_the_context_is_a_member_of_the_envelope_or_of_the_params(members: dict[str, Any]) -> None:
    found = trace_of({"id": 1, "method": "turn/start", **members})
    assert found is not None
    assert found.headers == {"traceparent": PARENT, "tracestate": "a=b"}
    assert found.trace_id == IDS.partition("-")[0]


@pytest.mark.parametrize(
    "traceparent",
    [
        None,
        7,
        [PARENT],
        "",
        PARENT.upper(),
        f" {PARENT}",
        f"{PARENT}\n",
        f"{PARENT}-more",
        f"ff-{IDS}-01",
        f"00-{IDS}-1",
        f"00-{IDS}",
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01",
    ],
)
def test_a_malformed_traceparent_is_passed_over(traceparent: object) -> None:
    assert read(traceparent) is None


@pytest.mark.parametrize(
    ("later", "passed_on"),
    [(f"01-{IDS}-01", PARENT), (f"cc-{IDS}-03-what comes later", PARENT), (f"cc-{IDS}-fe", f"00-{IDS}-00")],
)
def test_a_later_version_is_passed_on_as_the_version_that_is_known(later: str, passed_on: str) -> None:
    found = read(later)
    assert found is not None
    assert found.traceparent == passed_on


@pytest.mark.parametrize(
    ("tracestate", "passed_on"),
    [
        ("a=b", "a=b"),
        ("a=b , ,tenant@system=c d", "a=b,tenant@system=c d"),
        ("0a*-/_=!", "0a*-/_=!"),
        ("", None),
        (" , ", None),
    ],
)
def test_a_tracestate_is_passed_on(tracestate: str, passed_on: str | None) -> None:
    assert state(tracestate) == passed_on


@pytest.mark.parametrize(
    "tracestate",
    [7, "a", "A=b", "a=b=c", "a=b,a=c", "a=b\r\nx: y", "a=ü", "=b", "a=", ",".join(f"k{n}=v" for n in range(33))],
)
def test_a_malformed_tracestate_does_not_cost_the_traceparent(tracestate: object) -> None:
    assert state(tracestate) is None


def test_a_long_tracestate_loses_whole_members_at_its_end() -> None:
    members = [f"key{number}={'v' * 100}" for number in range(30)]
    passed_on = state(",".join(members))
    assert passed_on == ",".join(members[:4])
    assert len(passed_on) <= MAX_STATE_CHARACTERS
    assert state("a=" + "v" * 100_000) is None


@given(anything, anything)
def test_nothing_that_a_client_sends_can_break_a_request(trace: object, params: object) -> None:
    found = trace_of({"id": 1, "method": "x", "trace": trace, "params": params})
    assert found is None or found.traceparent.isascii()


@given(st.text(), st.text())
def test_what_is_passed_on_is_fit_for_a_header(traceparent: str, tracestate: str) -> None:
    found = read(traceparent, tracestate) or read(PARENT, tracestate)
    assert found is not None
    assert all(value.isascii() and value.isprintable() for value in found.headers.values())
