"""The commands of docs/migration.md, run as they stand there, around a task with the settings of the layer."""

from __future__ import annotations

import json
import os
import re
import subprocess
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from builders.cloud.rds import postgres
from builders.cloud.rds.postgres import choose
from builders.layers._migration.endpoints import WHOLE_NUMERICS, WHOLE_TEXTS
from builders.layers._migration.task import SETTINGS

from .dms_rig import Pair, rule, wait_for

PAGE = Path(__file__).parents[2] / "docs" / "migration.md"
APPLICATION, READER, MASTER = "ledger_app", "ledger_reader", "owner"
"""Who owns the source's tables, who reads one of them, and the master user of the rig's database."""

SOURCE = """
CREATE EXTENSION IF NOT EXISTS citext;
SET ROLE ledger_app;
CREATE TABLE payments.account (
    id bigint PRIMARY KEY, email text NOT NULL, name citext NOT NULL, note jsonb NOT NULL DEFAULT '{}',
    tags text[] NOT NULL DEFAULT '{}', code varchar(8) NOT NULL DEFAULT 'x', balance numeric NOT NULL DEFAULT 0
);
CREATE INDEX account_email ON payments.account (email);
CREATE TABLE payments.ledger (
    id serial PRIMARY KEY, account bigint NOT NULL REFERENCES payments.account, amount numeric(12, 2) NOT NULL
);
CREATE TABLE payments.audit (id serial PRIMARY KEY, what text NOT NULL);
CREATE FUNCTION payments.log() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO payments.audit (what) VALUES (tg_op); RETURN new; END $$;
CREATE TRIGGER logged AFTER INSERT ON payments.ledger FOR EACH ROW EXECUTE FUNCTION payments.log();
CREATE TABLE payments.counters (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int, twice int GENERATED ALWAYS AS (n * 2) STORED
);
CREATE TABLE payments.tenants (id int PRIMARY KEY);
ALTER TABLE payments.tenants ENABLE ROW LEVEL SECURITY;
CREATE POLICY everything ON payments.tenants USING (true);
CREATE TABLE payments.events (id int, day date, body text NOT NULL, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE payments.events_2026 PARTITION OF payments.events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE VIEW payments.rich AS SELECT id FROM payments.account WHERE balance > 100;
GRANT SELECT ON payments.account TO ledger_reader;
RESET ROLE;
GRANT SELECT ON ALL TABLES IN SCHEMA payments TO ferry_source
"""
TABLES = ("account", "ledger", "audit", "counters", "tenants", "events")
FIRST = """
INSERT INTO payments.account (id, email, name, balance) SELECT n, n || '@a', 'A' || n, n + 0.1234567 FROM
    generate_series(1, 50) n;
INSERT INTO payments.ledger (account, amount) SELECT n, n FROM generate_series(1, 50) n;
INSERT INTO payments.counters (n) SELECT generate_series(1, 5);
INSERT INTO payments.tenants VALUES (1), (2);
INSERT INTO payments.events VALUES (1, '2026-05-05', repeat('x', 100000))
"""
LATER = """
INSERT INTO payments.account (id, email, name, note, tags) VALUES (100, 'b', 'B', '{"a": 1}', '{x,y}');
UPDATE payments.account SET email = repeat('y', 50000) WHERE id = 1;
INSERT INTO payments.ledger (account, amount) VALUES (100, 7);
INSERT INTO payments.counters (n) VALUES (6);
INSERT INTO payments.tenants VALUES (3);
INSERT INTO payments.events VALUES (2, '2026-06-06', 'z')
"""
RULES = [
    rule(),
    {"rule-type": "selection", "rule-id": "10", "rule-name": "10", "rule-action": "exclude",
     "object-locator": {"schema-name": "payments", "table-name": "events"}},
    {"rule-type": "transformation", "rule-id": "12", "rule-name": "12", "rule-target": "column",
     "rule-action": "remove-column",
     "object-locator": {"schema-name": "payments", "table-name": "counters", "column-name": "twice"}},
]  # fmt: skip


def blocks() -> list[str]:
    """The scripts of the page, in their order."""
    return re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def programs() -> str:
    """The directory of pg_dump, pg_restore and psql: the server's own, else those of the wheel."""
    directories = (choose().bin, *postgres._of_the_wheel())
    return str(next(directory for directory in directories if (directory / "pg_dump").exists()))


@dataclass
class Shell:
    """A shell in which the page's scripts run one after another."""

    pair: Pair
    folder: Path

    def run(self, script: str) -> None:
        """Run a script; any word of a program on stderr is a failure."""
        (restore,) = re.findall(r"^restore\(\) .*$", "".join(blocks()), re.MULTILINE)
        site = self.pair.site
        variables = {
            "PATH": f"{programs()}:{os.environ['PATH']}",
            "SOURCE_URL": self.url(site.source.server, APPLICATION),
            "TARGET_URL": self.url(site.database, MASTER),
            **choose().environment,
        }
        command = ["bash", "-c", f"set -euo pipefail\n{restore}\n{script}"]
        done = subprocess.run(
            command, cwd=self.folder, env=variables, capture_output=True, text=True, check=False, timeout=60
        )
        assert (done.returncode, done.stderr) == (0, "")

    def url(self, server: Any, role: str) -> str:
        """A connection through the server's socket, with the rights of a role that is no superuser."""
        options = {"host": server.directory, "port": server.port, "user": "rdsadmin", "options": f"-c role={role}"}
        return f"postgresql:///{self.pair.name}?{urllib.parse.urlencode(options, quote_via=urllib.parse.quote)}"


