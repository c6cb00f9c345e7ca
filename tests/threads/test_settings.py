"""What a request chooses of the settings, and what a turn is run with."""

from __future__ import annotations

import os
from typing import Any

import pytest

from appserver.settings import Options
from appserver.threads.settings import PLAN_INSTRUCTIONS, chosen, chosen_options
from tests.threads.records import thread

MODE = {"mode": "default", "settings": {"model": "m3", "reasoning_effort": "low", "developer_instructions": "Rhyme."}}


def asked(**params: Any) -> dict[str, Any]:  # noqa: ANN401 - members of params
    found: Any = params
    return chosen(found)


@pytest.mark.parametrize(
    ("params", "values"),
    [
        ({"model": "m2"}, {"model": "m2"}),
        ({"effort": "high"}, {"effort": "high"}),
        ({"summary": "detailed"}, {"summary": "detailed"}),
        ({"serviceTier": "flex"}, {"service_tier": "flex"}),
        ({"serviceTier": "fast"}, {"service_tier": "priority"}),
        ({"serviceTier": None}, {"service_tier": "default"}),
        ({"serviceTier": ""}, {"service_tier": "default"}),
        ({"cwd": os.sep}, {"cwd": os.sep}),
        ({"cwd": "sub"}, {"cwd": os.path.join(os.getcwd(), "sub")}),
        ({"approvalPolicy": "on-request"}, {"approval_policy": "on-request"}),
        ({"approvalPolicy": {"granular": {}}}, {"approval_policy": {"granular": {}}}),
        ({"approvalsReviewer": "auto_review"}, {"approvals_reviewer": "auto_review"}),
        ({"sandboxPolicy": {"type": "dangerFullAccess"}}, {"sandbox": {"type": "dangerFullAccess"}}),
        ({"sandboxPolicy": {"type": "readOnly"}}, {"sandbox": {"type": "readOnly", "networkAccess": False}}),
        ({"sandbox": "danger-full-access"}, {"sandbox": {"type": "dangerFullAccess"}}),
        ({"baseInstructions": "Be brief."}, {"instructions": "Be brief."}),
        ({"developerInstructions": "Rhyme."}, {"developer_instructions": "Rhyme."}),
    ],
)
def test_each_member_of_a_request_chooses_a_value(params: dict[str, Any], values: dict[str, Any]) -> None:
    assert asked(**params) == values


@pytest.mark.parametrize(
    "name", ["model", "effort", "summary", "cwd", "approvalPolicy", "approvalsReviewer", "sandboxPolicy", "sandbox"]
)
def test_null_changes_nothing(name: str) -> None:
    assert asked(**{name: None}) == {}
    assert asked(collaborationMode=None) == {}


@pytest.mark.parametrize("name", ["model", "effort", "cwd", "baseInstructions"])
def test_an_empty_text_chooses_nothing(name: str) -> None:
    assert asked(**{name: ""}) == {}


def test_the_developers_instructions_may_be_taken_away() -> None:
    assert asked(developerInstructions="") == {"developer_instructions": ""}


def test_a_sandbox_is_told_with_what_the_client_left_out() -> None:
    policy = {"type": "workspaceWrite", "writableRoots": ["/w"], "networkAccess": True}
    rest = {"excludeTmpdirEnvVar": False, "excludeSlashTmp": False}
    assert asked(sandboxPolicy=policy)["sandbox"] == {**policy, **rest}
    assert asked(sandbox="workspace-write")["sandbox"] == {
        "type": "workspaceWrite",
        "writableRoots": [],
        "networkAccess": False,
        **rest,
    }


def test_of_one_request_the_collaboration_mode_has_the_last_word() -> None:
    values = asked(collaborationMode=MODE, model="m9", effort="high", summary="concise")
    assert values == {
        "mode": "default",
        "model": "m3",
        "effort": "low",
        "mode_instructions": "Rhyme.",
        "summary": "concise",
    }


def test_what_a_collaboration_mode_leaves_out_is_the_models_and_the_modes_own() -> None:
    assert asked(collaborationMode={"mode": "default", "settings": {"model": "m3"}}, effort="high") == {
        "mode": "default",
        "model": "m3",
        "effort": None,
        "mode_instructions": None,
    }
    planning = asked(collaborationMode={"mode": "plan", "settings": {"model": "m3", "developer_instructions": None}})
    assert planning["mode_instructions"] == PLAN_INSTRUCTIONS


def test_options_that_were_not_chosen_choose_nothing() -> None:
    assert chosen_options(Options(model="m", effort="low")) == {"model": "m", "effort": "low"}


def test_a_turn_may_have_a_service_tier_of_its_own() -> None:
    record = thread(service_tier="flex")
    assert record.turn_settings().service_tier == "flex"
    assert record.turn_settings("fast").service_tier == "priority"
    assert record.turn_settings("default").service_tier == "default"
