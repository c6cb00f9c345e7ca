from __future__ import annotations

import pytest

from appserver.errors import InvalidParams
from appserver.rpc.router import MAX_PROBLEMS_TOLD, validated_params, validated_result
from protocol.base import Secret
from protocol.methods import CLIENT_REQUESTS

REFRESH = "account/chatgptAuthTokens/refresh"
SECRET = "sk-very-secret-value"


def test_secrets_are_wrapped_when_they_come_in() -> None:
    params = validated_params("account/login/start", {"type": "apiKey", "apiKey": SECRET})
    assert params == {"type": "apiKey", "apiKey": Secret(SECRET)}
    assert SECRET not in repr(params)


@pytest.mark.parametrize("value", [1, 0, "true", "false", "", [], {}])
def test_nothing_is_converted(value: object) -> None:
    with pytest.raises(InvalidParams, match="refreshToken"):
        validated_params("account/read", {"refreshToken": value})


def test_only_the_first_problems_are_told() -> None:
    thread = dict.fromkeys(["model", "modelProvider", "cwd", "baseInstructions", "developerInstructions"], 5)
    with pytest.raises(InvalidParams) as caught:
        validated_params("thread/start", thread)
    assert caught.value.message.count(";") == MAX_PROBLEMS_TOLD - 1


def test_the_cause_which_holds_the_input_is_not_kept() -> None:
    with pytest.raises(InvalidParams) as caught:
        validated_params("account/login/start", {"type": "apiKey", "apiKey": [SECRET]})
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("method", CLIENT_REQUESTS)
def test_every_method_has_params_that_can_be_validated(method: str) -> None:
    for params in ({}, None, {"unknown": 1}):
        try:
            found = validated_params(method, params)
        except InvalidParams as exc:
            found = {"told": exc.message}
        assert "told" not in found or found["told"].startswith(f"Invalid params for {method}: ")


def test_a_result_of_the_parent_is_held_against_the_table() -> None:
    result = validated_result(REFRESH, {"accessToken": SECRET, "chatgptAccountId": "org-1", "unknown": 1})
    assert result == {"accessToken": Secret(SECRET), "chatgptAccountId": "org-1"}


@pytest.mark.parametrize("result", [None, 5, [], "text", {"accessToken": 5}, {"accessToken": {"x": SECRET}}])
def test_a_result_that_does_not_fit_is_refused_without_its_value(result: object) -> None:
    with pytest.raises(InvalidParams) as caught:
        validated_result(REFRESH, result)
    assert SECRET not in caught.value.message
