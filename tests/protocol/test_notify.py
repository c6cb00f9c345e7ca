"""The overloads of `Notify` say the same as the method table."""

from __future__ import annotations

from typing import get_args, get_overloads, get_type_hints

from protocol import notify
from protocol.methods import SERVER_NOTIFICATIONS


def implementation() -> None:
    """`typing` looks overloads up by the name of what they overload, and a Protocol has no such function."""


implementation.__module__, implementation.__qualname__ = notify.__name__, "Notify.__call__"


def test_each_notification_takes_the_params_of_the_method_table() -> None:
    typed: dict[str, object] = {}
    for overload in get_overloads(implementation):
        hints = get_type_hints(overload)
        methods = get_args(hints["method"])
        assert not typed.keys() & set(methods), "two overloads take one method"
        typed |= dict.fromkeys(methods, hints["params"])
    assert typed == SERVER_NOTIFICATIONS
