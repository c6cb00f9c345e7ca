"""Settings, options of threads, and providers as immutable values, with their defaults. Reads nothing."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from appserver.log_levels import DEFAULT_LEVELS
from appserver.transport.framing import DEFAULT_MAX_LINE_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from appserver.errors import ConfigError
    from appserver.settings.layers import Layer
    from protocol.base import Secret
    from protocol.settings import ApprovalPolicy

DEFAULT_ISSUER = "https://auth.openai.com"
DEFAULT_CLIENT_ID = "app_EMoamEEZ73f0CkXaXp7hrann"
DEFAULT_CHATGPT_BASE_URL = "https://chatgpt.com/backend-api"
DEFAULT_API_BASE_URL = "https://api.openai.com/v1"
DEFAULT_TIER = "default"
"""The service tier of a request that names none."""

DEFAULT_MODEL = "gpt-6.1-sol"
BUILT_IN_PROVIDER = "openai"

DEFAULT_TOOL_TIMEOUT = 600.0
"""Seconds that a tool of the client's may take: it may run a build, or ask a person."""

NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


# Named tuples, and paths as strings: importing dataclasses and pathlib would take a third of the time to the handshake.
class TokenCommand(NamedTuple):
    """A command that prints a provider's token. Times are in seconds."""

    words: tuple[str, ...]
    timeout: float = 5.0
    refresh_interval: float = 300.0
    """After this a token is printed again before it is used; infinite: only when it is refused."""
    directory: str | None = None
    """Where it runs. None: where the server does."""

    def __repr__(self) -> str:
        return f"TokenCommand({self.words[0]!r})"  # an argument may be a credential


class Provider(NamedTuple):
    """Where model requests go. base_url None: the built-in one, which depends on how the user signed in."""

    id: str
    name: str
    base_url: str | None = None
    requires_openai_auth: bool = True
    api_key: Secret | None = None
    env_key: str | None = None
    """The environment variable that api_key is read from."""
    env_key_hint: str | None = None
    """What to tell a person where that variable is not set."""
    token_command: TokenCommand | None = None
    headers: Mapping[str, str] = NOTHING
    env_headers: Mapping[str, str] = NOTHING
    """Of those in headers that are read from the environment: header -> variable."""
    query: Mapping[str, str] = NOTHING
    stream_idle_timeout: float = 300.0
    """Seconds without a byte after which a stream counts as dead."""
    request_max_retries: int = 4
    """Retries of a request that was refused or not answered."""
    stream_max_retries: int = 5
    """Retries after a stream that broke."""
    defined_by: object = None
    """The session of the client whose request has defined or changed it; None: the settings say all of it."""

    def __repr__(self) -> str:
        return f"Provider({self.id!r})"  # headers and query may hold credentials


class Options(NamedTuple):
    """Options of requests to the model. None: not chosen at this level, so the next one counts.

    From first to last: the turn, its collaboration mode, the thread, the thread's `config`, the settings.
    """

    model: str | None = None
    provider: Provider | None = None
    effort: str | None = None
    summary: str | None = None
    verbosity: str | None = None
    service_tier: str | None = None
    instructions: str | None = None
    developer_instructions: str | None = None
    approval_policy: ApprovalPolicy | None = None
    approvals_reviewer: str | None = None
    sandbox: Mapping[str, Any] | None = None
    """A sandbox policy with what is configured of it."""

    def over(self, below: Options) -> Options:
        """Return these options, with those of `below` where one is None."""
        chosen = {name: value for name, value in self._asdict().items() if value is not None}
        return below._replace(**chosen)


class Settings(NamedTuple):
    """The configuration of a process or a workspace. Times are in seconds."""

    home: str
    layers: tuple[Layer, ...] = ()
    """Where the values come from, the strongest last."""
    values: Mapping[str, Any] = NOTHING
    """The values of all layers together, without those that could not be used."""
    environ: Mapping[str, str] = NOTHING
    """For the keys of providers that are not chosen yet."""
    problems: tuple[ConfigError, ...] = ()
    """Mistakes whose values were left out. While there are any, thread/start is refused."""
    options: Options = Options()
    """The options that threads start with."""
    provider: Provider = Provider(BUILT_IN_PROVIDER, "OpenAI")
    """The one in `options`, or the built-in one."""
    forced_login_method: str | None = None
    forced_workspaces: tuple[str, ...] = ()
    chatgpt_base_url: str = DEFAULT_CHATGPT_BASE_URL
    issuer: str = DEFAULT_ISSUER
    client_id: str = DEFAULT_CLIENT_ID
    credentials_store: str = "file"
    token_url: str = f"{DEFAULT_ISSUER}/oauth/token"
    accounts_url: str = f"{DEFAULT_ISSUER}/api/accounts"
    """Where to ask whose a personal access token is."""
    revoke_url: str = f"{DEFAULT_ISSUER}/oauth/revoke"
    ca_file: str | None = None
    ca_variable: str | None = None
    refresher: str | None = None
    refresher_options: Mapping[str, Any] = NOTHING
    refresh_timeout: float = 10.0
    refresh_skew: float = 120.0
    """A token that expires within this is refreshed before it is used."""
    background_interval: float = 300.0
    """How often to look for a token that will expire, in the background; 0 is never."""
    background_skew: float = 600.0
    background_external: bool = False
    tool_timeout: float = DEFAULT_TOOL_TIMEOUT
    max_line_bytes: int = DEFAULT_MAX_LINE_BYTES
    log_level: str = DEFAULT_LEVELS

    def __repr__(self) -> str:
        return f"Settings({self.home!r})"  # layers, environment and a refresher's options may hold credentials
