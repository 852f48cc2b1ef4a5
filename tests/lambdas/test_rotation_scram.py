"""The verifier that the function computes is the one that PostgreSQL would have computed."""

from __future__ import annotations

import base64
import json
import string
import sys

from hypothesis import HealthCheck, given, settings, strategies as st

from lambdas.rotation.function import SHARED
from lambdas.rotation.postgres import PostgresServer

sys.path.insert(0, str(SHARED))
import credentials
import scram

awkward = st.sampled_from("a1 \u00a0\u200b\u00ad\u0627\u05d0\u0661ﬁ①Å\u0301\u0007\ue000🔑\u0221\ufdd0\ufffd\u2028ª")
passwords = st.text(st.one_of(awkward, st.characters(codec="utf-8", exclude_characters="\0")), min_size=1, max_size=12)


def test_every_verifier_equals_the_one_that_the_server_makes_of_the_clear_password(
    server: PostgresServer, whole: bool
) -> None:
    server.create_role("verified", "x")
    examples = 300 if whole else 75

    @settings(max_examples=examples, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(passwords)
    def compare(password: str) -> None:
        server.set_password("verified", password)
        theirs = server.stored_verifier("verified")
        salt = base64.b64decode(theirs.split("$")[1].split(":")[1])
        assert scram.verifier(password, salt) == theirs

    compare()


def test_passwords_have_32_characters_of_every_type_and_none_that_dms_or_rds_refuse() -> None:
    for _ in range(500):
        password = credentials.generate_password()
        assert len(password) == 32
        assert not set(password) & set(";.:+/@\"'\\% ")
        for kind in (string.ascii_lowercase, string.ascii_uppercase, string.digits, string.punctuation):
            assert set(password) & set(kind)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.text(max_size=8), json_values, max_size=6), st.sampled_from([None, 1, "\t"]), st.booleans())
def test_replacing_the_password_leaves_every_other_byte(others: dict[str, object], indent: object, ascii: bool) -> None:
    before, after = "the old password", 'the new "password"'
    text = json.dumps({**others, "password": before, "last": 1.50}, indent=indent, ensure_ascii=ascii)  # type: ignore[arg-type]
    replaced = credentials.replace_password(text, after)
    assert json.loads(replaced)["password"] == after
    assert replaced.replace(json.dumps(after), json.dumps(before)) == text
