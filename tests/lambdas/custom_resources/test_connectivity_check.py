"""Every way that does not lead to its end names host, port and step, and says what to check."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import proof
import pytest
from advice import ADVICE
from deadline import Deadline
from destinations import Database, Endpoint
from function_errors import OutOfTime
from proof import NotConnected
from secret_value import SecretUnreadable
from way import StepFailed, Way

from lambdas.rotation import false_servers
from lambdas.rotation.certificates import Authority

from . import sockets
from .conftest import DATABASE, Target

Source = Callable[..., Database]


@pytest.fixture
def source(authority: Authority, environment: None) -> Source:
    """Makes the source as the custom resource tells of it; keywords change its properties, `secret` the secret."""

    def make(port: int, secret: dict[str, Any] | None = None, host: str = "localhost", **properties: str) -> Database:
        value = {"username": "ferry_owner", "password": "the master's", "host": host, "port": port} | (secret or {})
        told = {"DatabaseName": DATABASE, "SecretArn": "arn", "SslMode": "verify-full",
                "CertificatePem": authority.file.read_text(), **properties}  # fmt: skip
        text = json.dumps({key: part for key, part in value.items() if part is not None})
        return Database(Way("source", host, port), told, lambda _arn: text)

    return make


def refusal(destination: Database | Endpoint, seconds: float = 5) -> str:
    """Why the destination is not reached."""
    with pytest.raises(StepFailed) as failure:
        destination.reach(Deadline(seconds))
    return str(failure.value)


def test_a_source_that_answers_is_told_with_its_versions(target: Target, source: Source) -> None:
    found = source(target.server.port).reach(Deadline(5))
    assert found.startswith(f"source localhost:{target.server.port}: TLSv1.3, PostgreSQL ")


def test_the_target_is_verified_against_the_roots_of_rds(target: Target) -> None:
    secret = {"username": "ferry_owner", "password": "the master's", "host": "localhost", "port": target.server.port}
    way = Way("target", "localhost", target.server.port)
    database = Database(way, {"DatabaseName": DATABASE, "SecretArn": "arn"}, lambda _arn: json.dumps(secret))
    assert database.reach(Deadline(5)).startswith(f"target localhost:{target.server.port}: TLSv1.3")


def test_a_name_without_address(source: Source) -> None:
    told = refusal(source(5432, host="nowhere.invalid"))
    assert told.startswith("source nowhere.invalid:5432, resolve: the name has no address (")
    assert told.endswith("; check SourceHost, and OnPremisesDomainName and OnPremisesDnsServer1 of the layer network")


def test_a_closed_port(source: Source) -> None:
    port = sockets.closed_port()
    told = refusal(source(port))
    assert told.startswith(f"source localhost:{port}, connect: 127.0.0.1 was not reached (Connection refused); ")
    assert told.endswith("check SourcePort, and listen_addresses and port of the server")


def test_packets_that_get_lost(source: Source) -> None:
    with sockets.losing_packets() as port:
        told = refusal(source(port), seconds=0.5)
    assert told.startswith(f"source localhost:{port}, connect: 127.0.0.1 did not answer in time; ")
    assert "OnPremisesCidr" in told
    assert "phase_routes" in told


@pytest.mark.parametrize(
    ("behaviour", "step", "what"),
    [
        (sockets.say_nothing, "SSLRequest", "no answer in time"),
        (sockets.answering(b"N"), "SSLRequest", "the server offers no TLS; set ssl = on at the server"),
        (sockets.answering(b"HTTP/1.1 400"), "SSLRequest", "the answer is not PostgreSQL's"),
        (sockets.answering(b""), "SSLRequest", "the server closed the connection"),
        (sockets.answering(b"S"), "TLS", "no answer in time"),
        (sockets.answering(b"Sgarbage"), "TLS", "the handshake broke"),
    ],
)
def test_a_server_that_is_not_what_it_should_be(
    source: Source, behaviour: sockets.Behaviour, step: str, what: str
) -> None:
    seconds = 1 if what == "no answer in time" else 60
    with sockets.serving(behaviour) as port:
        assert refusal(source(port), seconds=seconds).startswith(f"source localhost:{port}, {step}: {what}")


def test_a_server_that_falls_silent_at_the_login(source: Source, authority: Authority, tmp_path: Path) -> None:
    certificate, key = authority.issue(tmp_path, "localhost")
    with sockets.serving(sockets.tls(certificate, key, as_postgres=True)) as port:
        told = refusal(source(port), seconds=1)
    step = f"source localhost:{port}, log in"
    assert told == f"{step}: the connection to the database broke (it stopped answering); check the server's log"


def test_a_certificate_of_another_host(source: Source, authority: Authority, tmp_path: Path) -> None:
    certificate, key = authority.issue(tmp_path, "other.example.com")
    with sockets.serving(sockets.tls(certificate, key, as_postgres=True)) as port:
        told = refusal(source(port))
    assert "TLS: the certificate is not accepted (Hostname mismatch" in told
    assert told.endswith("and that its certificate names SourceHost")


def test_a_certificate_of_another_authority(target: Target, source: Source, tmp_path: Path) -> None:
    stranger = Authority.make(tmp_path, "stranger")
    told = refusal(source(target.server.port, CertificatePem=stranger.file.read_text()))
    assert "TLS: the certificate is not accepted (" in told
    assert "check that SourceCertificatePem is the root authority above the server's certificate" in told


def test_an_authority_below_a_root_is_not_enough_on_any_python(
    source: Source, authority: Authority, tmp_path: Path
) -> None:
    """libpq refuses it; Python's default context, which is Lambda's, takes it from 3.13 on."""
    below = Authority.make(tmp_path, "below", by=authority)
    certificate, key = below.issue(tmp_path, "localhost")
    with sockets.serving(sockets.tls(certificate, key, as_postgres=True)) as port:
        told = refusal(source(port, CertificatePem=below.file.read_text()))
        assert "TLS: the certificate is not accepted (unable to get issuer certificate)" in told
        both = below.file.read_text() + authority.file.read_text()
        assert "log in: " in refusal(source(port, CertificatePem=both), seconds=1)


def test_require_encrypts_without_asking_who_answers(target: Target, source: Source) -> None:
    database = source(target.server.port, SslMode="require", CertificatePem="")
    assert "TLSv1.3" in database.reach(Deadline(5))


@pytest.mark.parametrize("pem", ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"])
def test_an_authority_that_is_none(target: Target, source: Source, pem: str) -> None:
    told = refusal(source(target.server.port, CertificatePem=pem))
    assert told.endswith("; give SourceCertificatePem one whole certificate in PEM")


@pytest.mark.parametrize(
    ("secret", "what"),
    [
        ({"host": "other.example.com"}, "the secret's host is another"),
        ({"port": 5433}, "the secret's port is another"),
        ({"port": None}, "the secret lacks port"),
        ({"password": None}, "the secret lacks password"),
    ],
)
def test_a_secret_that_says_something_else(target: Target, source: Source, secret: dict[str, Any], what: str) -> None:
    told = refusal(source(target.server.port, secret))
    assert told.startswith(f"source localhost:{target.server.port}, secret: {what}")
    assert told.endswith("; correct the secret in SourceSecretArn, or the parameter: DMS uses what the secret says")
    assert "the master's" not in told


def test_a_secret_that_cannot_be_read(environment: None) -> None:
    def read(arn: str) -> str:
        raise SecretUnreadable(f"secret {arn} cannot be read", is_final=True)

    database = Database(Way("source", "localhost", 5432), {"SecretArn": "arn"}, read)
    with pytest.raises(
        SecretUnreadable, match=r"^source localhost:5432, secret: secret arn cannot be read$"
    ) as failure:
        database.reach(Deadline(5))
    assert failure.value.is_final


@pytest.mark.parametrize(
    ("secret", "properties", "sqlstate", "advice"),
    [
        ({"password": "wrong"}, {}, "28P01", "check username and password in the secret in SourceSecretArn"),
        ({"username": "nobody"}, {}, "28P01", "check username and password in the secret in SourceSecretArn"),
        ({}, {"DatabaseName": "absent"}, "3D000", "check SourceDatabaseName"),
    ],
)
def test_a_login_that_is_refused(
    target: Target, source: Source, secret: dict[str, Any], properties: dict[str, str], sqlstate: str, advice: str
) -> None:
    told = refusal(source(target.server.port, secret, **properties))
    assert f"log in: PostgreSQL refused with SQLSTATE {sqlstate}" in told
    assert told.endswith(advice)
    assert not [value for value in (*secret.values(), "ferry_owner") if value in told]


@pytest.mark.parametrize(
    ("sqlstate", "is_final"),
    [("28000", True), ("42501", True), ("53200", False), ("53300", False), ("57P01", False), ("57P03", False)],
)
def test_a_server_without_room_or_that_is_stopped_meanwhile_is_tried_again(
    source: Source, authority: Authority, tmp_path: Path, sqlstate: str, is_final: bool
) -> None:
    """A failover ends logins that have begun by 57P01, and refuses others by 57P03."""
    behave = false_servers.answering(false_servers.error_message(sqlstate))
    certificate, key = authority.issue(tmp_path, "localhost")
    server = false_servers.with_certificate(certificate, key, behave)
    with false_servers.listening(server) as (port, _), pytest.raises(StepFailed, match=sqlstate) as failure:
        source(port).reach(Deadline(5))
    assert failure.value.is_final == is_final


def test_an_endpoint_is_verified(authority: Authority, environment: None, tmp_path: Path) -> None:
    with sockets.serving(sockets.tls(*authority.issue(tmp_path, "localhost"), as_postgres=False)) as port:
        assert Endpoint(Way("endpoint", "localhost", port)).reach(Deadline(5)) == f"endpoint localhost:{port}: TLSv1.3"
    with sockets.serving(sockets.tls(*authority.issue(tmp_path, "other.example.com"), as_postgres=False)) as port:
        told = refusal(Endpoint(Way("endpoint", "localhost", port)))
    assert told.endswith("check that nothing stands between the VPC and the endpoint")


def test_there_is_advice_for_every_end_of_every_way() -> None:
    ends = {"name", "silence", "refusal", "no TLS", "certificate"}
    of_databases = ends | {"no PostgreSQL", "authority", "secret", "login", "28P01", "28000", "3D000", "53300"}
    expected = {(role, end) for role in ("source", "target") for end in of_databases}
    assert set(ADVICE) == expected | {("endpoint", end) for end in ends}


def test_a_way_that_opens_later_is_gone_again(source: Source) -> None:
    """With patience for one more round, which begins a second later."""
    failed: list[str] = []

    class OpensLater:
        way = Way("source", "localhost", 5432)

        def reach(self, _deadline: Deadline) -> str:
            if not failed:
                failed.append("once")
                raise StepFailed(self.way, "connect", "lost", "silence")
            return "reached"

    assert proof.prove([OpensLater()], 5, Deadline(100)) == "reached"


def test_all_ways_that_fail_are_told_at_once(source: Source, environment: None) -> None:
    closed, other = sockets.closed_port(), sockets.closed_port()
    with pytest.raises(NotConnected, match=rf"endpoint localhost:{other}, connect: .* \| source localhost:{closed}, "):
        proof.prove([Endpoint(Way("endpoint", "localhost", other)), source(closed)], 0, Deadline(10))


@dataclass
class Counted:
    """A destination, and how often it was tried."""

    destination: proof.Destination
    rounds: int = 0

    @property
    def way(self) -> Way:
        return self.destination.way

    def reach(self, deadline: Deadline) -> str:
        self.rounds += 1
        return self.destination.reach(deadline)


def test_what_time_does_not_cure_ends_patience(target: Target, source: Source) -> None:
    refused = Counted(source(target.server.port, {"password": "wrong"}))
    with pytest.raises(NotConnected, match="28P01"):
        proof.prove([refused], 600, Deadline(880))
    assert refused.rounds == 1


def test_patience_ends(source: Source) -> None:
    began = time.monotonic()
    with pytest.raises(NotConnected, match="Connection refused"):
        proof.prove([source(sockets.closed_port())], 2, Deadline(880))
    assert 1 <= time.monotonic() - began < 60


def test_no_round_begins_that_could_outlast_the_function(source: Source) -> None:
    closed = Counted(source(sockets.closed_port()))
    with pytest.raises(NotConnected):
        proof.prove([closed], 600, Deadline(proof.WAY_SECONDS))
    assert closed.rounds == 1


def test_a_server_that_trickles_is_ended_by_the_deadline(source: Source, authority: Authority, tmp_path: Path) -> None:
    class Trickles:
        way = Way("source", "localhost", 5432)

        def reach(self, deadline: Deadline) -> str:
            time.sleep(deadline.remaining() + 0.1)
            raise OutOfTime(str(deadline.remaining()))

    with pytest.raises(OutOfTime):
        proof.prove([Trickles()], 0, Deadline(0.2))
