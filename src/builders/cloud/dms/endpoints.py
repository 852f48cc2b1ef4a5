"""An endpoint as a way into a database: whose secret, which address, what of TLS, which attributes.

The secret is read with the rights of the endpoint's access role, which must trust DMS's principal of the region (DMS
user guide, "Using secrets to access AWS Database Migration Service endpoints"). A host's name is looked up in the map
of the embedded cloud (ec2/name_map.py), as functions in a VPC do. Attributes: DMS user guide, "Endpoint settings and
Extra Connection Attributes (ECAs) when using PostgreSQL as a DMS source" and "... as a target".
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from cryptography import x509
from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id, get_region
from pg8000.native import literal

from builders.cloud.cloudformation import records
from builders.cloud.ec2 import name_map
from builders.cloud.ec2.names import names
from builders.cloud.iam import conditions
from builders.cloud.internals import iam, kms, secretsmanager, tagging
from builders.cloud.rds.instances import databases
from builders.policy_documents import trusts_service
from builders.resource_types import Json

TYPE, CERTIFICATE = "AWS::DMS::Endpoint", "AWS::DMS::Certificate"
CONNECT_SECONDS = 10
_SSL_MODES = {"none": "disable", "require": "require", "verify-ca": "verify-ca", "verify-full": "verify-full"}
_CLOSED_PORT = 1
_STYLES = "-c datestyle=ISO -c intervalstyle=postgres -c bytea_output=hex -c extra_float_digits=1"
"""The text of values is the same on both sides, whatever a role or a database has set."""
_AMAZON = "Amazon RDS"


class Unusable(Exception):
    """An endpoint that cannot be connected to; the message says why."""


@dataclass(frozen=True)
class Endpoint:
    """Address and login of a database; `attributes` are the endpoint's settings and extra attributes, in lower case."""

    host: str
    port: int
    username: str
    password: str
    database: str
    ssl_mode: str
    authority: str
    """Path of the PEM that the server's certificate is verified against; empty where it is not."""
    attributes: Mapping[str, str]

    def connect(self, **more: Any) -> psycopg.Connection[Any]:
        """Connect, and run what the endpoint wants to be run first. Raises `psycopg.Error`, `Unusable`."""
        address = resolve(self.host, self.port)
        if address is None:
            raise Unusable(f'could not translate host name "{self.host}" to address: Name or service not known')
        trusted: dict[str, Any] = {"sslrootcert": self.authority} if self.authority else {}
        session = psycopg.connect(
            host=self.host, hostaddr=address[0], port=address[1], user=self.username, password=self.password,
            dbname=self.database, sslmode=self.ssl_mode, connect_timeout=CONNECT_SECONDS, client_encoding="UTF8",
            application_name="AWS-DMS", autocommit=True, options=_STYLES, **trusted, **more,
        )  # fmt: skip
        if "replication" not in more and (script := self.attributes.get("afterconnectscript")):
            session.execute(script.encode())
        return session

    def replicate(self) -> psycopg.Connection[Any]:
        """Connect as a walsender. Raises `psycopg.Error`, `Unusable`."""
        with _allowed_to_replicate(self):
            return self.connect(replication="database")

    def flag(self, name: str, default: bool = False) -> bool:
        """Return an attribute that is true or false: DMS takes true, false, Y, N, 1, 0."""
        value = self.attributes.get(name.lower())
        return default if value is None else value.lower() in ("true", "y", "yes", "1")

    def number(self, name: str, default: int) -> int:
        """Return an attribute that is a number."""
        return int(self.attributes.get(name.lower()) or default)

    @property
    def server(self) -> str:
        """Host and port, as messages name them."""
        return f"{self.host}:{self.port}"


def find(arn: str) -> Endpoint:
    """Return an endpoint of the caller's account by its ARN. Raises `Unusable`."""
    record = records.find(TYPE).get(arn)
    if record is None:
        raise Unusable(f"Endpoint {arn} not found")
    properties = record["Properties"]
    own = properties.get("PostgreSqlSettings") or {}
    if own.get("SecretsManagerSecretId"):
        told = _secret(own["SecretsManagerSecretId"], own.get("SecretsManagerAccessRoleArn", ""))
    else:
        told = {"host": properties.get("ServerName"), "port": properties.get("Port"),
                "username": properties.get("Username"), "password": properties.get("Password")}  # fmt: skip
    mode = _SSL_MODES.get(properties.get("SslMode") or "none", "disable")
    return Endpoint(
        host=str(told.get("host") or ""), port=int(told.get("port") or 5432),
        username=str(told.get("username") or ""), password=str(told.get("password") or ""),
        database=str(properties.get("DatabaseName") or told.get("dbname") or "postgres"), ssl_mode=mode,
        authority=_authority(properties.get("CertificateArn")) if mode.startswith("verify") else "",
        attributes=_attributes(properties, own),
    )  # fmt: skip


def is_real(arn: str) -> bool:
    """Return whether an endpoint's host has an address here: else nothing stands behind it, and nothing is asked."""
    try:
        endpoint = find(arn)
    except Unusable:
        return True  # to be told by the connection
    return resolve(endpoint.host, endpoint.port) is not None


def resolve(host: str, port: int) -> tuple[str, int] | None:
    """Return the address that a name and a port of the embedded cloud lead to; None for a name that it has not."""
    if host in ("localhost", "127.0.0.1", "::1"):
        return "127.0.0.1", port
    for scope in (str(get_account_id()), name_map.EVERYWHERE):
        for file in sorted((names.directory / scope).glob("*.json")):
            try:
                ports = json.loads(file.read_text(encoding="utf-8")).get(host.lower().rstrip("."))
            except FileNotFoundError:  # taken away since
                continue
            if ports is not None:
                return "127.0.0.1", int(ports.get(str(port), _CLOSED_PORT))
    return None


