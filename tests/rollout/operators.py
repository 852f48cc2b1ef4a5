"""An IAM user who may do what a command's policy allows and nothing else, on a cloud that evaluates IAM."""

from __future__ import annotations

import contextlib
import json
from collections import defaultdict
from collections.abc import Collection, Iterator
from pathlib import Path

from builders.aws.calls import Access, ApiCall, ApiCalls, CallObserver, Moment
from builders.rehearsal.cloud import RehearsalCloud
from builders.rehearsal.commands import CommandResult, RolloutRunner
from tools.permissions.commands import policy
from tools.permissions.grants import BY_TYPE, Identity, Names

ROOT = Path(__file__).parents[2]
PHASE, SUFFIX = "dev", "dev"


class Operator(RolloutRunner):
    """A user of the tooling account. `made` are the calls of each command, with the identity that made them."""

    def __init__(self, prepared: RehearsalCloud) -> None:
        super().__init__(prepared, ROOT / "templates")
        self.made: dict[str, set[tuple[Identity, str]]] = defaultdict(set)
        rollout = prepared.rollout
        tooling = rollout.tooling.account
        assert rollout.network
        (account,) = {target.account for target in prepared.targets(PHASE)}
        self.names = Names(
            tooling,
            rollout.home,
            SUFFIX,
            account,
            rollout.deploy_role_in(account),
            sets=tooling,
            network=rollout.network.account,
            network_role=rollout.deploy_role_in(rollout.network.account),
        )
        self._iam = prepared.accounts.api("iam", rollout.tooling.account)
        self._iam.create_user(UserName="operator")
        key = self._iam.create_access_key(UserName="operator")["AccessKey"]
        self._keys = key["AccessKeyId"], key["SecretAccessKey"]

    def run(self, command: str, *more: str, without: Collection[str] = (), stop_after: str = "") -> CommandResult:
        """Run a command with its own policy without some actions; Ctrl-C comes after the call `stop_after`."""
        document = policy(command, names=self.names, without=without)
        if command == "bootstrap":
            document["Statement"].append({"Effect": "Allow", "Action": _resource_actions(), "Resource": "*"})
        arguments = {"UserName": "operator", "PolicyName": "command", "PolicyDocument": json.dumps(document)}
        self._iam.put_user_policy(**arguments)

        def observe(moment: Moment, call: ApiCall) -> None:
            self.made[command].add((_identity(call), str(call)))
            if str(call) == stop_after and moment is Moment.AFTER:
                raise KeyboardInterrupt

        return self.call(command, "--phase", PHASE, *more, observe=observe)

    @contextlib.contextmanager
    def plan_role_denied(self, *actions: str) -> Iterator[None]:
        """Take actions from the plan role, in the phase's account and the network account."""
        statement = {"Effect": "Deny", "Action": actions, "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        role = {"RoleName": f"stackferry-plan-{SUFFIX}", "PolicyName": "denied"}
        roles = [self.prepared.accounts.api("iam", each) for each in (self.names.account, self.names.network)]
        for iam in roles:
            iam.put_role_policy(**role, PolicyDocument=document)
        try:
            yield
        finally:
            for iam in roles:
                iam.delete_role_policy(**role)

    def open_api(self, region: str, observe: CallObserver | None = None) -> ApiCalls:
        """Make calls with the user's keys."""
        return ApiCalls(Access(region, endpoint_url=self.prepared.cloud.endpoint_url, keys=self._keys), observe)


def _resource_actions() -> list[str]:
    """The actions on all resources, since the embedded cloud checks them by logical id instead of an ARN."""
    return sorted({action for actions in BY_TYPE.values() for action in actions})


def _identity(call: ApiCall) -> Identity:
    if not call.account:
        return Identity.CALLER
    return Identity.PLAN if call.role.startswith("stackferry-plan-") else Identity.DEPLOY
