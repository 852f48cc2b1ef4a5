"""The table of calls is what the commands do, and its policies are enough for them and no more than that."""

from __future__ import annotations

import contextlib
import importlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

from builders.rehearsal import cloud
from builders.rehearsal.commands import CommandResult
from builders.rehearsal.rollout_file import Limits
from tools import written_files
from tools.permissions import __main__ as page
from tools.permissions.commands import COMMANDS, POLICY_LIMIT, actions, calls, policy
from tools.permissions.grants import BY_TYPE, Identity, Names

from .operators import PHASE, ROOT, Operator

POLL = ("--poll", "0.1")
GO = ("--yes", *POLL)
NEEDED_TO_APPLY = (
    "cloudformation:CreateStackInstances",
    "cloudformation:CreateStackSet",
    "cloudformation:ListStackSets",
    "s3:PutObject",
    "sts:AssumeRole",
)
"""Actions that apply is tried without, before anything is deployed."""


NOT_CALLED = {
    # where a stack, or one of its instances, fails
    "cloudformation:DeleteStack",
    "cloudformation:DescribeEvents",
    "cloudformation:DescribeStackEvents",
    "cloudformation:ListStackInstanceResourceDrifts",
    "cloudformation:ListStackSetOperationResults",
    # where there is more than one account, or a wave with alarms
    "cloudformation:UpdateStackInstances",
    "cloudwatch:DescribeAlarms",
    # where a stack was deployed by hand (test_adopt.py)
    "cloudformation:ImportStacksToStackSet",
    # where a phase names organizational units, or its permissions are service-managed
    "cloudformation:DescribeOrganizationsAccess",
    "organizations:DescribeOrganization",
    "organizations:ListAccountsForParent",
    "organizations:ListDelegatedAdministrators",
    "organizations:ListOrganizationalUnitsForParent",
    # where a role that was kept is purged, which is acknowledged one by one
    "iam:DeleteRole",
    "iam:DeleteRolePolicy",
    "iam:DetachRolePolicy",
    "iam:ListAttachedRolePolicies",
    "iam:ListRolePolicies",
}
"""Calls that the commands make in other cases than those tried here, with one account."""


@dataclass(frozen=True)
class CommandRuns:
    """The operator, the results of the commands in order, and those of apply without one action."""

    operator: Operator
    results: list[tuple[str, CommandResult]]
    refused: Mapping[str, CommandResult]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandRuns]:
    """Every command once, each by an operator with the policy of that command, up to a rollback."""
    outputs = str(tmp_path_factory.mktemp("outputs"))
    with cloud.prepared_cloud(ROOT / "rollout.yaml", Limits((PHASE,), 1, 1), authorize=True) as prepared:
        operator = Operator(prepared)
        results = [("bootstrap", operator.run("bootstrap", "--yes")), ("doctor", operator.run("doctor"))]
        refused = {each: operator.run("apply", "--no-check", *GO, without=[each]) for each in NEEDED_TO_APPLY}
        results.append(("publish", operator.run("publish")))
        results.append(("apply", operator.run("apply", "--no-check", *GO)))
        for command, more in (("status", ()), ("outputs", ("--outputs-dir", outputs)), ("drift", ("--deep", *POLL))):
            results.append((command, operator.run(command, *more)))
        results.append(("adopt", operator.run("adopt", *GO)))
        prepared.set_parameter(PHASE, "LogRetentionDays", "731")
        results.append(("plan", operator.run("plan", "--change-sets")))
        results.append(("bootstrap", operator.run("bootstrap", "--plan-only")))
        with contextlib.suppress(KeyboardInterrupt):
            operator.run("apply", "--no-check", *GO, stop_after="cloudformation:UpdateStackSet")
        results.append(("resume", operator.run("resume", *POLL)))
        results.append(("rollback", operator.run("rollback", *GO)))
        yield CommandRuns(operator, results, refused)


@pytest.fixture(scope="module")
def removed(runs: CommandRuns) -> CommandResult:
    """The phase is removed, and purged."""
    blocked = runs.operator.run("remove", "--purge", *GO)
    found = re.search(r"acknowledge (.+) by --acknowledge", blocked.stderr)
    assert found, blocked.stderr
    agreed = [part for name in found[1].split(", ") for part in ("--acknowledge", name)]
    # As on AWS: the interfaces of functions outlive them, and here their roles, too.
    runs.operator.prepared.cloud.set_faults({"kind": "lingering-interfaces", "seconds": 4})
    return runs.operator.run("remove", "--purge", *GO, *agreed)


def test_every_command_does_its_work_with_its_own_policy(runs: CommandRuns) -> None:
    assert [(command, each.stderr) for command, each in runs.results if each.code] == []


@pytest.mark.parametrize("action", NEEDED_TO_APPLY)
def test_apply_names_the_action_that_its_policy_lacks(runs: CommandRuns, action: str) -> None:
    result = runs.refused[action]
    assert result.code == 1
    assert action in result.stderr + result.stdout


@pytest.mark.parametrize("command", ["status", "outputs", "plan", "drift"])
def test_a_command_that_looks_fails_without_any_action_of_its_calls_and_names_it(
    runs: CommandRuns, command: str, tmp_path: Path
) -> None:
    operator = runs.operator
    more = {"outputs": ("--outputs-dir", str(tmp_path)), "drift": ("--deep", *POLL)}.get(command, ())
    called = set(operator.run(command, *more).calls)
    silent = []
    for action in called & set(actions(command)):
        result = operator.run(command, *more, without=[action])
        if result.code == 0 or action not in result.stderr + result.stdout:
            silent.append((action, result.code, result.stderr))
    assert silent == []


