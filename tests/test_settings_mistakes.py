"""What cannot be used is told in one line that names the place, and never with the value of a credential."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from appserver.errors import ConfigError
from appserver.settings import load_settings

SECRET = "sk-very-secret-value"


def failure(home: Path, text: str = "", *overrides: str, **environ: str) -> str:
    """Load what cannot be used, and return what is said about it."""
    (home / "config.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_settings({"APPSERVER_HOME": str(home), **environ}, overrides)
    assert "\n" not in caught.value.message
    return caught.value.message


def test_a_mistake_in_the_file_is_told_with_file_line_and_column(tmp_path: Path) -> None:
    told = failure(tmp_path, 'model = "a"\nmodel_provider = \n')
    assert told == f"{tmp_path / 'config.toml'}:2:18: Invalid value"


@pytest.mark.parametrize(
    "text", ["a = " + "9" * 5000, "a = " + "[" * 5000, "a = 1\na = 2", "[a]\n[a]", "\x00", "a = 2024-13-41"]
)
def test_whatever_is_wrong_with_the_file_is_a_mistake_and_no_fault(tmp_path: Path, text: str) -> None:
    assert re.search(r"config\.toml:(\d+:\d+:)? ", failure(tmp_path, text))


def test_a_file_that_is_not_utf8_is_told_with_its_position(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b'model = "\xff"')
    with pytest.raises(ConfigError, match=r"config.toml: not UTF-8 at byte 9"):
        load_settings({"CODEX_HOME": str(tmp_path)})


def test_a_config_that_is_no_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.toml").mkdir()
    with pytest.raises(ConfigError, match=r"config.toml: "):
        load_settings({"CODEX_HOME": str(tmp_path)})
    with pytest.raises(ConfigError, match=r"config.toml: Not a directory"):
        load_settings({"CODEX_HOME": __file__})


@pytest.mark.parametrize(
    ("text", "key", "problem"),
    [
        ("model = 5", "model", "expected str, got int"),
        ("model_provider = true", "model_provider", "expected str, got bool"),
        ('model_provider = "nope"', "model_provider", "there is no [model_providers.nope]"),
        ("model_providers = 5", "model_providers", "expected dict, got int"),
        ("model_provider = 'x'\nmodel_providers.x = 5", "model_providers.x", "expected dict, got int"),
        ("model_provider = 'x'\n[model_providers.x]", "model_providers.x", "base_url is missing"),
        (
            "model_provider = 'x'\n[model_providers.x]\nbase_url = 5",
            "model_providers.x.base_url",
            "expected str, got int",
        ),
        (
            "model_provider = 'x'\n[model_providers.x]\nwire_api = 'chat'",
            "model_providers.x.wire_api",
            'only "responses" is spoken',
        ),
        (
            'model_provider = "x"\n[model_providers.x]\nbase_url = "u"\nhttp_headers.a = 1',
            "model_providers.x.http_headers.a",
            "expected str, got int",
        ),
        (
            'model_provider = "x"\n[model_providers.x]\nbase_url = "u"\nrequires_openai_auth = "yes"',
            "model_providers.x.requires_openai_auth",
            "expected bool, got str",
        ),
        (
            'model_provider = "x"\n[model_providers.x]\nbase_url = "u"\nstream_idle_timeout_ms = -1',
            "model_providers.x.stream_idle_timeout_ms",
            "expected a number above 0",
        ),
        ('forced_login_method = "fax"', "forced_login_method", 'expected "chatgpt" or "api"'),
        ("forced_chatgpt_workspace_id = 5", "forced_chatgpt_workspace_id", "expected a workspace id or a list"),
        ('forced_chatgpt_workspace_id = ["a", 1]', "forced_chatgpt_workspace_id", "expected a workspace id or a list"),
        ('forced_chatgpt_workspace_id = [""]', "forced_chatgpt_workspace_id", "expected a workspace id or a list"),
        (
            'cli_auth_credentials_store = "cloud"',
            "cli_auth_credentials_store",
            'expected "file", "keyring", "auto" or "ephemeral"',
        ),
        ("appserver.refresh_timeout = 0", "appserver.refresh_timeout", "above 0"),
        ("appserver.refresh_timeout = nan", "appserver.refresh_timeout", "above 0"),
        ('appserver.refresh_timeout = "10"', "appserver.refresh_timeout", "expected float, got str"),
        ("appserver.refresh_timeout = 1" + "0" * 400, "appserver.refresh_timeout", "too large"),
        ("appserver.max_line_bytes = 0", "appserver.max_line_bytes", "above 0"),
        ("appserver.max_line_bytes = true", "appserver.max_line_bytes", "expected int, got bool"),
        ("appserver.max_line_bytes = 1.5", "appserver.max_line_bytes", "expected int, got float"),
        ("refresher = 5", "refresher", "expected dict, got int"),
    ],
)
def test_a_wrong_value_is_told_with_its_key(tmp_path: Path, text: str, key: str, problem: str) -> None:
    told = failure(tmp_path, text)
    assert re.search(rf"config\.toml:\d+:\d+: {re.escape(key)}: ", told), told
    assert problem in told


def test_a_wrong_log_level_names_its_variable(tmp_path: Path) -> None:
    assert "APPSERVER_LOG" in failure(tmp_path, APPSERVER_LOG="loud")


@pytest.mark.parametrize("override", ["", "=", "=x", "model", ".=x", "a..b=x", ".a=x", "a.=x", "   =x"])
def test_an_override_without_a_key_or_a_value_is_a_mistake(tmp_path: Path, override: str) -> None:
    assert "expected key=value" in failure(tmp_path, "", override)


def test_an_override_is_named_as_the_place_of_its_mistake(tmp_path: Path) -> None:
    assert failure(tmp_path, 'model = "a"', "model.name=b") == "-c: model: expected str, got dict"


def test_a_mistake_in_an_override_does_not_repeat_its_value(tmp_path: Path) -> None:
    assert SECRET not in failure(tmp_path, "", f"a..b={SECRET}")
    assert SECRET not in failure(tmp_path, "", "model=a", f"model.b={SECRET}")


toml_lines = st.lists(
    st.sampled_from(["[", "]", "=", ".", '"', "'", ",", "{", "}", "\n", "#", "1", "true", "nan", "x", " "])
    | st.sampled_from(["model", "model_provider", "model_providers", "appserver", "refresher", "refresh_timeout"])
    | st.sampled_from(["[model_providers.x]\n", 'base_url = "u"\n', "forced_chatgpt_workspace_id = ", "max_line_bytes"])
    | st.text(max_size=3)
).map("".join)


@given(toml_lines | st.text(), st.lists(toml_lines, max_size=2))
@example("", ["model_providers.x=1"])
def test_any_text_is_either_settings_or_a_mistake(text: str, overrides: list[str]) -> None:
    with tempfile.TemporaryDirectory() as home:
        Path(home, "config.toml").write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            settings = load_settings({"CODEX_HOME": home}, overrides)
        except ConfigError as exc:
            assert exc.message  # noqa: PT017 - either outcome is fine
        else:
            assert settings.home == home
