"""Quicker forms of what troposphere does in every build, for the one version in which they are known to do the same.

troposphere imports cfn_flip, and it PyYAML, for `Template.to_yaml`, and `troposphere.serverless`, with the modules of
four services, for one annotation of `Template`; no build asks for either. When it makes an object it looks up every
property as an attribute of the class, which hardly any class has. tests/building/test_troposphere_speed.py compares.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from troposphere import BaseAWSObject, Template

KNOWN_VERSION = "4.11.1"
_SERVERLESS = "troposphere.serverless"


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """Load troposphere without what no build needs, and make its objects more quickly for as long as this lasts."""
    if "troposphere" not in sys.modules:
        _load()
    import troposphere  # noqa: PLC0415  `_load` decides what comes with it

    kind, plain = troposphere.BaseAWSObject, troposphere.BaseAWSObject.__init__
    if troposphere.__version__ == KNOWN_VERSION:
        kind.__init__ = _quickly(troposphere.AWSProperty().attributes)  # type: ignore[method-assign]
    try:
        yield
    finally:
        kind.__init__ = plain  # type: ignore[method-assign]


class _Late:
    """A finder of modules that run when they are first used (Python's library reference, "importlib.util.LazyLoader").

    A lazy module that stood in `sys.modules` beforehand would run at the first import of it.
    """

    NAMES = ("cfn_flip",)

    @classmethod
    def find_spec(cls, name: str, path: Sequence[str] | None, target: object = None) -> ModuleSpec | None:
        """Find a module as the import system does."""
        spec = PathFinder.find_spec(name, path) if name in cls.NAMES else None
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


def _load() -> None:
    """Import troposphere; whoever asks for cfn_flip or `troposphere.serverless` afterwards has the real one."""
    stand_in = ModuleType(_SERVERLESS)
    stand_in.Globals = type("Globals", (), {})  # type: ignore[attr-defined]
    sys.modules[_SERVERLESS] = stand_in
    sys.meta_path.insert(0, _Late)
    try:
        import troposphere  # noqa: PLC0415
    finally:
        sys.meta_path.remove(_Late)
        del sys.modules[_SERVERLESS]
    if troposphere.__version__ != KNOWN_VERSION:
        serverless = import_module(_SERVERLESS)
        troposphere.Template.Globals = serverless.Globals  # type: ignore[misc]
        troposphere.Template.props["Globals"] = (serverless.Globals, False)


def _quickly(attributes: list[str]) -> Any:
    """`BaseAWSObject.__init__`, which sets a default of the class only where the class has an attribute of that name.

    `attributes` are those that a resource has beside its properties.
    """

    def begin(
        self: BaseAWSObject, title: str | None, template: Template | None = None, validation: bool = True, **given: Any
    ) -> None:
        own = self.__dict__  # not by `__setattr__`, which asks each time whether the object is complete
        own.update(title=title, template=template, do_validation=validation)
        names = own["propnames"] = set(self.props)
        own["attributes"] = attributes.copy()
        if title:
            self.validate_title()
        properties: dict[str, Any] = {}
        own["properties"] = properties
        section, kind = getattr(self, "dictname", None), getattr(self, "resource_type", None)
        resource = own["resource"] = {section: properties} if section else properties
        if kind is not None:
            resource["Type"] = kind
        own["_BaseAWSObject__initialized"] = True
        if not all(map(names.isdisjoint, map(vars, type(self).__mro__))):
            for name in self.props:
                default = getattr(type(self), name, None)
                if default is not None and name not in given:
                    self.__setattr__(name, default)
        for name, value in given.items():
            self.__setattr__(name, value)
        self.add_to_template()

    return begin
