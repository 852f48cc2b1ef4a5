"""All templates of this project, deployed as a phase: tooling, network and the phase's own account."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from builders import catalog, environments, package
from builders.building.packages import PACKAGES_DIR, WHEELS_DIR
from builders.cloud.process import Cloud
from builders.cloud.rds.on_premises import OnPremises, on_premises
from builders.rehearsal.deployment import layers
from builders.scopes import Scope

from .conftest import Account

TOOLING, NETWORK, PHASE = "888888888888", "999999999999", "111111111111"


@dataclass
class WholePhase:
    """The three accounts, and the parameters as they come together: the phase's file and what stacks answered."""

    tooling: Account
    network: Account
    account: Account
    parameters: dict[str, str]
    stacks: dict[str, dict[str, str]] = field(default_factory=dict)
    source: OnPremises | None = None
    """The server that plays on-premises, while it runs."""

    def deploy(self, file: str, *scopes: Scope) -> None:
        """Deploy the layers of some scopes with a parameter file; every stack is called as its layer.

        The layers after the network get the id of its attachment.
        """
        own = environments.read(Path("environments") / file).values
        for layer in layers(*scopes):
            sections = json.loads(Path(f"templates/{layer}.json").read_text(encoding="utf-8"))
            given = {key: value for key, value in {**own, **self.parameters}.items() if key in sections["Parameters"]}
            if file != "dev.json":
                given |= {key: value for key, value in own.items() if key in sections["Parameters"]}
            self.stacks[layer] = self.make(layer, sections, given)
            if layer == "network":
                self.parameters["DirectConnectAttachmentId"] = self.stacks[layer]["DirectConnectAttachmentId"]

    def make(self, layer: str, template: dict[str, Any], given: dict[str, str]) -> dict[str, str]:
        """Make one stack, and return its outputs."""
        sections = dict(template)
        resources = sections.pop("Resources")
        account = self.account_of(catalog.load(layer).scope)
        return account.deploy(resources, name(layer), given=given, sections=sections)

    def redeploy(self, layer: str, **changes: str) -> None:
        """Deploy a layer of the phase again with other parameters, which stay."""
        self.parameters |= changes
        template = json.loads(Path(f"templates/{layer}.json").read_text(encoding="utf-8"))
        given = {**environments.read(Path("environments/dev.json")).values, **self.parameters}
        self.stacks[layer] = self.make(
            layer, template, {key: value for key, value in given.items() if key in template["Parameters"]}
        )

    def wait_for_rotation(self) -> None:
        """Wait for the first rotation of the master user's password, which its schedule begins."""
        api, arn, deadline = (
            self.client("secretsmanager"),
            self.stacks["secrets"]["SecretsManagerArn"],
            time.time() + 60,
        )
        while ["AWSPENDING"] in api.describe_secret(SecretId=arn)["VersionIdsToStages"].values():
            assert time.time() < deadline, "the rotation did not end within a minute"
            time.sleep(0.05)

    def account_of(self, scope: Scope) -> Account:
        """Where layers of this scope are deployed."""
        if scope in (Scope.TOOLING, Scope.TOOLING_PER_PHASE):
            return self.tooling
        return self.network if scope in (Scope.NETWORK, Scope.NETWORK_PER_PHASE) else self.account

    def client(self, service: str) -> Any:
        """A client of the phase's account, as its administrator."""
        return self.account.client(service)

    def resources(self) -> Iterator[tuple[Account, str, str, dict[str, Any]]]:
        """Each resource that came about: its account, its type, its physical id, and its part of the template."""
        for account in (self.tooling, self.network, self.account):
            api = account.client("cloudformation")
            for stack in api.describe_stacks()["Stacks"]:
                layer = stack["StackName"].replace("-", "_")
                template = json.loads(Path(f"templates/{layer}.json").read_text(encoding="utf-8"))
                pages = api.get_paginator("list_stack_resources").paginate(StackName=stack["StackName"])
                for each in (entry for page in pages for entry in page["StackResourceSummaries"]):
                    definition = template["Resources"][each["LogicalResourceId"]]
                    yield account, each["ResourceType"], each["PhysicalResourceId"], definition


@contextmanager
def whole_phase(
    cloud: Cloud, functions: Path = Path("lambda"), kind: type[WholePhase] = WholePhase
) -> Iterator[WholePhase]:
    """Deploy everything; the source on-premises runs meanwhile. `kind` may make its stacks in a way of its own."""
    tooling, network, account = (Account(cloud, number) for number in (TOOLING, NETWORK, PHASE))
    parameters = dict(environments.read(Path("environments/dev.json")).values)
    phase = kind(tooling, network, account, parameters)
    host, database = parameters["SourceHost"], parameters["SourceDatabaseName"]
    with on_premises(cloud.state_directory, host, database_name=database) as source:
        phase.source = source
        secret = phase.client("secretsmanager").create_secret(
            Name="on-premises-dev", SecretString=json.dumps(source.secret())
        )
        parameters |= {"SourceSecretArn": secret["ARN"], "SourceCertificatePem": source.certificate_pem}
        phase.deploy("dev.json", Scope.TOOLING_PER_PHASE)
        phase.deploy("tooling.json", Scope.TOOLING)
        parameters["ArtifactsBucket"] = phase.stacks["artifacts"]["ArtifactsBucket"]
        for function in package.functions(functions):
            archive = package.build(function, PACKAGES_DIR, WHEELS_DIR).read_bytes()
            bucket = phase.stacks["artifacts"]["ArtifactsBucket"]
            phase.tooling.client("s3").put_object(Bucket=bucket, Key=function.key, Body=archive, IfNoneMatch="*")
            parameters[function.parameter] = function.key
        phase.deploy("network.json", Scope.NETWORK)
        parameters |= phase.stacks["shared_network"] | {"Connectivity": "TransitGateway"}
        phase.deploy("dev.json", Scope.ACCOUNT)
        phase.deploy("dev.json", Scope.PHASE, Scope.NETWORK_PER_PHASE)
        yield phase


def name(layer: str) -> str:
    """A layer's stack: stack names take no underscores."""
    return layer.replace("_", "-")
