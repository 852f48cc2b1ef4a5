"""Packages of functions: the same bytes on every run, a key that says what is in them."""

from __future__ import annotations

import hashlib
import json
import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from builders import package
from builders.errors import UsageError


@pytest.fixture
def lambda_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "lambda" / "secret_rotation"
    (folder / "__pycache__").mkdir(parents=True)
    (folder / "index.py").write_text("def handler(event, context): ...\n")
    (folder / "steps.py").write_text("STEPS = 4\n")
    (folder / "__pycache__" / "index.cpython-311.pyc").write_bytes(b"bytecode")
    return tmp_path / "lambda"


def only(lambda_dir: Path) -> package.Function:
    (function,) = package.functions(lambda_dir)
    return function


def test_a_package_holds_the_functions_files_and_no_bytecode(lambda_dir: Path, tmp_path: Path) -> None:
    path = package.build(only(lambda_dir), tmp_path / "packages", tmp_path / "wheels")
    assert zipfile.ZipFile(path).namelist() == ["index.py", "steps.py"]


def test_the_bytes_of_a_package_do_not_depend_on_the_machine_s_zlib(lambda_dir: Path, tmp_path: Path) -> None:
    """zlib-ng deflates to other bytes than zlib: a colleague's package would look like a forged one."""
    path = package.build(only(lambda_dir), tmp_path / "packages", tmp_path / "wheels")
    assert {each.compress_type for each in zipfile.ZipFile(path).infolist()} == {zipfile.ZIP_STORED}


def test_a_package_holds_the_shared_modules_that_it_imports_and_no_others(lambda_dir: Path, tmp_path: Path) -> None:
    shared = lambda_dir / "shared"
    (shared / "tls").mkdir(parents=True)
    (shared / "deadline.py").write_text("from tls import context\n")
    (shared / "tls" / "__init__.py").write_text("context = None\n")
    (shared / "tls" / "roots.pem").write_text("certificates\n")
    (shared / "unused.py").write_text("")
    (lambda_dir / "secret_rotation" / "steps.py").write_text("import os, deadline\n")
    path = package.build(only(lambda_dir), tmp_path / "packages", tmp_path / "wheels")
    assert zipfile.ZipFile(path).namelist() == [
        "deadline.py",
        "index.py",
        "steps.py",
        "tls/__init__.py",
        "tls/roots.pem",
    ]


def test_the_key_changes_with_a_shared_module(lambda_dir: Path) -> None:
    (lambda_dir / "shared").mkdir()
    (lambda_dir / "secret_rotation" / "steps.py").write_text("import deadline\n")
    (lambda_dir / "shared" / "deadline.py").write_text("SECONDS = 1\n")
    before = only(lambda_dir).key
    (lambda_dir / "shared" / "deadline.py").write_text("SECONDS = 2\n")
    assert only(lambda_dir).key != before


def test_two_builds_give_the_same_bytes_whatever_the_files_times(lambda_dir: Path, tmp_path: Path) -> None:
    first = package.build(only(lambda_dir), tmp_path / "first", tmp_path / "wheels").read_bytes()
    os.utime(lambda_dir / "secret_rotation" / "index.py", (1, 1))
    second = package.build(only(lambda_dir), tmp_path / "second", tmp_path / "wheels").read_bytes()
    assert first == second


