"""Writes docs/parameters.md: every parameter of every layer, and which resources a change of it touches.

The effects are those of the registry's schemas, as `rollout-stacksets plan` finds them: a template is compared with
itself under two values of one parameter, all others being the same. Conditions that depend on the parameter hold on one
side and not on the other.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builders import naming, resource_types
from builders.catalog import assemble
from builders.parameter_validation import as_text
from builders.scopes import Scope
from builders.stack_diff.effects import Effect, custom_name, differing_properties, effect_of, spread_effects
from builders.text import name_list
from tools import written_files

PAGE = Path("docs/parameters.md")
EVERYWHERE = (naming.SUFFIX, naming.MIGRATION_PHASE, naming.COST_CENTER, naming.COMPLIANCE_SCOPE)
_REGION = resource_types.HOME_REGION
_BEFORE, _AFTER = "one value", "another value"
_NOTHING = object()
_BAR = "\\|"
"""The bar within a cell of a table."""

_FILES = {
    Scope.TOOLING: "`environments/tooling.json`",
    Scope.NETWORK: "`environments/network.json`",
    Scope.MEMBER: "`environments/tooling.json`",
}
_OF_PHASE = "`environments/<phase>.json`"

# What is charged for its being there, however little it is used: the pages "AWS PrivateLink pricing", "AWS Transit
# Gateway pricing", "AWS KMS pricing", "AWS Secrets Manager pricing", "Amazon CloudWatch pricing", "Amazon Route 53
# pricing" and "AWS Database Migration Service pricing".
_CHARGED = {
    "AWS::CloudWatch::Alarm": "alarm",
    "AWS::DMS::ReplicationInstance": "replication instance",
    "AWS::EC2::TransitGatewayVpcAttachment": "attachment to the transit gateway",
    "AWS::KMS::Key": "key",
    "AWS::RDS::DBInstance": "database instance",
    "AWS::Route53Resolver::ResolverEndpoint": "resolver endpoint",
    "AWS::SecretsManager::Secret": "secret",
}
# "Amazon RDS pricing", "AWS Database Migration Service pricing".
_CHARGED_PROPERTIES = {
    ("AWS::RDS::DBInstance", "AllocatedStorage"): "storage is charged by its size",
    ("AWS::RDS::DBInstance", "DBInstanceClass"): "charged by the class and the hour, for two instances with Multi-AZ",
    ("AWS::RDS::DBInstance", "MultiAZ"): "a second instance with its storage",
    ("AWS::DMS::ReplicationInstance", "AllocatedStorage"): "storage is charged by its size",
    ("AWS::DMS::ReplicationInstance", "MultiAZ"): "a second replication instance",
    ("AWS::DMS::ReplicationInstance", "ReplicationInstanceClass"): "charged by the class and the hour",
}


@dataclass(frozen=True)
class Touched:
    """Resources that a change of a parameter touches, by logical id."""

    replaced: tuple[str, ...]
    refused: tuple[str, ...]
    """Replaced ones with a name that stays: CloudFormation refuses to replace them."""
    perhaps: tuple[str, ...]
    toggled: tuple[str, ...]
    """Resources that one value has and another has not."""
    modified: tuple[str, ...]
    costs: tuple[str, ...]


def desired_files() -> dict[Path, str]:
    """The page."""
    return {PAGE: "\n".join(_lines()) + "\n"}


def _lines() -> Iterator[str]:
    made = assemble()
    yield f"""# Every parameter of every layer

Written by `python -m tools.parameters` from the templates; [by-hand.md](by-hand.md) says which file serves which layer.

- **Default**: a parameter without a default must be in the file.
- **A change**: the resources that an update with another value changes, by the schemas of the CloudFormation \
registry. *Replaces*: CloudFormation creates a new resource and deletes the old one, or retains it if its policy says \
so. *Refused*: the resource would have to be replaced but keeps its name, which CloudFormation does not allow, so data \
is not replaced by mistake. *May replace*: AWS decides, or the function of a custom resource. *Adds or removes*: the \
resource exists with one value and not with another, such as an empty one; a *replaces* beside it applies to a change \
between two values with which it exists. Everything else changes in place. `rollout-stacksets plan` shows what it \
does to your deployed stacks.
- **Cost**: what AWS charges for as long as the resource exists, where the template shows it. For prices see AWS.

