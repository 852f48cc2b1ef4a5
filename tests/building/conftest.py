"""Layers made by a test: modules in a package of its own, found and imported like those of Stackferry."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

PREAMBLE = """\
from troposphere import Equals, Parameter, Ref, Tags, sns
from builders.stack import Export, Scope, Stack
SCOPE = Scope.PHASE
"""

MakePackage = Callable[..., ModuleType]


@pytest.fixture
def make_layers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakePackage]:
    """Makes a package of layers from `name="source"`; the sources follow imports and SCOPE = Scope.PHASE."""
    package = f"layers_of_{tmp_path.name}"
    folder = tmp_path / package

    def make(**sources: str) -> ModuleType:
        folder.mkdir()
        (folder / "__init__.py").touch()
        for name, source in sources.items():
            (folder / f"{name}.py").write_text(PREAMBLE + source, encoding="utf-8")
        importlib.invalidate_caches()
        return importlib.import_module(package)

    monkeypatch.syspath_prepend(tmp_path)
    yield make
    for name in [name for name in sys.modules if name == package or name.startswith(f"{package}.")]:
        del sys.modules[name]


@pytest.fixture(scope="session")
def project_root() -> Path:
    """The folder that holds templates/, environments/ and .cfnlintrc."""
    return Path(__file__).parents[2]
