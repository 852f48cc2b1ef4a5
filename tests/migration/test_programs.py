"""PostgreSQL's programs found, and what pg_restore writes taken apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from builders.errors import MigrationError
from builders.migration.schema import programs

SCRIPT = """--
-- PostgreSQL database dump
--

\\restrict abc

SET check_function_bodies = false;

--
-- TOC entry 274 (class 1255 OID 16527)
-- Dependencies: 7 9
-- Name: log(); Type: FUNCTION; Schema: payments; Owner: the app
-- Data Pos: 0
--

CREATE FUNCTION payments.log() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN
--
-- Name: fake; Type: TABLE; Schema: payments; Owner: nobody
--
RETURN new; END $$;


ALTER FUNCTION payments.log() OWNER TO "the app";

SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- TOC entry 216 (class 1259 OID 16494)
-- Name: account; Type: TABLE; Schema: payments; Owner: app
-- Data Pos: 0
--

CREATE TABLE payments.account (
    id bigint
);


-- Completed on 2026-11-29 16:04:07 UTC

--
-- PostgreSQL database dump complete
--

\\unrestrict abc

"""


def test_a_program_that_is_older_than_the_server_is_not_taken() -> None:
    with pytest.raises(MigrationError, match=r"pg_dump of PostgreSQL 99 or newer is not on this host: .*; install"):
        programs.find("pg_dump", 99)


def test_of_several_programs_the_oldest_that_fits_is_taken(tmp_path: Path) -> None:
    for version in (95, 97, 96):
        program = tmp_path / str(version) / "pg_dump"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\necho 'pg_dump (PostgreSQL) {version}.1'\n")
        program.chmod(0o755)
    directories = [tmp_path / "95", tmp_path / "97", tmp_path / "96"]
    assert programs.find("pg_dump", 96, *directories) == tmp_path / "96" / "pg_dump"


def test_a_script_is_taken_apart_at_pg_restores_own_comments_only() -> None:
    function, table = programs.entries(SCRIPT)
    assert (function.kind, function.object, function.owner) == ("FUNCTION", "payments.log()", "the app")
    assert (function.number, function.catalog, function.oid, function.needs) == (274, 1255, 16527, frozenset({7, 9}))
    assert function.statement.endswith("RETURN new; END $$;")
    assert function.owned == 'ALTER FUNCTION payments.log() OWNER TO "the app";'
    assert (table.statement, table.owned) == ("CREATE TABLE payments.account (\n    id bigint\n);", "")
