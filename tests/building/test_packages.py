"""Packages of functions in build-templates: their keys in parameter files, and their upload."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from builders import environments, package
from builders.building import packages
from builders.catalog import assemble
from builders.errors import UsageError

TAKES_A_PACKAGE = """
from builders import parameters
def build(stack):
    pattern = dict(pattern=".*", explanation="a key")
    stack.parameter(parameters.string("GreetingPackageKey", "Key of the package", **pattern))
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one function, in the current directory."""
    function = tmp_path / "lambda" / "greeting"
    function.mkdir(parents=True)
    (function / "index.py").write_text("def handler(event, context): ...\n")
    (tmp_path / "environments").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def key_of(project: Path) -> str:
    (function,) = package.functions(project / "lambda")
    return function.key


def make(project: Path) -> dict[str, Path]:
    return packages.make(project / "lambda", project / "environments")


def test_the_keys_of_parameter_files_are_brought_up_to_date_and_nothing_else_changes(project: Path) -> None:
    file = project / "environments" / "dev.json"
    file.write_text('["A=1",\n   "GreetingPackageKey=greeting/old.zip", "B=2"]')
    make(project)
    assert file.read_text() == f'["A=1",\n   "GreetingPackageKey={key_of(project)}", "B=2"]'


def test_the_package_and_the_manifest_are_there_under_the_key(project: Path) -> None:
    built = make(project)
    assert built == {"GreetingPackageKey": Path("build/packages", key_of(project))}
    assert json.loads(Path("build/packages/manifest.json").read_text()) == {"GreetingPackageKey": key_of(project)}


@pytest.mark.parametrize(("value", "expected"), [("current", []), ("greeting/old.zip", [("stale-package", 2)])])
def test_a_parameter_file_with_the_key_of_an_older_package_is_found(
    project: Path, make_layers: Callable[..., ModuleType], value: str, expected: list[tuple[str, int]]
) -> None:
    file = project / "environments" / "dev.json"
    key = key_of(project) if value == "current" else value
    file.write_text(f'[\n"GreetingPackageKey={key}"]')
    made = assemble(make_layers(greeting=TAKES_A_PACKAGE))
    found = packages.findings(package.functions(project / "lambda"), made, [environments.read(file)])
    assert [(finding.rule, finding.line) for finding in found] == expected


def test_a_layer_that_takes_a_package_which_no_function_makes_is_found(
    project: Path, make_layers: Callable[..., ModuleType]
) -> None:
    (project / "lambda" / "greeting").rename(project / "lambda" / "farewell")
    made = assemble(make_layers(greeting=TAKES_A_PACKAGE))
    (found,) = packages.findings(package.functions(project / "lambda"), made, [])
    assert (found.rule, found.message) == (
        "missing-package",
        "greeting: no function under lambda/ makes a package for GreetingPackageKey; "
        "packages are for FarewellPackageKey",
    )


FAKE_AWS = """#!/usr/bin/env python3
import os, sys
with open("calls", "a") as calls:
    print(os.environ["AWS_REGION"], *sys.argv[1:4], file=calls)
if "list-objects-v2" in sys.argv and os.path.exists("there"):
    print('{"Contents": [{}]}')
"""


@pytest.fixture
def aws(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An AWS CLI first on the PATH that writes down its calls; the bucket has the package when `there` exists."""
    script = project / "bin" / "aws"
    script.parent.mkdir()
    script.write_text(FAKE_AWS)
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{script.parent}:/usr/bin:/bin")
    return project


def test_a_package_is_uploaded_to_the_bucket_of_each_region(aws: Path) -> None:
    packages.upload(make(aws), ["eu-central-1=first", "us-east-1=second"])
    assert Path("calls").read_text().splitlines() == [
        "eu-central-1 s3api list-objects-v2 --bucket",
        "eu-central-1 s3 cp --quiet",
        "us-east-1 s3api list-objects-v2 --bucket",
        "us-east-1 s3 cp --quiet",
    ]


def test_a_package_that_is_there_is_not_uploaded_again(aws: Path) -> None:
    (aws / "there").touch()
    packages.upload(make(aws), ["eu-central-1=first"])
    assert Path("calls").read_text().splitlines() == ["eu-central-1 s3api list-objects-v2 --bucket"]


@pytest.mark.parametrize("destination", ["my-bucket", "=my-bucket", "eu-central-1="])
def test_a_destination_of_another_form_is_refused_before_anything_is_sent(aws: Path, destination: str) -> None:
    with pytest.raises(UsageError, match="is no region=bucket"):
        packages.upload({}, ["eu-central-1=fine", destination])
    assert not Path("calls").exists()
