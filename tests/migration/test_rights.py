"""The rights of the migration's users: what is missing is named with the statement that gives it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from builders.migration import rights

from .conftest import Pair

READER = "ferry_lacking"
WRITER = "ferry_writes"
MAKER = "ferry_makes"


@pytest.fixture(scope="module")
def both(pair: Callable[..., Pair]) -> Iterator[Pair]:
    """A database with two users who have no right at all."""
    made = pair("CREATE SCHEMA payments", 'CREATE TABLE payments."Order Items" (id serial PRIMARY KEY)')
    made.administer(
        "source",
        'ALTER TABLE payments."Order Items" ENABLE ROW LEVEL SECURITY',
        f"CREATE ROLE {READER} LOGIN",
        f"CREATE ROLE {WRITER} LOGIN",
        f"CREATE ROLE {MAKER}",
        f"REVOKE CONNECT ON DATABASE {made.name} FROM PUBLIC",
        f"GRANT CONNECT ON DATABASE {made.name} TO ferry_source",
    )
    yield made
    made.administer("source", *(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}" for role in (READER, WRITER, MAKER)))


@pytest.mark.parametrize(("user", "needed"), [(READER, rights.SOURCE_READER), (WRITER, rights.SOURCE_WRITER)])
def test_the_statements_that_are_named_give_all_that_was_missing(
    both: Pair, user: str, needed: tuple[rights.Right, ...]
) -> None:
    with both.database("source") as database:
        lacking = list(rights.missing(database.run, user, needed, ["payments"]))
        assert {each.right.id for each in lacking} == {right.id for right in needed} - {"set-owners"}  # of 16 and later
        both.administer("source", *(each.statement for each in lacking))
        assert list(rights.missing(database.run, user, needed, ["payments"])) == []


def test_the_tables_that_may_not_be_read_are_named(both: Pair) -> None:
    both.administer("source", "CREATE TABLE payments.of_a_superuser (id int PRIMARY KEY)")
    with both.database("source") as database:
        (lacking,) = rights.missing(database.run, "ferry_source", rights.SOURCE_READER[3:4], ["payments"])
    assert lacking.detail == "of_a_superuser"
    assert lacking.statement == 'GRANT SELECT ON ALL TABLES IN SCHEMA payments TO "ferry_source"'


def test_the_master_user_of_rds_has_what_its_steps_need(both: Pair) -> None:
    with both.database("target") as database:
        assert list(rights.missing(database.run, "ferry_owner", rights.TARGET_MASTER, [])) == []


def test_who_owns_a_domain_that_the_way_back_alters_is_named(both: Pair) -> None:
    both.administer("source", "CREATE DOMAIN payments.words AS text NOT NULL",
                    f"ALTER DOMAIN payments.words OWNER TO {MAKER}")  # fmt: skip
    (owners,) = [right for right in rights.SOURCE_READER if right.id == "owners"]
    with both.database("source") as database:
        (lacking,) = rights.missing(database.run, "ferry_source", [owners], ["payments"])
    assert (lacking.statement, lacking.detail) == (f'GRANT {MAKER} TO "ferry_source"', "owns domains")
