"""One phase deployed by the real AWS CLI: its accounts, the order of its layers, and the database that it migrates.

A value that crosses accounts is an output of one stack that has the name of a parameter of another.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from builders import catalog, deploy, environments, files, naming, package
from builders.aws.calls import Access, ApiCalls
from builders.aws.objects import Objects
from builders.building import packages
from builders.building.packages import PACKAGES_DIR, WHEELS_DIR
from builders.cloud.process import Cloud
from builders.cloud.rds.on_premises import OnPremises, on_premises
from builders.deploy import AwsCli
from builders.errors import UsageError
from builders.layers._migration.choices import MOST_SCHEMAS
from builders.outputs import as_parameters
from builders.rehearsal import source
from builders.rollout.config.loading import load_rollout_file
from builders.scopes import Scope
from builders.text import counted_noun, name_list, unknown_name

ENVIRONMENTS = Path("environments")
TEMPLATES = Path("templates")

ROLLOUT = Path("rollout.yaml")

Stacks = dict[str, dict[str, str]]
"""The outputs of deployed stacks, by layer."""


@dataclass(frozen=True)
class PhaseAccounts:
    """The accounts that a phase is deployed in, each with an AWS CLI of its own."""

    tooling: AwsCli
    network: AwsCli
    phase: AwsCli

    def of_scope(self, scope: Scope) -> AwsCli:
        """The account in which layers of this scope are deployed."""
        if scope in (Scope.TOOLING, Scope.TOOLING_PER_PHASE):
            return self.tooling
        return self.network if scope in (Scope.NETWORK, Scope.NETWORK_PER_PHASE) else self.phase

    @property
    def phase_id(self) -> str:
        """The id of the phase's account, which is its access key on the embedded cloud."""
        return self.phase.environment["AWS_ACCESS_KEY_ID"]

    @property
    def region(self) -> str:
        """The region that all are deployed in."""
        return self.phase.environment["AWS_DEFAULT_REGION"]

    @classmethod
    def on(cls, cloud: Cloud, phase: str) -> PhaseAccounts:
        """The accounts of a phase on an embedded cloud, in its first region. Raises as `account_ids`."""
        ids, region = account_ids(phase)
        return cls(*(aws_cli(cloud, account, region) for account in ids))


def account_ids(phase: str) -> tuple[tuple[str, str, str], str]:
    """The tooling account, the network account and the first account of a phase in rollout.yaml, and its first region.

    Raises `UsageError` where the file names none, and `RolloutFileError`.
    """
    rollout = load_rollout_file(ROLLOUT)
    if phase not in rollout.phases:
        raise UsageError(unknown_name("phase", phase, rollout.phases))
    accounts = rollout.accounts(phase)
    if not accounts or rollout.network is None:
        raise UsageError(f"{ROLLOUT}: name a network account, and an account of {phase}; the demo deploys into both")
    return (rollout.tooling.account, rollout.network.account, accounts[0]), rollout.phases[phase].regions[0]


def aws_cli(cloud: Cloud, account: str, region: str) -> AwsCli:
    """The AWS CLI of this Python environment, with the credentials of an account of the embedded cloud.

    It is started as a module: the script that pip installs does not run from a directory with a space in its name.
    """
    return AwsCli((sys.executable, "-m", "awscli"), os.environ | cloud.environment(account, region), cloud.endpoint_url)


@dataclass
class PhaseDeployment:
    """The deployment of one phase: the outputs of its stacks so far, and the parameters that follow from them.

    `parameters` are those of the phase's file, overridden by the outputs of the shared stacks.
    """

    accounts: PhaseAccounts
    phase: str
    outputs_dir: Path
    say: Callable[[str], None]
    parameters: dict[str, str] = field(init=False)
    stacks: Stacks = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Begin with the parameters of the phase's file."""
        self.parameters = dict(environments.read(ENVIRONMENTS / f"{self.phase}.json").values)

    @property
    def schemas(self) -> list[str]:
        """The schemas that the phase migrates."""
        names = (self.parameters.get(f"SchemaName{number}", "") for number in range(1, MOST_SCHEMAS + 1))
        return [name for name in names if name]

    def deploy_shared(self) -> None:
        """Deploy what the tooling account and the network account have for the phase."""
        for layer in layers(Scope.TOOLING_PER_PHASE):
            self._deploy(layer, ENVIRONMENTS / f"{self.phase}.json")
        for layer in layers(Scope.TOOLING):
            self._deploy(layer, ENVIRONMENTS / "tooling.json")
        self.parameters |= publish_packages(
            self.accounts.tooling, self.stacks["artifacts"][naming.ARTIFACTS_BUCKET], self.say
        )
        for layer in layers(Scope.NETWORK):
            self._deploy(layer, ENVIRONMENTS / "network.json")
        for layer in layers(Scope.TOOLING_PER_PHASE, Scope.TOOLING, Scope.NETWORK):
            self.parameters |= as_parameters(self.stacks[layer])

    def deploy_phase(self) -> None:
        """Deploy the layer of the account, then those of the phase; its routes go into the network account."""
        given = environments.read(ENVIRONMENTS / f"{self.phase}.json").values
        replaced = sorted(key for key, value in given.items() if self.parameters[key] != value)
        added = counted_noun(len(self.parameters.keys() - given.keys()), "parameter")
        file, changed = ENVIRONMENTS / f"{self.phase}.json", name_list(replaced) or "nothing"
        self.say(
            f"replaced in {file}: {changed}; added: {added}, outputs of the shared stacks above all "
            f"({self._parameter_file()})"
        )
        for layer in [*layers(Scope.ACCOUNT), *layers(Scope.PHASE, Scope.NETWORK_PER_PHASE)]:
            self._deploy(layer, self._parameter_file())
            if layer == "network":
                self.parameters["DirectConnectAttachmentId"] = self.stacks[layer]["DirectConnectAttachmentId"]

    def _deploy(self, layer: str, parameters: Path) -> None:
        suffix = environments.read(parameters).values[naming.SUFFIX]
        scope = catalog.load(layer).scope
        if scope is Scope.NETWORK_PER_PHASE:  # whose stacks of all accounts are in one account
            suffix = f"{suffix}-{self.accounts.phase_id}"
        cli = self.accounts.of_scope(scope)
        self.stacks[layer] = deploy.deploy(cli, TEMPLATES / f"{layer}.json", suffix, parameters, self.say)

    def _parameter_file(self) -> Path:
        """Write the phase's parameters in the one form that both generations of the AWS CLI accept."""
        path = self.outputs_dir / self.phase / "parameters.json"
        entries = [f"{key}={value}" for key, value in self.parameters.items()]
        files.replace(path, (json.dumps(entries, indent=1) + "\n").encode())
        return path


