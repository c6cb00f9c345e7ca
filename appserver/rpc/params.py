"""What arrives, held against the method table: params of requests, and results of the client's replies.

The validators are pydantic's, built per type when one is first needed: importing pydantic costs more than answering
the handshake. Error texts name the place and the problem, never the value: it may be a credential.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from appserver.errors import InvalidParams
from protocol.methods import CLIENT_REQUESTS, SERVER_REQUESTS

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError
    from pydantic_core import ErrorDetails

MAX_PROBLEMS_TOLD = 3


def validated_params(method: str, params: object) -> dict[str, Any]:
    """Return the params of a client's request, without unknown members. Raises InvalidParams."""
    wanted = CLIENT_REQUESTS[method].params
    if wanted is None or not (params or getattr(wanted, "__required_keys__", True)):
        return {}  # nothing to hold it against, so nothing to import for it
    return _validated(wanted, {} if params is None else params, f"Invalid params for {method}")


def validated_result(method: str, result: object) -> dict[str, Any]:
    """Return the result of the client's reply to a request of ours. Raises InvalidParams."""
    return _validated(SERVER_REQUESTS[method].result, result, f"Invalid result of {method}")


def _validated(wanted: Any, value: object, what: str) -> dict[str, Any]:  # noqa: ANN401 - a type expression
    from pydantic import ValidationError

    try:
        found: dict[str, Any] = _adapter(wanted).validate_python(value, strict=True)
    except ValidationError as exc:
        raise InvalidParams(f"{what}: {_problems(exc)}") from None  # the cause holds the input
    return found


@cache
def _adapter(wanted: Any) -> TypeAdapter[Any]:  # noqa: ANN401 - a type expression
    from pydantic import TypeAdapter

    return TypeAdapter(wanted)


def _problems(exc: ValidationError) -> str:
    found = exc.errors(include_input=False, include_url=False)
    return "; ".join(_told(problem) for problem in found[:MAX_PROBLEMS_TOLD])


def _told(problem: ErrorDetails) -> str:
    text = problem["msg"]
    if problem["type"] == "union_tag_invalid":  # pydantic's own text repeats the tag that was sent
        text = f"{problem['ctx']['discriminator']}: expected one of {problem['ctx']['expected_tags']}"
    return f"{'.'.join(map(str, problem['loc']))}: {text}" if problem["loc"] else text
