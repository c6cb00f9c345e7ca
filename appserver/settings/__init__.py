"""Settings: the home directory, config.toml, profiles, -c overrides, and what the environment says.

They are read once and frozen; what a client passes with a thread is laid over them. `settings.layers` says where each
value comes from, `settings.warnings` tells the client what is not used.
"""

from appserver.settings.load import (
    environment_settings,
    home_directory,
    load_settings,
    provider_named,
    thread_options,
)
from appserver.settings.values import DEFAULT_API_BASE_URL, DEFAULT_MODEL, Options, Provider, Settings, TokenCommand

__all__ = [
    "DEFAULT_API_BASE_URL",
    "DEFAULT_MODEL",
    "Options",
    "Provider",
    "Settings",
    "TokenCommand",
    "environment_settings",
    "home_directory",
    "load_settings",
    "provider_named",
    "thread_options",
]