## All layers

Every template has these parameters; their values end the names of resources and are their tags. Another \
`{naming.SUFFIX}` means another environment, and replaces every resource that has a name.

{_HEAD}"""
    first = made.templates["foundation"]["Parameters"]
    for name in EVERYWHERE:
        yield _row(name, first[name], "" if name != naming.SUFFIX else "replaces whatever has a name", "")
    for layer in made.order:
        template, scope = made.templates[layer], made.scopes[layer]
        yield f"\n## {layer}\n\nFile: {_FILES.get(scope, _OF_PHASE)}. Deployed in: {scope.value}.\n"
        own = {name: each for name, each in sorted(template["Parameters"].items()) if name not in EVERYWHERE}
        yield _HEAD if own else "No parameters but those of all layers."
        for name, declared in own.items():
            found = touched(template, name)
            yield _row(name, declared, _change(found), "; ".join(found.costs))


_HEAD = "| parameter | type | default | allowed | meaning | a change | cost |\n|---|---|---|---|---|---|---|"


def _row(name: str, declared: Mapping[str, Any], change: str, cost: str) -> str:
    described = declared["Description"]
    cells = (f"`{name}`", _type(declared), _default(declared), _allowed(declared), described, change, cost)
    return f"| {' | '.join(cell.replace('|', _BAR) for cell in cells)} |"


def _type(declared: Mapping[str, Any]) -> str:
    return str(declared["Type"]).replace("<", "\\<")


def _default(declared: Mapping[str, Any]) -> str:
    if "Default" not in declared:
        return "none"
    return f"`{as_text(declared['Default'])}`" if declared["Default"] != "" else "empty"


def _allowed(declared: Mapping[str, Any]) -> str:
    if "AllowedValues" in declared:
        return ", ".join(f"`{as_text(value)}`" for value in declared["AllowedValues"])
    parts = [declared["ConstraintDescription"]] if "ConstraintDescription" in declared else []
    if "MinValue" in declared or "MaxValue" in declared:
        parts.append(_between(declared.get("MinValue"), declared.get("MaxValue"), ""))
    elif not parts and ("MinLength" in declared or "MaxLength" in declared):
        parts.append(_between(declared.get("MinLength"), declared.get("MaxLength"), " characters"))
    return ", ".join(parts)


def _between(least: object, most: object, unit: str) -> str:
    if most is None:
        return f"from {least}{unit}"
    return f"up to {most}{unit}" if least is None else f"{least} to {most}{unit}"


def _change(found: Touched) -> str:
    parts = [
        f"{words} {name_list(names, most=4)}"
        for words, names in (
            ("**refused** for", found.refused),
            ("**replaces**", found.replaced),
            ("may replace", found.perhaps),
            ("adds or removes", found.toggled),
        )
        if names
    ]
    return "; ".join(parts) or ("in place" if found.modified else "no resource: outputs or Rules alone")


def touched(template: Mapping[str, Any], parameter: str) -> Touched:
    """The resources that another value of a parameter touches.

    Three changes are compared: the conditions that depend on the parameter hold before and after, neither, and before
    alone. The gravest effect on each resource counts.
    """
    effects: dict[str, Effect] = {}
    refused: set[str] = set()
    for before, after in ((True, True), (False, False), (True, False)):
        old = _Side(template, parameter, _BEFORE, before).resources()
        new = _Side(template, parameter, _AFTER, after).resources()
        for name, effect in _effects(old, new).items():
            effects[name] = min(effect, effects.get(name, effect), key=list(Effect).index)
            if effect is Effect.REPLACE and _keeps_name(old[name], new[name]):
                refused.add(name)
    toggled = tuple(sorted(old.keys() ^ new.keys()))

    def of(effect: Effect) -> tuple[str, ...]:
        return tuple(sorted(name for name, found in effects.items() if found is effect and name not in refused))

    costs = tuple(_costs(old, new, toggled))
    return Touched(
        of(Effect.REPLACE), tuple(sorted(refused)), of(Effect.MAY_REPLACE), toggled, of(Effect.MODIFY), costs
    )


def _effects(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Effect]:
    """The effects on resources that both sides have."""
    staying = {name: body for name, body in new.items() if name in old}
    own = {name: effect for name, body in staying.items() if (effect := effect_of(old[name], body, _REGION))}
    return {name: effect for name, (effect, _) in spread_effects(own, staying, _REGION).items()}


def _keeps_name(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    name = custom_name(after, _REGION)
    return bool(name) and name == custom_name(before, _REGION)


def _costs(old: Mapping[str, Any], new: Mapping[str, Any], toggled: Sequence[str]) -> Iterator[str]:
    resources = {**old, **new}
    added: dict[str, int] = {}
    for name in toggled:
        body = resources[name]
        kind = _CHARGED.get(body["Type"])
        if body["Type"] == "AWS::EC2::VPCEndpoint" and body["Properties"].get("VpcEndpointType") == "Interface":
            kind = "interface endpoint, charged for each zone and hour"
        if kind:
            added[kind] = added.get(kind, 0) + 1
    for kind, count in sorted(added.items()):
        noun, comma, how = kind.partition(",")
        yield f"{count} {noun}{'s' if count > 1 else ''}{comma}{how}"
    for name in sorted(old.keys() & new.keys()):
        kind, before, after = new[name]["Type"], old[name].get("Properties", {}), new[name].get("Properties", {})
        for path in dict.fromkeys(each.partition(".")[0] for each in differing_properties(before, after)):
            if (kind, path) in _CHARGED_PROPERTIES:
                yield _CHARGED_PROPERTIES[kind, path]
            if (kind, path) == ("AWS::EC2::VPCEndpoint", "SubnetIds"):
                yield f"{name}: charged for each zone and hour"


@dataclass(frozen=True)
class _Side:
    """A template with one value of a parameter; whatever else a value depends on stays as it is written.

    `holds` says what the conditions that depend on the parameter are.
    """

    template: Mapping[str, Any]
    parameter: str
    value: str
    holds: bool

    def resources(self) -> dict[str, Any]:
        """The resources that exist on this side, references as `builders.evaluate` writes them: "${Vpc.VpcId}"."""
        found = {}
        for name, body in self.template["Resources"].items():
            condition = body.get("Condition")
            if condition is None or not self._depends(condition) or self.holds:
                found[name] = {key: self._resolved(part) for key, part in body.items() if key != "Condition"}
        return found

    def _resolved(self, value: Any) -> Any:
        if isinstance(value, list):
            items = [self._resolved(item) for item in value]
            return [item for item in items if item is not _NOTHING]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((function, argument),) = value.items()
            if function in ("Ref", "Fn::GetAtt"):
                return self._reference(argument if isinstance(argument, str) else ".".join(argument))
            if function == "Fn::Sub":
                return self._substituted(argument)
            if function == "Fn::If" and self._depends(argument[0]):
                return self._resolved(argument[1 if self.holds else 2])
        members = {key: self._resolved(part) for key, part in value.items()}
        return {key: part for key, part in members.items() if part is not _NOTHING}

    def _reference(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return _NOTHING
        if name == self.parameter:
            return self.value
        # The form is that of `builders.evaluate`, for references to resources alone.
        return f"${{{name}}}" if name.partition(".")[0] in self.template["Resources"] else f"<{name}>"

    def _substituted(self, argument: Any) -> Any:
        text, names = argument if isinstance(argument, list) else (argument, {})
        text = re.sub(
            r"\$\{([\w.:]+)\}", lambda match: match[0] if match[1] in names else self._reference(match[1]), text
        )
        return {"Fn::Sub": [text, self._resolved(names)]} if names else text

    def _depends(self, condition: Any) -> bool:
        """Return whether a condition, by name or as it is written, changes with the parameter."""
        if isinstance(condition, str):
            return self._mentions(self.template["Conditions"][condition])
        return self._mentions(condition)

    def _mentions(self, value: Any) -> bool:
        if isinstance(value, dict):
            if value.get("Ref") == self.parameter:
                return True
            if isinstance(name := value.get("Condition"), str) and len(value) == 1:
                return self._depends(name)
            return any(map(self._mentions, value.values()))
        return isinstance(value, list) and any(map(self._mentions, value))


if __name__ == "__main__":
    sys.exit(written_files.main("tools.parameters", desired_files()))
