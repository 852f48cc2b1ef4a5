"""A phase whose tasks of the embedded DMS go both ways, as the layers make them, with a writer that never stops."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import psycopg

from builders.cloud.process import Cloud
from builders.layers._migration.task import FALLBACK_SETTINGS, SETTINGS
from builders.migration.databases import Side

from .dms_rig import TRUST, Pair, _reads, rule
from .test_migration_begins import Commands

APPLICATION = "shop_app"
RULES = [rule(), rule("stackferry", "marker", number=2)]


def _definitions(tables: int) -> list[str]:
    return [
        # Roles are the server's, and another scene may have been on it.
        f"DO $$ BEGIN CREATE ROLE {APPLICATION} LOGIN PASSWORD 'shop-password'; "
        "EXCEPTION WHEN duplicate_object THEN NULL; END $$",
        f"GRANT USAGE, CREATE ON SCHEMA payments TO {APPLICATION}",
        f"SET ROLE {APPLICATION}",
        *(
            f"CREATE TABLE payments.orders_{number} "
            "(id bigserial PRIMARY KEY, token varchar(64) NOT NULL, note text NOT NULL)"
            for number in range(tables)
        ),
        "INSERT INTO payments.orders_0 (token, note) SELECT 'loaded-' || n, 'a note' FROM generate_series(1, 100) n",
        "RESET ROLE",
        f"GRANT {APPLICATION}, pg_signal_backend TO ferry_source",
        "GRANT SELECT ON pg_authid TO ferry_source",
        "GRANT USAGE ON SCHEMA payments TO ferry_fallback",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA payments TO ferry_fallback",
    ]


LOGIN_PAUSE_SECONDS = 0.25
"""From one login of the writer to the next on the same side, where the first was refused: each costs more than the
command that it watches."""


@dataclass(frozen=True)
class Attempt:
    """A write that was acknowledged, or that met a value of a sequence that was given out before."""

    side: Side
    token: str
    table: int
    began: float
    ended: float
    outcome: Literal["acknowledged", "doubled value"] = "acknowledged"


class Writer(threading.Thread):
    """Tries both sides all the time, in all tables, and notes what was acknowledged where."""

    def __init__(self, pair: Pair, tables: int) -> None:
        super().__init__(daemon=True)
        self.ports: dict[Side, int] = {"source": pair.site.source.server.port, "target": pair.site.database.port}
        self.pair, self.tables, self.over = pair, tables, threading.Event()
        self.attempts: list[Attempt] = []
        self._sessions: dict[Side, psycopg.Connection[Any]] = {}
        self._logged_in: dict[Side, float] = {}
        self._writing = threading.Lock()

    def run(self) -> None:
        number = 0
        while not self.over.wait(0.03):
            with self._writing:
                for side in get_args(Side):
                    number += 1
                    self._try(side, f"w-{number}", number % self.tables)
        for session in self._sessions.values():
            session.close()

    def _try(self, side: Side, token: str, table: int) -> None:
        began = time.monotonic()
        outcome: Literal["acknowledged", "doubled value"] = "acknowledged"
        try:
            if side not in self._sessions:
                if began < self._logged_in.get(side, 0.0) + LOGIN_PAUSE_SECONDS:
                    return
                self._logged_in[side] = began
                self._sessions[side] = psycopg.connect(
                    host="127.0.0.1", port=self.ports[side], user=APPLICATION, password="shop-password",
                    dbname=self.pair.name, sslmode="require", autocommit=True, connect_timeout=5,
                )  # fmt: skip
            statement = f"INSERT INTO payments.orders_{table} (token, note) VALUES (%s, 'a note')"
            self._sessions[side].execute(statement.encode(), (token,))
        except psycopg.errors.UniqueViolation:
            outcome = "doubled value"
        except psycopg.Error:
            # What is broken is closed: a session that is let go while it is open is a warning in any later test.
            if (broken := self._sessions.get(side)) and broken.closed:
                self._sessions.pop(side).close()
            return
        self.attempts.append(Attempt(side, token, table, began, time.monotonic(), outcome))

    @contextlib.contextmanager
    def resting(self) -> Iterator[None]:
        """Let no write be under way while the context lasts."""
        with self._writing:
            yield

    def stop(self) -> None:
        """End, and close the sessions."""
        self.over.set()
        if self.ident:
            self.join(60)
            assert not self.is_alive(), "the writer does not end"

    def wait_for(self, side: Side) -> None:
        """Wait until a side takes a write that begins from now on."""
        now = time.monotonic()
        while not any(each.side == side and each.began > now for each in list(self.attempts)):
            assert time.monotonic() < now + 60, f"the {side} takes no write"
            time.sleep(0.01)

    def hold(self, is_open: Side, since: float) -> None:
        """Hold that no acknowledged write is lost or doubled, and that since a time the other side took none after."""
        with self.resting():
            attempts = list(self.attempts)
            rows = Counter(
                token
                for table in range(self.tables)
                for (token,) in self.pair.rows(is_open, f"SELECT token FROM payments.orders_{table}")
            )
        assert [each for each in attempts if each.outcome == "doubled value"] == []
        assert [each for each in attempts if not rows[each.token]] == [], "acknowledged writes are lost"
        assert [token for token, count in rows.items() if count > 1] == [], "writes are doubled"
        opened = min(each.ended for each in attempts if each.side == is_open and each.began > since)
        late = [each for each in attempts if each.side != is_open and each.began > opened]
        assert late == [], "both sides take writes"


@contextlib.contextmanager
def writing(pair: Pair, tables: int) -> Iterator[Writer]:
    """Bring a writer, which is started by the test, and stop it at the end."""
    made = Writer(pair, tables)
    try:
        yield made
    finally:
        made.stop()


def phase_both_ways(pair: Pair, cloud: Cloud, outputs_dir: Path, tables: int) -> Commands:
    """Both tasks, deployed and not started, as the layers migration and fallback make them."""
    site = pair.site
    pair.source(*_definitions(tables), f"GRANT CREATE ON DATABASE {pair.name} TO ferry_fallback")
    pair.target(
        f"ALTER DATABASE {pair.name} OWNER TO owner",
        "ALTER SCHEMA payments OWNER TO owner",
        # So are slots and their names.
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
        "WHERE slot_name = 'stackferry_fallback' AND NOT active",
    )
    suffix = pair.name.replace("_", "-")
    secrets = site.account.client("secretsmanager")
    generated = json.loads(secrets.get_secret_value(SecretId=site.account.physical_id("Secret"))["SecretString"])
    reader = {"username": "ferry_fallback", "password": "reader-password", "host": "localhost"}
    arns = {
        name: secrets.create_secret(Name=f"{name}-{pair.name}", SecretString=json.dumps(value))["ARN"]
        for name, value in (
            ("master", generated | {"host": "localhost", "port": site.database.port}),
            ("reader", reader | {"port": site.database.port}),
            ("writer", site.source.fallback_secret()),
        )
    }
    resources = {
        f"{name}Role": {
            "Type": "AWS::IAM::Role",
            "Properties": {"AssumeRolePolicyDocument": TRUST, "Policies": [_reads(arns[name])]},
        }
        for name in ("reader", "writer")
    }
    site.account.deploy(resources, "fallback-roles")
    roles = {
        name: f"arn:aws:iam::{site.account.number}:role/{site.account.physical_id(f'{name}Role', 'fallback-roles')}"
        for name in ("reader", "writer")
    }
    chosen = {
        name: json.loads(json.dumps(settings).replace("${TargetTablePreparation}", "DO_NOTHING"))
        for name, settings in (("forward", SETTINGS), ("back", FALLBACK_SETTINGS))
    }
    forward = pair.task(RULES, chosen=chosen["forward"], ResourceIdentifier=f"ferry-task-{suffix}")
    back = pair.task(
        RULES, kind="cdc", chosen=chosen["back"], backwards=True, ResourceIdentifier=f"ferry-fallback-{suffix}",
        source={"PostgreSqlSettings": {
            "SecretsManagerSecretId": arns["reader"], "SecretsManagerAccessRoleArn": roles["reader"],
            "SlotName": "stackferry_fallback", "PluginName": "test-decoding"}},
        target={"PostgreSqlSettings": {
            "SecretsManagerSecretId": arns["writer"], "SecretsManagerAccessRoleArn": roles["writer"]}},
    )  # fmt: skip
    (outputs_dir / "rig").mkdir()
    outputs = {"replicationTaskArn": forward.arn, "fallbackTaskArn": back.arn, "secretsManagerArn": arns["master"],
               "fallbackUserSecretArn": arns["reader"]}  # fmt: skip
    (outputs_dir / "rig" / "flat-outputs.json").write_text(json.dumps(outputs))
    environment = cloud.environment(site.account.number) | {"PGSSLROOTCERT": str(cloud.ca_file)}
    return Commands(pair, outputs_dir, environment, forward)


def done(commands: Commands, *words: str) -> dict[str, Any]:
    code, out, said = commands(*words)
    assert code == 0, out + said[-1500:]
    return dict(json.loads(out)) if "--json" in words else {"out": out, "said": said}


def forward(commands: Commands) -> None:
    done(commands, "start", "--poll", "0.1", "--timeout", "240")
    done(commands, "verify")
