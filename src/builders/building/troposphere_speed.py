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
        kind.__init__ = _quickly()  # type: ignore[method-assign]
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


def _quickly() -> Any:
    """`BaseAWSObject.__init__` without questions whose answer is known.

    It looks for a default of a property only in classes that have an attribute of that name, and for the name of the
    section and the type where there is one: an attribute that is not there costs an exception. It sets a property
    itself where the value is a function of CloudFormation, or of the very class that is expected.
    """
    from troposphere import AWSHelperFn, AWSObject, AWSProperty, BaseAWSObject, Tags  # noqa: PLC0415

    attributes = AWSProperty().attributes
    bases = (object, BaseAWSObject, AWSObject)
    of_bases = frozenset().union(*map(vars, bases))
    plain_set = BaseAWSObject.__setattr__

    def begin(
        self: BaseAWSObject, title: str | None, template: Template | None = None, validation: bool = True, **given: Any
    ) -> None:
        own = self.__dict__  # not by `__setattr__`, which asks each time whether the object is complete
        own["title"] = title
        own["template"] = template
        own["do_validation"] = validation
        props = self.props
        names = own["propnames"] = set(props)
        own["attributes"] = attributes.copy()
        if title:
            self.validate_title()
        properties: dict[str, Any] = {}
        own["properties"] = properties
        has_section = has_type = False
        has_defaults = not names.isdisjoint(of_bases)
        for base in type(self).__mro__:
            of_class = base.__dict__
            has_section = has_section or "dictname" in of_class
            has_type = has_type or "resource_type" in of_class
            has_defaults = has_defaults or (base not in bases and not names.isdisjoint(of_class))
        section = self.dictname if has_section else None
        resource = own["resource"] = {section: properties} if section else properties
        if has_type and self.resource_type is not None:
            resource["Type"] = self.resource_type
        own["_BaseAWSObject__initialized"] = True
        if has_defaults:
            for name in props:
                default = getattr(type(self), name, None)
                if default is not None and name not in given:
                    self.__setattr__(name, default)
        is_plain = type(self).__setattr__ is plain_set
        for name, value in given.items():
            if is_plain and name in names and name not in own and name not in attributes:
                kind = type(value)
                if kind is props[name][0] or (isinstance(value, AWSHelperFn) and not isinstance(value, Tags)):
                    properties[name] = value
                    continue
            self.__setattr__(name, value)
        self.add_to_template()

    return begin
