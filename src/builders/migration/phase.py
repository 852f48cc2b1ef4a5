"""Everything that a migration needs to know of its phase, found by the outputs of its stacks.

The outputs name the task; the task names its endpoints; these name the secrets, the databases and the certificates by
which DMS logs in. So a person gives a phase's name, and nothing is written down twice.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builders import deployed, naming, progress
from builders.aws.calls import Access, ApiCalls, CallObserver, Role, Session
from builders.aws.errors import AccessDenied, Advice
from builders.errors import MigrationError, UsageError
from builders.migration.databases import Database, Login, Side, StatementObserver
from builders.migration.task.client import Replication

TASK, FALLBACK_TASK = "replicationTaskArn", "fallbackTaskArn"
FALLBACK_SECRET = "fallbackUserSecretArn"  # noqa: S105 the name of an output
ROLE, DATABASE_SECRET = "migrationRoleArn", "secretsManagerArn"
INSTANCE = "databaseInstanceIdentifier"
OWN_SCHEMA = "stackferry"
"""The schema of the marker, on both sides: replicated, and no schema of the application."""

ADVICE = Advice(retry="run this again", permissions="docs/migration.md")
THROTTLED_SECONDS = 120
"""Throttling is waited out for so long, and no longer: the application may be standing still meanwhile."""

_SSL_MODES = {"none": "disable", "require": "require", "verify-ca": "verify-ca", "verify-full": "verify-full"}


@dataclass(frozen=True)
class PhaseOptions:
    """A phase and the ways to it, as the command line gives them."""

    phase: str
    outputs_dir: Path = Path("outputs")
    profile: str | None = None
    account: str | None = None
    region: str | None = None
    """Account and region choose among several targets of the phase."""
    role: str | None = None
    """ARN of the role to assume, or "none"; without it the migration role of the phase's outputs."""
    source_secret: str | None = None
    """ARN of the secret of the source's user; without it that of DMS's source endpoint."""
    source_address: tuple[str, int] | None = None
    target_address: tuple[str, int] | None = None


def facts_of(options: PhaseOptions) -> deployed.Facts:
    """The outputs of the phase's stacks in one target. Raises `UsageError` where there is no task among them."""
    found = deployed.facts(options.phase, options.outputs_dir, options.account, options.region, options.profile, ADVICE)
    if not found.outputs.get(TASK, "").startswith("arn:"):
        raise UsageError(
            f"{found.source} has no {TASK}; deploy the layer migration of {options.phase}, then run write-outputs or "
            "rollout-stacksets outputs"
        )
    return found


