"""The registry of patches: what of ministack is replaced, why, and in which order.

A patch is in the module of its service:

    @patch("ministack.services.rds._instance_xml", why="DescribeDBInstances leaves out the exported logs")
    def exported_logs(original, instance): ...

The server applies all of them once, module by module in the order that it gives (server/app.py), and those of a module
from top to bottom; of two patches of one target the later one calls the earlier one. tests/cloud/test_patches.py
looks at ministack as it is installed, once for each patch, and fails when a patch has become needless.

What is private to ministack and only used is in internals.py.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import pkgutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeVar

from builders.errors import CloudError

MINISTACK = "1.5.33"
"""The version that the patches are made for; setup.cfg pins it."""

Replacement = TypeVar("Replacement", bound=Callable[..., Any])


@dataclass(frozen=True)
class Patch:
    """One thing of ministack that is replaced: `target` is `module.name`, or `module.table[key]`."""

    target: str
    why: str
    replacement: Callable[..., Any]
    make: Callable[[Any], Any]
    """Takes the original and returns the replacement."""

    @property
    def name(self) -> str:
        """The replacement's name in this package."""
        return f"{self.replacement.__module__.removeprefix('builders.cloud.')}.{self.replacement.__qualname__}"

    def apply(self) -> None:
        """Replace the target, and also wherever CloudFormation has imported it by name from where it is defined."""
        path, _, key = self.target.removesuffix("]").partition("[")
        module_name, _, name = path.rpartition(".")
        module = importlib.import_module(module_name)
        original = getattr(module, name)
        if key:
            original[key] = self.make(original.get(key))
            return
        new = self.make(original)
        setattr(module, name, new)
        if getattr(original, "__module__", module_name) != module_name:
            return  # imported from elsewhere, and only here replaced
        for each in filter(None, map(sys.modules.get, _modules_of_cloudformation())):
            if getattr(each, name, None) is original:
                setattr(each, name, new)


@functools.cache  # of two thousand modules that are loaded, for each of the patches
def _modules_of_cloudformation() -> tuple[str, ...]:
    package = importlib.import_module("ministack.services.cloudformation")
    return package.__name__, *(f"{package.__name__}.{each.name}" for each in pkgutil.iter_modules(package.__path__))


_registered: list[Patch] = []


def patch(target: str, why: str) -> Callable[[Replacement], Replacement]:
    """Register a function that is called instead of `target`, with the original as its first argument."""

    def register(replacement: Replacement) -> Replacement:
        def make(original: Any) -> Any:
            bound = functools.partial(replacement, original)
            return functools.update_wrapper(bound, original) if original else bound

        _registered.append(Patch(target, why, replacement, make))
        return replacement

    return register


def patch_value(target: str, why: str) -> Callable[[Replacement], Replacement]:
    """Register a function or class that is called once, with the original, and returns the replacement."""

    def register(replacement: Replacement) -> Replacement:
        _registered.append(Patch(target, why, replacement, replacement))
        return replacement

    return register


def registered() -> tuple[Patch, ...]:
    """Return all patches of the modules that are imported."""
    return tuple(_registered)


def apply(modules: Iterable[ModuleType]) -> None:
    """Apply the patches of these modules in this order; they must be all that are registered.

    Raises `CloudError` where another version of ministack is installed.
    """
    installed = importlib.metadata.version("ministack")
    if installed != MINISTACK:
        raise CloudError(
            f"ministack {installed} is installed, and the embedded cloud is made for {MINISTACK}: "
            f"pip install ministack=={MINISTACK}"
        )
    names = [module.__name__ for module in modules]
    for each in sorted(_registered, key=lambda each: names.index(each.replacement.__module__)):
        each.apply()
