"""config/read and configWarning: what is in force, where it comes from, and what is not used."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from appserver.settings import load_settings
from tests.peer import in_memory

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import ServerFactory

pytestmark = pytest.mark.anyio

SECRET = "very-secret-value"


def lenient(home: Path, text: str) -> Any:  # noqa: ANN401 - the fixture's own type
    (home / "config.toml").write_text(text, encoding="utf-8")
    return in_memory(load_settings({"APPSERVER_HOME": str(home)}, lenient=True))


async def test_what_is_in_force_is_told_with_its_source(server: ServerFactory, home: Path) -> None:
    (home / "fast.config.toml").write_text('service_tier = "fast"', encoding="utf-8")
    file = str(home / "config.toml")
    async with server("model_reasoning_effort=high", "profile=fast") as peer:
        told = await peer.result("config/read", {"includeLayers": True, "cwd": "/"})
        config, origins = told["config"], told["origins"]
        assert (config["model_reasoning_effort"], config["service_tier"]) == ("high", "fast")
        assert config["forced_login_method"] is None
        assert config["cli_auth_credentials_store"] == "file"
        assert origins["model_reasoning_effort"]["name"] == {"type": "sessionFlags"}
        assert origins["service_tier"]["name"] == {
            "type": "user",
            "file": str(home / "fast.config.toml"),
            "profile": "fast",
        }
        assert origins["model_providers.fake.base_url"]["name"] == {"type": "user", "file": file, "profile": None}
        assert [layer["name"].get("profile", "flags") for layer in told["layers"]] == ["flags", "fast", None]
        assert told["layers"][0]["config"] == {"model_reasoning_effort": "high", "profile": "fast"}
        assert all(layer["version"].startswith("sha256:") for layer in told["layers"])
        assert "layers" not in await peer.result("config/read", {})


async def test_no_secret_is_told(server: ServerFactory) -> None:
    secrets = (
        f"model_providers.x.experimental_bearer_token={SECRET}",
        f'model_providers.x.http_headers={{"X-Any" = "{SECRET}"}}',
        f'model_providers.x.query_params={{k = "{SECRET}"}}',
        f"model_providers.x.base_url=https://u:{SECRET}@host/v1?key={SECRET}",
        f'model_providers.x.auth={{command = "c", args = ["--key", "{SECRET}"]}}',
        f"mcp_servers.x.env.ANY={SECRET}",
        f'refresher.options=["{SECRET}"]',
    )
    async with server(*secrets) as peer:
        told = json.dumps(await peer.result("config/read", {"includeLayers": True}))
        assert SECRET not in told
        assert "https://***@host/v1?***" in told


async def test_a_mistake_is_told_after_the_handshake_with_its_place_and_keeps_nobody_from_signing_in(
    tmp_path: Path,
) -> None:
    async with lenient(tmp_path, 'model = "a"\nmodel_provider = "nope"\n') as peer:
        assert [message.get("id", message.get("method")) for message in peer.messages[:2]] == [1, "configWarning"]
        warning = await peer.notification("configWarning")
        path, place = str(tmp_path / "config.toml"), {"line": 2, "column": 18}
        words = f"{path}:2:18: model_provider: there is no [model_providers.nope]"
        assert warning == {
            "summary": "Invalid configuration; using defaults.",
            "details": words,
            "path": path,
            "range": {"start": place, "end": place},
        }
        await peer.result("account/login/start", {"type": "apiKey", "apiKey": "sk-test"})
        assert (await peer.result("account/read", {}))["account"] == {"type": "apiKey"}
        read = await peer.result("config/read", {})
        assert (read["config"]["model"], read["config"]["model_provider"]) == ("a", None)
        assert set(read["origins"]) == {"model"}
        for method, params in (
            ("thread/start", {}),
            ("thread/resume", {"threadId": "x"}),
            ("thread/fork", {"threadId": "x"}),
        ):
            error = await peer.error(method, params)
            assert error["message"] == f"failed to load configuration: {words}"
        assert (await peer.result("thread/start", {"config": {"model_provider": "ollama"}}))["model"] == "a"


async def test_every_mistake_has_a_warning_of_its_own(tmp_path: Path) -> None:
    async with lenient(tmp_path, "model = 1\nservice_tier = 2\n") as peer:
        await peer.until(lambda: peer.methods.count("configWarning") == 2)
        details = [note["params"]["details"] for note in peer.notifications]
        assert "config.toml:1:9: model" in details[0]
        assert "config.toml:2:16: service_tier" in details[1]


async def test_what_is_not_run_here_is_told_once(server: ServerFactory, home: Path) -> None:
    config = {"mcp_servers.a.command": "b", "hooks": {"x": []}, "model": "m"}
    async with server('mcp_servers."a.b".enabled=false') as peer:
        await peer.start_thread(config={"model": "m", "mcp_servers.c.enabled": False})
        await peer.start_thread(config=config)
        await peer.start_thread(config=config)
        await peer.result("account/read", {})
        assert peer.methods.count("configWarning") == 1
        warning = await peer.notification("configWarning")
        assert warning["summary"] == "This server does not run mcp_servers, hooks: they are ignored."
    with (home / "config.toml").open("a", encoding="utf-8") as file:
        file.write('\n[mcp_servers.a]\ncommand = "b"\n')
    async with server() as peer:
        await peer.start_thread(config=config)
        await peer.result("account/read", {})
        assert peer.methods.count("configWarning") == 1
