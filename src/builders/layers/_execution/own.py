"""Policies of the execution role for layers of a project's own: what the resource types in their templates need.

`grants.py` is written by hand for the layers of this package. Here the registry says which actions a type needs, and
the Service Authorization Reference on which ARNs: those of this account, and by name where the template or
CloudFormation gives one. What grants.py confines further (roles, keys, secrets) is not widened.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from awacs.aws import Action, Condition, Statement, StringEquals, StringLike
from troposphere import Sub, encode_to_dict, iam

from builders import naming, policies, resource_types
from builders.errors import LayerError
from builders.layers._execution import registry
from builders.layers._execution.actions import CONFINED, EVERYWHERE, TYPES
from builders.layers._execution.grants import (
    ENCRYPTING,
    NO_RESOURCE_LEVEL,
    PASSED_TO,
    SECRETS,
    STACKS,
    THROUGH_SERVICES,
    secret_statements,
)
from builders.layers._execution.role import IS_WANTED
from builders.policy_documents import principals, statements
from builders.stack import OwnLayer, Stack
from builders.text import name_list

_MOST_CHARACTERS, _MOST_POLICIES = 6144, 2
"""Limits of one policy, and of policies of layers of one's own: IAM attaches ten to a role, and eight are there (IAM
user guide, "IAM and AWS STS quotas")."""

WITHOUT_ACTIONS = frozenset(
    {
        "AWS::CDK::Metadata",
        "AWS::CloudFormation::CustomResource",
        "AWS::CloudFormation::WaitCondition",
        "AWS::CloudFormation::WaitConditionHandle",
    }
)
"""Types for which CloudFormation calls no other service, or only the function of a custom resource, which it may."""

_CONFINED_SERVICES = frozenset({"iam", "kms", "secretsmanager", "sts"})
_SECRET = "AWS::SecretsManager::Secret"  # noqa: S105  a type
_READS = ("Describe", "Get", "List")
_ACTION = re.compile(r"[a-z0-9-]+:[A-Z][A-Za-z0-9]*\*?")
_MOST_ARNS = 6
_GENERATED = (STACKS, STACKS.lower())
"""The names that CloudFormation makes up, in the form that takes capitals and in the other (S3, RDS)."""
_SHORTEST_LIMIT = 64
"""Characters of a name from which on a generated one surely begins with the stack's."""

_EVERYWHERE = frozenset(f"{service}:{verb}" for service, verbs in EVERYWHERE.items() for verb in verbs)
_CONFINED = frozenset(f"{service}:{verb}" for service, verbs in CONFINED.items() for verb in verbs)


def complete(stack: Stack, layers: Mapping[str, OwnLayer]) -> Iterator[tuple[str, LayerError]]:
    """Attach policies for layers of a project's own to the execution role; yield what they leave open, by layer."""
    for name, layer in sorted(layers.items()):
        unknown = sorted(_unknown(layer)) if layer.actions is None else []
        if unknown:
            message = (
                f"{name}: the registry does not say which actions {name_list(unknown)} needs; write those that the "
                'execution role is to have into the layer, as ACTIONS = ("service:Action", ...)'
            )
            yield name, LayerError(message)
        if wrong := [each for each in layer.actions or () if not _ACTION.fullmatch(each) or _is_too_wide(each)]:
            message = (
                f"{name}: ACTIONS has {name_list(sorted(map(repr, wrong)))}; write each action by its name, as "
                '"qldb:CreateLedger": an asterisk is for Describe, Get and List alone'
            )
            yield name, LayerError(message)
    made = _policies(_statements(list(layers.values())))
    if len(made) > _MOST_POLICIES:
        message = (
            f"account: layers of your own need {len(made)} policies of the execution role, and IAM attaches "
            f"{_MOST_POLICIES} beside ours; state fewer actions as ACTIONS, or use fewer resource types"
        )
        raise LayerError(message)
    for number, document in enumerate(made, 1):
        policy = stack.add(
            iam.ManagedPolicy(
                f"{naming.OWN_POLICY}{number}",
                Condition=IS_WANTED,
                Description="What layers of your own need to be made, read, changed and deleted",
                PolicyDocument=policies.document(*document),
                Roles=[stack.template.resources["ExecutionRole"].ref()],
            )
        )
        everywhere = [str(each.Sid) for each in document if each.Resource == ["*"]]
        if everywhere:
            policy.Metadata = {"WildcardReasons": dict.fromkeys(everywhere, NO_RESOURCE_LEVEL)}


