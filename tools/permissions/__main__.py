"""Writes docs/permissions.md: the grants of each command as a person reads them, and the policies as IAM takes them."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
- The template `deploy_role` makes the deploy role with the permissions that are listed here and those for the
  resources of the plain stacks, which CloudFormation makes with the permissions of whoever deploys them; a test
  compares ([bootstrap.md](bootstrap.md#the-deploy-role)). For the tooling account's own stacks, those permissions are
  listed under `bootstrap`.
- The stacks of a phase need none of this: StackSets deploys them through the administration and execution roles.
- With service-managed permissions, leave `iam:PassRole` out. Only a delegated administrator needs
  `organizations:ListDelegatedAdministrators`: without it StackSets find that the account is none, in every command.

Tests run every command on the embedded cloud with IAM evaluated and the caller's policy of this page. They run
`status`, `outputs`, `plan` and `drift` without each one of their actions, too: the command fails and names the action.
The embedded cloud does not check `iam:PassRole`, the caller's own `sts:SetSourceIdentity`, `s3:ListBucket`, the tags of stack sets, targets and types, or the ARN
of a resource that a stack creates; those follow the Service Authorization Reference and the user guides, and are not
tested.

## What the execution role cannot do, and what stays possible

Whoever holds the tooling account writes the stack sets, and so the templates that the execution role deploys; he can
also change the administration role, and assume the execution role himself. With `PermissionsBoundary` in the
environment's file (the committed ones have it) the layer `account` holds that role to the boundary
`{boundary}-<suffix>`. `tests/cloud/test_execution_role.py` and the tests of the layer attack, and are refused:

| attack | shut by |
|---|---|
| CreateRole without the boundary, or with another one | a denial of the execution role, by `iam:PermissionsBoundary` |
| removing or replacing a role's boundary; a new version or the deletion of the boundary itself | denials |
| CreatePolicy with any text, CreateRole with any trust, attached to each other | the boundary: such a role does what the roles of the layers do, and the database's secret is read by functions alone (`lambda:SourceFunctionArn`) |
| UpdateAssumeRolePolicy of a function's role | the same: whoever assumes it is no function |
| AttachRolePolicy with a policy of AWS or of others; a policy, trust or pass of roles of others | conditions and names in the grants |
| TagResource on somebody else's secret, or on another phase's secret or key | names of secrets, and the tags that are there already |
| PutKeyPolicy on another phase's key; DeleteSecret, ScheduleKeyDeletion, DisableKey | the tag of the phase; not granted at all, a purge uses the deploy role |
| UpdateFunctionCode of a function that reads a secret; GetSecretValue; a new trust; PutKeyPolicy on the own key | `SealExecutionRole=true`, between two releases |

What stays possible, and what shuts it:

- **While the role is not sealed**, a stack set can give a function other code, or write a dynamic reference to the
  database's secret into any property: CloudFormation resolves it with the execution role, which reads the secret to
  make the database. It can also set another master password, or replicate to another endpoint. So seal it (`SealExecutionRole=true`, then `rollout-stacksets bootstrap`) and open it for a
  release. AWS's own measure for code is code signing, which these templates do not use.
- **DMS reads its secrets by an ordinary role**, and nothing in a request tells DMS's session from another. A role of
  the attacker's with any trust reads the secrets of DMS's users, of the source and of the target. A resource control
  policy of the organization, which the management account makes, shuts that: services alone assume a phase's roles.

  ```json
{rcp}
  ```

- **`CreateMigrationRole=true`** adds a role by which people read secrets. Take it away after the cut-over.
- **A key without the tag Environment** whose policy leaves its use to the account's IAM can be tagged as the phase's
  own, and its policy then changed. Tag the keys of other systems.
- **The deploy role** can change `account`, and so all of this. It belongs to few, and not to the tooling account's
  everyday callers ([bootstrap.md](bootstrap.md#the-deploy-role)).
- Networks, databases and replication tasks of the phase itself are the role's to change and to delete; their data
  stays in snapshots and secrets that it cannot delete.

Written by `python -m tools.permissions` from the table of the calls that the code makes; a test compares the table
with the calls. Do not edit.
"""  # noqa: E501  rows of a table


SERVICES_ALONE: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "ServicesAlone",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "sts:AssumeRole",
            "Resource": "arn:aws:iam::*:role/StackSet-stackferry-*",
            "Condition": {"BoolIfExists": {"aws:PrincipalIsAWSService": "false"}},
        }
    ],
}
"""A resource control policy (AWS Organizations user guide, "Resource control policies (RCPs)")."""


def desired_files() -> dict[Path, str]:
    """The page."""
    head = _HEAD.format(
        identities="; ".join(each.value for each in Identity),
        plan_role=naming.PLAN_ROLE,
        boundary=naming.PERMISSIONS_BOUNDARY,
        rcp=textwrap.indent(json.dumps(SERVICES_ALONE, indent=1), "  "),
    )
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