class Phase:
    """A deployed phase. Close it, or use it as a context manager: it keeps root certificates in a private directory."""

    def __init__(
        self,
        options: PhaseOptions,
        observe_calls: CallObserver | None = None,
        observe_statements: StatementObserver | None = None,
    ) -> None:
        self.name = options.phase
        self.options = options
        self.outputs = facts_of(options).outputs
        region = self.outputs[TASK].split(":")[3]
        access = Access(region, options.profile, throttled_seconds=THROTTLED_SECONDS, read_seconds=30, advice=ADVICE)
        self.calls = ApiCalls(access, observe_calls)
        self._observe = observe_statements
        self._stack = ExitStack()

    def __enter__(self) -> Phase:
        """Close at the end of the block."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Delete the root certificates."""
        self._stack.close()

    @functools.cached_property
    def caller(self) -> str:
        """ARN of the identity that the calls are made with."""
        return str(self.session.ask("sts", "GetCallerIdentity")["Arn"])

    @functools.cached_property
    def session(self) -> Session:
        """The session of the phase's migration role, or the caller's own where that role is not for him."""
        own, arn = self.calls.session(), self.options.role or self.outputs.get(ROLE, "")
        if not arn or arn == "none":
            return own
        account, name = arn.split(":")[4], arn.rpartition("/")[2]
        if f":assumed-role/{name}/" in own.ask("sts", "GetCallerIdentity")["Arn"]:
            return own
        assumed = self.calls.session(role=Role(account, name, naming.external_id(self.name)))
        try:
            assumed.ask("sts", "GetCallerIdentity")
        except AccessDenied as denied:
            if self.options.role:
                raise
            progress.say(f"role {name} is not assumed, and the credentials are used as they are: {denied.reason}")
            return own
        return assumed

    @functools.cached_property
    def task(self) -> Replication:
        """The task that carries the source's rows to the target."""
        return Replication(self.outputs[TASK], self.session)

    @functools.cached_property
    def fallback_task(self) -> Replication | None:
        """The task the other way; None where the layer fallback is not deployed."""
        arn = self.outputs.get(FALLBACK_TASK)
        return Replication(arn, self.session) if arn else None

    @functools.cached_property
    def schemas(self) -> Sequence[str]:
        """The schemas of the application that the task carries, as its table mapping names them."""
        names = [
            rule["object-locator"]["schema-name"].replace("[_]", "_")
            for rule in self.task.table_mappings()
            if rule.get("rule-type") == "selection" and rule.get("rule-action") == "include"
        ]
        return list(dict.fromkeys(name for name in names if name != OWN_SCHEMA))

    @functools.cached_property
    def users(self) -> frozenset[str]:
        """The users of DMS and of this command on both sides: none of them is a role of the application."""
        arns = [self.options.source_secret or ""]
        for task in filter(None, (self.task, self.fallback_task)):
            for endpoint_arn in task.task().endpoint_arns:
                arns.append(_secret_of(self._endpoint_of(endpoint_arn)))
        names = {naming.DMS_USERNAME, naming.FALLBACK_USERNAME}
        for arn in filter(None, dict.fromkeys(arns)):
            # The migration role reads the secrets of the two sides, and not those of DMS in the target.
            with contextlib.suppress(AccessDenied):
                names.add(str(self._secret(arn)["username"]))
        return frozenset(names)

    @functools.cached_property
    def source_user(self) -> str:
        """The user by whom DMS reads the source."""
        return str(self._secret(_secret_of(self._endpoint("source")))["username"])

    @property
    def plugin(self) -> str:
        """The plug-in by which DMS decodes the log of the source."""
        return str(self._endpoint("source").get("PostgreSQLSettings", {}).get("PluginName", ""))

    @functools.cached_property
    def fallback_user(self) -> str:
        """The user by whom DMS writes to the source on the way back; empty where there is no way back."""
        if self.fallback_task is None:
            return ""
        return str(self._secret(_secret_of(self._endpoint_of(self.fallback_task.task().endpoint_arns[1])))["username"])

    @property
    def fallback_reader(self) -> Callable[[], tuple[str, str]] | None:
        """Function that returns current name and password of the user by whom DMS reads the target on the way back."""
        arn = self.outputs.get(FALLBACK_SECRET)
        if not arn or self.fallback_task is None:
            return None

        def read() -> tuple[str, str]:
            secret = self._secret(arn)
            return str(secret["username"]), str(secret["password"])

        return read

    @functools.cached_property
    def fallback_writer(self) -> str:
        """The user by whom DMS writes to the source on the way back; empty where there is none."""
        if self.fallback_task is None:
            return ""
        _, target = self.fallback_task.task().endpoint_arns
        return str(self._secret(_secret_of(self._endpoint_of(target)))["username"])

    @property
    def suffix(self) -> str:
        """The environment suffix, which ends the names of what the phase's stacks make."""
        return self.outputs[TASK].partition(f":{naming.REPLICATION_TASK_RESOURCE}-")[2]

    def source(self) -> Database:
        """Log in to the source, as the user of DMS's own endpoint or of `--source-secret`. Raises `MigrationError`."""
        return Database("source", functools.partial(self._login, "source"), self._observe)

    def target(self) -> Database:
        """Log in to the target as its master user. Raises `MigrationError`."""
        return Database("target", functools.partial(self._login, "target"), self._observe)

    def _login(self, side: Side) -> Login:
        """The login as its secret is now."""
        options, endpoint = self.options, self._endpoint(side)
        if side == "source":
            secret_arn = options.source_secret or _secret_of(endpoint)
            address = options.source_address
        else:
            secret_arn, address = self.outputs[DATABASE_SECRET], options.target_address
        secret = self._secret(secret_arn)
        return Login(
            host=str(secret["host"]),
            port=int(secret["port"]),
            database=database_of(endpoint),
            username=str(secret["username"]),
            password=str(secret["password"]),
            ssl_mode=_SSL_MODES[endpoint.get("SslMode", "none")],
            root_certificate=self._root_certificate(side, endpoint.get("CertificateArn", "")),
            address=address,
        )

    def _secret(self, arn: str) -> Mapping[str, Any]:
        return secret_of_user(self.session, arn)

    @functools.cache  # noqa: B019 one phase a process
    def _endpoint(self, side: Side) -> Mapping[str, Any]:
        return self._endpoint_of(self.task.task().endpoint_arns[0 if side == "source" else 1])

    @functools.cache  # noqa: B019 one phase a process
    def _endpoint_of(self, arn: str) -> Mapping[str, Any]:
        filters = [{"Name": "endpoint-arn", "Values": [arn]}]
        endpoint: Mapping[str, Any] = next(iter(self.session.pages("dms", "DescribeEndpoints", Filters=filters)))
        return endpoint

    @functools.cache  # noqa: B019 one phase a process
    def _root_certificate(self, side: Side, certificate_arn: str) -> str:
        """Path of the root that DMS verifies this side with; PGSSLROOTCERT replaces the target's, as for any client."""
        given = os.environ.get("PGSSLROOTCERT", "")
        if side == "target" and given:
            return given
        if not certificate_arn:
            return ""
        filters = [{"Name": "certificate-arn", "Values": [certificate_arn]}]
        found = next(iter(self.session.pages("dms", "DescribeCertificates", Filters=filters)))
        # CloudFormation writes line breaks as they come in a parameter.
        pem = str(found["CertificatePem"]).replace("\\n", "\n")
        path = Path(self._directory) / f"{side}.pem"
        path.write_text(pem, encoding="ascii")
        return str(path)

    @functools.cached_property
    def _directory(self) -> str:
        return self._stack.enter_context(tempfile.TemporaryDirectory(prefix="stackferry-"))


