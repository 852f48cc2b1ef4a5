"""docs/permissions.md: the table as a person reads it, and the policies as IAM takes them.

Writes docs/permissions.md; with --check it changes nothing and fails when the page is stale.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from builders import naming
from tools.permissions.calls import Grant, Who
from tools.permissions.table import COMMANDS, grants, policy

_HEAD = """\
# What each command needs

Whoever runs `rollout-stacksets` has credentials of the tooling account. Three identities make calls: {who}.
Below is what IAM must allow each of them, command by command, and the caller's policy ready to attach.

In the policies stand `${{ToolingAccount}}`, its number; `${{HomeRegion}}`, `tooling.region` of rollout.yaml;
`${{Suffix}}`, the phase's EnvironmentSuffix; `${{DeployRole}}`, `deploy_role` of rollout.yaml. A policy for one suffix
reaches one phase's roles and books alone. Stack sets are shared by pattern: a suffix stands at the end of their names,
so put `stackferry-*-<suffix>` in place of `stackferry-*` to keep somebody to one phase. In other partitions write
`aws-cn` or `aws-us-gov`.

- The plan role `{plan_role}-<suffix>` is made by the layer `account`, and its policy has what is asked of it here;
  a test compares the two.
- The deploy role exists in every account that AWS Organizations made (`OrganizationAccountAccessRole`). What the plain
  stacks' resources need comes on top of what is listed: CloudFormation acts with the rights of whoever deploys a stack.
  For the tooling account's own stacks that is part of what `bootstrap` asks of the caller.
- The stacks of a phase need none of this: StackSets deploy them through the administration and execution roles.
- With service-managed permissions, leave `iam:PassRole` out, and add nothing: a delegated administrator needs
  `organizations:ListDelegatedAdministrators`, which `doctor` has.

What was tried: every command runs on the embedded cloud with IAM evaluated and the caller's policy of this page, and
the commands that only look fail without any one of the actions that they use, naming it. The embedded cloud does not
ask for `iam:PassRole`, `s3:ListBucket`, tags of stack sets, targets and types, nor for a resource's ARN when a stack
makes it; those are here by the Service Authorization Reference and the user guides, and were not tried.

Written by `python -m tools.permissions` from the table of the calls that the code makes; a test runs the
commands and compares. Do not edit.
"""


def text() -> str:
    """The whole page."""
    who = ", ".join(each.value for each in Who)
    head = _HEAD.format(who=who, plan_role=naming.PLAN_ROLE)
    return "\n".join([head, *(line for command in COMMANDS for line in _command(command))])


def _command(command: str) -> Iterator[str]:
    yield f"## {command}\n"
    for who in Who:
        found = grants(command, who)
        if found:
            yield f"{who.value[0].upper()}{who.value[1:]}:\n"
            yield "| actions | resources | for what |"
            yield "|---|---|---|"
            yield from map(_row, found)
            yield ""
    yield "The caller's policy:\n"
    yield "```json"
    yield json.dumps(policy(command), indent=1)
    yield "```\n"


def _row(grant: Grant) -> str:
    allowed = ", ".join(f"`{action}`" for action in grant.actions) or f"none (`{'`, `'.join(grant.calls)}`)"
    resources = ", ".join(f"`{_shown(each)}`" for each in grant.resources)
    return f"| {allowed} | {resources} | {grant.why} |"


def _shown(resource: str) -> str:
    """Short in the table: the policy below has it whole."""
    short = resource.removeprefix("arn:{aws}:")
    for name, word in (("tooling", "tooling"), ("home", "home"), ("suffix", "suffix"), ("deploy_role", "deploy role")):
        short = short.replace(f"{{{name}}}", f"<{word}>")
    return short


PAGE = Path("docs/permissions.md")
CURRENT, STALE = 0, 1


def main() -> int:
    """Write the page, or say whether it is stale."""
    parser = argparse.ArgumentParser(prog="python -m tools.permissions", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit code 1 when the page is stale")
    check = parser.parse_args().check
    if not check:
        PAGE.write_text(text(), encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text():
        print(f"{PAGE} is stale; write it with `python -m tools.permissions`", file=sys.stderr)
        return STALE
    return CURRENT


if __name__ == "__main__":
    sys.exit(main())