@pytest.mark.parametrize("command", ["status", "outputs", "plan", "drift"])
def test_a_command_that_looks_fails_without_any_action_of_the_plan_role_and_names_it(
    runs: CommandRuns, command: str, tmp_path: Path
) -> None:
    """In the network account, too."""
    operator = runs.operator
    more = ("--outputs-dir", str(tmp_path)) if command == "outputs" else ()
    before = set(operator.made[command])
    operator.made[command].clear()
    operator.run(command, *more)
    called = {call for identity, call in operator.made[command] if identity is Identity.PLAN}
    silent = []
    for action in sorted(called):
        with operator.plan_role_denied(action):
            result = operator.run(command, *more)
        if result.code == 0 or action not in result.stderr + result.stdout:
            silent.append((action, result.code, result.stderr))
    operator.made[command] |= before
    assert called
    assert silent == []


def test_doctor_names_the_actions_that_the_plan_role_lacks(runs: CommandRuns) -> None:
    lacking = ("ec2:DescribeTransitGatewayAttachments", "iam:GetRole", "rds:DescribeOrderableDBInstanceOptions")
    with runs.operator.plan_role_denied(*lacking):
        result = runs.operator.run("doctor")
    assert [action for action in lacking if action not in result.stdout + result.stderr] == []


def test_whoever_looks_assumes_no_deploy_role(runs: CommandRuns) -> None:
    made = runs.operator.made
    looking = ("adopt", "doctor", "drift", "outputs", "plan", "status")
    assert [command for command in looking if Identity.DEPLOY in {identity for identity, _ in made[command]}] == []


def test_every_call_of_every_command_is_in_the_table(runs: CommandRuns, removed: CommandResult) -> None:
    assert set(runs.operator.made) == set(COMMANDS)
    undeclared = {
        (command, identity.name, call)
        for command, made in runs.operator.made.items()
        for identity, call in made
        if call not in calls(command, identity)
    }
    assert undeclared == set()


def test_the_phase_goes_with_the_policy_of_remove(removed: CommandResult) -> None:
    assert removed.code == 0, removed.stderr


def test_a_removal_waits_for_the_interfaces_of_functions_and_clears_what_lambda_leaves(
    runs: CommandRuns, removed: CommandResult
) -> None:
    assert "network interfaces of functions still there; Lambda deletes them within 20 minutes" in removed.stderr
    prepared = runs.operator.prepared
    for target in prepared.targets(PHASE):
        found = prepared.accounts.api("ec2", target.account, target.region).describe_network_interfaces()
        assert [each["Description"] for each in found["NetworkInterfaces"] if "Lambda" in each["Description"]] == []


def test_the_plan_role_of_the_layer_may_do_what_the_table_asks_of_it() -> None:
    template = json.loads((ROOT / "templates/account.json").read_text(encoding="utf-8"))
    statements = template["Resources"]["PlanPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    allowed = {action for statement in statements for action in statement["Action"]}
    assert {action for command in COMMANDS for action in actions(command, Identity.PLAN)} <= allowed


@pytest.mark.parametrize("kind", BY_TYPE)
def test_the_actions_of_bootstrap_are_those_of_the_registry(kind: str) -> None:
    handlers = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema["handlers"]
    known = {action for handler in handlers.values() for action in handler["permissions"]}
    assert set(BY_TYPE[kind]) - known == set()


def test_every_action_exists() -> None:
    named = {action for command in COMMANDS for identity in Identity for action in actions(command, identity)}
    unknown = []
    for action in sorted(named):
        service, _, name = action.partition(":")
        known = {"lambda": "awslambda"}.get(service, service)  # a keyword of Python
        module = importlib.import_module(f"awacs.{known.replace('-', '_')}")
        if not hasattr(module, name):
            unknown.append(action)
    assert unknown == []


@pytest.mark.parametrize("command", COMMANDS)
def test_a_policy_fits_into_a_managed_one(command: str) -> None:
    role = "OrganizationAccountAccessRole"
    names = Names("8" * 12, "ap-southeast-2", "s" * 16, "1" * 12, role, "aws-us-gov", "8" * 12, "9" * 12, role)
    assert len(json.dumps(policy(command, names=names), separators=(",", ":"))) <= POLICY_LIMIT


@pytest.mark.parametrize("command", COMMANDS)
def test_only_what_has_no_narrower_resource_is_allowed_on_all(command: str) -> None:
    wide = [grant.why for grant in COMMANDS[command] if "*" in grant.resources]
    reasons = ("no resource level", "needs no permission", "names none", "without a resource")
    assert [why for why in wide if not any(reason in why for reason in reasons)] == []


def test_the_page_is_what_the_table_says() -> None:
    assert written_files.check("tools.permissions", page.desired_files()) == []


def test_what_the_table_allows_is_called_but_for_what_does_not_happen_here(
    runs: CommandRuns, removed: CommandResult
) -> None:
    made = {pair for pairs in runs.operator.made.values() for pair in pairs}
    declared = {(grant.identity, call) for grants in COMMANDS.values() for grant in grants for call in grant.calls}
    assert removed.code == 0
    assert sorted({call for _, call in declared - made}) == sorted(NOT_CALLED)