@pytest.fixture
def tiny(lambda_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel that the function pins and pip finds."""
    wheel = tmp_path / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny.py", "")
        archive.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("tiny-1.0.dist-info/RECORD", "")
    pin = f"tiny==1.0 --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"
    (lambda_dir / "secret_rotation" / "requirements.txt").write_text(pin)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    return wheel


def test_wheels_that_are_there_serve_other_code_that_pins_the_same(
    lambda_dir: Path, tmp_path: Path, tiny: Path
) -> None:
    package.build(only(lambda_dir), tmp_path / "packages", tmp_path / "wheels")
    tiny.unlink()
    (lambda_dir / "secret_rotation" / "steps.py").write_text("STEPS = 5\n")
    built = package.build(only(lambda_dir), tmp_path / "packages", tmp_path / "wheels")
    assert "tiny.py" in zipfile.ZipFile(built).namelist()


@pytest.mark.parametrize("change", [lambda wheel: wheel.write_bytes(b"forged"), lambda wheel: wheel.unlink()])
def test_wheels_that_are_there_and_are_not_what_is_pinned_get_into_no_package(
    lambda_dir: Path, tmp_path: Path, tiny: Path, change: Callable[[Path], object]
) -> None:
    """A build folder that CI brings back from its cache may be anybody's, or half there."""
    built = package.build(only(lambda_dir), tmp_path / "packages", tmp_path / "wheels")
    (kept,) = (tmp_path / "wheels").glob("*/*.whl")
    change(kept)
    built.unlink()
    with pytest.raises(UsageError, match=rf"^{re.escape(str(kept.parent))} holds other wheels than "):
        package.build(only(lambda_dir), tmp_path / "packages", tmp_path / "wheels")


def test_a_package_that_is_there_and_is_another_is_built_again(lambda_dir: Path, tmp_path: Path) -> None:
    built = package.build(only(lambda_dir), tmp_path / "packages", tmp_path / "wheels")
    as_built = built.read_bytes()
    built.write_bytes(b"forged")
    package.build(only(lambda_dir), tmp_path / "packages", tmp_path / "wheels")
    assert built.read_bytes() == as_built


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "steps.py").write_text("STEPS = 5\n"),
        lambda folder: (folder / "steps.py").rename(folder / "stages.py"),
        lambda folder: (folder / "new.py").write_text(""),
        lambda folder: (folder / "requirements.txt").write_text(f"scramp==1.5.0 --hash=sha256:{'0' * 64}\n"),
    ],
    ids=["content", "name", "file", "requirement"],
)
def test_the_key_changes_with_what_is_in_the_package(lambda_dir: Path, change: object) -> None:
    before = only(lambda_dir).key
    change(lambda_dir / "secret_rotation")  # type: ignore[operator]
    assert only(lambda_dir).key != before


def test_the_key_does_not_depend_on_where_the_project_lies(lambda_dir: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "a place with spaces"
    lambda_dir.rename(elsewhere)
    moved = only(elsewhere).key
    elsewhere.rename(lambda_dir)
    assert moved == only(lambda_dir).key


def test_a_function_names_the_parameter_that_takes_its_key(lambda_dir: Path) -> None:
    assert only(lambda_dir).parameter == "SecretRotationPackageKey"


@pytest.mark.parametrize("line", ["pg8000", "pg8000>=1.31", "pg8000==1.31.6"])
def test_a_requirement_without_version_and_hash_is_refused(lambda_dir: Path, line: str) -> None:
    (lambda_dir / "secret_rotation" / "requirements.txt").write_text(line + "\n")
    with pytest.raises(UsageError, match=r"is not pinned; write name==version --hash=sha256"):
        package.functions(lambda_dir)


def test_requirements_may_have_comments_and_continued_lines(lambda_dir: Path) -> None:
    text = f"# the driver\npg8000==1.31.6 \\\n    --hash=sha256:{'0' * 64}  # pinned\n\n"
    (lambda_dir / "secret_rotation" / "requirements.txt").write_text(text)
    assert only(lambda_dir).name == "secret_rotation"


def test_the_manifest_says_which_parameter_takes_which_key(lambda_dir: Path, tmp_path: Path) -> None:
    function = only(lambda_dir)
    packages = tmp_path / "packages"
    path = package.build(function, packages, tmp_path / "wheels")
    manifest = package.write_manifest({function.parameter: path}, packages)
    assert json.loads(manifest.read_text()) == {"SecretRotationPackageKey": function.key}


def test_a_function_that_is_not_python_is_refused_with_its_line(lambda_dir: Path) -> None:
    (lambda_dir / "secret_rotation" / "steps.py").write_text("STEPS = 4\ndef broken(:\n")
    with pytest.raises(UsageError, match=r"^steps.py, line 2: invalid syntax"):
        package.functions(lambda_dir)
