"""E9020: a placeholder where a real host or id belongs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from builders.rules._functions import function_of
from builders.rules._placeholders import placeholder_in
from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Resource, Template
from builders.rules._values import Path, Value

_PROSE = ("description", "comment", "tags", "metadata", "alarmdescription", "groupdescription", "displayname", "body")
"""Properties that people read: an example in them is no mistake."""
_GIVEN_LATER = ("environmentvariables",)
"""The variables of a CodeBuild project are given when a build starts."""
_IDENTIFIERS = (
    *(
        "identifier",
        "scope",
        "scopes",
        "scopename",
        "allowedoauthscopes",
        "namespace",
        "source",
        "detailtype",
        "handler",
    ),
    *("audience", "clientid", "packagename", "bundleid", "classname", "eventbusname", "eventsourcename", "sid"),
)
"""Names on which two sides agree: one that looks like a host is no host."""
_AGREED = ("eventpattern", "filterpolicy", "messageattributes")
"""Properties that describe an event: their texts are compared with those of its sender."""
_FILES = re.compile(r"[\w-]+\.test", re.IGNORECASE)
"""A module or a file, such as index.test, where nothing connects to it."""
_NAMES_OF_PLACEHOLDERS = re.compile(r"image\d+containername")
"""Properties of a CodeDeploy action in a pipeline that name what it replaces in a task definition."""
_CONNECTIONS = ("servername", "host", "hostname", "endpoint", "address", "url", "uri", "targetip", "ip", "server")


class PlaceholderValue(Rule):
    """Reports a property that is a reserved domain, a documentation address, a made-up id, a word such as CHANGEME or
    your-host, or an ARN that says where the account belongs; and a parameter with such a default where the property
    says what to connect to. Names on which two sides agree, such as sources of events and scopes, are left alone.
    """

    id = "E9020"
    shortdesc = "A placeholder where a real host, address or id belongs"
    why = "It deploys, or fails late, and connects to nothing. A fact about somebody's network is a required parameter."
    source = "RFC 2606, RFC 6761, RFC 5737 and RFC 3849 (names and addresses reserved for examples)"
    bad = """
    Resources:
      Source:
        Type: AWS::DMS::Endpoint
        Properties: {EndpointType: source, EngineName: mysql, ServerName: db.example.com}
    """
    good = """
    Parameters:
      SourceHost: {Type: String}
    Resources:
      Source:
        Type: AWS::DMS::Endpoint
        Properties: {EndpointType: source, EngineName: mysql, ServerName: !Ref SourceHost}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        if _has_own_macro(template):
            return  # what the macro makes of a text nobody knows
        for resource in template.resources():
            root = Value(resource.properties, ("Resources", resource.name, "Properties"), resource.scenario)
            for value in _leaves(template, root):
                yield from self._check_leaf(template, resource, value)

    def _check_leaf(self, template: Template, resource: Resource, value: Value) -> Iterator[RuleFinding]:
        name = _property(value.path)
        for constant in template.resolver.constants(value.value, value.path, value.when):
            if not isinstance(constant.value, str):
                continue
            if constant.parameter and not name.endswith(_CONNECTIONS):
                continue  # a default of something else is somebody's example, and is given at deploy
            is_identifier = name in _IDENTIFIERS or bool(
                _FILES.fullmatch(constant.value) and not name.endswith(_CONNECTIONS)
            )
            reason = placeholder_in(constant.value, is_identifier=is_identifier)
            if reason and template.possible(constant):
                message = f"{resource.name} has {constant.value!r}{constant.source}, {reason}"
                yield RuleFinding(constant, f"{message}: take it from a parameter without a default")


def _has_own_macro(template: Template) -> bool:
    named = template.cfn.transform_pre.get("Transform") or template.body.get("Transform")
    macros = named if isinstance(named, list) else [named]
    return any(isinstance(macro, str) and not macro.startswith("AWS::") for macro in macros)


def _property(path: Path) -> str:
    return next((str(part).lower() for part in reversed(path) if isinstance(part, str) and "::" not in part), "")


def _leaves(template: Template, value: Value) -> Iterator[Value]:
    """Texts and references below a value, without prose, what events say, what a macro replaces, and the insides of
    functions.
    """
    node = value.value
    if isinstance(node, dict) and "Fn::Transform" in node:
        return
    if isinstance(node, dict) and function_of(node)[0] is None:
        for key in node:
            name = str(key).lower()
            skipped = name in (*_PROSE, *_GIVEN_LATER, *_AGREED) or _NAMES_OF_PLACEHOLDERS.fullmatch(name)
            if not skipped and not name.endswith("description"):
                for child in template.child(value, key):
                    yield from _leaves(template, child)
    elif isinstance(node, list):
        for entry in template.items(value):
            yield from _leaves(template, entry)
    elif isinstance(node, (str, dict)):
        yield value
