"""E9306: task settings that DMS cannot read."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator
from typing import Any

from builders.rules._json_text import document_of
from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Template
from builders.rules._values import ABSENT
from builders.task_settings import ALLOWED, DEFAULTS, NOT_ON_CREATE

_SECTIONS = (*DEFAULTS, "ResyncSettings")


class TaskSettings(Rule):
    """Reports ReplicationTaskSettings that are not JSON, misspell a section or a setting, hold a choice that DMS lacks,
    or name the log group and stream, which a described task shows and a new one does not take.
    """

    id = "E9306"
    shortdesc = "Task settings that DMS cannot read"
    why = "CloudFormation takes any text; DMS refuses the task, or ignores the section with the misspelt name."
    source = "AWS DMS user guide, 'Specifying task settings for AWS Database Migration Service tasks'"
    bad = """
    Resources:
      Task:
        Type: AWS::DMS::ReplicationTask
        Properties:
          ReplicationTaskSettings: '{"FullLoadSetting": {"TargetTablePrepMode": "DO_NOTHING"}}'
    """
    good = """
    Resources:
      Task:
        Type: AWS::DMS::ReplicationTask
        Properties:
          ReplicationTaskSettings: '{"FullLoadSettings": {"TargetTablePrepMode": "DO_NOTHING"}}'
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for task in template.resources("AWS::DMS::ReplicationTask"):
            for settings in template.branches(task, "ReplicationTaskSettings"):
                if settings.value is not ABSENT and template.possible(settings):
                    for problem in _problems(document_of(template, settings)):
                        yield RuleFinding(settings, f"ReplicationTaskSettings of {task.name} {problem}")


def _problems(document: Any) -> Iterator[str]:
    if isinstance(document, json.JSONDecodeError):
        yield f"is not JSON: {document.msg} at line {document.lineno}, column {document.colno}"
    if not isinstance(document, dict):
        return
    for section, settings in document.items():
        if section not in _SECTIONS:
            yield from _misspelt("section", str(section), _SECTIONS)
        known = DEFAULTS.get(section, {})
        for name, value in settings.items() if isinstance(settings, dict) else ():
            if section == "Logging" and name in NOT_ON_CREATE and value:
                yield f"sets {section}.{name}, which cannot be set on create: leave it out, DMS chooses it"
            elif name in ALLOWED and isinstance(value, str) and value not in (*ALLOWED[name], "0"):
                yield f"has {name} {value!r}: DMS takes {', '.join(ALLOWED[name])}"
            elif known and name not in known:
                yield from _misspelt(f"{section} setting", str(name), known)


def _misspelt(kind: str, name: str, known: Iterable[str]) -> Iterator[str]:
    meant = difflib.get_close_matches(name, list(known), n=1, cutoff=0.8)
    if meant:
        yield f"has {kind} {name!r}, which DMS does not know: {meant[0]} is meant"
