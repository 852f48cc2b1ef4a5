"""The accounts of the demo, each spoken for by an AWS CLI of its own."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

from builders.cloud.process import Cloud
from builders.deploy import AwsCli
from builders.stack import Scope

REGION = "us-east-1"
TOOLING = "8" * 12
NETWORK = "9" * 12
PHASES = {"dev": "1" * 12, "staging": "2" * 12, "prod": "3" * 12}
"""The accounts that `environments/` names too."""


@dataclass(frozen=True)
class Accounts:
    """What deploys where: the tooling account, the network account, and the account of one phase."""

    tooling: AwsCli
    network: AwsCli
    phase: AwsCli

    def of_scope(self, scope: Scope) -> AwsCli:
        """The account in which layers of this scope are deployed."""
        if scope in (Scope.TOOLING, Scope.TOOLING_ONCE):
            return self.tooling
        return self.network if scope in (Scope.NETWORK, Scope.NETWORK_PER_PHASE) else self.phase

    @classmethod
    def of(cls, cloud: Cloud, phase: str) -> Accounts:
        """The accounts that a phase needs, on an embedded cloud."""
        return cls(*(command_line(cloud, account) for account in (TOOLING, NETWORK, PHASES[phase])))


def command_line(cloud: Cloud, account: str) -> AwsCli:
    """The AWS CLI of this Python environment, speaking for `account` to the embedded cloud.

    It is started as a module: the script that pip installs does not run from a directory with a space in its name.
    """
    return AwsCli((sys.executable, "-m", "awscli"), os.environ | cloud.environment(account, REGION), cloud.endpoint_url)
