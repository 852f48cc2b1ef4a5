"""Reads the templates of these tests: YAML as it is written, or the same as JSON, and the options in a comment."""

from __future__ import annotations

import copy
import json
import re
import textwrap
from collections.abc import Callable
from typing import Any

from cfnlint.decode import cfn_json, cfn_yaml
from cfnlint.template.template import Template

FORMS = ("yaml", "json")
Lint = Callable[..., list[tuple[str, str, str]]]
"""`lint(rule_id, template)` gives (rule id, path, message) of every finding, in their order."""
_OPTIONS = re.compile(r"# with -x (?P<rule>\w+):(?P<options>\S+)")


def parsed(text: str, form: str = "yaml") -> dict[str, Any]:
    """A template as cfn-lint reads it; `json` turns the YAML into JSON first."""
    body: dict[str, Any] = cfn_yaml.loads(textwrap.dedent(text))  # type: ignore[no-untyped-call]
    if form == "yaml":
        return body
    from_json: dict[str, Any] = cfn_json.loads(json.dumps(body))  # type: ignore[no-untyped-call]
    return from_json


def changed_template(template: Template, body: dict[str, Any]) -> Template:
    """The template with a body of which only resources and outputs are others.

    What cfn-lint reads from the other sections takes it ten times as long as our rules take, and stays the same.
    """
    others = (template.template.keys() | body.keys()) - {"Resources", "Outputs"}
    if any(template.template.get(section) is not body.get(section) for section in others):
        return Template(template.filename, body)
    changed = copy.copy(template)
    changed.template = body
    return changed


def options_in(text: str) -> dict[str, Any]:
    """The settings that a template's first comment asks for, in the words of cfn-lint's command line."""
    found = _OPTIONS.search(text)
    pairs = [pair.rpartition(":")[2].split("=") for pair in found["options"].split(",")] if found else []
    return {key: [value] if key == "keys" else value for key, value in pairs}
