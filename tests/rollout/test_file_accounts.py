"""A file of accounts beside rollout.yaml."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from builders import files
from builders.errors import RolloutFileError
from builders.rollout.config.loading import load_rollout_file
from builders.rollout.config.parameters import environment_file

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
        ", line 2, phases.prod.targets.accounts_file: this is not an account id; give its twelve digits in quotes, "
        'such as "111111111111"',
    ),
    "an account twice": (
        b"111111111111\n111111111111\n",
        ", line 2, phases.prod.targets.accounts_file: account 111111111111 is listed twice; keep one of them",
    ),
    "JSON that is none": (
        b'["111111111111"',
        ", phases.prod.targets.accounts_file: begins like a JSON list and is not one; write one account id a line, or "
        'a JSON list such as ["111111111111"]',
    ),
    "a JSON number": (
        b"[111111111111]",
        ", phases.prod.targets.accounts_file: item 1 is not a text; quote account ids",
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


SECRET = "root:$6$salt$hash:19000:0:99999:7:::\n"


def _outside(project: Path) -> str:
    return "../secret"


def _absolute(project: Path) -> str:
    return str(project.parent / "secret")


def _link(project: Path) -> str:
    (project / "link").symlink_to("../secret")
    return "link"


def _link_of_a_folder(project: Path) -> str:
    (project / "folder").symlink_to("..")
    return "folder/secret"


def _link_to_itself(project: Path) -> str:
    (project / "round").symlink_to("round")
    return "round"


def _fifo(project: Path) -> str:
    os.mkfifo(project / "fifo")
    return "fifo"


def _process(project: Path) -> str:
    return "/proc/self/environ"


def _device(project: Path) -> str:
    return "/dev/zero"


def _link_to_a_device(project: Path) -> str:
    (project / "zero").symlink_to("/dev/zero")
    return "zero"


def _too_large(project: Path) -> str:
    with (project / "large").open("wb") as stream:
        stream.write(SECRET.encode())
        stream.truncate(files.MOST_BYTES + 1)
    return "large"


def _nul(project: Path) -> str:
    return "a\0b"


def _longer_than_a_name(project: Path) -> str:
    return "a" * 5_000


def _folder(project: Path) -> str:
    return "."


def _no_accounts(project: Path) -> str:
    (project / "accounts.txt").write_text(SECRET)
    return "accounts.txt"


def _json(project: Path) -> str:
    (project / "accounts.json").write_text(json.dumps([19000, SECRET]))
    return "accounts.json"


def _json_broken(project: Path) -> str:
    (project / "accounts.json").write_text(f'["{SECRET}')
    return "accounts.json"


NAMED: tuple[Callable[[Path], str], ...] = (
    _outside, _absolute, _link, _link_of_a_folder, _link_to_itself, _fifo, _process, _device, _link_to_a_device,
    _too_large, _nul, _longer_than_a_name, _folder, _no_accounts, _json, _json_broken,
)  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project's folder, with a file outside of it that nobody may see."""
    (tmp_path / "secret").write_text(SECRET)
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("named", NAMED)
def test_no_file_outside_and_nothing_of_a_file_is_told(project: Path, named: Callable[[Path], str]) -> None:
    file = project / "rollout.yaml"
    file.write_text(TEXT.replace("accounts.txt", json.dumps(named(project))))
    with pytest.raises(RolloutFileError) as refused:
        load_rollout_file(file)
    assert "phases.prod.targets.accounts_file: " in str(refused.value)
    assert not any(part in str(refused.value) for part in ("$6$", "19000", "99999"))


@pytest.mark.parametrize("named", NAMED)
def test_no_parameter_file_outside_and_nothing_of_one_is_told(project: Path, named: Callable[[Path], str]) -> None:
    (project.parent / "secret").write_text('["EnvironmentSuffix=$6$19000"]')
    file = project / "rollout.yaml"
    accounts = TEXT.replace("accounts_file: accounts.txt", 'accounts: ["111111111111"]')
    file.write_text(accounts.replace("prod.json", json.dumps(named(project))))
    rollout = load_rollout_file(file)
    with pytest.raises(RolloutFileError) as refused:
        environment_file(rollout, "prod")
    assert not any(part in str(refused.value) for part in ("$6$", "19000", "99999"))


def test_a_file_in_a_folder_of_the_project_is_read_through_a_link(project: Path) -> None:
    (project / "accounts").mkdir()
    (project / "accounts" / "prod.txt").write_text("111111111111\n")
    (project / "accounts" / "link.txt").symlink_to("prod.txt")
    file = project / "rollout.yaml"
    file.write_text(TEXT.replace("accounts.txt", "accounts/link.txt"))
    assert load_rollout_file(file).accounts("prod") == ("111111111111",)
