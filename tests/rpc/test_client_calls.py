from __future__ import annotations

from typing import Any

import anyio
import pytest

from appserver.errors import ClientError, ClientTimeout, InvalidParams
from appserver.rpc.pending import MAX_OVERDUE
from protocol.base import Secret
from tests.rpc.rig import BOUND, Message, Rig

pytestmark = pytest.mark.anyio

METHOD = "account/chatgptAuthTokens/refresh"
PARAMS = {"reason": "unauthorized", "previousAccountId": "org-1"}
TOKENS = {"accessToken": "token", "chatgptAccountId": "org-1"}


class Outcome:
    """What became of a request of ours: a result or an exception."""

    def __init__(self) -> None:
        self.value: object = None
        self.ended = anyio.Event()


async def ask(rig: Rig, outcome: Outcome, timeout: float = BOUND) -> None:
    try:
        outcome.value = await rig.parent.request(METHOD, PARAMS, timeout=timeout)
    except (ClientError, InvalidParams) as exc:
        outcome.value = exc
    outcome.ended.set()


async def answered(rig: Rig, *replies: Message) -> object:
    """Send a request, let these come in (with its id where they have none), and say what became of it."""
    outcome = Outcome()
    with anyio.fail_after(BOUND):
        async with anyio.create_task_group() as group:
            group.start_soon(ask, rig, outcome)
            sent = await rig.wait(lambda one: one.get("method") == METHOD)
            rig.feed(*({"id": sent["id"], **reply} for reply in replies))
            await outcome.ended.wait()
    return outcome.value


async def test_a_reply_reaches_who_waits_for_it() -> None:
    rig = Rig()
    assert await answered(rig, {"result": TOKENS}) == {"accessToken": Secret("token"), "chatgptAccountId": "org-1"}
    assert rig.sent == [{"id": 0, "method": METHOD, "params": PARAMS}]
    assert rig.warnings == []


async def test_requests_have_ids_of_their_own_and_replies_may_come_in_any_order() -> None:
    rig = Rig()
    outcomes = [Outcome() for _ in range(5)]
    async with anyio.create_task_group() as group:
        for outcome in outcomes:
            group.start_soon(ask, rig, outcome)
        await rig.wait(lambda _: len(rig.sent) == 5)
        ids = [one["id"] for one in rig.sent]
        assert len(set(ids)) == 5
        rig.feed(*({"id": one, "result": {**TOKENS, "chatgptPlanType": str(one)}} for one in reversed(ids)))
    plans = [outcome.value["chatgptPlanType"] for outcome in outcomes if isinstance(outcome.value, dict)]
    assert plans == [str(one) for one in ids]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ({"code": -32000, "message": "the host is offline"}, "the host is offline (code=-32000)"),
        ({"message": "the host is offline"}, "the host is offline"),
        ({"code": 5}, "no message (code=5)"),
        ({}, "no message"),
        ("oops", "oops"),
        (5, "5"),
        (None, "None"),
        (["a"], "['a']"),
        ({"code": "E_HOST", "message": {"deep": 1}}, "{'deep': 1} (code=***)"),
    ],
)
async def test_an_error_reaches_who_waits_at_once_however_it_is_shaped(error: object, told: str) -> None:
    exc = await answered(Rig(), {"error": error})
    assert isinstance(exc, ClientError)
    assert exc.message == f"{METHOD} failed: {told}"


async def test_a_credential_in_the_parents_error_is_not_passed_on() -> None:
    exc = await answered(Rig(), {"error": {"code": 1, "message": "refused sk-very-secret-value"}})
    assert "sk-very-secret-value" not in str(exc)


async def test_a_reply_with_both_members_is_read_as_json_rpc_1_0_has_it() -> None:
    assert isinstance(await answered(Rig(), {"result": TOKENS, "error": None}), dict)
    assert isinstance(await answered(Rig(), {"result": None, "error": "oops"}), ClientError)


@pytest.mark.parametrize("result", [None, {}, {"accessToken": 5}, "text", []])
async def test_a_result_that_does_not_fit_is_an_error_at_once(result: object) -> None:
    assert isinstance(await answered(Rig(), {"result": result}), InvalidParams)


