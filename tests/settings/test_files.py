from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from appserver.errors import ConfigError
from appserver.settings.files import MAX_FILE_BYTES, parse_toml, position_of, read_text

if TYPE_CHECKING:
    from pathlib import Path

TEXT = """
model = "m"  # model_provider = 1
"model_verbosity"= 'low'
[ model_providers . "a.b" ]  # [x]
  name =   5
http_headers = { key = "v", other.key = 1 }
[[list]]
name = 6
[model_providers.c.auth]
args = [
  "x",
]
"""


@pytest.mark.parametrize(
    ("key", "position"),
    [
        (("model",), (2, 9)),
        (("model_verbosity",), (3, 20)),
        (("model_providers", "a.b", "name"), (5, 12)),
        (("model_providers", "a.b", "http_headers", "other", "key"), (6, 16)),
        (("model_providers", "a.b"), (4, 2)),
        (("model_providers", "c", "auth", "args"), (10, 8)),
        (("nowhere",), None),
    ],
)
def test_a_value_is_found_where_it_stands(key: tuple[str, ...], position: tuple[int, int] | None) -> None:
    parse_toml(TEXT, "config.toml")
    assert position_of(key, TEXT) == position


@pytest.mark.parametrize(
    ("text", "position"), [("a = [\n1,", (2, 3)), ("a =", (1, 4)), ('a = "\n"', (1, 6)), ("b = 1\nb = 2", (2, 6))]
)
def test_a_file_that_is_no_toml_is_told_with_its_position(text: str, position: tuple[int, int]) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_toml(text, "/home/config.toml")
    assert (caught.value.path, caught.value.position) == ("/home/config.toml", position)
    assert caught.value.message.startswith(f"/home/config.toml:{position[0]}:{position[1]}: ")
    assert "(at " not in caught.value.message


def test_line_ends_and_a_byte_order_mark_of_other_systems_are_read(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b'\xef\xbb\xbfa = 1\r\nb = """x\r\ny"""\r\n')
    assert parse_toml(read_text(str(tmp_path / "config.toml")), "") == {"a": 1, "b": "x\ny"}


def test_a_file_that_is_too_large_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    with path.open("wb") as file:
        file.truncate(100 * MAX_FILE_BYTES)
    with pytest.raises(ConfigError, match="it is larger than 1048576 bytes"):
        read_text(str(path))


def test_what_is_no_file_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("there are no such files")
    os.mkfifo(tmp_path / "pipe")
    for path, kind in ((tmp_path / "pipe", "a pipe"), (tmp_path, "a directory"), ("/dev/zero", "a device")):
        with pytest.raises(ConfigError, match=f"it is {kind}, not a regular file"):
            read_text(str(path))


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="permissions do not keep this user out")
def test_a_file_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.toml").touch(0o000)
    with pytest.raises(ConfigError, match="Permission denied"):
        read_text(str(tmp_path / "config.toml"))