def database_of(endpoint: Mapping[str, Any]) -> str:
    """The database of an endpoint, which DMS may describe in either of two members.

    Source: DMS API reference, "Endpoint" and "PostgreSQLSettings", DatabaseName.
    """
    return str(endpoint.get("DatabaseName") or endpoint["PostgreSQLSettings"]["DatabaseName"])


def _secret_of(endpoint: Mapping[str, Any]) -> str:
    """ARN of the secret by which DMS logs in to an endpoint. Raises `MigrationError` where it has none."""
    arn = endpoint.get("PostgreSQLSettings", {}).get("SecretsManagerSecretId")
    if not arn:
        raise MigrationError(
            f"DMS's endpoint {endpoint.get('EndpointIdentifier', '')} names no secret: deploy migration"
        )
    return str(arn)


def secret_of_user(session: Session, arn: str) -> Mapping[str, Any]:
    """The value of a database user's secret. Raises `MigrationError` where a login lacks something."""
    value = session.ask("secretsmanager", "GetSecretValue", SecretId=arn).get("SecretString", "")
    try:
        secret = json.loads(value)
        missing = [name for name in ("username", "password", "host", "port") if not secret.get(name)]
    except (ValueError, AttributeError, RecursionError):
        wanted = "it needs username, password, host, port"
        raise MigrationError(f"the secret {arn} is not a JSON object; {wanted}") from None
    if missing or not str(secret["port"]).isdecimal():
        raise MigrationError(f"the secret {arn} lacks {', '.join(missing) or 'a number as port'}")
    found: Mapping[str, Any] = secret
    return found
