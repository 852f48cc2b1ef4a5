"""Packages of functions in build-templates: their keys in parameter files, and their upload."""

from __future__ import annotations

import json
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
    file.symlink_to(project / "shared.json")
    file.write_bytes(b'["A=1",\r\n   "GreetingPackageKey=greeting/old.zip", "B=2"]\n')
    make(project)
    assert file.read_bytes() == f'["A=1",\r\n   "GreetingPackageKey={key_of(project)}", "B=2"]\n'.encode()
    assert file.is_symlink()


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
        "greeting: no function makes a package for GreetingPackageKey; packages are for FarewellPackageKey",
    )


def test_the_key_of_a_package_that_was_made_elsewhere_is_neither_stale_nor_replaced(
    project: Path, make_layers: Callable[..., ModuleType]
) -> None:
    """A signer gives it another content, and a key of its own."""
    file, text = project / "environments" / "dev.json", '["GreetingPackageKey=signed/greeting/a-b.zip"]'
    file.write_text(text)
    make(project)
    found = packages.findings(
        package.functions(project / "lambda"),
        assemble(make_layers(greeting=TAKES_A_PACKAGE)),
        [environments.read(file)],
    )
    assert (file.read_text(), found) == (text, [])


@pytest.mark.parametrize("destination", ["my-bucket", "=my-bucket", "eu-central-1="])
def test_a_destination_of_another_form_is_refused_before_anything_is_sent(project: Path, destination: str) -> None:
    asked: list[str] = []
    with pytest.raises(UsageError, match="is not region=bucket"):
        packages.upload({}, ["eu-central-1=fine", destination], project / "environments", asked.append)  # type: ignore[arg-type]
    assert not asked
