"""The accounts of the demo, each spoken for by an AWS CLI of its own.

The order in which the accounts of a phase are deployed, and what one stack hands to another across accounts.

The database that the demo migrates from: a PostgreSQL that plays on-premises, and the secret that opens it.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from builders import catalog, deploy, environments, files, naming, package
from builders.building.packages import PACKAGES_DIR, WHEELS_DIR
from builders.cloud.process import Cloud
from builders.cloud.rds.on_premises import on_premises
from builders.deploy import AwsCli
from builders.scopes import Scope

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


ENVIRONMENTS = Path("environments")
TEMPLATES = Path("templates")
LAMBDA = Path("lambda")

Stacks = dict[str, dict[str, str]]


@dataclass
class Scenario:
    """One phase on its way: what was answered so far, and the parameters that follow from it.

    Exports join stacks within an account. Whatever crosses accounts is an output of one stack that bears the name of
    a parameter of another, so `parameters` is the phase's file with the outputs of the shared stacks laid over it.
    """

    accounts: Accounts
    phase: str
    outputs_dir: Path
    say: Callable[[str], None]
    parameters: dict[str, str] = field(init=False)
    stacks: Stacks = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Begin with the phase's own file."""
        self.parameters = dict(environments.read(ENVIRONMENTS / f"{self.phase}.json").values)

    def deploy_shared(self) -> None:
        """Deploy what all phases share: bucket and role of the tooling account, the network account's gateways."""
        for layer in layers(Scope.TOOLING_ONCE, Scope.TOOLING):
            self._deploy(layer, ENVIRONMENTS / "tooling.json")
        self.parameters |= publish_packages(
            self.accounts.tooling, self.stacks["artifacts"][naming.ARTIFACTS_BUCKET], self.say
        )
        for layer in layers(Scope.NETWORK):
            self._deploy(layer, ENVIRONMENTS / "network.json")
        for layer in layers(Scope.TOOLING_ONCE, Scope.TOOLING, Scope.NETWORK):
            self.parameters |= self.stacks[layer]
        self.parameters["Connectivity"] = "TransitGateway"
        # The one value that two layers put out, and so under two names.
        interface = self.stacks["shared_network"].get("TransitVirtualInterfaceId")
        if interface is not None:
            self.parameters["DirectConnectVirtualInterfaceId"] = interface

    def deploy_phase(self) -> None:
        """Deploy what the account has once, then the phase's layers in their order: its routes in the network's."""
        for layer in [*layers(Scope.ACCOUNT), *layers(Scope.PHASE, Scope.NETWORK_PER_PHASE)]:
            self._deploy(layer, self._parameter_file())
            if layer == "network":
                self.parameters["DirectConnectAttachmentId"] = self.stacks[layer]["DirectConnectAttachmentId"]

    def _deploy(self, layer: str, parameters: Path) -> None:
        suffix = environments.read(parameters).values[naming.SUFFIX]
        cli = self.accounts.of_scope(catalog.load(layer).scope)
        self.stacks[layer] = deploy.deploy(cli, TEMPLATES / f"{layer}.json", suffix, parameters, self.say)

    def _parameter_file(self) -> Path:
        """The phase's parameters as a file of the one form that both generations of the AWS CLI take."""
        path = self.outputs_dir / self.phase / "parameters.json"
        entries = [f"{key}={value}" for key, value in self.parameters.items()]
        files.replace(path, (json.dumps(entries, indent=1) + "\n").encode())
        return path


def publish_packages(cli: AwsCli, bucket: str, say: Callable[[str], None]) -> dict[str, str]:
    """Package the functions, put them into the artifacts bucket, and return the parameters with their keys."""
    functions = package.functions(LAMBDA)
    for function in functions:
        path = package.build(function, PACKAGES_DIR, WHEELS_DIR)
        cli.run("s3", "cp", "--quiet", str(path), f"s3://{bucket}/{function.key}")
        say(f"packaged {function.name}: {path.stat().st_size / 1024:.0f} KiB, s3://{bucket}/{function.key}")
    return {function.parameter: function.key for function in functions}


def layers(*scopes: Scope) -> list[str]:
    """The layers of some scopes, in the order in which they deploy."""
    every = [catalog.load(name) for name in catalog.names()]
    order = catalog.deploy_order({layer.name: layer.build() for layer in every}, every)
    desired = {layer.name for layer in every if layer.scope in scopes}
    return [name for name in order if name in desired]


@contextlib.contextmanager
def source_database(cloud: Cloud, scenario: Scenario, say: Callable[[str], None]) -> Iterator[None]:
    """Run the source under the host name of the phase's file, and tell the scenario what a user would bring."""
    desired = scenario.parameters
    host, port, database = desired["SourceHost"], int(desired["SourcePort"]), desired["SourceDatabaseName"]
    with on_premises(cloud.state_directory, host, port=port, database_name=database) as source:
        say(f"on-premises: {database} at {host}:{port}, played by PostgreSQL {source.server.installation.major}")
        scenario.parameters |= {
            "SourceSecretArn": _store(scenario, source.secret()),
            "SourceCertificatePem": source.certificate_pem,
        }
        yield


def _store(scenario: Scenario, secret: dict[str, str | int]) -> str:
    """Store the secret and return its ARN. It goes through a file, since a command line can be read by everybody."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "secret.json")
        path.write_text(json.dumps(secret), encoding="utf-8")
        answer = scenario.accounts.phase.json(
            *("secretsmanager", "create-secret", "--name", f"on-premises-{scenario.phase}"),
            *("--secret-string", f"file://{path}"),
        )
    return str(answer["ARN"])
