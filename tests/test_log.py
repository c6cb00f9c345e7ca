from __future__ import annotations

import gc
import logging
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appserver import log
from appserver.log import HiddenSecrets, log_exception, redacted, set_up_logging, warn
from protocol.base import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ1c2VyLTEifQ.c2lnbmF0dXJl-_x"

SECRETS = [
    (f"token {JWT} was refused", JWT),
    (f"{JWT}", "eyJzdWIiOiJ1c2VyLTEifQ"),
    (f"Authorization: Bearer {JWT}", JWT),
    ("Authorization: Bearer opaque-token/with+chars==", "opaque-token"),
    ("{'authorization': 'bearer opaque-token'}", "opaque-token"),
    ("Incorrect API key provided: sk-proj-abcdef123456", "abcdef123456"),
    ("key sk_live_abcdef123456.", "abcdef123456"),
    ("refresh rt-abcdef123456, rt_abcdef123456", "abcdef123456"),
    ("code ac_abcdef123456", "abcdef123456"),
    ("GET /auth/callback?code=abcdef123456&state=xyz123 HTTP/1.1", "abcdef123456"),
    ("GET /auth/callback?code=abcdef123456&state=xyz123 HTTP/1.1", "xyz123"),
    ("code_verifier=abcdef123456&grant_type=authorization_code", "abcdef123456"),
    ("refresh_token=abcdef123456&client_id=app_1", "abcdef123456"),
    ("id_token=abcdef123456", "abcdef123456"),
    ('{"access_token": "abcdef123456", "x": 1}', "abcdef123456"),
    ('{"refresh_token":"abcdef123456"}', "abcdef123456"),
    ("{'id_token': 'abcdef123456'}", "abcdef123456"),
]


@pytest.fixture
def stderr_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    set_up_logging("DEBUG")
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def hidden() -> HiddenSecrets:
    return HiddenSecrets()


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_what_looks_like_a_credential_is_taken_out(text: str, secret: str) -> None:
    assert secret not in redacted(text)
    assert "***" in redacted(text)


def test_what_is_in_use_is_taken_out_whatever_it_looks_like(hidden: HiddenSecrets) -> None:
    text = "Incorrect API key provided: gsk5f0a9c3d. And opaque+token= was refused"
    assert redacted(text) == text
    hidden.hide(Secret("gsk5f0a9c3d"), None, Secret("opaque+token="))
    assert redacted(text) == "Incorrect API key provided: ***. And *** was refused"


def test_what_could_be_part_of_a_word_is_no_secret(hidden: HiddenSecrets) -> None:
    hidden.hide(Secret(""), Secret("token"))
    assert redacted("the token was refused") == "the token was refused"


def test_a_secret_that_begins_like_another_uncovers_nothing_of_it(hidden: HiddenSecrets) -> None:
    hidden.hide(Secret("opaque-secret"), Secret("opaque-secret-and-more"))
    assert redacted("opaque-secret-and-more opaque-secret") == "*** ***"


def test_a_secret_that_is_used_again_is_remembered_longer(hidden: HiddenSecrets) -> None:
    hidden.hide(Secret("in-use-again"), *(Secret(f"opaque-{number:04}") for number in range(log.MAX_HIDDEN - 1)))
    hidden.hide(Secret("in-use-again"))
    hidden.hide(Secret("one-more-secret"))
    assert redacted("in-use-again opaque-0000") == "*** opaque-0000"


def test_no_more_secrets_are_remembered_than_can_be_in_use(hidden: HiddenSecrets) -> None:
    for number in range(1000):
        hidden.hide(Secret(f"opaque-{number:04}"), Secret("used-again"))
    assert redacted("opaque-0000 opaque-0999 used-again") == "opaque-0000 *** ***"


def test_secrets_that_are_used_together_are_all_taken_out(hidden: HiddenSecrets) -> None:
    secrets = [Secret(f"opaque-{number:04}") for number in range(2 * log.MAX_HIDDEN)]
    hidden.hide(*secrets)
    assert redacted(" ".join(secret.reveal() for secret in secrets)) == " ".join(["***"] * len(secrets))