@pytest.fixture(scope="module")
def moved(lasting: Pair, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """A schema that has come over by the page, while somebody wrote."""
    prepare, columns, indexes, cutover = blocks()
    pair, shell = lasting, Shell(lasting, tmp_path_factory.mktemp("shell"))
    pair.source(f"CREATE ROLE {APPLICATION}; CREATE ROLE {READER}")
    pair.source(f"GRANT USAGE, CREATE ON SCHEMA payments TO {APPLICATION}", SOURCE, FIRST)
    # As after `database`, and the first deployment of `database_users`.
    pair.target(f"ALTER DATABASE {pair.name} OWNER TO {MASTER}", f"ALTER SCHEMA payments OWNER TO {MASTER}")
    shell.run(prepare)
    shell.run(columns)
    pair.target("GRANT ALL ON ALL TABLES IN SCHEMA payments TO ferry_dms")
    settings = json.dumps(SETTINGS).replace("${TargetTablePreparation}", "DO_NOTHING")
    task = pair.task(
        RULES,
        chosen=json.loads(settings),
        source={"ExtraConnectionAttributes": f"{WHOLE_NUMERICS};{WHOLE_TEXTS}"},
        target={"ExtraConnectionAttributes": WHOLE_NUMERICS},
    )
    task.load()
    pair.source(LATER)
    wait_for(lambda: task.failure() or all(pair.same(f"payments.{table}") for table in TABLES))
    assert not task.failure(), task.failure()
    task.stop()
    shell.run(indexes)
    task.start("resume-processing")
    task.stop()
    pair.target(f"CREATE ROLE {APPLICATION}; CREATE ROLE {READER}")
    shell.run(cutover)
    return pair


def refusal(pair: Pair, statement: str) -> str:
    """The SQLSTATE with which the target refuses a statement."""
    with pytest.raises(psycopg.Error) as refused:
        pair.target(statement)
    return str(refused.value.sqlstate)


@pytest.mark.parametrize("table", TABLES)
def test_every_row_is_in_the_target_and_is_the_same(moved: Pair, table: str) -> None:
    assert moved.same(f"payments.{table}")
    assert moved.rows("target", f"SELECT count(*) > 1 FROM payments.{table}") == [(True,)]


def test_numbers_without_a_precision_keep_all_their_digits(moved: Pair) -> None:
    balance = moved.rows("target", "SELECT balance::text FROM payments.account WHERE id = 2")
    assert balance == [("2.1234567",)]


@pytest.mark.parametrize(
    ("statement", "sqlstate"),
    [
        ("INSERT INTO payments.account (id, email, name) VALUES (900, NULL, 'a')", "23502"),
        ("INSERT INTO payments.account (id, email, name) VALUES (900, 'a', NULL)", "23502"),
        ("UPDATE payments.account SET tags = NULL WHERE id = 1", "23502"),
        ("INSERT INTO payments.events VALUES (3, '2026-07-07', NULL)", "23502"),
        ("INSERT INTO payments.ledger (id, account, amount) VALUES (900, 12345, 1)", "23503"),
        ("INSERT INTO payments.counters (id, n) VALUES (900, 1)", "428C9"),
    ],
)
def test_what_was_taken_off_for_the_load_holds_again(moved: Pair, statement: str, sqlstate: str) -> None:
    assert refusal(moved, statement) == sqlstate


def test_triggers_fire_and_sequences_go_on_after_the_source_s_last_number(moved: Pair) -> None:
    query = "SELECT (SELECT max(id) FROM payments.ledger), (SELECT max(id) FROM payments.audit)"
    last = moved.rows("source", query)
    moved.target("INSERT INTO payments.ledger (account, amount) VALUES (100, 1)")
    next_one = moved.rows(
        "target", "SELECT (SELECT max(id) FROM payments.ledger), (SELECT max(id) FROM payments.audit)"
    )
    moved.target("DELETE FROM payments.ledger WHERE account = 100 AND amount = 1")
    moved.target(f"DELETE FROM payments.audit WHERE id = {next_one[0][1]}")
    assert next_one == [tuple(number + 1 for number in last[0])]


def test_indexes_policies_views_and_rights_are_there(moved: Pair) -> None:
    query = f"""SELECT to_regclass('payments.account_email') IS NOT NULL, to_regclass('payments.rich') IS NOT NULL,
        (SELECT relrowsecurity FROM pg_class WHERE oid = 'payments.tenants'::regclass),
        (SELECT count(*) FROM pg_policies WHERE schemaname = 'payments'),
        has_table_privilege('{READER}', 'payments.account', 'SELECT'),
        has_table_privilege('{READER}', 'payments.account', 'UPDATE')"""
    assert moved.rows("target", query) == [(True, True, True, 1, True, False)]
