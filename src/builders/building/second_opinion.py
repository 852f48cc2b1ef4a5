"""A second opinion on templates: cloudformation-validate, AWS's own linter, finds mistakes that cfn-lint does not.

It is the extra `second-opinion`. Its rules have the numbers of cfn-lint's where they are the same, with an F where the
schema is broken; numbers from 9000 on are its own (cloudformation-validate, "README"). A finding's rule begins with the
tool's name. docs/lint-rules.md tells people which of its findings are left out, and why.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from builders.errors import UsageError
from builders.findings import Finding, Severity

TOOL = "cloudformation-validate"
DEFAULT_REGIONS = ("us-east-1",)
_FIRST_OWN_NUMBER = 9000
_SAME_STATEMENTS = {"W2509": "W2501"}
"""Its rules that say in other words what a rule of cfn-lint says: a password's parameter lacks NoEcho."""
_SEVERITIES = {"WARN": Severity.WARNING, "ERROR": Severity.ERROR, "FATAL": Severity.ERROR}


class SecondOpinion:
    """cloudformation-validate, ready for many templates. Raises `UsageError` when it is not installed."""

    def __init__(self, regions: Sequence[str] = ()) -> None:
        try:
            import cloudformation_validate as validate  # noqa: PLC0415  an extra, which need not be there
        except ImportError as error:
            message = f"--second-opinion needs {TOOL}; install it: pip install 'stackferry[second-opinion]'"
            raise UsageError(message) from error
        self._engine = validate.CompositeEngine()
        self._content = validate.TemplateContent
        self._configurations = [
            validate.ValidateConfig(
                severity_level=validate.Severity.WARN,
                pseudo_parameter_overrides=validate.PseudoParameterOverrides(region=region),
            )
            for region in regions or DEFAULT_REGIONS
        ]

    def findings(self, file: str, text: str, known: Collection[Finding] = ()) -> list[Finding]:
        """Errors and warnings on a template, each once, without what `known` findings say already."""
        try:
            template = json.loads(text)
        except ValueError:  # YAML: what is judged by the template's content is kept
            template = {}
        said = {(each.line, each.column, statement) for each in known for statement in _statements(each)}
        found: dict[Finding, None] = {}
        for configuration in self._configurations:
            for seen in self._engine.validate_template(self._content(text, file), configuration).diagnostics:
                finding = _finding(file, seen)
                places = {(finding.line, finding.column, statement) for statement in _statements(finding)}
                if said.isdisjoint(places) and not _is_false(seen, template):
                    found[finding] = None
        return list(found)


def _finding(file: str, seen: Any) -> Finding:
    message = " ".join(seen.message.split())
    return Finding(
        f"{TOOL}/{seen.rule_id}", message, file, seen.start_line, seen.start_column, _SEVERITIES[seen.severity.name]
    )


def _statements(found: Finding) -> Iterator[str]:
    """The statement of a finding, apart from its place: its message, and the number of a rule that both tools have."""
    yield found.message
    rule = found.rule.removeprefix(f"{TOOL}/")
    rule = _SAME_STATEMENTS.get(rule, rule)
    number = rule[1:]
    if number.isdigit() and int(number) < _FIRST_OWN_NUMBER:
        yield number


def _is_false(seen: Any, template: Mapping[str, Any]) -> bool:
    """Return whether a finding is one of those that are known to be wrong, by what the template says at its place."""
    parts = {"W1001": _guarded, "W1030": _empty_default, "W2509": _names_a_place, "F3020": _one_at_a_time}
    return seen.rule_id in parts and parts[seen.rule_id](seen, template)


def _guarded(seen: Any, _: Mapping[str, Any]) -> bool:
    """A reference to a resource that may not be there, within an Fn::If: its condition is not followed."""
    return ".Fn::If." in f"{seen.property_path}."


def _empty_default(seen: Any, template: Mapping[str, Any]) -> bool:
    """A parameter whose default is empty, and which is used where a condition holds only: the default never gets there.

    cfn-lint has this rule too, and follows conditions.
    """
    named = re.search(r"\{'Ref': '(\w+)'\}", seen.message)
    at = re.search(r"resolved at Resources/(\w+)/", seen.message)
    if named is None or template.get("Parameters", {}).get(named[1], {}).get("Default") != "":
        return False
    resource = template.get("Resources", {}).get(at[1] if at else seen.entity.logical_id, {})
    return "Condition" in resource or not _stands_bare({"Ref": named[1]}, resource.get("Properties"))


def _stands_bare(wanted: Any, node: Any) -> bool:
    """Return whether a value stands in a node, outside the branches of every Fn::If."""
    if node == wanted:
        return True
    if isinstance(node, dict):
        return "Fn::If" not in node and any(_stands_bare(wanted, each) for each in node.values())
    return isinstance(node, list) and any(_stands_bare(wanted, each) for each in node)


def _names_a_place(seen: Any, _: Mapping[str, Any]) -> bool:
    """A parameter that takes the ARN of a secret, or the place of a function's package, judged by its name alone."""
    return bool(seen.entity) and seen.entity.logical_id.endswith(("Arn", "Arns", "PackageKey", "PackageVersion"))


def _one_at_a_time(seen: Any, template: Mapping[str, Any]) -> bool:
    """Two properties that exclude each other, each in the branch of one condition where the other has no value."""
    named = re.search(r"'(\w+)' should not be included with '(\w+)'", seen.message)
    resource = template.get("Resources", {}).get(seen.entity.logical_id, {}) if seen.entity else {}
    properties = resource.get("Properties", {})
    one, other = (_branches(properties.get(name)) for name in named.groups()) if named else (None, None)
    if one is None or other is None or one[0] != other[0]:
        return False
    nothing = {"Ref": "AWS::NoValue"}
    return all(nothing in pair for pair in zip(one[1:], other[1:], strict=True))


def _branches(value: Any) -> list[Any] | None:
    """The condition and the two branches of an Fn::If."""
    branches = value.get("Fn::If") if isinstance(value, dict) else None
    return branches if isinstance(branches, list) and len(branches) == 3 else None
