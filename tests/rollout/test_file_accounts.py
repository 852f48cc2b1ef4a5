"""A file of accounts beside rollout.yaml."""

from __future__ import annotations

from pathlib import Path

import pytest

from builders.errors import RolloutFileError
from builders.rollout.config.loading import load_rollout_file

TEXT = """\
tooling: {account: "888888888888", parameters: tooling.json}
phases:
  prod:
    environment: prod.json
    targets: {accounts_file: accounts.txt}
    regions: [us-east-1]
    waves: [{name: canary, accounts: ["111111111111"]}, {name: rest, rest: true}]
"""


@pytest.fixture
def rollout(tmp_path: Path) -> Path:
    file = tmp_path / "rollout.yaml"
    file.write_text(TEXT, encoding="utf-8")
    return file


@pytest.mark.parametrize(
    "content",
    [
        "# payments\n222222222222\n\n111111111111  # the canary\n",
        '["222222222222", "111111111111"]',
        "\ufeff222222222222\r\n111111111111\r\n",
    ],
    ids=["lines", "JSON", "lines of Windows"],
)
def test_a_file_of_accounts_gives_them_in_its_order(rollout: Path, content: str) -> None:
    (rollout.parent / "accounts.txt").write_text(content, encoding="utf-8", newline="")
    assert load_rollout_file(rollout).accounts("prod") == ("222222222222", "111111111111")


WRONG = {
    "a word": (
        b"111111111111\nhello\n",
        ", line 2, phases.prod.targets.accounts_file: 'hello' is no account id; give its twelve digits in quotes, such "
        'as "111111111111"',
    ),
    "an account twice": (
        b"111111111111\n111111111111\n",
        ", line 2, phases.prod.targets.accounts_file: account 111111111111 is listed twice; keep one of them",
    ),
    "JSON that is none": (
        b'["111111111111"',
        ", phases.prod.targets.accounts_file: begins as a JSON list and is none; write one account id a line, or a "
        'JSON list such as ["111111111111"]',
    ),
    "a JSON number": (
        b"[111111111111]",
        ", phases.prod.targets.accounts_file: 111111111111 is no text; quote account ids",
    ),
}


@pytest.mark.parametrize(("content", "expected"), WRONG.values(), ids=list(WRONG))
def test_a_mistake_in_the_file_is_reported_with_its_own_line(rollout: Path, content: bytes, expected: str) -> None:
    accounts = rollout.parent / "accounts.txt"
    accounts.write_bytes(content)
    with pytest.raises(RolloutFileError) as caught:
        load_rollout_file(rollout)
    assert str(caught.value).splitlines()[-1] == f"{accounts}{expected}"


@pytest.mark.parametrize(
    "content", [b"", b"# none\n", b"[]", b"\xff\xfe"], ids=["empty", "comment", "JSON", "no UTF-8"]
)
def test_a_file_without_accounts_is_reported_at_its_key(rollout: Path, content: bytes) -> None:
    (rollout.parent / "accounts.txt").write_bytes(content)
    with pytest.raises(
        RolloutFileError, match=r"rollout.yaml, line 5, phases.prod.targets.accounts_file: .*accounts.txt"
    ):
        load_rollout_file(rollout)


def test_a_file_that_is_not_there_is_reported_at_its_key(rollout: Path) -> None:
    with pytest.raises(RolloutFileError, match=r"line 5, phases.prod.targets.accounts_file: .*cannot be read"):
        load_rollout_file(rollout)


def test_a_canary_that_the_file_does_not_name_is_reported(rollout: Path) -> None:
    (rollout.parent / "accounts.txt").write_text("222222222222\n", encoding="utf-8")
    with pytest.raises(
        RolloutFileError, match=r"line 7, phases.prod.waves\[0\].accounts\[0\]: account 111111111111 is no"
    ):
        load_rollout_file(rollout)
