"""What a public forge and a contributor's machine run: no secret, no right that is not needed, nothing that changes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
HOOKS = (ROOT / ".pre-commit-config.yaml").read_text("utf-8")

pytestmark = pytest.mark.skipif(not WORKFLOWS, reason="not a checkout")


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_has_pinned_actions_and_the_least_rights(workflow: Path) -> None:
    text = workflow.read_text("utf-8")
    used = re.findall(r"uses: (\S+)", text)
    assert used
    assert [action for action in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action)] == []
    assert re.findall(r"^permissions:\n((?:  .*\n)+)", text, re.MULTILINE) == ["  contents: read\n"]
    assert "secrets." not in text
    assert text.count("actions/checkout@") == text.count("persist-credentials: false")
    assert "pull_request_target" not in text


def test_the_workflow_runs_what_a_change_must_pass_everywhere() -> None:
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8")
    assert "- run: .ci/run\n" in text
    for one in ("ubuntu", "macos", "windows", '"3.11"', '"3.12"', '"3.13"', '"3.14"'):
        assert one in text


def test_hooks_use_the_tools_of_the_tests_and_fetch_none() -> None:
    assert re.findall(r"repo: (\S+)", HOOKS) == ["local"]
    commands = re.findall(r"entry: (\S+)", HOOKS)
    assert {Path(command).parent.as_posix() for command in commands} == {".venv/test/bin"}


def test_what_hooks_and_the_fast_part_of_the_tests_name_exists() -> None:
    named = re.findall(r"\btests/[\w./]+", HOOKS + (ROOT / ".ci" / "test").read_text("utf-8"))
    assert len(named) > 20
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_no_file_names_a_registry() -> None:
    hosts = re.compile(
        "|".join(("pypi" + r"\.org", "pythonhosted" + r"\.org", "registry" + r"\.npmjs", "npmjs" + r"\.com"))
    )
    files = [path for pattern in ("*", ".ci/*", ".github/**/*", "docs/**/*") for path in ROOT.glob(pattern)]
    texts = {path: path.read_text("utf-8", errors="replace") for path in files if path.is_file()}
    assert [path.name for path, text in texts.items() if hosts.search(text)] == []
