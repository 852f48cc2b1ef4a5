"""Files are written as a whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from builders import command_line, files, outputs


def test_a_file_is_replaced_and_folders_above_it_are_made(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "a.json"
    files.replace(path, b"old")
    files.replace(path, b"new")
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in path.parent.iterdir()] == ["a.json"]


def test_a_write_that_fails_keeps_the_old_file_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "a folder in the way"
    target.mkdir()
    with pytest.raises(OSError, match="a folder in the way"):
        files.replace(target, b"content")
    assert list(tmp_path.iterdir()) == [target]


def test_a_write_that_cannot_begin_names_the_file_that_was_meant(tmp_path: Path) -> None:
    path = tmp_path / ("a" * 250)
    with pytest.raises(OSError, match="too long") as refused:
        files.replace(path, b"content")
    assert refused.value.filename == str(path)


def test_a_file_that_others_may_not_read_stays_one(tmp_path: Path) -> None:
    path = tmp_path / "dev.json"
    path.touch(mode=0o600)
    files.replace(path, b"new")
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_has_come_meanwhile_is_not_created_anew(tmp_path: Path) -> None:
    files.create(tmp_path / "a", b"first")
    with pytest.raises(FileExistsError):
        files.create(tmp_path / "a", b"second")
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == {"a": b"first"}


def test_a_pipe_is_not_read_and_is_named_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert command_line.run("it", lambda: files.read_bytes(tmp_path / "pipe"), interrupted="") == 1
    assert capsys.readouterr().err == f"it: {tmp_path}/pipe: it is not a regular file; name another\n"


def test_outputs_are_written_by_layer_by_phase_and_flat(tmp_path: Path) -> None:
    stacks = {"network": {"VpcId": "vpc-1"}, "foundation": {"KmsKeyId": "key-1"}}
    outputs.write("dev", stacks, tmp_path)
    written = {path.relative_to(tmp_path).as_posix(): path.read_text() for path in tmp_path.rglob("*.json")}
    flat = '{\n "kmsKeyId": "key-1",\n "vpcId": "vpc-1"\n}\n'
    assert written == {
        "dev/network.json": '{\n "VpcId": "vpc-1"\n}\n',
        "dev/foundation.json": '{\n "KmsKeyId": "key-1"\n}\n',
        "dev/flat-outputs.json": flat,
        "flat-outputs.json": flat,
    }
