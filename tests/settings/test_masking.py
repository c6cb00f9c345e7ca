from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appserver.settings.files import parse_toml
from appserver.settings.masking import masked

SECRET = "very-secret-value"

HIDDEN = f"""
notify = ["tell", "{SECRET}"]
auth_token = "{SECRET}"
[model_providers.p]
base_url = "https://user:{SECRET}@host/v1?key={SECRET}#part"
experimental_bearer_token = "{SECRET}"
api_key = "{SECRET}"
http_headers = {{ "X-Any" = "{SECRET}", inner = {{ name = "{SECRET}" }} }}
query_params = {{ k = "{SECRET}" }}
[model_providers.p.auth]
command = "sso"
args = ["{SECRET}", 5]
[mcp_servers.m]
env = {{ name = "{SECRET}", count = 5 }}
[shell_environment_policy]
set = {{ ANY = "{SECRET}" }}
[refresher]
name = "vault"
path = ["{SECRET}"]
"""


def test_whatever_may_be_secret_is_hidden() -> None:
    shown = masked(parse_toml(HIDDEN, ""))
    assert SECRET not in json.dumps(shown)
    assert shown["model_providers"]["p"]["base_url"] == "https://***@host/v1?***#part"
    assert shown["model_providers"]["p"]["auth"] == {"command": "sso", "args": ["***", "***"]}
    assert shown["refresher"] == {"name": "vault", "path": "***"}
    assert shown["mcp_servers"]["m"]["env"] == {"name": "***", "count": "***"}


@pytest.mark.parametrize(
    "text",
    [
        'cli_auth_credentials_store = "keyring"',
        "model_auto_compact_token_limit = 5",
        'forced_chatgpt_workspace_id = ["a", "b"]',
        'model_providers.p.env_key = "MY_KEY"',
        'model_providers.p.env_http_headers = { "X-Key" = "MY_KEY" }',
        'model_providers.p.base_url = "http://localhost:1/v1"',
        "features.fast_mode = false",
    ],
)
def test_what_is_no_secret_is_shown_as_it_is(text: str) -> None:
    values = parse_toml(text, "")
    assert masked(values) == values


@given(st.sampled_from(["at-", "sk-", "rt_"]), st.text("abcdefgh0123", min_size=16))
def test_what_looks_like_a_credential_is_hidden_wherever_it_stands(prefix: str, rest: str) -> None:
    shown = json.dumps(masked({"instructions": f"Use {prefix}{rest}.", "list": [{"x": f"{prefix}{rest}"}]}))
    assert rest not in shown


def test_a_date_is_shown_as_text() -> None:
    assert masked(parse_toml("at = 2026-11-25", "")) == {"at": "2026-11-25"}
