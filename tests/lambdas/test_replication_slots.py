"""The status function asks a task's source, a real server, for its replication slots, and finds the login by DMS."""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from deadline import Deadline

from builders.cloud.rds.on_premises import OnPremises, on_premises
from builders.migration import changes

FOLDER = Path(__file__).parents[2] / "lambda" / "replication_status"
SOURCE, CERTIFICATE, SECRET = "arn:of:the:source", "arn:of:the:certificate", "arn:of:the:secret"
SEGMENT = 1024**2
"""Bytes of a segment of WAL on the servers of the embedded cloud."""
ENDPOINT: dict[str, Any] = {
    "EndpointArn": SOURCE, "DatabaseName": "payments", "SslMode": "verify-full", "CertificateArn": CERTIFICATE,
    "PostgreSQLSettings": {"SecretsManagerSecretId": SECRET},
}  # fmt: skip


@pytest.fixture(scope="module")
def slots() -> Any:
    """The module of the function."""
    spec = importlib.util.spec_from_file_location("replication_status_slots", FOLDER / "slots.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclass looks itself up there
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnPremises]:
    with on_premises(tmp_path_factory.mktemp("cloud"), "payments.corp.internal") as running:
        yield running


@dataclass
class Account:
    """DMS and Secrets Manager as far as the function asks them."""

    endpoint: dict[str, Any]
    certificate: str
    secret: dict[str, Any]

    def describe_endpoints(self, Filters: list[dict[str, Any]]) -> dict[str, Any]:
        assert Filters == [{"Name": "endpoint-arn", "Values": [SOURCE]}]
        return {"Endpoints": [self.endpoint]}

    def describe_certificates(self, Filters: list[dict[str, Any]]) -> dict[str, Any]:
        assert Filters == [{"Name": "certificate-arn", "Values": [CERTIFICATE]}]
        return {"Certificates": [{"CertificatePem": self.certificate}]}

    def get_secret_value(self, SecretId: str, VersionStage: str) -> dict[str, Any]:
        assert (SecretId, VersionStage) == (SECRET, "AWSCURRENT")
        return {"SecretString": json.dumps(self.secret)}


Ask = Callable[..., dict[str, float]]


@pytest.fixture
def ask(slots: Any, server: OnPremises) -> Ask:
    """Asks the server, with members of the endpoint, the certificate or the secret of a test."""

    def run(
        certificate: str = server.certificate_pem,
        secret: dict[str, Any] | None = None,
        in_rds: bool = False,
        **endpoint: Any,
    ) -> Any:
        value = server.secret() | {"host": "localhost", "port": server.server.port} | (secret or {})
        account = Account(ENDPOINT | endpoint, certificate, value)
        source = slots.Source(account, account, {"SourceEndpointArn": SOURCE}, in_rds=in_rds)
        return source.ask(Deadline(20))

    return run


@pytest.fixture
def session(server: OnPremises) -> Iterator[psycopg.Connection[Any]]:
    """The administrator's session; at the end there is no slot."""
    place = f"host={server.server.directory} port={server.server.port} dbname={server.database_name} user=postgres"
    with psycopg.connect(place, autocommit=True) as connection:
        yield connection
        connection.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")
        connection.execute("ALTER SYSTEM RESET ALL")
        connection.execute("SELECT pg_reload_conf()")


def make_slot(session: psycopg.Connection[Any], name: str) -> None:
    session.execute("SELECT pg_create_logical_replication_slot(%s, 'test_decoding')", (name,))


def write_wal(session: psycopg.Connection[Any], segments: int) -> None:
    for _ in range(segments):
        session.execute("SELECT pg_logical_emit_message(false, 'wal', 'x')")
        session.execute("SELECT pg_switch_wal()")
    session.execute("CHECKPOINT")


def test_a_slot_that_nobody_reads_keeps_what_was_written_since(ask: Ask, session: psycopg.Connection[Any]) -> None:
    make_slot(session, "made_by_dms")
    before = ask()
    assert before["SlotWalStatus"] == 3
    write_wal(session, 2)
    found = ask()
    assert found["SlotRetainedWalBytes"] > before["SlotRetainedWalBytes"] + SEGMENT
    assert found["SlotWalStatus"] >= 2


def test_a_slot_that_the_server_has_given_up_is_lost(ask: Ask, session: psycopg.Connection[Any]) -> None:
    make_slot(session, "made_by_dms")
    session.execute("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'")
    session.execute("SELECT pg_reload_conf()")
    deadline = time.monotonic() + 30
    while ask()["SlotWalStatus"]:  # the checkpointer reads the setting in its own time
        assert time.monotonic() < deadline
        write_wal(session, 6)


