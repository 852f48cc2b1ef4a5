"""Software bills of materials: everything in a function's package, as CycloneDX tells it.

Made from the package itself and the wheels that went into it, with no time and no random number, so that the same
package has the same bill on every run. Source: CycloneDX v1.6 JSON Reference.
"""

from __future__ import annotations

import email.message
import email.parser
import hashlib
import json
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from builders import files, package

ENDING = ".cdx.json"


def write(function: package.Function, built: Path, wheels: Iterable[Path]) -> Path:
    """Write the bill of a package beside it, and return its path."""
    with zipfile.ZipFile(built) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": _function(function, built.read_bytes())},
        "components": _components(members, wheels),
    }
    target = built.with_suffix(ENDING)
    files.replace(target, (json.dumps(bill, indent=1) + "\n").encode())
    return target


def _function(function: package.Function, content: bytes) -> dict[str, Any]:
    version = Path(function.key).stem
    return {"type": "application", "name": function.name, "version": version, "hashes": _hashes(content)}


def _components(members: Mapping[str, bytes], wheels: Iterable[Path]) -> list[dict[str, Any]]:
    """The libraries with the files that each brought, and the files of our own."""
    own = dict(members)
    libraries = []
    for wheel in wheels:
        brought = {name: own.pop(name) for name in sorted(package.wheel_files(wheel)) if name in own}
        libraries.append(_library(wheel.read_bytes(), brought))
    return [*libraries, *_files(own)]


def _library(wheel: bytes, brought: Mapping[str, bytes]) -> dict[str, Any]:
    """A library by the metadata that lies in the package (Python packaging user guide, "Core metadata").

    Its hash is that of the wheel, which the function's requirements.txt pins.
    """
    (metadata,) = (content for name, content in brought.items() if name.endswith(".dist-info/METADATA"))
    told = email.parser.BytesParser().parsebytes(metadata, headersonly=True)
    name, version = told["Name"], told["Version"]
    return {
        "type": "library",
        "name": name,
        "version": version,
        "licenses": _licenses(told),
        "purl": f"pkg:pypi/{name.lower().replace('_', '-')}@{version}",
        "hashes": _hashes(wheel),
        "components": _files(brought),
    }


def _licenses(told: email.message.Message) -> list[dict[str, Any]]:
    """The licence as the library's author gives it: an SPDX expression, or else words."""
    if "License-Expression" in told:
        return [{"expression": told["License-Expression"]}]
    words = str(told.get("License", "")).strip().splitlines()
    return [{"license": {"name": words[0]}}] if words else []


def _files(members: Mapping[str, bytes]) -> list[dict[str, Any]]:
    return [{"type": "file", "name": name, "hashes": _hashes(content)} for name, content in sorted(members.items())]


def _hashes(content: bytes) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": hashlib.sha256(content).hexdigest()}]
