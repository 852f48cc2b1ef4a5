"""The commands verify, cutover, fallback and finish around tasks of the embedded DMS, with writers that never stop."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from builders.cloud.process import Cloud
from builders.layers._migration.task import FALLBACK_SETTINGS, SETTINGS

from .dms_rig import TRUST, Pair, _reads, rule
from .test_migration_begins import Commands

TABLES = 50
MOST_SECONDS = 3.0
"""Without writes, from the first login that is closed to the opening, with a drained task."""

APPLICATION = "shop_app"
RULES = [rule(), rule("stackferry", "marker", number=2)]

SOURCE = (
    f"CREATE ROLE {APPLICATION} LOGIN PASSWORD 'shop-password'",
    f"GRANT USAGE, CREATE ON SCHEMA payments TO {APPLICATION}",
    f"SET ROLE {APPLICATION}",
    *(
        f"CREATE TABLE payments.orders_{number} "
        "(id bigserial PRIMARY KEY, token varchar(64) NOT NULL, note text NOT NULL)"
        for number in range(TABLES)
    ),
    "INSERT INTO payments.orders_0 (token, note) SELECT 'loaded-' || n, 'a note' FROM generate_series(1, 100) n",
    "RESET ROLE",
    f"GRANT {APPLICATION}, pg_signal_backend TO ferry_source",
    "GRANT SELECT ON pg_authid TO ferry_source",
    "GRANT USAGE ON SCHEMA payments TO ferry_fallback",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA payments TO ferry_fallback",
)


class Writer(threading.Thread):
    """Tries both sides all the time, in all tables, and notes what was acknowledged where."""

    def __init__(self, pair: Pair) -> None:
        super().__init__(daemon=True)
        self.ports = {"source": pair.site.source.server.port, "target": pair.site.database.port}
        self.pair, self.over, self.paused = pair, threading.Event(), threading.Event()
        self.acknowledged: list[tuple[str, str, int, float, float]] = []

    def run(self) -> None:
        sessions: dict[str, psycopg.Connection[Any]] = {}
        number = 0
        while not self.over.wait(0.01):
            if self.paused.is_set():
                continue
            for side, port in self.ports.items():
                number += 1
                began = time.monotonic()
                try:
                    if side not in sessions or sessions[side].closed:
                        sessions[side] = psycopg.connect(
                            host="127.0.0.1", port=port, user=APPLICATION, password="shop-password",
                            dbname=self.pair.name, sslmode="require", autocommit=True,
                        )  # fmt: skip
                    table = number % TABLES
                    sessions[side].execute(
                        f"INSERT INTO payments.orders_{table} (token, note) VALUES (%s, 'a note')".encode(),
                        (f"w-{number}",),
                    )
                    self.acknowledged.append((side, f"w-{number}", table, began, time.monotonic()))
                except psycopg.errors.UniqueViolation:
                    raise
                except psycopg.Error:
                    continue

    def wait_for(self, side: str) -> None:
        """Wait until a side takes a write that begins from now on."""
        now = time.monotonic()
        while not any(each[0] == side and each[3] > now for each in list(self.acknowledged)):
            assert time.monotonic() < now + 20, f"the {side} takes no write"
            time.sleep(0.01)


@pytest.fixture(scope="module")
def commands(lasting: Pair, cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Commands:
    """Both tasks, deployed and not started, as the layers migration and fallback make them."""
    pair, site = lasting, lasting.site
    pair.source(*SOURCE, f"GRANT CREATE ON DATABASE {pair.name} TO ferry_fallback")
    pair.target(f"ALTER DATABASE {pair.name} OWNER TO owner", "ALTER SCHEMA payments OWNER TO owner")
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
    forward = pair.task(RULES, chosen=chosen["forward"], ResourceIdentifier="ferry-task-shop")
    back = pair.task(
        RULES, kind="cdc", chosen=chosen["back"], backwards=True, ResourceIdentifier="ferry-fallback-shop",
        source={"PostgreSqlSettings": {
            "SecretsManagerSecretId": arns["reader"], "SecretsManagerAccessRoleArn": roles["reader"],
            "SlotName": "stackferry_fallback", "PluginName": "test-decoding"}},
        target={"PostgreSqlSettings": {
            "SecretsManagerSecretId": arns["writer"], "SecretsManagerAccessRoleArn": roles["writer"]}},
    )  # fmt: skip
    outputs_dir = tmp_path_factory.mktemp("outputs")
    (outputs_dir / "rig").mkdir()
    outputs = {"replicationTaskArn": forward.arn, "fallbackTaskArn": back.arn, "secretsManagerArn": arns["master"],
               "fallbackUserSecretArn": arns["reader"]}  # fmt: skip
    (outputs_dir / "rig" / "flat-outputs.json").write_text(json.dumps(outputs))
    environment = cloud.environment(site.account.number) | {"PGSSLROOTCERT": str(cloud.ca_file)}
    return Commands(pair, outputs_dir, environment, forward)


@pytest.fixture(scope="module")
def writer(commands: Commands) -> Iterator[Writer]:
    made = Writer(commands.pair)
    yield made
    made.over.set()
    made.join(10)


def done(commands: Commands, *words: str) -> dict[str, Any]:
    code, out, said = commands(*words)
    assert code == 0, out + said[-1500:]
    return dict(json.loads(out)) if "--json" in words else {"out": out, "said": said}


def forward(commands: Commands) -> None:
    done(commands, "start", "--poll", "0.05", "--timeout", "60")
    done(commands, "verify")


def test_there_and_back_and_there_again_no_write_is_lost_and_the_outage_is_short(
    commands: Commands, writer: Writer
) -> None:
    done(commands, "schema")
    forward(commands)
    writer.start()
    writer.wait_for("source")
    code, _, said = commands("cutover")
    assert (code, "--yes is the answer yes" in said) == (2, True), said
    there = done(commands, "cutover", "--yes", "--json", "--poll", "0.05", "--keep-reads")
    writer.wait_for("target")
    for refused in (("resume",), ("reload", "--yes"), ("start",), ("cutover", "--yes")):
        code, _, said = commands(*refused)
        assert (code, "target" in said) == (1, True), said
    back = done(commands, "fallback", "--yes", "--json", "--poll", "0.05")
    writer.wait_for("source")
    writer.paused.set()
    forward(commands)
    writer.paused.clear()
    again = done(commands, "cutover", "--yes", "--json", "--poll", "0.05")
    writer.wait_for("target")
    writer.over.set()
    writer.join(10)
    for table in range(TABLES):
        rows = [row[0] for row in commands.pair.rows("target", f"SELECT token FROM payments.orders_{table}")]
        written = {token for _, token, of, _, _ in writer.acknowledged if of == table}
        assert written - set(rows) == set()
        assert len(rows) == len(set(rows))
    finished = done(commands, "finish", "--yes", "--json", "--report-dir", str(commands.outputs_dir))
    assert finished["open"] == "target"
    for outcome in (there, back, again):
        assert outcome["writeOutageSeconds"] < MOST_SECONDS, outcome
