"""The words of a command line: which command, which options, and what is refused.

Takes what existing clients pass to the reference, on either side of the command. What has no meaning here is accepted
and named in `Arguments.ignored`. No message repeats an argument: it may be a key that was put in the wrong place.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from appserver.settings import Settings

EXIT_USAGE = 2
"""The command line cannot be used (as argparse has it)."""

COMMANDS = (
    "app-server",
    "login",
    "logout",
    "status",
    "doctor",
    "demo",
    "fake-backend",
    "generate-json-schema",
    "generate-ts",
)

SUBCOMMANDS = {
    # As the reference spells them: the first word of a command is followed by a second one.
    ("app-server", "generate-json-schema"): "generate-json-schema",
    ("app-server", "generate-ts"): "generate-ts",
    ("login", "status"): "login status",
}

IGNORED_WITH_VALUE = (
    # What the reference's own tools may do; they are not here.
    ("-s", "--sandbox"),
    ("-a", "--ask-for-approval"),
    ("--add-dir",),
    ("--code-mode-host",),
    ("--session-source",),
)

IGNORED = (
    ("--full-auto",),
    ("--approve-for-me",),
    ("--dangerously-bypass-approvals-and-sandbox", "--yolo"),
    ("--dangerously-bypass-hook-trust",),
    ("--search",),
    ("--no-alt-screen",),
    ("--no-daemon",),
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
        ("--port",),
        ("-o", "--out"),
        ("--prettier",),
        *IGNORED_WITH_VALUE,
    )
    for name in names
}
"""Those whose value is a word of its own, which is no command."""

HELP_COLUMNS = 100
"""How wide help is. Measuring the terminal would import shutil at every start."""


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


def settings_of(options: argparse.Namespace, environ: Mapping[str, str], *, lenient: bool = False) -> Settings:
    """Read the settings with what `Parser.add_configuration` has taken. Raises ConfigError unless lenient."""
    from appserver.settings import load_settings

    features = dict.fromkeys(options.enable, True) | dict.fromkeys(options.disable, False)
    values: dict[str, Any] = {"features": features} if features else {}
    if getattr(options, "model", None) is not None:
        values["model"] = options.model
    return load_settings(environ, options.config, values, profile=options.profile, lenient=lenient)


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

    def add_generation(self, directory: str) -> None:
        """Take what the reference takes that writes its schema. Nothing depends on the configuration here."""
        self.add_argument("-o", "--out", default=directory, metavar="DIR", help="where to write to")
        for names in (("-c", "--config"), ("--enable",), ("--disable",)):
            self.add_argument(*names, action="append", help=argparse.SUPPRESS)
        self.add_argument("--experimental", action="store_true", help="accepted; nothing is left out without it")

    def add_ignored(self) -> None:
        """Take what has no meaning here."""
        for names in IGNORED_WITH_VALUE:
            self.add_argument(*names, dest="ignored", action=_Ignored, default=[], help=argparse.SUPPRESS)
        for names in IGNORED:
            self.add_argument(*names, dest="ignored", action=_Ignored, nargs=0, default=[], help=argparse.SUPPRESS)

    def parse(self, words: list[str]) -> argparse.Namespace:
        """Parse what follows the command, or exit."""
        options, unknown = self.parse_known_args(words)
        if unknown:
            names = [word.partition("=")[0] for word in unknown if word.startswith("--")]
            if not names:
                self.error("there is an argument too many")
            self.error(f"unknown option {names[0]}{hint(names[0], self._option_string_actions)}")
        return options

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
