"""The pretend accounts of a rollout file: each with the role that a company's own would have."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import boto3

from builders.cloud.process import Cloud
from builders.rollout.file import RolloutFile

ADMINISTRATOR_ACCESS = "arn:aws:iam::aws:policy/AdministratorAccess"


class Accounts:
    """The accounts of the embedded cloud, each asked as its owner."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._clients: dict[tuple[str, str, str], Any] = {}

    def api(self, service: str, account: str, region: str = "us-east-1") -> Any:
        """A client of boto3's own; each is made once, since that takes as long as a dozen calls."""
        key = (service, account, region)
        if key not in self._clients:
            self._clients[key] = boto3.client(service, **self._cloud.client_arguments(account, region))
        return self._clients[key]

    def lend(self, account: str, role: str, to: str) -> None:
        """Make a role with all rights that another account may assume, as AWS Organizations do in their accounts."""
        iam = self.api("iam", account)
        statement = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{to}:root"}, "Action": "sts:AssumeRole"}
        trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        path, _, name = role.rpartition("/")
        iam.create_role(RoleName=name, Path=f"/{path}/" if path else "/", AssumeRolePolicyDocument=trust)
        iam.attach_role_policy(RoleName=name, PolicyArn=ADMINISTRATOR_ACCESS)

    def trust(self, account: str, role: str) -> str:
        """The document by which a role says who may assume it, as JSON."""
        document = self.api("iam", account).get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]
        return document if isinstance(document, str) else json.dumps(document)


def prepare(accounts: Accounts, rollout: RolloutFile, numbers: Iterable[str]) -> None:
    """Let the tooling account deploy in the target accounts and in the network account."""
    others = {*numbers, *([rollout.network.account] if rollout.network else [])} - {rollout.tooling.account}
    for number in sorted(others):
        accounts.lend(number, rollout.deploy_role, rollout.tooling.account)
