"""Definitions that PostgreSQL writes in other words each time that it reads its own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from builders.migration.verify import structure

from .conftest import Pair

TABLE = "CREATE TABLE payments.orders (id int PRIMARY KEY, state varchar(9), total numeric(9, 2), {})"
CHECK = "CONSTRAINT known CHECK (state IN ('new', 'paid'))"


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        (None, []),
        ("CONSTRAINT known CHECK (state IN ('new', 'void'))", ["constraint"]),
        (f"{CHECK}, CHECK (total > 1)", ["constraint"]),
    ],
)
def test_a_check_that_a_restore_writes_with_other_casts_is_the_same(
    pair: Callable[..., Pair], there: str | None, expected: list[str]
) -> None:
    both = pair("CREATE SCHEMA payments", TABLE.format(CHECK))
    with both.database("source") as source, both.database("target") as target:
        written = source.value("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'known'")
        target.run("CREATE SCHEMA payments")
        target.run(TABLE.format(there or f"CONSTRAINT known {written}"))
        again = target.value("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'known'")
        assert (again != written) == (there is None or "void" in there)
        found = structure.compare(source, target, ["payments"], {})
    assert [each.kind for each in found if each.kind != "owner"] == expected
