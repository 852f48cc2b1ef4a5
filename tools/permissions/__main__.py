"""Writes docs/permissions.md: the grants of each command as a person reads them, and the policies as IAM takes them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from builders import naming
from tools import written_files
from tools.permissions.commands import COMMANDS, command_grants, policy
from tools.permissions.grants import Grant, Identity

PAGE = Path("docs/permissions.md")

_HEAD = """\
# Permissions of each command

Whoever runs `rollout-stacksets` has credentials of the tooling account. Three identities make calls: {identities}.
For each command this page lists the permissions of each identity, and the caller's policy, ready to attach.

The policies contain `${{ToolingAccount}}`, its number; `${{HomeRegion}}`, `tooling.region` of rollout.yaml;
`${{Suffix}}`, the phase's EnvironmentSuffix; `${{DeployRole}}`, `deploy_role` of rollout.yaml; `${{StackSetsAccount}}`,
the account that owns the stack sets: the tooling account, or the organization's management account where `call_as` is
DELEGATED_ADMIN, whose sets are all in that account. A policy for one suffix
reaches the roles and the stored state of that phase only. For stack sets it has a pattern that matches all phases: the
suffix is at the end of their names, so write `stackferry-*-<suffix>` instead of `stackferry-*` to limit somebody to one
phase. In AWS GovCloud write `aws-us-gov` for the partition.

- The layer `account` creates the plan role `{plan_role}-<suffix>` with the permissions that are listed here; a test
  compares the two.
- The deploy role exists in every account that AWS Organizations created (`OrganizationAccountAccessRole`). It needs
  the permissions for the resources of the plain stacks, too: CloudFormation uses the permissions of whoever deploys a
  stack. For the tooling account's own stacks, those permissions are listed under `bootstrap`.
- The stacks of a phase need none of this: StackSets deploys them through the administration and execution roles.
- With service-managed permissions, leave `iam:PassRole` out. Only a delegated administrator needs
  `organizations:ListDelegatedAdministrators`: without it StackSets find that the account is none, in every command.

Tests run every command on the embedded cloud with IAM evaluated and the caller's policy of this page. They run
`status`, `outputs`, `plan` and `drift` without each one of their actions, too: the command fails and names the action.
The embedded cloud does not check `iam:PassRole`, `s3:ListBucket`, the tags of stack sets, targets and types, or the ARN
of a resource that a stack creates; those follow the Service Authorization Reference and the user guides, and are not
tested.

Written by `python -m tools.permissions` from the table of the calls that the code makes; a test compares the table
with the calls. Do not edit.
"""


def desired_files() -> dict[Path, str]:
    """The page."""
    head = _HEAD.format(identities="; ".join(each.value for each in Identity), plan_role=naming.PLAN_ROLE)
    return {PAGE: "\n".join([head, *(line for command in COMMANDS for line in _section(command))])}


def _section(command: str) -> Iterator[str]:
    yield f"## {command}\n"
    for identity in Identity:
        grants = command_grants(command, identity)
        if grants:
            yield f"{identity.value[0].upper()}{identity.value[1:]}:\n"
            yield "| actions | resources | purpose |"
            yield "|---|---|---|"
            yield from map(_row, grants)
            yield ""
    yield "The caller's policy:\n"
    yield "```json"
    yield json.dumps(policy(command), indent=1)
    yield "```\n"


def _row(grant: Grant) -> str:
    allowed = ", ".join(f"`{action}`" for action in grant.actions) or f"none (`{'`, `'.join(grant.calls)}`)"
    resources = ", ".join(f"`{_short(each)}`" for each in grant.resources)
    return f"| {allowed} | {resources} | {grant.why} |"


def _short(resource: str) -> str:
    """The resource without the beginning that all ARNs share; the policy has all of it."""
    short = resource.removeprefix("arn:{aws}:")
    for name, word in (
        ("tooling", "tooling"),
        ("home", "home"),
        ("sets", "stack sets account"),
        ("suffix", "suffix"),
        ("deploy_role", "deploy role"),
    ):
        short = short.replace(f"{{{name}}}", f"<{word}>")
    return short


if __name__ == "__main__":
    sys.exit(written_files.main("tools.permissions", desired_files()))