def test_a_source_without_a_slot_of_the_task_has_lost_it(ask: Ask, session: psycopg.Connection[Any]) -> None:
    """The slot of `migrate-database` is none of the task's, and keeps WAL all the same."""
    assert ask() == {"SlotRetainedWalBytes": 0, "SlotWalStatus": 0}
    make_slot(session, "stackferry_changes_16384")
    write_wal(session, 2)
    found = ask()
    assert found["SlotWalStatus"] == 0
    assert found["SlotRetainedWalBytes"] > SEGMENT


def test_the_slot_that_is_left_out_is_the_one_of_migrate_database(slots: Any) -> None:
    assert slots.CHANGES_SLOT == changes.SLOT


def test_a_slot_that_the_endpoint_names_is_the_task_s_and_no_other(ask: Ask, session: psycopg.Connection[Any]) -> None:
    named = {"PostgreSQLSettings": ENDPOINT["PostgreSQLSettings"] | {"SlotName": "stackferry_fallback"}}
    make_slot(session, "somebody")
    assert ask(**named)["SlotWalStatus"] == 0
    make_slot(session, "stackferry_fallback")
    assert ask(**named)["SlotWalStatus"] == 3


def test_the_database_is_found_among_the_settings_too(ask: Ask, session: psycopg.Connection[Any]) -> None:
    make_slot(session, "made_by_dms")
    settings = {"SecretsManagerSecretId": SECRET, "DatabaseName": "payments"}
    assert ask(DatabaseName=None, PostgreSQLSettings=settings)["SlotWalStatus"] == 3


def test_slots_of_other_databases_are_not_the_task_s(ask: Ask, session: psycopg.Connection[Any]) -> None:
    make_slot(session, "made_by_dms")
    assert ask(DatabaseName="postgres") == {"SlotRetainedWalBytes": 0, "SlotWalStatus": 0}


def test_a_server_older_than_the_status_of_slots_never_gives_one_up(slots: Any) -> None:
    assert slots.measure([("made_by_dms", "reserved", 5)], "") == {"SlotRetainedWalBytes": 5, "SlotWalStatus": 3}


@pytest.mark.parametrize(("status", "number"), [("reserved", 3), ("extended", 2), ("unreserved", 1), ("lost", 0)])
def test_the_worst_status_of_several_slots_counts(slots: Any, status: str, number: int) -> None:
    found = [("one", "reserved", 1), ("two", status, 9), ("stackferry_changes", "lost", 0)]
    assert slots.measure(found, "") == {"SlotRetainedWalBytes": 9, "SlotWalStatus": number}


def test_a_source_in_rds_is_verified_by_the_roots_of_rds(
    ask: Ask, slots: Any, server: OnPremises, session: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever certificate the endpoint names; CA_BUNDLE stands for the roots."""
    make_slot(session, "made_by_dms")
    with pytest.raises(slots.SlotsUnknown, match="was not accepted"):
        ask(in_rds=True)
    monkeypatch.setenv("CA_BUNDLE", str(server.authority_file))
    assert ask(in_rds=True, certificate="none")["SlotWalStatus"] == 3


def test_a_source_that_cannot_be_verified_is_asked_over_tls_all_the_same(
    ask: Ask, session: psycopg.Connection[Any]
) -> None:
    make_slot(session, "made_by_dms")
    assert ask(SslMode="require", certificate="none")["SlotWalStatus"] == 3


END = "-----END CERTIFICATE-----"
ROOTS = (FOLDER.parent / "shared" / "transport" / "rds-ca.pem").read_text(encoding="ascii")
OTHER_AUTHORITY = ROOTS[ROOTS.index("-----BEGIN") : ROOTS.index(END)] + END


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"secret": {"password": "not-the-password"}}, "28P01"),
        ({"secret": {"port": 9}}, "no connection to the secret's host and port"),
        ({"secret": {"username": ""}}, "lacks username"),
        ({"DatabaseName": "elsewhere"}, "3D000"),
        ({"certificate": OTHER_AUTHORITY}, "was not accepted"),
        ({"certificate": "no certificate"}, "does not contain a certificate"),
        ({"PostgreSQLSettings": {}}, "SecretsManagerSecretId"),
    ],
)
def test_a_source_that_does_not_say_is_one_error_with_its_reason_and_no_password(
    slots: Any, ask: Ask, server: OnPremises, given: dict[str, Any], reason: str
) -> None:
    with pytest.raises(slots.SlotsUnknown, match=reason) as unknown:
        ask(**given)
    assert server.password not in str(unknown.value)
    assert "not-the-password" not in str(unknown.value)
