"""What is in force for a thread: config.toml, the profile, `-c`, and the `config` that a client passes with it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from appserver.errors import ConfigError
from appserver.settings import Options, Settings, TokenCommand, load_settings, provider_named, thread_options

if TYPE_CHECKING:
    from pathlib import Path


def load(home: Path, text: str, *overrides: str, profile: str | None = None, lenient: bool = False) -> Settings:
    (home / "config.toml").write_text(text, encoding="utf-8")
    return load_settings({"CODEX_HOME": str(home), "KEY": "sk-own-key"}, overrides, profile=profile, lenient=lenient)


EVERY_KEY = """
    model = "m"
    model_reasoning_effort = "high"
    model_reasoning_summary = "detailed"
    model_verbosity = "low"
    service_tier = "flex"
    developer_instructions = "Be brief."
    instructions = "You are a pirate."
"""


def test_threads_start_with_what_config_toml_says(tmp_path: Path) -> None:
    assert load(tmp_path, EVERY_KEY).options == Options(
        model="m",
        effort="high",
        summary="detailed",
        verbosity="low",
        service_tier="flex",
        developer_instructions="Be brief.",
        instructions="You are a pirate.",
    )


@pytest.mark.parametrize(
    ("text", "tier"),
    [
        ('service_tier = "fast"', "priority"),
        ('service_tier = "priority"', "priority"),
        ('service_tier = "fast"\nfeatures.fast_mode = false', None),
        ('service_tier = "flex"\nfeatures.fast_mode = false', "flex"),
        ("", None),
    ],
)
def test_the_fast_tier_is_the_backends_priority_tier(tmp_path: Path, text: str, tier: str | None) -> None:
    assert load(tmp_path, text).options.service_tier == tier


def test_instructions_in_a_file_are_found_from_where_the_key_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "i.md").write_text("\n of the home \n", encoding="utf-8")
    (tmp_path / "here" / "i.md").write_text("of the directory", encoding="utf-8")
    monkeypatch.chdir(tmp_path / "here")
    settings = load(tmp_path, 'model_instructions_file = "i.md"\ninstructions = "x"')
    assert settings.options.instructions == "of the home"
    assert thread_options(settings, {"model_instructions_file": "i.md"}).instructions == "of the directory"
    assert load(tmp_path, "", "model_instructions_file=i.md").options.instructions == "of the directory"


@pytest.mark.parametrize("text", [None, " \n"])
def test_instructions_that_are_not_there_are_told(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "i.md").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"config\.toml:1:27: model_instructions_file: .*i\.md"):
        load(tmp_path, 'model_instructions_file = "i.md"')


# Profiles


def test_a_profile_lies_between_config_toml_and_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "fast.config.toml").write_text('model = "profile"\nmodel_verbosity = "low"', encoding="utf-8")
    text = 'model = "base"\nmodel_verbosity = "high"\nmodel_reasoning_effort = "high"'
    options = load(tmp_path, text, "model_verbosity=medium", profile="fast").options
    assert (options.model, options.verbosity, options.effort) == ("profile", "medium", "high")


@pytest.mark.parametrize("way", ["argument", "key", "override", "config"])
def test_a_profile_can_be_a_table_and_is_named_in_any_layer(tmp_path: Path, way: str) -> None:
    text = 'model = "base"\n[profiles.fast]\nmodel = "profile"\n'
    settings = load(
        tmp_path,
        'profile = "fast"\n' + text if way == "key" else text,
        *(["profile=fast"] if way == "override" else []),
        profile="fast" if way == "argument" else None,
    )
    chosen = thread_options(settings, {"profile": "fast"} if way == "config" else None)
    assert chosen.over(settings.options).model == "profile"


def test_a_file_of_a_profile_lies_over_its_table(tmp_path: Path) -> None:
    (tmp_path / "p.config.toml").write_text('model = "file"', encoding="utf-8")
    options = load(tmp_path, '[profiles.p]\nmodel = "table"\nmodel_verbosity = "low"', profile="p").options
    assert (options.model, options.verbosity) == ("file", "low")


def test_a_profile_that_does_not_exist_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"profile: there is neither .*no\.config\.toml nor \[profiles\.no\]"):
        load(tmp_path, "", profile="no")
    with pytest.raises(ConfigError, match=r"'\.\./x' is no name for one"):
        load(tmp_path, "", profile="../x")


def test_a_mistake_in_a_profile_is_told_with_its_own_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config\.toml:3:9: model: expected str, got int"):
        load(tmp_path, 'model = "m"\n[profiles.p]\nmodel = 5', profile="p")
    (tmp_path / "q.config.toml").write_text("model = 5", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"q\.config\.toml:1:9: model: expected str, got int"):
        load(tmp_path, "", profile="q")


# Providers


def test_only_the_provider_that_is_chosen_is_checked(tmp_path: Path) -> None:
    text = """
        [model_providers.incomplete]
        [model_providers.cloud.aws]
        profile = "p"
        [model_providers.old]
        base_url = "http://old"
        wire_api = "chat"
    """
    settings = load(tmp_path, text)
    assert settings.provider.id == "openai"
    for name, problem in (("incomplete", "base_url is missing"), ("cloud", "base_url is missing"), ("old", "wire_api")):
        with pytest.raises(ConfigError, match=problem):
            provider_named(settings, name)


@pytest.mark.parametrize(
    ("name", "url"), [("ollama", "http://localhost:11434/v1"), ("lmstudio", "http://localhost:1234/v1")]
)
def test_servers_on_the_own_machine_are_built_in_and_need_no_login(tmp_path: Path, name: str, url: str) -> None:
    provider = load(tmp_path, f'model_provider = "{name}"').provider
    assert (provider.base_url, provider.requires_openai_auth, provider.api_key) == (url, False, None)
    moved = load(tmp_path, f'model_provider = "{name}"\nmodel_providers.{name}.base_url = "http://other"').provider
    assert moved.base_url == "http://other"


def test_openai_base_url_moves_the_built_in_provider(tmp_path: Path) -> None:
    provider = load(tmp_path, 'openai_base_url = "https://eu.example/v1/"').provider
    assert (provider.id, provider.base_url, provider.requires_openai_auth) == ("openai", "https://eu.example/v1", True)


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ({"CODEX_OSS_PORT": "5555"}, "http://localhost:5555/v1"),
        ({"CODEX_OSS_PORT": "5555", "CODEX_OSS_BASE_URL": "http://gpu/v1/"}, "http://gpu/v1"),
    ],
)
def test_the_environment_says_where_a_local_server_is(tmp_path: Path, variables: dict[str, str], url: str) -> None:
    settings = load_settings({"CODEX_HOME": str(tmp_path), **variables}, ["model_provider=lmstudio"])
    assert settings.provider.base_url == url


def test_the_built_in_provider_sends_the_organization_of_the_environment(tmp_path: Path) -> None:
    environ = {"CODEX_HOME": str(tmp_path), "OPENAI_ORGANIZATION": "org-x", "OPENAI_PROJECT": ""}
    assert load_settings(environ).provider.headers == {"OpenAI-Organization": "org-x"}
    assert load_settings(environ, ["model_provider=ollama"]).provider.headers == {}


AUTH = '[model_providers.x]\nbase_url = "http://x"\n{}\n[model_providers.x.auth]\n{}\n'


def test_a_command_that_prints_the_token_has_bounds(tmp_path: Path) -> None:
    words = 'command = "sso"\nargs = ["token"]\n'
    usual = load(tmp_path, 'model_provider = "x"\n' + AUTH.format("", words)).provider.token_command
    assert usual == TokenCommand(("sso", "token"), timeout=5.0, refresh_interval=300.0)
    text = words + 'timeout_ms = 100\nrefresh_interval_ms = 0\ncwd = "/work"'
    own = load(tmp_path, 'model_provider = "x"\n' + AUTH.format("", text)).provider.token_command
    assert own == TokenCommand(("sso", "token"), timeout=0.1, refresh_interval=math.inf, directory="/work")
    assert "token" not in repr(own)


@pytest.mark.parametrize(
    ("beside", "inside", "problem"),
    [
        ('env_key = "K"', 'command = "c"', "auth: cannot be combined with env_key"),
        ('experimental_bearer_token = "t"', 'command = "c"', "cannot be combined with experimental_bearer_token"),
        ("requires_openai_auth = true", 'command = "c"', "auth: cannot be combined with requires_openai_auth"),
        ("", 'args = ["c"]', "auth: expected command, a string, and args, a list of strings"),
        ("", 'command = "c"\nargs = [1]', "auth: expected command, a string, and args, a list of strings"),
        ("", 'command = "c"\ntimeout_ms = 0', "auth.timeout_ms: expected a number above 0"),
    ],
)
def test_a_command_that_cannot_be_run_is_told(tmp_path: Path, beside: str, inside: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        load(tmp_path, 'model_provider = "x"\n' + AUTH.format(beside, inside))


# What a client passes with a thread


def test_config_of_a_thread_takes_tables_and_dotted_keys(tmp_path: Path) -> None:
    config: dict[str, Any] = {
        "model": "theirs",
        "model_provider": "a.b",
        'model_providers."a.b".base_url': "http://nested",
        "model_providers": {"a.b": {"name": "Nested", "env_key": "KEY"}},
        "model_reasoning_effort": None,
    }
    settings = load(tmp_path, 'model = "ours"\nmodel_reasoning_effort = "high"\nmodel_verbosity = "low"')
    chosen = thread_options(settings, config)
    assert chosen.provider is not None
    assert (chosen.provider.name, chosen.provider.base_url) == ("Nested", "http://nested")
    assert chosen.provider.api_key is not None
    assert chosen == Options(model="theirs", provider=chosen.provider)
    assert provider_named(settings, "a.b", config) == chosen.provider
    assert provider_named(settings, "a.b") is None


def test_config_of_a_thread_changes_the_provider_that_is_configured(tmp_path: Path) -> None:
    settings = load(tmp_path, 'model_provider = "x"\nmodel_providers.x.base_url = "http://file"')
    changed = provider_named(settings, "x", {"model_providers.x.base_url": "http://config"})
    assert changed is not None
    assert changed.base_url == "http://config"


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"model": 5}, "config: model: expected str, got int"),
        ({"model_verbosity": "loud"}, 'config: model_verbosity: expected "low", "medium" or "high"'),
        ({"model_provider": "no"}, r"config: model_provider: there is no \[model_providers.no\]"),
        ({"profile": "no"}, "profile: there is neither"),
        ({"model_providers": []}, "config: model_providers: expected dict, got list"),
    ],
)
def test_a_mistake_in_the_config_of_a_thread_is_told(tmp_path: Path, config: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        thread_options(load(tmp_path, ""), config)


def test_options_lie_over_each_other_one_by_one() -> None:
    assert Options(model="a", effort="low").over(Options(model="b", summary="none")) == Options(
        model="a", effort="low", summary="none"
    )
    assert Options().over(Options(model="b")) == Options(model="b")


# What cannot be used, where the server is to start all the same


def test_what_cannot_be_used_is_left_out_and_noted(tmp_path: Path) -> None:
    text = """
        model = 5
        model_provider = "nope"
        forced_chatgpt_workspace_id = "ws-1"
        chatgpt_base_url = "http://own"
        appserver.refresh_timeout = "10"
    """
    settings = load(tmp_path, text, lenient=True)
    assert settings.options == Options()
    assert settings.provider.id == "openai"
    assert settings.forced_workspaces == ("ws-1",)
    assert settings.chatgpt_base_url == "http://own"
    assert settings.refresh_timeout == 10.0
    assert sorted(problem.position or (0, 0) for problem in settings.problems) == [(2, 17), (3, 26), (6, 37)]
    with pytest.raises(ConfigError):
        thread_options(settings, None)


@pytest.mark.parametrize("content", [b"model = [", b'model = "\xff"', None])
def test_a_file_that_cannot_be_read_leaves_the_defaults(tmp_path: Path, content: bytes | None) -> None:
    if content is None:
        (tmp_path / "config.toml").mkdir()
    else:
        (tmp_path / "config.toml").write_bytes(content)
    settings = load_settings({"CODEX_HOME": str(tmp_path)}, ["model=m"], lenient=True)
    assert settings.options == Options(model="m")
    assert [problem.path for problem in settings.problems] == [str(tmp_path / "config.toml")]
    with pytest.raises(ConfigError):
        thread_options(settings, {"model": "x"})


def test_config_of_a_thread_can_put_a_mistake_right(tmp_path: Path) -> None:
    settings = load(tmp_path, 'model_provider = "nope"', lenient=True)
    chosen = thread_options(settings, {"model_provider": "ollama"})
    assert chosen.provider is not None
    assert chosen.provider.id == "ollama"


def test_an_override_that_is_none_is_refused_all_the_same(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected key=value"):
        load(tmp_path, "", "model", lenient=True)
