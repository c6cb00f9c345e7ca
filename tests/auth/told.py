"""Everything that an error tells, to whoever records it with the local variables of each frame."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

from appserver.errors import AppServerError

if TYPE_CHECKING:
    from collections.abc import Iterator


def shown(value: object) -> Iterator[str]:
    """Every way in which a value becomes text."""
    yield repr(value)
    yield str(value)
    yield f"{value!r:.2000}"
    yield "%s %r" % (value, value)  # noqa: UP031 - as logging does it


def assert_tells_none(error: BaseException, *secrets: str, with_locals: bool = True) -> None:
    """Search an error and its traceback, but for the test's own frame, which knows all secrets.

    A cause is searched like the error itself, and a context unless it is suppressed.
    """
    assert error.__traceback__ is not None, "it was not raised"
    frames = error.__traceback__.tb_next
    recorded = traceback.TracebackException(type(error), error, frames, capture_locals=with_locals)
    text = "".join(recorded.format()) + "".join(shown(error)) + repr(error.args) + repr(vars(error))
    for secret in secrets:
        at = text.find(secret)
        assert at < 0, f"a secret stands in {text[max(0, at - 300) : at]!r}"


class Told:
    """Catches what was raised on purpose and searches all that it tells.

    Without locals at the seam where a file is raw: there, a local is what was read.
    """

    def __init__(self, *secrets: str, with_locals: bool = True) -> None:
        self._with_locals = with_locals
        self._secrets = [part for one in secrets for part in (one.split(".")[1:2] if one.count(".") == 2 else [one])]
        self.count = 0

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: object) -> bool:
        assert isinstance(exc, AppServerError), "nothing was raised"
        assert_tells_none(exc, *self._secrets, with_locals=self._with_locals)
        self.count += 1
        return True
