"""Somebody who may do what a policy says and nothing else, in a company where IAM is asked about every request."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path
from typing import Any

from builders.rehearsal.cloud import RehearsalCloud
from builders.rehearsal.commands import CommandResult, RolloutCommand
from builders.rollout.aws.calls import ApiCall, Moment
from builders.rollout.aws.client import Client
from builders.rollout.aws.sessions import Access
from tools.permissions import calls
from tools.permissions.calls import Scope, Who
from tools.permissions.table import policy

ROOT = Path(__file__).parents[2]
PHASE, SUFFIX = "dev", "dev"


class Operator(RolloutCommand):
    """A user of the tooling account. `made` are the calls of each command, by whose they were."""

    def __init__(self, current: RehearsalCloud) -> None:
        super().__init__(current, ROOT / "templates")
        self.current = current
        self.made: dict[str, set[tuple[Who, str]]] = defaultdict(set)
        rollout = current.rollout
        self.scope = Scope(rollout.tooling.account, rollout.home, SUFFIX, rollout.deploy_role)
        self._iam = current.accounts.api("iam", rollout.tooling.account)
        self._iam.create_user(UserName="operator")
        key = self._iam.create_access_key(UserName="operator")["AccessKey"]
        self._keys = key["AccessKeyId"], key["SecretAccessKey"]

    def run(self, command: str, *more: str, without: Collection[str] = (), stop_after: str = "") -> CommandResult:
        """Run a command with its own policy, but for some actions; `stop_after` is a call that Ctrl-C comes behind."""
        document = policy(command, scope=self.scope, without=without)
        if command == "bootstrap":
            document["Statement"].append({"Effect": "Allow", "Action": _of_resources(), "Resource": "*"})
        arguments = {"UserName": "operator", "PolicyName": "command", "PolicyDocument": json.dumps(document)}
        self._iam.put_user_policy(**arguments)

        def observe(moment: Moment, call: ApiCall) -> None:
            self.made[command].add((_whose(call), str(call)))
            if str(call) == stop_after and moment is Moment.AFTER:
                raise KeyboardInterrupt

        return self.call(command, "--phase", PHASE, *more, observe=observe)

    def client(self, *, region: str, observe: Any = None, **given: Any) -> Client:
        """With the user's keys."""
        access = Access(region, endpoint_url=self.current.cloud.endpoint_url, keys=self._keys)
        return Client(access, observe=observe, **given)


def _of_resources() -> list[str]:
    """The embedded cloud asks whether a deployer may make a resource by its logical id, for want of an ARN."""
    return sorted({action for actions in calls.BY_TYPE.values() for action in actions})


def _whose(call: ApiCall) -> Who:
    if not call.account:
        return Who.CALLER
    return Who.PLAN if call.role.startswith("stackferry-plan-") else Who.DEPLOY
