"""Values of a secret are never told, only the names of its fields."""

from __future__ import annotations

import json
from typing import Any

import pytest
from credentials import Credentials
from function_errors import FunctionError

LOGIN = {"username": "owner", "host": "db.example.com", "port": 5432, "dbname": "payments", "password": "the word"}
WORD = "Correct-Horse-1"


@pytest.mark.parametrize("field", ["engine", "username", "host", "port", "dbname", "password"])
@pytest.mark.parametrize("value", [[WORD], {WORD: WORD}, f"{WORD}\0", f"{WORD}\ud800", f"{WORD}!", 1e400, True, "", -1])
def test_no_field_is_quoted_whatever_stands_in_it(field: str, value: Any) -> None:
    text = json.dumps({**LOGIN, field: value})
    try:
        parsed = Credentials.parse(text)
        parsed.require_same_login(Credentials.parse(json.dumps({**LOGIN, field: "another" if field != "port" else 1})))
    except FunctionError as error:
        assert WORD not in str(error)
        assert field in str(error)
    else:
        assert WORD not in repr(parsed)


@pytest.mark.parametrize("field", ["username", "host", "dbname", "password"])
def test_a_server_that_repeats_a_field_is_not_repeated(field: str) -> None:
    credentials = Credentials.parse(json.dumps({**LOGIN, field: WORD}))
    told = credentials.withheld_from(f'role "{WORD}" is not permitted to log in')
    assert told == f'role "<{field}>" is not permitted to log in'


def test_a_name_that_the_server_cut_is_not_repeated_either() -> None:
    credentials = Credentials.parse(json.dumps({**LOGIN, "username": WORD * 10}))
    assert WORD not in credentials.withheld_from(f'no role "{(WORD * 10)[:63]}"')


@pytest.mark.parametrize("text", ["", "[]", "null", "1" * 5_000, "[" * 100_000, '{"password": NaN', '"\ud800"'])
def test_what_is_no_object_is_refused_and_not_quoted(text: str) -> None:
    with pytest.raises(FunctionError, match=r"^the secret's value is not a JSON object: it needs"):
        Credentials.parse(text)
