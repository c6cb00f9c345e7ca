"""The words of a command line: which command, which options, and what is refused.

Takes what existing clients pass to the reference, on either side of the command. What has no meaning here is accepted
and named in `Serving.ignored`. Does without argparse what nearly every client passes; `parser.py` has all the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from appserver.log_formats import FORMATS

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping

    from appserver.settings import Settings

STDIO = "stdio://"
"""The transport where no other is named."""

EXIT_USAGE = 2
"""The command line cannot be used (as argparse has it)."""

COMMANDS = (
    "app-server",
    "proxy",
    "login",
    "logout",
    "status",
    "doctor",
    "diagnostics",
    "gateway",
    "fake-backend",
    "generate-json-schema",
    "generate-ts",
)

SUBCOMMANDS = {
    # As the reference spells them: the first word of a command is followed by a second one.
    ("app-server", "generate-json-schema"): "generate-json-schema",
    ("app-server", "generate-ts"): "generate-ts",
    ("app-server", "proxy"): "proxy",
    ("login", "status"): "login status",
}

IGNORED_WITH_VALUE = (
    # What the reference's own tools may do; they are not here.
    ("-s", "--sandbox"),
    ("-a", "--ask-for-approval"),
    ("--add-dir",),
    ("--code-mode-host",),
    ("--session-source",),
    ("--local-provider",),
    ("-i", "--image"),
)

IGNORED = (
    ("--full-auto",),
    ("--approve-for-me",),
    ("--dangerously-bypass-approvals-and-sandbox", "--yolo"),
    ("--dangerously-bypass-hook-trust",),
    ("--search",),
    ("--no-alt-screen",),
    ("--no-daemon",),
    ("--oss",),
    ("--worktree",),
    ("--analytics-default-enabled",),
)

OPTIONS_WITH_VALUE = {
    name
    for names in (
        ("-c", "--config"),
        ("-p", "--profile"),
        ("-m", "--model"),
        ("-C", "--cd"),
        ("--enable", "--disable"),
        ("--listen",),
        ("--idle-exit",),
        ("--sock",),
        ("--ws-auth",),
        ("--ws-token-file",),
        ("--ws-token-sha256",),
        ("--ws-shared-secret-file",),
        ("--ws-issuer",),
        ("--ws-audience",),
        ("--ws-max-clock-skew-seconds",),
        ("--ws-allow-origin",),
        ("--log-format",),
        ("--port",),
        ("-o", "--out"),
        ("--prettier",),
        *IGNORED_WITH_VALUE,
    )
    for name in names
}
"""Those whose value is a word of its own, which is no command."""


def split_words(words: list[str]) -> tuple[str, list[str]]:
    """Return the command and all other words: options may stand on either side of it."""
    named: list[str] = []
    rest: list[str] = []
    is_value = False
    for word in words:
        if is_value or word.startswith("-"):
            rest.append(word)
            is_value = not is_value and word in OPTIONS_WITH_VALUE
        elif not named or (len(named) == 1 and (named[0], word) in SUBCOMMANDS):
            named.append(word)
        else:
            rest.append(word)
    if len(named) == 2:
        return SUBCOMMANDS[named[0], named[1]], rest
    return named[0] if named else "app-server", rest


class Serving:
    """The options of a server, as they are where none is passed."""

    def __init__(self) -> None:
        self.config: list[str] = []
        self.profile: str | None = None
        self.enable: list[str] = []
        self.disable: list[str] = []
        self.model: str | None = None
        self.cd: str | None = None
        self.strict_config = False
        self.listen: list[str] = []
        """The transports, in the order in which they are named; none: stdio alone."""
        self.idle_exit: float | None = None
        self.ws_auth: str | None = None
        self.ws_token_file: str | None = None
        self.ws_token_sha256: str | None = None
        self.ws_shared_secret_file: str | None = None
        self.ws_issuer: str | None = None
        self.ws_audience: str | None = None
        self.ws_max_clock_skew_seconds: float | None = None
        self.ws_allow_origin: list[str] = []
        self.log_format: str | None = None
        self.version = False
        self.ignored: list[str] = []
        """The names of options that have no meaning here."""


def serving_at_once(words: list[str]) -> Serving | None:
    """Take the options that nearly every client passes. None: there are others, which need the parser.

    To import argparse and make a parser takes a tenth of the time to the handshake.
    """
    options, rest = Serving(), iter(words)
    for word in rest:
        if word in ("-c", "--config", "--listen", "--log-format"):
            value = next(rest, "-")
            if value.startswith("-") or (word == "--listen" and value != STDIO):
                return None
            if word == "--log-format":
                if value not in FORMATS:
                    return None
                options.log_format = value
            elif word != "--listen":
                options.config.append(value)
        elif word != "--stdio":
            return None
    return options


def settings_of(options: Serving | Namespace, environ: Mapping[str, str], *, lenient: bool = False) -> Settings:
    """Read the settings with what `Parser.add_configuration` takes. Raises ConfigError unless lenient."""
    from appserver.settings import load_settings

    features = dict.fromkeys(options.enable, True) | dict.fromkeys(options.disable, False)
    values: dict[str, Any] = {"features": features} if features else {}
    if getattr(options, "model", None) is not None:
        values["model"] = options.model
    return load_settings(environ, options.config, values, profile=options.profile, lenient=lenient)
