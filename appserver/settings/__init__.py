"""Settings: the home directory, config.toml, -c overrides, and what the environment says, read once and frozen."""

from appserver.settings.load import home_directory, load_settings
from appserver.settings.values import (
    DEFAULT_API_BASE_URL,
    DEFAULT_MODEL,
    Provider,
    Settings,
)

__all__ = ["DEFAULT_API_BASE_URL", "DEFAULT_MODEL", "Provider", "Settings", "home_directory", "load_settings"]