def _secret(identifier: str, role: str) -> Mapping[str, Json]:
    """Return a secret's members as the role may read them. Raises `Unusable` where it may not, or they are none."""
    _may_read(identifier, role)
    _, secret = secretsmanager.find(identifier)
    if not secret:
        raise Unusable(f"Secrets Manager can't find the secret {identifier}")
    _, version = secretsmanager.find_version(secret, "AWSCURRENT")
    try:
        members = json.loads((version or {}).get("SecretString") or "")
    except ValueError as error:
        raise Unusable(f"The secret {identifier} has no JSON value") from error
    missing = [name for name in ("username", "password", "host", "port") if not members.get(name)]
    if missing:
        raise Unusable(f"The secret {identifier} lacks {', '.join(missing)}")
    found: Mapping[str, Json] = members
    return found


def _may_read(identifier: str, role_arn: str) -> None:
    name, account = role_arn.rpartition("/")[2], str(get_account_id())
    role = iam.roles.get(name)
    principal = f"dms.{get_region()}.amazonaws.com"
    if role is None or not trusts_service(role["AssumeRolePolicyDocument"], principal):
        raise Unusable(f"The access role {role_arn} does not exist, or does not trust {principal}")
    _, secret = secretsmanager.find(identifier)
    arn = secret["ARN"] if secret else identifier
    check_role(name, account, "secretsmanager:GetSecretValue", arn, {})
    key = kms.find_key(secret["KmsKeyId"]) if secret and secret.get("KmsKeyId") else None
    if key:
        check_role(name, account, "kms:Decrypt", key["Arn"], {
            "kms:viaservice": f"secretsmanager.{get_region()}.amazonaws.com", "kms:calleraccount": account,
            "kms:encryptioncontext:secretarn": arn,
        })  # fmt: skip


def check_role(role: str, account: str, action: str, resource: str, context: Mapping[str, str]) -> None:
    """Ask whether DMS may do something as a role. Raises `Unusable` where it may not."""
    caller = f"arn:aws:sts::{account}:assumed-role/{role}/dms-session"
    tags = {f"aws:resourcetag/{key}".lower(): value for key, value in (tagging.resource_tags(resource) or {}).items()}
    asked = iam_evaluator.EvalContext(
        principal_arn=caller, principal_type="AssumedRole", principal_account=account, action=action,
        resource_arn=resource, region=str(get_region()), service_context={**tags, **context},
    )  # fmt: skip
    limits = conditions.limits(caller)
    if iam_evaluator.evaluate(asked, iam.policies_of_role(role, account), *limits).decision != "Allow":
        raise Unusable(f"User: {caller} is not authorized to perform: {action} on resource: {resource}")


def _authority(certificate: str | None) -> str:
    """Write the certificate's PEM where libpq reads it; the embedded cloud's own authority stands for Amazon's."""
    record = records.find(CERTIFICATE).get(certificate or "")
    if record is None:
        raise Unusable("The endpoint verifies the server, and has no certificate to verify it with")
    pem = str(record["Properties"].get("CertificatePem", "")).replace("\\n", "\n")
    if _is_of_amazon(pem):
        return str(names.directory.parent / "ca.pem")
    directory = names.directory.parent / "dms"
    directory.mkdir(exist_ok=True)
    file = directory / f"{hashlib.sha256(pem.encode()).hexdigest()[:16]}.pem"
    file.write_text(pem)
    return str(file)


def _is_of_amazon(pem: str) -> bool:
    try:
        return _AMAZON in x509.load_pem_x509_certificate(pem.encode()).subject.rfc4514_string()
    except ValueError:
        return False


def _attributes(properties: Mapping[str, Json], own: Mapping[str, Json]) -> dict[str, str]:
    """Return the settings of an endpoint; what the extra connection attributes say wins."""
    found = {name.lower(): str(value) for name, value in own.items()}
    for part in str(properties.get("ExtraConnectionAttributes") or "").split(";"):
        name, equals, value = part.partition("=")
        if equals:
            found[name.strip().lower()] = value.strip()
    return found


_attribute = threading.Lock()


@contextlib.contextmanager
def _allowed_to_replicate(endpoint: Endpoint) -> Iterator[None]:
    """Let a member of rds_replication connect to a database of the embedded RDS as a walsender.

    On RDS the membership is enough (RDS user guide, "Performing logical replication for Amazon RDS for PostgreSQL");
    PostgreSQL itself wants the role's attribute REPLICATION, at the moment of the login alone.
    """
    address = resolve(endpoint.host, endpoint.port)
    server = next((each for each in databases.servers.values() if address and each.port == address[1]), None)
    if server is None:
        yield
        return
    user = literal(endpoint.username)
    with _attribute:
        server.administer(
            "DO $$ BEGIN IF EXISTS (SELECT FROM pg_roles AS r JOIN pg_roles AS g ON g.rolname = 'rds_replication' "
            f"WHERE r.rolname = {user} AND pg_has_role(r.oid, g.oid, 'MEMBER')) "
            f"THEN EXECUTE format('ALTER ROLE %I REPLICATION', {user}); END IF; END $$"
        )
        try:
            yield
        finally:
            server.administer(
                f"DO $$ BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = {user} AND rolreplication) "
                f"THEN EXECUTE format('ALTER ROLE %I NOREPLICATION', {user}); END IF; END $$"
            )