def publish_packages(cli: AwsCli, bucket: str, say: Callable[[str], None]) -> dict[str, str]:
    """Package the functions, upload them to the artifacts bucket, and return the parameters with keys and versions.

    As `build-templates --upload` does it: the bucket takes packages by conditional writes alone, which `aws s3 cp` and
    older versions of the AWS CLI do not make.
    """
    keys = cli.environment["AWS_ACCESS_KEY_ID"], cli.environment["AWS_SECRET_ACCESS_KEY"]
    region = cli.environment["AWS_DEFAULT_REGION"]
    objects = Objects(ApiCalls(Access(region, endpoint_url=cli.endpoint_url, keys=keys)).session())
    parameters: dict[str, str] = {}
    for function in package.available():
        path = package.build(function, PACKAGES_DIR, WHEELS_DIR)
        stored, _ = packages.publish(objects, bucket, function.key, path)
        parameters |= {function.parameter: function.key, naming.package_version(function.parameter): stored.version}
        say(f"packaged {function.name}: {path.stat().st_size / 1024:.0f} KiB, s3://{bucket}/{function.key}")
    return parameters


def layers(*scopes: Scope) -> list[str]:
    """The layers of some scopes, in deployment order."""
    return [layer.name for layer in _every_layer() if layer.scope in scopes]


@functools.cache
def _every_layer() -> tuple[catalog.Layer, ...]:
    every = {name: catalog.load(name) for name in catalog.layer_names()}
    order = catalog.deploy_order({name: layer.build() for name, layer in every.items()}, every.values())
    return tuple(every[name] for name in order)


@contextlib.contextmanager
def source_database(
    cloud: Cloud,
    deployment: PhaseDeployment,
    say: Callable[[str], None],
    file: Path = source.SAMPLE,
    generated_rows: int = 0,
) -> Iterator[OnPremises]:
    """Run the source database under the host name of the phase's file, and set the parameters that a user would set.

    An SQL file makes what is in it, and each table that it leaves empty gets generated rows. Raises `UsageError` where
    the file fails.
    """
    given = deployment.parameters
    host, port, database = given["SourceHost"], int(given["SourcePort"]), given["SourceDatabaseName"]
    with on_premises(cloud.state_directory, host, port=port, database_name=database) as running:
        schemas = source.fill(running, file, generated_rows, say)
        major = running.server.installation.major
        say(
            f"on-premises: {database} at {host}:{port}, simulated by PostgreSQL {major}, "
            f"with {counted_noun(len(schemas), 'schema')} of {file.name}: {', '.join(schemas)}"
        )
        names = {f"SchemaName{number}": "" for number in range(1, MOST_SCHEMAS + 1)}
        names |= {f"SchemaName{number}": schema for number, schema in enumerate(schemas, 1)}
        secret = _store(deployment, f"on-premises-{deployment.phase}", running.secret())
        fallback = _store(deployment, f"on-premises-fallback-{deployment.phase}", running.fallback_secret())
        deployment.parameters |= {
            "SourceSecretArn": secret,
            "SourceSecretArns": f"{secret},{fallback}",
            "SourceCertificatePem": running.certificate_pem,
            "CreateFallback": "true",
            "FallbackSecretArn": fallback,
            # Whoever is listed says the external id, as `migrate-database` does; unlisted people have a second factor.
            "CreateMigrationRole": "true",
            "OperatorAccountIds": deployment.accounts.phase_id,
            **names,
        }
        yield running


def _store(deployment: PhaseDeployment, name: str, secret: dict[str, str | int]) -> str:
    """Store the secret and return its ARN. It is passed in a file, since every user can read a command line."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "secret.json")
        path.write_text(json.dumps(secret), encoding="utf-8")
        answer = deployment.accounts.phase.json(
            *("secretsmanager", "create-secret", "--name", name),
            *("--secret-string", f"file://{path}"),
        )
    return str(answer["ARN"])
