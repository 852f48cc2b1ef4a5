"""Asks the source of a task how much WAL its replication slots keep, and whether it will go on to keep it.

A slot that nobody reads keeps all WAL since, until the disk is full or max_slot_wal_keep_size gives the slot up. How to
log in is read from DMS: its source endpoint names the secret, the database and the certificate.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import secret_value
import transport
from botocore.exceptions import BotoCoreError, ClientError
from credentials import Credentials
from custom_resource import ResourceFailed
from deadline import Deadline
from function_errors import FunctionError
from function_log import Told
from postgres_login import login

STATUSES = {"reserved": 3, "extended": 2, "unreserved": 1, "lost": 0}
"""SlotWalStatus by pg_replication_slots.wal_status (PostgreSQL manual, "pg_replication_slots"): below 2 the slot is
lost, or will be at the next checkpoint. A slot that is not there counts as lost."""

CHANGES_SLOT = "stackferry_changes"
"""Begin of the name of the slot from which `migrate-database` reads what changed; the database's OID follows. It keeps
WAL, too, and is none of the task's."""

# Through JSON, since versions before 13 have no wal_status; their slots are never given up.
_SLOTS = """
SELECT slot_name::text, coalesce(to_jsonb(slot) ->> 'wal_status', 'reserved'),
       coalesce(pg_wal_lsn_diff(
           CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, restart_lsn
       ), 0)::bigint
  FROM pg_replication_slots AS slot WHERE database = current_database()
"""

Slot = tuple[str, str, int]
"""Name, wal_status, and the bytes of WAL since its restart_lsn."""


class SlotsUnknown(Told):
    """The source could not be asked; the message says where it ended and why, and holds no secret."""


@dataclass(frozen=True)
class Source:
    """The source of a task, `in_rds` or on-premises, and the clients by which its login is found."""

    dms: Any
    secrets_manager: Any
    task: dict[str, Any]
    in_rds: bool

    def ask(self, deadline: Deadline) -> dict[str, float]:
        """Return {metric: value} of the slots in the source's database. Raises SlotsUnknown."""
        try:
            endpoint = self._described(
                "describe_endpoints", "Endpoints", "endpoint-arn", self.task["SourceEndpointArn"]
            )
            settings = endpoint["PostgreSQLSettings"]
            # DMS may describe it in either (DMS API reference, "Endpoint" and "PostgreSQLSettings").
            database = endpoint.get("DatabaseName") or settings["DatabaseName"]
            text = secret_value.read(self.secrets_manager, settings["SecretsManagerSecretId"])
            credentials = replace(Credentials.parse(text), dbname=database)
            found = _slots(credentials, self._context(endpoint), deadline)
        except (ClientError, BotoCoreError, FunctionError, ResourceFailed, ssl.SSLError) as error:
            raise SlotsUnknown(str(error)) from error
        except LookupError as error:
            raise SlotsUnknown(f"DMS describes the source's endpoint without {error}") from error
        return measure(found, settings.get("SlotName", ""))

    def _context(self, endpoint: dict[str, Any]) -> ssl.SSLContext:
        if self.in_rds:
            return transport.rds_context()
        if endpoint["SslMode"] == "require":
            return transport.encrypting()
        arn = endpoint["CertificateArn"]
        certificate = self._described("describe_certificates", "Certificates", "certificate-arn", arn)
        return transport.tls_context(pem=certificate["CertificatePem"])

    def _described(self, operation: str, member: str, name: str, arn: str) -> dict[str, Any]:
        answer = getattr(self.dms, operation)(Filters=[{"Name": name, "Values": [arn]}])
        described: dict[str, Any] = answer[member][0]
        return described


def measure(found: Sequence[Slot], slot_name: str) -> dict[str, float]:
    """{metric: value} of slots. `slot_name` is the task's, or empty where DMS has made one under a name of its own.

    What is kept is the most that any logical slot of the database keeps, whoever reads it: one disk holds it all. The
    status is the worst of the task's slot, or of all but that of `migrate-database` where its name is not known.
    """
    of_task = [slot for slot in found if (slot[0] == slot_name if slot_name else not slot[0].startswith(CHANGES_SLOT))]
    return {
        "SlotRetainedWalBytes": max((kept for _, _, kept in found), default=0),
        "SlotWalStatus": min((STATUSES.get(status, 0) for _, status, _ in of_task), default=STATUSES["lost"]),
    }


def _slots(credentials: Credentials, context: ssl.SSLContext, deadline: Deadline) -> list[Slot]:
    socket = transport.open_tls(credentials.host, credentials.port, deadline, context)
    try:
        with login(socket, credentials, deadline, "stackferry-status") as connection:
            return [(name, status, int(kept)) for name, status, kept in connection.run(_SLOTS)]
    finally:
        socket.close()
