"""A Chat Completions request -> the body of a Responses request, and what of it has no counterpart there."""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

from appserver.gateway.chat.messages import input_items, split_instructions
from appserver.gateway.invalid import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pydantic import ValidationError

    from appserver.gateway.chat.types import (
        ChatRequest,
        Json,
        NamedChoice,
        ResponseFormat,
        Tool,
        ToolChoice,
        WebSearchOptions,
    )

MIN_OUTPUT_TOKENS = 16
"""The Responses API takes no lower bound on output tokens, Chat Completions takes 1: the higher one is sent."""

MAX_STOPS = 4
"""As in the API itself."""

SAME = (
    # Parameters that both APIs have under one name.
    "metadata",
    "model",
    "parallel_tool_calls",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "temperature",
    "top_p",
    "user",
)

NEUTRAL: Mapping[str, tuple[object, ...]] = {
    # Parameters without a counterpart, and the values that change nothing: these need not be told of.
    "frequency_penalty": (0,),
    "logit_bias": ({},),
    "logprobs": (False,),
    "modalities": (["text"],),
    "n": (1,),
    "presence_penalty": (0,),
}

OLDER = {"functions": "tools", "function_call": "tool_choice"}
"""Parameters that others took the place of. To drop them would change what the model may do."""

NAMES = {
    # Where the Responses API speaks of a parameter by another name than the caller of Chat Completions does.
    "include": "logprobs",
    "input": "messages",
    "instructions": "messages",
    "reasoning.effort": "reasoning_effort",
    "text.format": "response_format",
    "text.verbosity": "verbosity",
}


class Translated(NamedTuple):
    """A request, translated."""

    body: Json
    dropped: tuple[str, ...]
    """Parameters that have no counterpart."""
    stop: tuple[str, ...]
    """Stop sequences. The Responses API has none: the answer is cut here."""
    stream: bool
    include_usage: bool
    limit: str
    """The name by which the caller has limited the output."""

    def name(self, param: str | None) -> str | None:
        """Return the caller's name of what the Responses API calls `param`."""
        if param is None:
            return None
        for theirs, ours in (("max_output_tokens", self.limit), *NAMES.items()):
            if param == theirs or param.startswith((f"{theirs}.", f"{theirs}[")):
                return ours + param[len(theirs) :]
        return param


def translate(request: object) -> Translated:
    """Translate a request, as it was decoded from JSON. Raises InvalidRequest."""
    chat = _validated(request)
    instructions, messages = split_instructions(chat["messages"])
    body: Json = {name: value for name in SAME if (value := chat.get(name)) is not None}
    body["input"] = input_items(messages)
    if instructions is not None:
        body["instructions"] = instructions
    body["store"] = bool(chat.get("store"))  # the two APIs differ in what they do where nothing is said
    for member, value in (
        ("max_output_tokens", _max_output_tokens(chat)),
        ("reasoning", {"effort": effort} if (effort := chat.get("reasoning_effort")) is not None else None),
        ("text", _text(chat)),
        ("tools", _tools(chat)),
        ("tool_choice", _tool_choice(chat.get("tool_choice"))),
    ):
        if value:
            body[member] = value
    if chat.get("logprobs"):
        body["include"] = ["message.output_text.logprobs"]
        body["top_logprobs"] = chat.get("top_logprobs") or 0
    options = chat.get("stream_options") or {}
    limit = _limit(chat)
    dropped = tuple(_dropped(cast("Mapping[str, object]", request), chat))
    return Translated(body, dropped, _stops(chat), bool(chat.get("stream")), bool(options.get("include_usage")), limit)


TRANSLATED = frozenset(
    (
        *SAME,
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "reasoning_effort",
        "response_format",
        "stop",
        "store",
        "stream",
        "stream_options",
        "tool_choice",
        "tools",
        "top_logprobs",
        "verbosity",
        "web_search_options",
    )
)


def _validated(request: object) -> ChatRequest:
    from pydantic import ValidationError

    try:
        chat = _validator()(request)
    except ValidationError as exc:
        raise _invalid(request, exc) from None
    for older, newer in OLDER.items():
        if cast("Mapping[str, object]", request).get(older):
            raise InvalidRequest(f"{older} is not supported: use {newer}", older, "unsupported_parameter")
    if not chat["messages"]:
        raise InvalidRequest("messages must not be empty", "messages", "empty_array")
    if (chat.get("n") or 1) > 1:
        raise InvalidRequest("Only one choice can be had: n must be 1", "n", "unsupported_value")
    return chat


@cache
def _validator() -> Callable[[object], ChatRequest]:
    from pydantic import TypeAdapter

    from appserver.gateway.chat.types import ChatRequest

    adapter: TypeAdapter[ChatRequest] = TypeAdapter(ChatRequest)
    return partial(adapter.validate_python, strict=True)


