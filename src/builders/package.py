"""Packages the functions under `lambda/`: zips that are the same on every run, keyed by what is in them.

A function is a folder with `index.py`. What several functions need lies once in `lambda/shared`, and goes into the
package of each that imports it. The function's `requirements.txt` pins pure-Python wheels by version and hash, so these
files say all that goes into the package, and its key is known without building or downloading.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from builders import files, naming
from builders.errors import UsageError
from builders.project import data

LAMBDA = Path("lambda")
"""Folder of a project's own functions, beside those that come with Stackferry."""
SHARED = "shared"
MANIFEST = "manifest.json"
LAYOUT = b"3"
"""Part of every key: raise it when the same files would be laid out differently in a zip."""

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold
_LEFT_OUT = re.compile(
    r"(^|/)(__pycache__|tests?|\.[^/]*)/|\.pyc$|\.dist-info/(RECORD|INSTALLER|REQUESTED|direct_url\.json)$"
    # A third of the package, for systems without a time zone database; Lambda's has one.
    r"|^dateutil/zoneinfo/.*\.tar\.gz$"
)
_PINNED = re.compile(r"^[\w.-]+==[\w.]+(\s+--hash=sha256:[0-9a-f]{64})+$")


@dataclass(frozen=True)
class Function:
    """A folder under `lambda/` and the key of its package in the artifacts bucket."""

    name: str
    folder: Path
    key: str

    @property
    def parameter(self) -> str:
        """The template parameter that takes the key: SecretRotationPackageKey for secret_rotation."""
        return "".join(word.capitalize() for word in self.name.split("_")) + naming.PACKAGE_KEY


def functions(lambda_dir: Path) -> list[Function]:
    """The functions under `lambda_dir`, by name. Raises `UsageError` for requirements that are not pinned by hash."""
    return [_function(index.parent) for index in sorted(lambda_dir.glob("*/index.py"))]


def available(lambda_dir: Path = LAMBDA) -> list[Function]:
    """The functions that come with Stackferry, and those of a project, which go before others of the same name."""
    bundled = data.bundled(LAMBDA.name)
    folders = [lambda_dir] if bundled.resolve() == lambda_dir.resolve() else [bundled, lambda_dir]
    found = {function.name: function for folder in folders for function in functions(folder)}
    return [found[name] for name in sorted(found)]


def build(function: Function, packages_dir: Path, wheels_dir: Path) -> Path:
    """Write the function's zip below `packages_dir` and return its path.

    Wheels are downloaded into `wheels_dir` by pip. Raises `UsageError` when it cannot, and where others are there than
    those that are pinned.
    """
    target = packages_dir / function.key
    members = _own_files(function.folder)
    for wheel in wheels(function, wheels_dir):
        members |= wheel_files(wheel)
    files.replace(target, _zip(members))
    return target


def sha256(package: Path) -> str:
    """The SHA-256 of a package or a wheel in hexadecimal, by which it is compared with what was built or pinned."""
    return hashlib.sha256(package.read_bytes()).hexdigest()


def write_manifest(built: Mapping[str, Path], packages_dir: Path) -> Path:
    """Write which template parameter takes which key, and return the manifest's path."""
    manifest = packages_dir / MANIFEST
    entries = {parameter: path.relative_to(packages_dir).as_posix() for parameter, path in sorted(built.items())}
    files.replace(manifest, (json.dumps(entries, indent=1) + "\n").encode())
    return manifest


def _function(folder: Path) -> Function:
    for line in _requirements(folder):
        if not _PINNED.match(line):
            raise UsageError(
                f"{folder / 'requirements.txt'}: {line.split('--hash')[0].strip()!r} is not pinned; "
                "write name==version --hash=sha256:<of its pure-Python wheel>"
            )
    digest = hashlib.sha256(LAYOUT)
    for name, content in sorted(_own_files(folder).items()):
        digest.update(f"\0{name}\0{len(content)}\0".encode())
        digest.update(content)
    return Function(folder.name, folder, f"{folder.name}/{digest.hexdigest()[:32]}.zip")


