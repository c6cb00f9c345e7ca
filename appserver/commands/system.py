"""The data on the machine in `doctor`, for the reader of a bug report: versions, platform, proxies.

Looks only at what it is given and at what is installed; nothing here can fail.
"""

from __future__ import annotations

import platform
import re
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from appserver import __version__
from appserver.commands.checks import Check

if TYPE_CHECKING:
    from collections.abc import Mapping

PACKAGES = ("anyio", "filelock", "h11", "httpx", "jsonrpcserver", "pydantic")
OPTIONAL_PACKAGES = ("keyring", "segno")
PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


def check_system(environ: Mapping[str, str]) -> list[Check]:
    """Return checks that report proxies, versions and platform."""
    return [_check_proxies(environ), _check_packages(), _python(), Check("platform", "ok", platform.platform())]


def _check_proxies(environ: Mapping[str, str]) -> Check:
    names = [name for upper in PROXY_VARIABLES for name in (upper.lower(), upper) if environ.get(name)]
    told = [f"{name}={_without_password(environ[name])}" for name in names]
    return Check("proxies", "ok", ", ".join(told) or "none are set")


def _check_packages() -> Check:
    versions = {name: _version(name) for name in (*PACKAGES, *OPTIONAL_PACKAGES)}
    told = ", ".join(f"{name} {found}" for name, found in versions.items() if found)
    missing = [name for name in PACKAGES if versions[name] is None]
    if missing:
        return Check("packages", "warn", f"{', '.join(missing)} not found; {told}", "install appserverd again")
    return Check("packages", "ok", f"appserverd {__version__}, {told}")


def _python() -> Check:
    return Check("python", "ok", f"{platform.python_implementation()} {platform.python_version()}")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _without_password(proxy: str) -> str:
    return re.sub(r"[^/@,\s]*@", "***@", proxy)
