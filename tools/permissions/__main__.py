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
`${{Suffix}}`, the phase's EnvironmentSuffix; `${{Account}}`, an account of the phase, and its `${{DeployRole}}`;
`${{NetworkAccount}}`, the network account, and its `${{NetworkDeployRole}}`; `${{StackSetsAccount}}`, the account that
owns the stack sets: the tooling account, or the organization's management account where `call_as` is DELEGATED_ADMIN.
Write a line with `${{Account}}` once for each account of the phase; if the phase names organizational units, write
them into `stackset-target`, too. If the policy becomes too long, use `*` instead: it allows no more for a role whose
name ends in the suffix, nor for `stackset-target` if the tooling account owns no service-managed stack sets. In AWS
GovCloud write `aws-us-gov` for the partition.

**A policy confines its holder to one phase**: its stack sets, its roles and its stored state. Suffixes have no hyphens,
so `stackferry-*-dev` matches no name of another phase. A stack set of the phase deploys by the phase's own
administration role, which may assume only the phase's execution role, and only to the accounts in `stackset-target`,
whichever roles and permission model the request names. All phases share the buckets. There the policy allows writing the
phase's own packages and state, and `rollout/content/`: templates stored under the SHA-256 of their text, which nobody
can overwrite and which is compared with the text before a template is used. Two permissions are not confined to a
phase, so give them only to administrators of all phases:

- The policy of `bootstrap`: whoever can create a role in the tooling account and write its policy can do anything there.
- A deploy role in the network account: route tables of a transit gateway have no names, so IAM cannot distinguish the
  phases.

Also:

- The layer `account` creates the plan role `{plan_role}-<suffix>` with the permissions that are listed here; a test
  compares the two.
- `status`, `plan`, `outputs`, `drift`, `adopt` and `doctor` need no deploy role, not even in the network account:
  `bootstrap` creates the plan role there, too. Before that, `doctor` tries the deploy role itself, if it may. So do
  `bootstrap --plan-only` and `bootstrap --out`, which need no deploy role either once the plan role exists.
- The template `deploy_role` creates the deploy role with the permissions that are listed here and those for the
  resources of the plain stacks, which CloudFormation creates with the permissions of the caller; a test compares them
  ([bootstrap.md](bootstrap.md#the-deploy-role)). For the tooling account's own stacks, those permissions are
  listed under `bootstrap`.
- The stacks of a phase need none of this: StackSets deploys them through the administration and execution roles.
- With service-managed permissions, leave `iam:PassRole` out. Only a delegated administrator needs
  `organizations:ListDelegatedAdministrators`: without it StackSets does not accept the account as one, in any command.

Tests run every command on the embedded cloud with IAM evaluated and the caller's policy of this page. Others give a
user the policies of one phase, next to a second phase, and try every action on the second phase's resources: each is
refused. `status`, `outputs`, `plan` and `drift` are also run without each one of their actions, the caller's and the
plan role's: the command fails and names the action. No command that only reads assumes a deploy role. The embedded
cloud does not check the ARN of a resource that a stack creates; those follow the Service Authorization Reference and
the user guides, and are not tested.

## What the execution role cannot do, and what stays possible

Whoever controls the tooling account writes the stack sets, and so the templates that the execution role deploys, and
can also change the administration roles and assume the execution role. With `PermissionsBoundary` in the environment's
file (the committed ones have it) the layer `account` lets the execution role create roles only with the boundary
`{boundary}-<suffix>`. `tests/cloud/test_execution_role.py` and the tests of the layer try these attacks; each is
refused:

| attack | prevented by |
|---|---|
| CreateRole without the boundary, or with another one | a denial of the execution role, by `iam:PermissionsBoundary` |
| removing or replacing a role's boundary; a new version or the deletion of the boundary itself | denials |
| CreatePolicy with any text, CreateRole with any trust, attached to each other | the boundary: such a role can do only what the roles of the layers do, and only functions can read the database's secret (`lambda:SourceFunctionArn`) |
| UpdateAssumeRolePolicy of a function's role | the same: whoever assumes the role is not a function |
| AttachRolePolicy with a policy of AWS or of others; a policy, trust or pass of roles of others | conditions and names in the grants |
| TagResource on somebody else's secret, or on another phase's secret or key | names of secrets, and the tags that they already have |
| PutKeyPolicy on another phase's key; DeleteSecret, ScheduleKeyDeletion, DisableKey | the tag of the phase; the other two are not granted, a purge uses the deploy role |
| UpdateFunctionCode of a function that reads a secret; GetSecretValue; a new trust; PutKeyPolicy on the own key | `SealExecutionRole=true`, between two releases |

What stays possible, and what prevents it:

- **While the role is not sealed**, a stack set can give a function other code, or write a dynamic reference to the
  database's secret into any property: CloudFormation resolves it with the execution role, which reads the secret to
  create the database. It can also set another master password, or replicate to another endpoint. So seal the role
  (`SealExecutionRole=true`, then `rollout-stacksets bootstrap`), and unseal it only for a release. Code signing
  ([rollout.md](rollout.md#packages-are-what-was-built)) refuses other code only as long as the function has its
  configuration, which the unsealed role can take off (`lambda:DeleteFunctionCodeSigningConfig`): to keep it, deny that
  action in a service control policy of the organization, and CreateFunction without `lambda:CodeSigningConfigArn`
  (Lambda developer guide, "Configuring IAM policies for Lambda code signing configurations").
- **DMS reads its secrets with an ordinary role**, and nothing in a request distinguishes DMS's session from another. A
  role that an attacker creates, with any trust policy, can read the secrets of DMS's users of the source and of the
  target. A resource control policy of the organization, which the management account creates, prevents that: only
  services can assume a phase's roles.

  ```json
{rcp}
  ```

- **`CreateMigrationRole=true`** adds a role with which people read secrets. Remove it after the cut-over.
- **A key without the tag Environment**, whose policy delegates its use to the account's IAM policies, can be tagged as
  the phase's own, and then its policy can be changed. So can a secret of another system without that tag, if its name
  begins like those of the phase (`DatabaseSecret-`, `DmsSecret-`, `Secret-`, as CloudFormation names a secret after its
  logical id), and then it can be read. Tag the keys and secrets of other systems, or keep them in other accounts.
- **The deploy role** can change `account`, and so all of this. Let few people use it, and not the tooling account's
  everyday callers ([bootstrap.md](bootstrap.md#the-deploy-role)).
- **The role can change and delete** networks, databases and replication tasks of its own phase, sealed or not. The
  layers' templates keep a final snapshot and the automated backups, but a template of an attacker need not
  (`DeletionPolicy: Delete`), and IAM has no condition on a final snapshot. `DeletionProtection=true` prevents that while
  the role is sealed, since it cannot change the database then. Snapshots that exist, secrets and keys stay: the role
  cannot delete them. Keep a copy of the backups in another account.

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
        ("account", "account"),
        ("deploy_role", "deploy role"),
        ("network", "network account"),
        ("network_role", "deploy role there"),
    ):
        short = short.replace(f"{{{name}}}", f"<{word}>")
    return short


if __name__ == "__main__":
    sys.exit(written_files.main("tools.permissions", desired_files()))