def _invalid(request: object, exc: ValidationError) -> InvalidRequest:
    """Name the member that is wrong as OpenAI does: `messages[0].content`. Its value is not repeated."""
    first = exc.errors(include_url=False, include_context=False, include_input=False)[0]
    missing = first["type"] == "missing"
    param = _path(request, first["loc"][:-1] if missing else first["loc"])
    if missing:
        param = f"{param}.{first['loc'][-1]}".lstrip(".")
    words = f"{param or 'The request'}: {first['msg']}"
    return InvalidRequest(words, param or None, "missing_required_parameter" if missing else "invalid_value")


def _path(value: Any, steps: Iterable[int | str]) -> str:  # noqa: ANN401 - JSON
    """Return the path to a member. Steps that lead nowhere are the branches of unions, which pydantic names, too."""
    path = ""
    for step in steps:
        if isinstance(value, dict) and step in value:
            path += f".{step}" if path else f"{step}"
        elif isinstance(value, list) and isinstance(step, int):
            path += f"[{step}]"
        else:
            continue
        value = value[step]
    return path


def _limit(chat: ChatRequest) -> Literal["max_tokens", "max_completion_tokens"]:
    only_older = chat.get("max_completion_tokens") is None and chat.get("max_tokens") is not None
    return "max_tokens" if only_older else "max_completion_tokens"


def _max_output_tokens(chat: ChatRequest) -> int | None:
    name = _limit(chat)
    asked = chat.get(name)
    if asked is None:
        return None
    if asked < 1:
        raise InvalidRequest(f"{name} must be at least 1", name, "integer_below_min_value")
    return max(asked, MIN_OUTPUT_TOKENS)


def _text(chat: ChatRequest) -> Json:
    text: Json = {}
    if (wanted := chat.get("response_format")) is not None:
        text["format"] = _format(wanted)
    if (verbosity := chat.get("verbosity")) is not None:
        text["verbosity"] = verbosity
    return text


def _format(wanted: ResponseFormat) -> Json:
    if wanted["type"] != "json_schema":
        return {"type": wanted["type"]}
    return {"type": "json_schema", **_present(cast("Any", wanted["json_schema"]))}


def _tools(chat: ChatRequest) -> list[Json]:
    tools = [_tool(tool) for tool in chat.get("tools") or ()]
    if (search := chat.get("web_search_options")) is not None:
        tools.append(_web_search(search))
    return tools


def _tool(tool: Tool) -> Json:
    if tool["type"] == "custom":
        custom = _present(cast("Any", tool["custom"]))
        wanted = custom.get("format")
        if wanted is not None and wanted["type"] == "grammar":
            custom["format"] = {"type": "grammar", **wanted["grammar"]}
        return {"type": "custom", **custom}
    function = tool["function"]
    return {
        "type": "function",
        **_present(cast("Any", function)),
        "parameters": function.get("parameters") or {"type": "object", "properties": {}},
        "strict": bool(function.get("strict")),  # the Responses API's default is true
    }


def _web_search(options: WebSearchOptions) -> Json:
    found: Json = {"type": "web_search"}
    if size := options.get("search_context_size"):
        found["search_context_size"] = size
    if location := options.get("user_location"):
        found["user_location"] = {"type": "approximate", **_present(cast("Any", location["approximate"]))}
    return found


def _tool_choice(choice: ToolChoice | None) -> object:
    if choice is None or isinstance(choice, str):
        return choice
    if choice["type"] == "allowed_tools":
        allowed = choice["allowed_tools"]
        return {"type": "allowed_tools", "mode": allowed["mode"], "tools": [_named(one) for one in allowed["tools"]]}
    return _named(choice)


def _named(choice: NamedChoice) -> Json:
    named = choice["custom"] if choice["type"] == "custom" else choice["function"]
    return {"type": choice["type"], "name": named["name"]}


def _stops(chat: ChatRequest) -> tuple[str, ...]:
    stop = chat.get("stop")
    stops = (stop,) if isinstance(stop, str) else tuple(stop or ())
    if len(stops) > MAX_STOPS:
        raise InvalidRequest(f"stop: at most {MAX_STOPS} sequences", "stop", "array_above_max_length")
    return tuple(one for one in stops if one)


def _dropped(request: Mapping[str, object], chat: ChatRequest) -> Iterable[str]:
    for name, value in request.items():
        if name not in TRANSLATED and value is not None and value not in NEUTRAL.get(name, ()):
            yield name
    if any(message.get("name") for message in chat["messages"]):
        yield "messages.name"


def _present(members: Mapping[str, Any]) -> Json:
    return {name: value for name, value in members.items() if value is not None}