def granted(template: Mapping[str, Any]) -> set[str]:
    """The actions that a template of `account` grants to the execution role."""
    return {
        action
        for resource in template.get("Resources", {}).values()
        if resource.get("Properties", {}).get("Roles") == [{"Ref": "ExecutionRole"}]
        for statement in statements(resource["Properties"]["PolicyDocument"])
        if statement.get("Effect") == "Allow"
        for action in statement["Action"]
    }


def _unknown(layer: OwnLayer) -> Iterator[str]:
    """Types without actions in the registry, and those with actions such as s3:*, which nobody should be given."""
    for name, actions in registry.needed([layer.template]).items():
        is_known = bool(actions) or name in TYPES or name in WITHOUT_ACTIONS or name.startswith("Custom::")
        if not is_known or any(_is_too_wide(action) for action in actions):
            yield name


def _is_too_wide(action: str) -> bool:
    return "*" in action and not action.partition(":")[2].startswith(_READS)


def _statements(layers: Collection[OwnLayer]) -> Iterator[Statement]:
    templates = [layer.template for layer in layers]
    by_type = registry.needed(templates)
    # What grants.py has for a type fits resources whose names CloudFormation makes up.
    unlike_ours = {name for name in by_type if name not in TYPES or any(_given_names(name, templates))}
    stated = {action for layer in layers for action in layer.actions or () if _ACTION.fullmatch(action)}
    actions = {action for action in stated if not _is_too_wide(action)}
    for name, every in by_type.items():
        service = registry.service_of(name) if name in unlike_ours else ""
        actions |= {each for each in every if not _is_too_wide(each) and _is_wanted(each, service)}
    yield from _by_other_services(unlike_ours, by_type)
    yield from _passing(templates, set().union(*by_type.values()))
    secrets = _secret_names(templates)
    if secrets:
        yield from secret_statements(secrets)
    names = _names(templates)
    groups: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for action in sorted(actions - _EVERYWHERE):
        service, _, verb = action.partition(":")
        groups.setdefault((service, _arns(service, verb, names)), []).append(verb)
    for number, ((service, arns), verbs) in enumerate(sorted(groups.items()), 1):
        yield policies.allow(
            f"{_pascal(service)}{number}",
            [Action(service, verb) for verb in verbs],
            [arn if arn == "*" else Sub(arn) for arn in arns],
        )


def _is_wanted(action: str, service: str) -> bool:
    """Leave out what grants.py confines, unless it is an action on resources of the type's own service."""
    return action not in _CONFINED or (action.partition(":")[0] == service and service not in _CONFINED_SERVICES)


