"""Task settings as the embedded DMS reads them; as DMS does, it refuses what it does not know."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from builders.cloud.dms.faults import invalid
from builders.task_settings import ALLOWED, DEFAULTS, NOT_ON_CREATE


@dataclass(frozen=True)
class TaskSettings:
    """The settings of a task, with DMS's defaults where the task says nothing: `settings["FullLoadSettings"]`."""

    sections: Mapping[str, Mapping[str, Any]]

    def __getitem__(self, section: str) -> Mapping[str, Any]:
        """Return a section."""
        return self.sections[section]

    @property
    def errors(self) -> Mapping[str, Any]:
        """The policies for errors."""
        return self["ErrorBehavior"]

    @property
    def full_lob_mode(self) -> bool:
        """Large values of any size, in updates of their own."""
        return bool(self["TargetMetadata"]["FullLobMode"])

    @property
    def carries_lobs(self) -> bool:
        """Large values are carried at all."""
        return bool(self["TargetMetadata"]["SupportLobs"])


def read(text: str | None) -> TaskSettings:
    """Read the settings of a task. Raises InvalidParameterValueException where DMS does not take them."""
    try:
        given = json.loads(text or "{}")
    except ValueError as error:
        raise invalid(f"Invalid task settings JSON: {error}") from error
    if not isinstance(given, dict):
        raise invalid("Invalid task settings JSON: it is not an object")
    for section, values in given.items():
        _check(section, values)
    return TaskSettings({section: {**known, **(given.get(section) or {})} for section, known in DEFAULTS.items()})


def _check(section: str, values: Any) -> None:
    if section not in DEFAULTS:
        raise invalid(f"Invalid task settings JSON: unknown section {section}; known are {', '.join(DEFAULTS)}")
    known = DEFAULTS[section]
    if section == "Logging" and any((values or {}).get(name) for name in NOT_ON_CREATE):
        # terraform-provider-aws #21512
        raise invalid("Task Settings CloudWatchLogGroup or CloudWatchLogStream cannot be set on create.")
    for name, value in (values or {}).items() if known else ():
        if name not in known:
            raise invalid(f"Invalid task settings JSON: {section} has no setting {name}")
        if name in ALLOWED and value not in ALLOWED[name]:
            raise invalid(f"Invalid task settings JSON: {name} is {value!r}; it is one of {', '.join(ALLOWED[name])}")
        default = known[name]
        right = isinstance(value, type(default)) and isinstance(value, bool) == isinstance(default, bool)
        if default is not None and value is not None and not right:
            raise invalid(f"Invalid task settings JSON: {name} is {value!r}, not of type {type(default).__name__}")
