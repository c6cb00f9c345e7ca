from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from appserver.settings import Options, Settings, home_directory, load_settings, provider_named

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SECRET = "sk-very-secret-value"


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Settings]:
    """Load a config.toml of this text, with these overrides and variables."""

    def load(text: str = "", *overrides: str, **environ: str) -> Settings:
        (tmp_path / "config.toml").write_text(text, encoding="utf-8")
        return load_settings({"APPSERVER_HOME": str(tmp_path), **environ}, overrides)

    return load


# Where the home is


@pytest.mark.parametrize(
    ("environ", "home"),
    [
        ({"APPSERVER_HOME": "/a", "CODEX_HOME": "/b", "HOME": "/c"}, "/a"),
        ({"CODEX_HOME": "/b", "HOME": "/c"}, "/b"),
        ({"APPSERVER_HOME": "", "CODEX_HOME": "/b"}, "/b"),
        ({"APPSERVER_HOME": "/a/../b/"}, "/b"),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="paths of the other kind")
def test_the_home_is_the_first_one_named(environ: Mapping[str, str], home: str) -> None:
    assert home_directory(environ) == home


def test_without_a_name_the_home_is_where_an_existing_login_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("USERPROFILE", "/home/someone")
    assert Path(home_directory({})) == Path("/home/someone/.codex").absolute()


def test_a_relative_home_is_told_as_an_absolute_one() -> None:
    assert home_directory({"CODEX_HOME": "here"}) == str(Path.cwd() / "here")


def test_without_a_config_file_everything_has_a_default(tmp_path: Path) -> None:
    environ = {"CODEX_HOME": str(tmp_path / "nowhere")}
    settings = load_settings(environ)
    assert settings == Settings(str(tmp_path / "nowhere"), layers=settings.layers, environ=environ)
    assert settings.issuer == "https://auth.openai.com"
    assert settings.token_url == "https://auth.openai.com/oauth/token"


# Overrides


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ('model="a b"', {"options": Options("a b")}),
        ("model='a'", {"options": Options("a")}),
        ("model=a b", {"options": Options("a b")}),
        ("model= a ", {"options": Options("a")}),
        ("model=", {"options": Options()}),
        ("model=a=b", {"options": Options("a=b")}),
        ("model=2024-x", {"options": Options("2024-x")}),
        ("model=" + "[" * 5000, {"options": Options("[" * 5000)}),
        (" model = a", {"options": Options("a")}),
        ('model="a', {"options": Options("a")}),
        ("appserver.max_line_bytes=1_000", {"max_line_bytes": 1000}),
        ("appserver.refresh_timeout=3", {"refresh_timeout": 3.0}),
        ("appserver={refresh_timeout = 2.5}", {"refresh_timeout": 2.5}),
        ('forced_chatgpt_workspace_id=["a", "b"]', {"forced_workspaces": ("a", "b")}),
        ("refresher.name=command", {"refresher": "command"}),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_an_override_is_toml_where_it_can_be_and_else_a_string(
    load: Callable[..., Settings], override: str, expected: dict[str, Any]
) -> None:
    settings = load('model = "from the file"', override)
    assert {key: getattr(settings, key) for key in expected} == expected


def test_overrides_reach_into_tables_and_the_last_one_counts(load: Callable[..., Settings]) -> None:
    settings = load(
        '[model_providers.x]\nbase_url = "http://file"\nname = "X"',
        "model_provider=x",
        "model_providers.x.base_url=http://first",
        "model_providers.x.base_url=http://second/",
        'model_providers.x.http_headers={"X-A" = "1"}',
    )
    assert (settings.provider.name, settings.provider.base_url) == ("X", "http://second")
    assert settings.provider.headers == {"X-A": "1"}


# Providers and restrictions


def test_a_provider_takes_its_key_and_headers_from_the_environment(load: Callable[..., Settings]) -> None:
    text = """
        model_provider = "x"
        [model_providers.x]
        base_url = "http://x/v1/"
        env_key = "X_KEY"
        http_headers = { "X-Fixed" = "1", "X-Both" = "file" }
        env_http_headers = { "X-Both" = "X_BOTH", "X-Unset" = "X_UNSET", "X-Empty" = "X_EMPTY" }
        query_params = { "api-version" = "2" }
        stream_idle_timeout_ms = 1500
    """
    provider = load(text, X_KEY=SECRET, X_BOTH="environment", X_EMPTY="").provider
    assert provider.api_key is not None
    assert provider.api_key.reveal() == SECRET
    assert provider.headers == {"X-Fixed": "1", "X-Both": "environment"}
    assert provider.query == {"api-version": "2"}
    assert (provider.base_url, provider.stream_idle_timeout) == ("http://x/v1", 1.5)
    assert not provider.requires_openai_auth
    assert load(text).provider.api_key is None


def test_the_built_in_provider_is_always_there_and_wants_a_login(load: Callable[..., Settings]) -> None:
    settings = load('[model_providers.x]\nbase_url = "http://x"\nrequires_openai_auth = true')
    assert settings.provider.id == "openai"
    assert settings.provider.requires_openai_auth
    other = provider_named(settings, "x")
    assert other is not None
    assert other.requires_openai_auth
    assert provider_named(settings, "y") is None


@pytest.mark.parametrize(
    ("text", "workspaces"),
    [
        ("", ()),
        ('forced_chatgpt_workspace_id = "ws-1"', ("ws-1",)),
        ('forced_chatgpt_workspace_id = ["ws-1", "ws-2"]', ("ws-1", "ws-2")),
        ("forced_chatgpt_workspace_id = []", ()),
    ],
)
def test_one_or_several_workspaces_can_be_forced(
    load: Callable[..., Settings], text: str, workspaces: tuple[str, ...]
) -> None:
    assert load(text).forced_workspaces == workspaces


def test_the_issuers_urls_follow_the_issuer_unless_they_are_given(load: Callable[..., Settings]) -> None:
    settings = load(CODEX_APP_SERVER_LOGIN_ISSUER="http://issuer/", CODEX_REVOKE_TOKEN_URL_OVERRIDE="http://revoke")
    assert settings.issuer == "http://issuer"
    assert settings.token_url == "http://issuer/oauth/token"
    assert settings.revoke_url == "http://revoke"


def test_a_ca_file_is_remembered_with_the_variable_that_named_it(load: Callable[..., Settings]) -> None:
    settings = load(CODEX_CA_CERTIFICATE="/ca.pem", SSL_CERT_FILE="/other.pem")
    assert (settings.ca_variable, settings.ca_file) == ("CODEX_CA_CERTIFICATE", "/ca.pem")
    assert load(SSL_CERT_FILE="/other.pem").ca_variable == "SSL_CERT_FILE"


def test_settings_and_providers_show_no_secrets(load: Callable[..., Settings]) -> None:
    settings = load(
        f'[model_providers.x]\nbase_url = "http://x"\nhttp_headers.key = "{SECRET}"\nquery_params.key = "{SECRET}"\n'
        f'env_key = "X_KEY"\n[refresher]\nname = "command"\npassword = "{SECRET}"\n',
        X_KEY=SECRET,
    )
    assert settings.refresher_options == {"password": SECRET}
    assert SECRET not in f"{settings!r} {settings} {provider_named(settings, 'x')!r} {[settings]}"


def test_the_log_level_is_read_from_the_environment(load: Callable[..., Settings]) -> None:
    assert load().log_level == "WARN"
    assert load(APPSERVER_LOG="debug").log_level == "debug"
    assert load(RUST_LOG="info,foo=debug").log_level == "INFO,foo=DEBUG"