def _by_other_services(types: Collection[str], needed: Mapping[str, Collection[str]]) -> Iterator[Statement]:
    """Use of the phase's key through the services of the types, and the roles that these services make themselves."""
    keys = {f"kms:{verb}" for verb in THROUGH_SERVICES}
    with_key = {registry.service_of(each) for each in types if keys.intersection(needed[each])} - {*ENCRYPTING}
    if with_key:
        yield policies.allow(
            "KeysThroughOwnServices",
            [Action("kms", verb) for verb in THROUGH_SERVICES],
            [Sub("arn:${AWS::Partition}:kms:*:${AWS::AccountId}:key/*")],
            condition=Condition(
                StringLike({"kms:ViaService": [f"{each}.*.amazonaws.com" for each in sorted(with_key)]})
            ),
        )
    linked = {registry.service_of(each) for each in types if "iam:CreateServiceLinkedRole" in needed[each]}
    if linked:
        names = [f"{each}.amazonaws.com" for each in sorted(linked)]
        yield policies.allow(
            "OwnServiceLinkedRoles",
            [Action("iam", "CreateServiceLinkedRole")],
            [Sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:role/aws-service-role/*")],
            condition=Condition(StringEquals({"iam:AWSServiceName": names})),
        )


def _passing(templates: Iterable[Mapping[str, Any]], needed: Collection[str]) -> Iterator[Statement]:
    """Roles of these layers are passed to the services that their trust policies name."""
    trusted = {
        principal
        for role in _resources("AWS::IAM::Role", templates)
        for statement in statements(role.get("AssumeRolePolicyDocument"))
        for kind, principal in principals(statement)
        if kind == "Service" and isinstance(principal, str)
    }
    if "iam:PassRole" in needed and trusted.difference(PASSED_TO):
        yield policies.allow(
            "PassOwnRoles",
            [Action("iam", "PassRole")],
            [Sub(f"arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:role/{STACKS}")],
            condition=Condition(StringEquals({"iam:PassedToService": sorted(trusted.difference(PASSED_TO))})),
        )


def _secret_names(templates: Iterable[Mapping[str, Any]]) -> list[str]:
    """The names of secrets as ARNs end in them, without those that have names as in our layers.

    A secret without a name is called by its logical id, a hyphen and a text that CloudFormation makes up; Secrets
    Manager appends a hyphen and six characters to every name.
    """
    names = {
        f"{_pattern(resource.get('Properties', {}).get('Name', logical_id))}-*"
        for template in templates
        for logical_id, resource in template["Resources"].items()
        if resource["Type"] == _SECRET
    }
    return sorted(names - {*SECRETS})


def _arns(service: str, verb: str, names: Mapping[tuple[str, str], tuple[str, ...]]) -> tuple[str, ...]:
    """The ARNs of an action's resources, or "*" where it has no resource level or is not in the table."""
    kinds = registry.resources_of(f"{service}:{verb}")
    formats = {each: registry.iam_table()[service]["Resources"].get(each, {}).get("ARNFormats", []) for each in kinds}
    found = {
        _arn(text, name)
        for kind, texts in formats.items()
        for text in texts
        for name in names.get((service, kind), "*")
    }
    if len(found) > _MOST_ARNS:
        return (f"arn:${{AWS::Partition}}:{service}:*:${{AWS::AccountId}}:*",)
    return tuple(sorted(found)) or ("*",)


def _arn(text: str, name: str) -> str:
    """An ARN format of the table, such as arn:${Partition}:sqs:${Region}:${Account}:.*, with a name for its end."""
    arn, partition, service, region, account, resource = text.split(":", 5)
    # A name that begins with a slash brings the one before it (Systems Manager user guide, on parameters' ARNs).
    resource = resource.replace("/.*", f"/{name.removeprefix('/')}", 1).replace(":.*", f":{name}", 1)
    if resource.startswith(".*"):
        resource = name + resource[2:]
    resource = re.sub(r"\.\*|\$\{(?!AWS::|EnvironmentSuffix)[^}]*\}", "*", resource)
    account = "${AWS::AccountId}" if account.startswith("${") else account
    partition = "${AWS::Partition}" if partition == "${Partition}" else partition
    return ":".join((arn, partition, service, "*" if region else "", account, resource))


def _names(templates: Collection[Mapping[str, Any]]) -> dict[tuple[str, str], tuple[str, ...]]:
    """The names of resources by service and by their kind in the table, where a name is all that differs in an ARN."""
    found = {}
    for name in registry.types_of(templates):
        service, kind = registry.service_of(name), name.rpartition(":")[2].lower()
        kinds = {
            each.replace("-", "").lower(): each for each in registry.iam_table().get(service, {}).get("Resources", {})
        }
        given = _given_names(name, templates)
        if kind in kinds and given and "*" not in given:
            patterns = {pattern for each in given for pattern in ([each] if each else _GENERATED)}
            found[service, kinds[kind]] = tuple(sorted(patterns))
    return found


def _given_names(name: str, templates: Iterable[Mapping[str, Any]]) -> list[str]:
    """The names that templates give resources of a type: empty for a generated one, "*" where nobody can say."""
    kind = resource_types.load(name)
    if kind is None or not kind.name_property:
        return ["*"] if name not in TYPES else []
    longest = kind.definition(kind.name_property).get("maxLength", _SHORTEST_LIMIT)
    generated = "" if longest >= _SHORTEST_LIMIT else "*"
    return [
        _pattern(properties[kind.name_property]) if kind.name_property in properties else generated
        for properties in _resources(name, templates)
    ]


def _pattern(name: Any) -> str:
    """A name as a template writes it, with an asterisk for what another stack's parameters would say."""
    text = name.get("Fn::Sub") if isinstance(name, Mapping) else name
    if not isinstance(text, str):
        return "*"
    return re.sub(rf"\$\{{(?!AWS::|{naming.SUFFIX}\}})[^}}]*\}}", "*", text)


def _resources(name: str, templates: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for template in templates:
        for resource in template["Resources"].values():
            if resource["Type"] == name:
                yield resource.get("Properties", {})


def _pascal(service: str) -> str:
    return "".join(part.capitalize() for part in re.split(r"\W", service))


def _policies(every: Iterable[Statement]) -> list[list[Statement]]:
    """Statements in as many policies as they need."""
    made: list[list[Statement]] = []
    left = 0
    for statement in every:
        size = len(json.dumps(encode_to_dict(statement), separators=(",", ":"))) + 1
        if size > left:
            made.append([])
            left = _MOST_CHARACTERS - 50  # for what is around the statements
        made[-1].append(statement)
        left -= size
    return made