async def test_only_the_first_reply_counts() -> None:
    rig = Rig()
    found = await answered(rig, {"result": TOKENS}, {"result": {**TOKENS, "accessToken": "second"}})
    assert isinstance(found, dict)
    assert found["accessToken"] == Secret("token")
    assert len(rig.warnings) == 1


@pytest.mark.parametrize("request_id", [7, "0", -1, "unknown"])
async def test_a_reply_that_nobody_waits_for_is_ignored_and_logged(request_id: object) -> None:
    rig = Rig()
    rig.feed({"id": request_id, "result": TOKENS}, {"id": request_id, "error": "oops"})
    assert rig.taken() == []
    assert len(rig.warnings) == 2
    assert all("nobody waits for" in warning for warning in rig.warnings)
    assert not any("token" in warning for warning in rig.warnings)


async def test_an_id_of_another_type_is_another_id() -> None:
    assert isinstance(await answered(Rig(), {"id": "0", "result": {}}, {"result": TOKENS}), dict)


async def overdue(rig: Rig, late: list[dict[str, Any]]) -> None:
    with pytest.raises(ClientTimeout, match="timed out after 0s"):
        await rig.parent.request(METHOD, PARAMS, timeout=0, late=late.append)


async def test_who_waits_too_long_is_told_so_and_may_try_again() -> None:
    rig = Rig()
    with pytest.raises(ClientTimeout) as caught:
        await rig.parent.request(METHOD, PARAMS, timeout=0)
    assert caught.value.retryable
    rig.feed({"id": 0, "result": TOKENS})
    assert len(rig.warnings) == 1


async def test_a_late_reply_goes_to_who_was_left_for_it_once() -> None:
    rig, late = Rig(), list[dict[str, Any]]()
    await overdue(rig, late)
    rig.feed({"id": 0, "result": TOKENS}, {"id": 0, "result": TOKENS})
    assert late == [{"accessToken": Secret("token"), "chatgptAccountId": "org-1"}]
    assert len(rig.warnings) == 1


@pytest.mark.parametrize("reply", [{"result": {}}, {"result": None}, {"error": "oops"}, {"error": None}])
async def test_a_late_reply_that_is_of_no_use_is_logged(reply: Message) -> None:
    rig, late = Rig(), list[dict[str, Any]]()
    await overdue(rig, late)
    rig.feed({"id": 0, **reply})
    assert late == []
    assert len(rig.warnings) == 1


async def test_a_fault_in_taking_a_late_reply_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: object) -> None:
        raise LookupError("what went wrong")

    rig = Rig()
    with pytest.raises(ClientTimeout):
        await rig.parent.request(METHOD, PARAMS, timeout=0, late=fail)
    rig.feed({"id": 0, "result": TOKENS}, {"id": 1, "method": "account/read"})
    assert rig.taken()[-1]["result"] == {"read": {}}
    assert "what went wrong" in caplog.text


async def test_of_many_overdue_requests_the_oldest_are_forgotten() -> None:
    rig, late = Rig(), list[dict[str, Any]]()
    for _ in range(MAX_OVERDUE + 2):
        await overdue(rig, late)
    rig.feed(*({"id": number, "result": TOKENS} for number in range(MAX_OVERDUE + 2)))
    assert len(late) == MAX_OVERDUE
    assert len(rig.warnings) == 2


async def test_a_cancelled_wait_leaves_nobody_but_the_receiver_for_a_late_reply() -> None:
    rig, late = Rig(), list[dict[str, Any]]()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await rig.parent.request(METHOD, PARAMS, timeout=BOUND, late=late.append)
    rig.feed({"id": 0, "result": TOKENS})
    assert len(late) == 1


def test_notifications_are_sent_unless_the_parent_has_opted_out_of_them() -> None:
    rig = Rig()
    rig.session.begin("tests", "1", frozenset({"account/updated", "no/such"}))
    rig.parent.notify("account/updated", {"a": 1})
    rig.parent.notify("account/login/completed", {"b": 2})
    assert rig.taken() == [{"method": "account/login/completed", "params": {"b": 2}}]


async def test_requests_of_ours_cannot_be_opted_out_of() -> None:
    rig = Rig()
    rig.session.begin("tests", "1", frozenset({METHOD}))
    assert isinstance(await answered(rig, {"result": TOKENS}), dict)
