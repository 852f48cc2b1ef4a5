"""E9306: task settings that DMS cannot read."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from typing import Any

from builders.rules._json_text import document_of
from builders.rules._rule import Finding, Rule
from builders.rules._template import Template
from builders.rules._values import ABSENT

_SECTIONS = (
    *("BeforeImageSettings", "ChangeProcessingDdlHandlingPolicy", "ChangeProcessingTuning", "CharacterSetSettings"),
    *("ControlTablesSettings", "ErrorBehavior", "FailTaskWhenCleanTaskResourceFailed", "FullLoadSettings", "Logging"),
    *("LoopbackPreventionSettings", "PostProcessingRules", "ResyncSettings", "StreamBufferSettings", "TTSettings"),
    *("TargetMetadata", "ValidationSettings"),
)
_CHOICES = {
    ("FullLoadSettings", "TargetTablePrepMode"): ("DO_NOTHING", "DROP_AND_CREATE", "TRUNCATE_BEFORE_LOAD"),
    ("ValidationSettings", "ValidationMode"): ("ROW_LEVEL", "GROUP_LEVEL"),
    ("ErrorBehavior", "DataErrorPolicy"): ("IGNORE_RECORD", "LOG_ERROR", "SUSPEND_TABLE", "STOP_TASK"),
    ("ErrorBehavior", "TableErrorPolicy"): ("SUSPEND_TABLE", "STOP_TASK"),
}


class TaskSettings(Rule):
    """Reports ReplicationTaskSettings that are not JSON, misspell a section, or hold a choice that DMS lacks."""

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

    def _findings(self, template: Template) -> Iterator[Finding]:
        for task in template.resources("AWS::DMS::ReplicationTask"):
            for settings in template.branches(task, "ReplicationTaskSettings"):
                if settings.value is not ABSENT and template.possible(settings):
                    for problem in _problems(document_of(template, settings)):
                        yield Finding(settings, f"ReplicationTaskSettings of {task.name} {problem}")


def _problems(document: Any) -> Iterator[str]:
    if isinstance(document, json.JSONDecodeError):
        yield f"is not JSON: {document.msg} at line {document.lineno}, column {document.colno}"
    if not isinstance(document, dict):
        return
    for section in document:
        meant = difflib.get_close_matches(str(section), _SECTIONS, n=1, cutoff=0.8)
        if meant and section not in _SECTIONS:
            yield f"has section {section!r}, which DMS does not know: {meant[0]} is meant"
    for (section, key), allowed in _CHOICES.items():
        given = document.get(section)
        value = given.get(key) if isinstance(given, dict) else None
        if isinstance(value, str) and value not in (*allowed, "0"):
            yield f"has {key} {value!r}: DMS takes {', '.join(allowed)}"
