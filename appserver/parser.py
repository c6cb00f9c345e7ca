"""Parsers of what follows a command. No message repeats an argument: it may be a key that was put in the wrong place.

Brings argparse with it, so a server imports it only where the command line asks for it (`arguments.serving_at_once`).
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, NoReturn

from appserver.arguments import EXIT_USAGE, IGNORED, IGNORED_WITH_VALUE, STDIO, Serving
from appserver.log_formats import FORMATS

if TYPE_CHECKING:
    from collections.abc import Iterable

HELP_COLUMNS = 100
"""How wide help is. Measuring the terminal would import shutil."""


class Parser(argparse.ArgumentParser):
    """Complains in one line, and never repeats an argument."""

    def __init__(self, command: str, description: str | None = None, epilog: str | None = None) -> None:
        prog = f"appserver {command}".rstrip()
        super().__init__(
            prog,
            usage=f"{prog} [options]" if command else "appserver [options] [command] [options]",
            description=description,
            epilog=epilog,
            formatter_class=_formatter,
            allow_abbrev=False,
        )

    def add_configuration(self) -> None:
        """Take what every command takes that reads the configuration."""
        add = self.add_argument
        add("-c", "--config", action="append", default=[], metavar="KEY=VALUE", help="override a key of config.toml")
        add("-p", "--profile", metavar="NAME", help="lay NAME.config.toml or [profiles.NAME] over config.toml")
        add("--enable", action="append", default=[], metavar="FEATURE", help="the same as -c features.FEATURE=true")
        add("--disable", action="append", default=[], metavar="FEATURE", help="the same as -c features.FEATURE=false")

    def add_serving(self) -> None:
        """Take what a server takes: the members of `Serving`."""
        add = self.add_argument
        self.add_configuration()
        add("-m", "--model", help="the same as -c model=MODEL")
        add("-C", "--cd", metavar="DIR", help="the working directory of threads that name none")
        add("--strict-config", action="store_true", help="end with 2 if the configuration cannot be used")
        add(
            *("--listen",),
            action="append",
            default=[],
            metavar="URL",
            help=f"{STDIO}, the default; unix:// or unix://PATH; ws://IP:PORT; fd://; as often as needed",
        )
        add("--stdio", action="append_const", const=STDIO, dest="listen", help=f"the same as --listen {STDIO}")
        add("--idle-exit", type=float, metavar="SECONDS", help="end after so long without a client and without a turn")
        add("--log-format", choices=FORMATS, help="the form of log lines on stderr; text, unless the environment says")
        add("-V", "--version", action="store_true", help="tell the version of the protocol, and on stderr our own")
        self._add_websockets()
        self._add_ignored()

    def _add_websockets(self) -> None:
        """Take who may connect at ws://IP:PORT: the reference's options, and the origins."""
        add = self.add_argument
        modes = ("capability-token", "signed-bearer-token")
        add("--ws-auth", choices=modes, help="what a WebSocket client has to show; a capability token is the default")
        add("--ws-token-file", metavar="PATH", help="where the token is; made there if the file is missing")
        add("--ws-token-sha256", metavar="HEX", help="the SHA-256 digest of a token that you have made")
        add("--ws-shared-secret-file", metavar="PATH", help="the secret that signs bearer tokens (JWT, HS256)")
        add("--ws-issuer", metavar="ISSUER", help="the issuer that those must have")
        add("--ws-audience", metavar="AUDIENCE", help="the audience that those must have")
        add("--ws-max-clock-skew-seconds", type=float, metavar="SECONDS", help="30 is the default")
        add(
            *("--ws-allow-origin",),
            action="append",
            default=[],
            metavar="ORIGIN",
            help="a web page whose scripts may connect, such as https://example.com",
        )

    def add_generation(self, directory: str) -> None:
        """Take what the reference takes that writes its schema. Nothing depends on the configuration here."""
        self.add_argument("-o", "--out", default=directory, metavar="DIR", help="where to write to")
        for names in (("-c", "--config"), ("--enable",), ("--disable",)):
            self.add_argument(*names, action="append", help=argparse.SUPPRESS)
        self.add_argument("--experimental", action="store_true", help="accepted; nothing is left out without it")

    def _add_ignored(self) -> None:
        """Take what has no meaning here."""
        for names in IGNORED_WITH_VALUE:
            self.add_argument(*names, dest="ignored", action=_Ignored, help=argparse.SUPPRESS)
        for names in IGNORED:
            self.add_argument(*names, dest="ignored", action=_Ignored, nargs=0, help=argparse.SUPPRESS)

    def parse(self, words: list[str]) -> argparse.Namespace:
        """Parse what follows the command, or exit."""
        options = argparse.Namespace()
        self._parse(words, options)
        return options

    def parse_serving(self, words: list[str]) -> Serving:
        """Parse the options of a server, or exit."""
        options = Serving()
        self._parse(words, options)
        return options

    def _parse(self, words: list[str], options: argparse.Namespace | Serving) -> None:
        _, unknown = self.parse_known_args(words, options)
        if unknown:
            names = [word.partition("=")[0] for word in unknown if word.startswith("--")]
            if not names:
                self.error("there is an argument too many")
            self.error(f"unknown option {names[0]}{hint(names[0], self._option_string_actions)}")

    def error(self, message: str) -> NoReturn:
        """Exit. Where argparse repeats an argument, it does so in quotes and at the end."""
        problem = message.partition(" '")[0].rstrip(":").replace("ignored explicit argument", "it takes no value")
        self.exit(EXIT_USAGE, f"{self.prog}: {problem} (try {self.prog} --help)\n")


def hint(word: str, known: Iterable[str]) -> str:
    """Return a question after the known name that is most like a word, or nothing."""
    from difflib import get_close_matches

    near = get_close_matches(word, list(known), n=1)
    return f", did you mean {near[0]}?" if near else ""


class _Ignored(argparse.Action):
    """Notes the option's name. Its value is not kept."""

    def __call__(
        self, parser: object, namespace: argparse.Namespace, values: object, option_string: str | None = None
    ) -> None:
        namespace.ignored = [*namespace.ignored, option_string]


def _formatter(prog: str) -> argparse.HelpFormatter:
    return argparse.RawTextHelpFormatter(prog, width=HELP_COLUMNS)
