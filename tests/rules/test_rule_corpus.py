"""The run over templates of other people's packages, on a small sample that is made here: no network in tests."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from rules import corpus

GOOD = '{"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}'
BAD = "Resources: {Topic: {Type: 'AWS::SNS::Topic', Properties: {KmsMasterKeyId: 'arn:aws:kms:a:123456789012:key/b'}}}"
NO_TEMPLATE = '{"Resources": "are listed elsewhere"}'


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    files = {
        "good.json": GOOD,
        "same.json": GOOD,
        "bad.yaml": BAD,
        "other.json": NO_TEMPLATE,
        "broken.json": "{Resources",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_each_template_counts_once_and_what_is_no_template_not_at_all(cache: Path) -> None:
    assert [file.name for file, _ in corpus.templates(cache)] == ["bad.yaml", "good.json"]


def test_findings_name_rule_and_file_and_nothing_crashes(cache: Path) -> None:
    told, crashes, count = corpus.run(cache)

    errors = [(one.rule, one.file.name) for one in told if one.rule.startswith("E")]
    assert (errors, crashes, count) == ([("E9002", "bad.yaml")], [], 2)


def test_the_sample_is_the_same_every_time_and_holds_errors_only(cache: Path) -> None:
    told, _, _ = corpus.run(cache)

    assert corpus.sample(told) == corpus.sample(told) == [one for one in told if one.rule.startswith("E")]


def test_a_package_is_unpacked_beside_its_archive(cache: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pypi" / "thing"
    folder.mkdir(parents=True)
    with tarfile.open(folder / "thing-1.tar.gz", "w:gz") as archive:
        archive.add(cache / "bad.yaml", "thing-1/bad.yaml")

    corpus.unpack(folder)

    assert (folder / "unpacked" / "thing-1" / "bad.yaml").read_text() == BAD


def test_a_folder_without_an_archive_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus.unpack(tmp_path)

    assert capsys.readouterr().out == f"not fetched: {tmp_path.name}\n"
