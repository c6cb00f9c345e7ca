"""`appserver doctor`: checks the installation, and says what to do about problems.

Runs the checks of checks.py, probes.py and system.py and prints their results. Repairs nothing.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from appserver.arguments import settings_of
from appserver.commands.checks import Check, check_home, check_machine
from appserver.commands.output import FAILED, say, say_json, table
from appserver.commands.system import check_system
from appserver.commands.terminal import log_for_person, with_account
from appserver.errors import ConfigError
from appserver.settings import home_directory

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Mapping, Sequence

    from appserver.server.account import Account
    from appserver.settings import Settings


def add_options(parser: ArgumentParser) -> None:
    parser.description = "Look for what keeps this from working. Exit code 1: a check has failed; warnings are allowed."
    parser.add_argument("--json", action="store_true", help="write JSON")
    parser.add_argument("--offline", action="store_true", help="leave out the checks that need a network")


def run(options: Namespace, environ: Mapping[str, str]) -> int:
    """Run all checks that can be run, and tell."""
    checks: list[Check] = []
    code = 0
    try:
        settings = settings_of(options, environ)
        log_for_person(settings, environ, "ERROR")  # a check reports what would be logged
        code = with_account(settings, partial(_with_settings, settings, checks, offline=options.offline))
    except ConfigError as exc:
        checks += [_broken(exc), check_home(home_directory(environ))]
    checks += check_system(environ)
    healthy = code == 0 and all(check.state != "fail" for check in checks)
    if options.json:
        say_json({"ok": healthy, "checks": [check._asdict() for check in checks]})
    else:
        say(*_report(checks))
    return 0 if healthy else FAILED


async def _with_settings(settings: Settings, checks: list[Check], account: Account, *, offline: bool) -> int:
    checks += [_config(settings), check_home(settings.home), *await check_machine(account)]
    if not offline:
        from appserver.commands.probes import check_network  # late: without a network, no HTTP library is needed

        checks += await check_network(account)
    return 0


def _config(settings: Settings) -> Check:
    path = os.path.join(settings.home, "config.toml")
    return Check("config", "ok", path if os.path.exists(path) else f"{path} does not exist: all is as by default")


def _broken(exc: ConfigError) -> Check:
    return Check("config", "fail", exc.message, "correct it there; most checks need it and were left out")


def _report(checks: Sequence[Check]) -> list[str]:
    """Lay the checks out, each remedy below its check."""
    rows = table([(check.state, check.name, check.detail) for check in checks])
    lines = []
    for check, row in zip(checks, rows, strict=True):
        lines.append(row)
        if check.remedy:
            lines.append(f"      -> {check.remedy}")
    failed = sum(check.state == "fail" for check in checks)
    warned = sum(check.state == "warn" for check in checks)
    return [*lines, "", f"{len(checks)} checks, {failed} failed, {warned} with a warning"]