def _nodes(name: str, content: bytes) -> Iterator[ast.AST]:
    if not name.endswith(".py"):
        return iter(())
    try:
        return ast.walk(ast.parse(content))
    except SyntaxError as error:
        raise UsageError(
            f"{name}, line {error.lineno}: {error.msg}; a function that is not Python is not packaged"
        ) from error


def _requirements(folder: Path) -> list[str]:
    path = folder / "requirements.txt"
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = (line.split(" #")[0].strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _own_files(folder: Path) -> dict[str, bytes]:
    """The files of the function and of the shared modules that it imports, by their names in the package."""
    shared = folder.parent / SHARED
    files_of = dict(_files_below(folder, folder))
    seen: set[str] = set()
    while wanted := _imported(files_of) - seen:
        seen |= wanted
        for module in sorted(wanted):
            if (shared / f"{module}.py").is_file():
                files_of[f"{module}.py"] = (shared / f"{module}.py").read_bytes()
            elif (shared / module / "__init__.py").is_file():
                files_of |= dict(_files_below(shared / module, shared))
    return files_of


def _files_below(folder: Path, root: Path) -> Iterator[tuple[str, bytes]]:
    for path in folder.rglob("*"):
        name = path.relative_to(root).as_posix()
        if path.is_file() and not _LEFT_OUT.search(name):
            yield name, path.read_bytes()


def _imported(files_of: Mapping[str, bytes]) -> set[str]:
    """The first names of the modules that Python files import."""
    return {module for name, content in files_of.items() for module in _imports(name, content)}


@functools.cache  # a command asks several times, and what a file imports follows from what is in it
def _imports(name: str, content: bytes) -> frozenset[str]:
    names: set[str] = set()
    for node in _nodes(name, content):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return frozenset(names)


def wheels(function: Function, wheels_dir: Path) -> list[Path]:
    """The wheels that the function's requirements pin, downloaded unless they are there. Raises `UsageError`."""
    pinned = _requirements(function.folder)
    if not pinned:
        return []
    # Functions that pin the same share a folder, and one whose code alone changes keeps its own.
    pins = wheels_dir / hashlib.sha256("\n".join(sorted(pinned)).encode()).hexdigest()[:32]
    if not pins.exists():
        _download(function, wheels_dir, pins)
    found = sorted(pins.glob("*.whl"))
    if len(found) != len(pinned) or not all(sha256(wheel) in "\n".join(pinned) for wheel in found):
        raise UsageError(
            f"{pins} holds other wheels than {function.folder / 'requirements.txt'} pins: delete that folder, and they "
            "are downloaded again"
        )
    return found


def _download(function: Function, wheels_dir: Path, pins: Path) -> None:
    wheels_dir.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=wheels_dir))
    requirements = str(function.folder / "requirements.txt")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    pip += ["--only-binary=:all:", "--platform=any", "--dest", str(partial), "-r", requirements]
    # A constraints file for the development environment must not hold back what the package pins.
    environment = {key: value for key, value in os.environ.items() if key != "PIP_CONSTRAINT"}
    try:
        finished = subprocess.run(pip, capture_output=True, text=True, check=False, env=environment)
        if finished.returncode:
            reason = (finished.stderr.strip().splitlines() or ["pip said nothing"])[-1]
            raise UsageError(f"cannot download what {requirements} pins: {reason}")
        try:
            partial.rename(pins)
        except OSError:
            if not pins.exists():
                raise
            # Another run was first.
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def wheel_files(wheel: Path) -> dict[str, bytes]:
    """The files that a wheel gives to a package, by the names in it."""
    with zipfile.ZipFile(wheel) as archive:
        names = (name for name in archive.namelist() if not name.endswith("/") and not _LEFT_OUT.search(name))
        return {name: archive.read(name) for name in names}


def _zip(members: Mapping[str, bytes]) -> bytes:
    """Stored, not compressed: the deflated bytes differ between versions of zlib, and a package that somebody else has
    uploaded is compared with the one that is built here."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for name, member in sorted(members.items()):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system = 3  # Unix, or the permissions are not read
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_STORED
            archive.writestr(entry, member)
    return content.getvalue()
