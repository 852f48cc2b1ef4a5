"""The bill of materials of a package: all that is in the zip, and nothing else."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from builders import package
from builders.building import packages, sbom
from builders.building.packages import PACKAGES_DIR, WHEELS_DIR

ROOT = Path(__file__).parents[2]
FUNCTIONS = {each.name: each for each in package.functions(ROOT / "lambda")}


@pytest.fixture(scope="module", params=sorted(FUNCTIONS))
def built(request: pytest.FixtureRequest) -> tuple[package.Function, Path, dict[str, Any]]:
    """A function, its package, and the bill beside it."""
    function = FUNCTIONS[request.param]
    path = package.build(function, ROOT / PACKAGES_DIR, ROOT / WHEELS_DIR)
    bill = sbom.write(function, path, package.wheels(function, ROOT / WHEELS_DIR))
    return function, path, json.loads(bill.read_text(encoding="utf-8"))


def listed_files(components: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """The name and the SHA-256 of every file, those of libraries too."""
    for component in components:
        if component["type"] == "file":
            yield component["name"], component["hashes"][0]["content"]
        yield from listed_files(component.get("components", []))


def test_the_bill_lists_every_file_of_the_package_once_with_its_hash(
    built: tuple[package.Function, Path, dict[str, Any]],
) -> None:
    _, path, bill = built
    with zipfile.ZipFile(path) as archive:
        members = [(name, hashlib.sha256(archive.read(name)).hexdigest()) for name in archive.namelist()]
    assert sorted(listed_files(bill["components"])) == sorted(members)


def test_the_libraries_are_those_that_the_requirements_pin_by_version_and_hash(
    built: tuple[package.Function, Path, dict[str, Any]],
) -> None:
    function, _, bill = built
    libraries = [each for each in bill["components"] if each["type"] == "library"]
    pinned = (function.folder / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert sorted(
        f"{each['name']}=={each['version']} --hash=sha256:{each['hashes'][0]['content']}" for each in libraries
    ) == sorted(line for line in pinned if not line.startswith("#"))


def test_every_library_names_its_licence(built: tuple[package.Function, Path, dict[str, Any]]) -> None:
    libraries = [each for each in built[2]["components"] if each["type"] == "library"]
    assert [each["name"] for each in libraries if not each["licenses"]] == []


def test_the_bill_is_of_the_zip_as_it_is(built: tuple[package.Function, Path, dict[str, Any]]) -> None:
    function, path, bill = built
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert bill["metadata"]["component"] == {
        "type": "application",
        "name": function.name,
        "version": Path(function.key).stem,
        "hashes": [{"alg": "SHA-256", "content": digest}],
    }


def test_packaging_writes_the_same_bill_beside_the_package_every_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lambda" / "greeting").mkdir(parents=True)
    (tmp_path / "lambda" / "greeting" / "index.py").write_text("def handler(event, context): ...\n")
    bills = []
    for _ in range(2):
        (path,) = packages.make(tmp_path / "lambda", tmp_path / "environments").values()
        bills.append(path.with_suffix(".cdx.json").read_bytes())
    assert bills[0] == bills[1]