def test_one_owner_with_many_secrets_uncovers_none_of_another(hidden: HiddenSecrets) -> None:
    hidden.hide(Secret("one-users-secret"))
    other = HiddenSecrets()
    other.hide(*(Secret(f"another-users-secret-{number}") for number in range(10 * log.MAX_HIDDEN)))
    assert redacted("one-users-secret") == "***"


def test_the_secrets_of_an_owner_that_is_gone_are_forgotten() -> None:
    hidden = HiddenSecrets()
    hidden.hide(Secret("opaque-and-gone"))
    del hidden
    gc.collect()
    assert redacted("opaque-and-gone") == "opaque-and-gone"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "turn 0199-aa is active in this thread",
        "POST http://127.0.0.1:8080/oauth/token: no answer in time",
        "the host is offline (code=-32000)",
        "exit code=1, status code=404",
        "a task: sketch of the risk",
        "/home/user/.codex/auth.json: Permission denied",
        "account org-1, user-1, plan pro",
    ],
)
def test_what_does_not_is_left_as_it_is(text: str) -> None:
    assert redacted(text) == text


@given(st.text())
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    assert redacted(redacted(text)) == redacted(text)


@given(st.text(alphabet="abcXYZ019_-", min_size=8), st.text(max_size=20), st.text(alphabet=" ,&'\"\n", max_size=3))
def test_a_token_is_found_wherever_it_stands(token: str, before: str, after: str) -> None:
    assert f"sk-{token}" not in redacted(f"{before} sk-{token}{after}")


@pytest.mark.usefixtures("stderr_logging")
@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_log_records_are_redacted_message_arguments_and_traceback(
    text: str, secret: str, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logging("DEBUG")  # now, with pytest's stderr
    warn(text)
    logging.getLogger("some.library").debug("sent %s and %r", text, {"inner": text})
    try:
        raise ValueError(text) from LookupError(text)
    except ValueError as exc:
        log_exception(text, exc)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" in captured.err
    assert secret not in captured.err


@pytest.mark.usefixtures("stderr_logging")
def test_libraries_that_tell_urls_and_headers_are_kept_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("DEBUG")
    for chatty in ("httpx", "httpcore.http11", "asyncio"):
        logging.getLogger(chatty).info("GET http://example/?session=opaque")
    logging.getLogger("appserver").debug("told")
    errors = capsys.readouterr().err
    assert "opaque" not in errors
    assert "told" in errors


@pytest.mark.usefixtures("stderr_logging")
def test_a_level_keeps_out_what_is_below_it(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("ERROR")
    warn("not told")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "statement", ["log.warn('key sk-abcdef123456')", "log.log_exception('failed', ValueError('key sk-abcdef123456'))"]
)
def test_what_is_logged_before_logging_is_set_up_is_redacted_too(statement: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"from appserver import log; {statement}"], capture_output=True, timeout=20, check=True
    )
    assert b"***" in done.stderr
    assert b"abcdef" not in done.stderr
    assert done.stdout == b""


@pytest.mark.parametrize("form", ["", "log.prepare_form('text'); "])
def test_only_in_a_process_of_ours_is_logging_set_up(form: str) -> None:
    code = (
        f"import logging; from appserver import log; {form}log.warn('told'); print(len(logging.getLogger().handlers))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=True)
    assert "told" in done.stderr
    assert done.stdout == f"{int(bool(form))}\n"


def test_a_form_that_there_is_not_is_told_in_the_one_that_clients_read() -> None:
    command = [sys.executable, "-m", "appserver", "app-server"]
    environ = {**os.environ, "APPSERVER_LOG_FORMAT": "xml"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=20, check=False)
    assert re.fullmatch(r"\S+Z ERROR appserver: APPSERVER_LOG_FORMAT: expected text or json\n", done.stderr)


def test_logging_is_not_imported_before_there_is_something_to_log() -> None:
    code = "import sys, appserver.log; sys.exit('logging' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], timeout=20, check=True)
