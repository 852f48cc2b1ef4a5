"""The commands schema, start, status and resume, around a task with the settings of the layer."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from builders.cloud.process import Cloud
from builders.layers._migration.endpoints import WHOLE_NUMERICS, WHOLE_TEXTS
from builders.layers._migration.task import SETTINGS
from builders.migration.cli import main
from builders.migration.phase import Phase, PhaseOptions
from builders.migration.schema import moments

from .dms_rig import Pair, Task, rule, wait_for

APPLICATION, READER, MASTER = "ledger_app", "ledger_reader", "owner"
"""The owner of the source's tables, a reader of one of them, and the master user of the rig's database."""

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
    rule("stackferry", "marker", number=2),
    {"rule-type": "selection", "rule-id": "10", "rule-name": "10", "rule-action": "exclude",
     "object-locator": {"schema-name": "payments", "table-name": "events"}},
    {"rule-type": "transformation", "rule-id": "12", "rule-name": "12", "rule-target": "column",
     "rule-action": "remove-column",
     "object-locator": {"schema-name": "payments", "table-name": "counters", "column-name": "twice"}},
]  # fmt: skip


@dataclass
class Commands:
    """The commands of a phase whose source and target are the rig's."""

    pair: Pair
    outputs_dir: Path
    environment: dict[str, str]
    task: Task

    def __call__(self, *words: str) -> tuple[int, str, str]:
        """Run a command, and return its exit code, stdout and stderr."""
        address = f"127.0.0.1:{self.pair.site.source.server.port}"
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment.items():
                patch.setenv(name, value)
            options = ["--phase", "rig", "--outputs-dir", str(self.outputs_dir), "--source-address", address]
            out, err = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = main([words[0], *options, *words[1:]])
        return code, out.getvalue(), err.getvalue()

    @contextlib.contextmanager
    def target(self) -> Iterator[Any]:
        """A session of the master user."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment.items():
                patch.setenv(name, value)
            with Phase(PhaseOptions("rig", self.outputs_dir)) as phase, phase.target() as target:
                yield target


@pytest.fixture(scope="module")
def commands(lasting: Pair, cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Commands:
    """A task that has not run yet, between a source with all kinds of definitions and a target as layers leave it."""
    pair, site = lasting, lasting.site
    pair.source(f"CREATE ROLE {APPLICATION} LOGIN; CREATE ROLE {READER}",
                f"GRANT USAGE, CREATE ON SCHEMA payments TO {APPLICATION}", SOURCE, FIRST)  # fmt: skip
    # As after `database`, and `database_users`.
    pair.target(f"ALTER DATABASE {pair.name} OWNER TO {MASTER}", f"ALTER SCHEMA payments OWNER TO {MASTER}")
    settings = json.dumps(SETTINGS).replace("${TargetTablePreparation}", "DO_NOTHING")
    task = pair.task(
        RULES,
        chosen=json.loads(settings),
        source={"ExtraConnectionAttributes": f"{WHOLE_NUMERICS};{WHOLE_TEXTS}"},
        target={"ExtraConnectionAttributes": WHOLE_NUMERICS},
        ResourceIdentifier="ferry-task-rig",
    )
    secrets = site.account.client("secretsmanager")
    generated = json.loads(secrets.get_secret_value(SecretId=site.account.physical_id("Secret"))["SecretString"])
    value = generated | {"host": "localhost", "port": site.database.port}
    master = secrets.create_secret(Name=f"master-{pair.name}", SecretString=json.dumps(value))["ARN"]
    outputs_dir = tmp_path_factory.mktemp("outputs")
    (outputs_dir / "rig").mkdir()
    outputs = {"replicationTaskArn": task.arn, "secretsManagerArn": master}
    (outputs_dir / "rig" / "flat-outputs.json").write_text(json.dumps(outputs))
    environment = cloud.environment(site.account.number) | {"PGSSLROOTCERT": str(cloud.ca_file)}
    return Commands(pair, outputs_dir, environment, task)


@pytest.fixture(scope="module")
def moved(commands: Commands) -> Pair:
    """A schema that has come over by the commands while somebody wrote."""
    pair = commands.pair
    done = commands("schema")
    assert done[0] == 0, done[1:]
    assert commands("start", "--until", "running", "--poll", "0.1")[0] == 0
    pair.source(LATER)
    code, out, said = commands("start", "--poll", "0.1", "--timeout", "240")
    assert code == 0, out + said
    wait_for(lambda: commands.task.failure() or all(pair.same(f"payments.{table}") for table in TABLES))
    assert not commands.task.failure(), commands.task.failure()
    return pair


def test_a_dry_run_shows_the_sql_and_changes_nothing(commands: Commands) -> None:
    code, out, said = commands("schema", "--dry-run")
    assert (code, said, [line for line in out.splitlines() if line.startswith("-- differs")]) == (0, "", [])
    assert f'CREATE ROLE "{APPLICATION}" NOLOGIN;\n-- a new password, which goes into a secret\n' in out
    assert "CREATE TABLE payments.account (" in out
    assert 'ALTER TABLE "payments"."account" DROP CONSTRAINT IF EXISTS' in out
    assert "-- TRIGGER payments.ledger logged: kept until cutover\n" in out
    assert commands.pair.rows("target", "SELECT count(*) FROM pg_class WHERE relname = 'account'") == [(0,)]
    assert commands.pair.rows("target", "SELECT to_regnamespace('stackferry_state') IS NULL") == [(True,)]


def test_start_before_schema_says_what_to_do(commands: Commands) -> None:
    code, _, said = commands("start")
    assert (code, said) == (
        1,
        "migrate-database: the target has no definitions of `migrate-database schema` yet: run that first\n",
    )


def test_status_says_at_first_what_comes_next(commands: Commands) -> None:
    code, out, _ = commands("status")
    assert code == 0
    assert "step       nothing was done yet\n" in out
    assert "next       migrate-database check, then schema\n" in out


@pytest.mark.parametrize("table", TABLES)
def test_every_row_is_in_the_target_and_is_the_same(moved: Pair, table: str) -> None:
    assert moved.same(f"payments.{table}")
    assert moved.rows("target", f"SELECT count(*) > 1 FROM payments.{table}") == [(True,)]


def test_numbers_without_a_precision_keep_all_their_digits(moved: Pair) -> None:
    balance = moved.rows("target", "SELECT balance::text FROM payments.account WHERE id = 2")
    assert balance == [("2.1234567",)]


def test_indexes_views_and_rights_are_there_and_a_foreign_key_is_valid(moved: Pair) -> None:
    query = f"""SELECT to_regclass('payments.account_email') IS NOT NULL, to_regclass('payments.rich') IS NOT NULL,
        (SELECT convalidated FROM pg_constraint WHERE conname = 'ledger_account_fkey'),
        has_table_privilege('{READER}', 'payments.account', 'SELECT'),
        has_table_privilege('{READER}', 'payments.account', 'UPDATE'),
        (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'payments.account'::regclass)"""
    assert moved.rows("target", query) == [(True, True, True, True, False, APPLICATION)]


def test_a_role_whose_password_cannot_be_read_gets_a_new_one_in_a_secret(commands: Commands, moved: Pair) -> None:
    secrets = commands.pair.site.account.client("secretsmanager")
    found = secrets.get_secret_value(SecretId=f"stackferry-application-rig-{APPLICATION}")["SecretString"]
    value = json.loads(found)
    assert set(value) == {"username", "password", "host", "port", "dbname"}
    moved.target(f"ALTER ROLE {APPLICATION} LOGIN")
    login = {"host": "127.0.0.1", "port": value["port"], "dbname": value["dbname"], "sslmode": "require"}
    with psycopg.connect(user=value["username"], password=value["password"], **login) as session:
        assert session.execute("SELECT current_user").fetchall() == [(APPLICATION,)]
    moved.target(f"ALTER ROLE {APPLICATION} NOLOGIN")


def test_status_shows_slot_lag_and_that_nothing_drifted(commands: Commands, moved: Pair) -> None:
    code, out, said = commands("status")
    assert (code, said, [line for line in out.splitlines() if line.startswith("-- differs")]) == (0, "", [])
    assert "step       the changes are replicated\n" in out
    assert "is read, reserved, " in out
    assert "no limit but the source's disk" in out
    assert "drift      none: both sides are as schema carried them\n" in out
    assert "next       migrate-database verify, then cutover\n" in out


def test_status_names_a_table_that_was_altered_in_the_source_meanwhile(commands: Commands, moved: Pair) -> None:
    moved.source("ALTER TABLE payments.audit ADD COLUMN who text", "CREATE INDEX audit_what ON payments.audit (what)")
    _, out, _ = commands("status", "--json")
    moved.source("ALTER TABLE payments.audit DROP COLUMN who", "DROP INDEX payments.audit_what")
    assert [(each["kind"], each["object"], each["why"].partition(":")[0]) for each in json.loads(out)["drift"]] == [
        ("TABLE", "payments.audit", "it was altered in the source since it was carried"),
        ("INDEX", "payments.audit_what", "the source has it, and the target does not"),
    ]


def test_a_second_start_finds_nothing_to_do(commands: Commands, moved: Pair) -> None:
    code, _, said = commands("start", "--poll", "0.1")
    assert code == 0
    assert [line for line in said.splitlines() if "built" in line or "made" in line] == []


def test_resume_refuses_where_the_slot_is_lost(commands: Commands, moved: Pair) -> None:
    commands.task.stop()
    moved.source("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'", "SELECT pg_reload_conf()")
    try:
        for _ in range(4):
            moved.source("SELECT pg_logical_emit_message(false, 'x', repeat('x', 1000000)), pg_switch_wal()")
        moved.source("CHECKPOINT")
        code, _, said = commands("resume")
        assert code == 1
        assert "has lost the slot" in said
        assert "load again with `migrate-database reload`" in said
        assert "lost, " in commands("status")[1]
    finally:
        moved.source("ALTER SYSTEM RESET max_slot_wal_keep_size", "SELECT pg_reload_conf()")


def test_a_reload_empties_the_target_and_start_builds_what_it_took_off(commands: Commands, moved: Pair) -> None:
    code, _, said = commands("reload", "--yes", "--poll", "0.1", "--timeout", "240")
    assert code == 0, said
    assert "taken off the target until the load is done: FK CONSTRAINT payments.ledger ledger_account_fkey" in said
    assert "indexes and constraints are not all built" in commands("status")[1]
    code, _, said = commands("start", "--poll", "0.1", "--timeout", "240")
    assert code == 0, said
    assert all(moved.same(f"payments.{table}") for table in TABLES)
    query = "SELECT convalidated FROM pg_constraint WHERE conname = 'ledger_account_fkey'"
    assert moved.rows("target", query) == [(True,)]


@pytest.fixture(scope="module")
def hardened(commands: Commands, moved: Pair) -> Pair:
    """The target with what a cut-over puts on, and validates after it."""
    with commands.target() as target:
        for moment in ("cutover", "opened"):
            for definition in moments.harden_statements(target, moment):
                moments.put_on(target, target, definition)
    return moved


def refusal(pair: Pair, statement: str) -> str:
    """The SQLSTATE with which the target refuses a statement."""
    with pytest.raises(psycopg.Error) as refused:
        pair.target(statement)
    return str(refused.value.sqlstate)


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
def test_what_was_taken_off_for_the_load_holds_again(hardened: Pair, statement: str, sqlstate: str) -> None:
    assert refusal(hardened, statement) == sqlstate


def test_triggers_fire_and_policies_hold_after_the_hardening(hardened: Pair) -> None:
    query = """SELECT (SELECT tgenabled::text FROM pg_trigger WHERE tgname = 'logged'),
        (SELECT relrowsecurity FROM pg_class WHERE oid = 'payments.tenants'::regclass),
        (SELECT count(*) FROM pg_policies WHERE schemaname = 'payments')"""
    assert hardened.rows("target", query) == [("O", True, 1)]
