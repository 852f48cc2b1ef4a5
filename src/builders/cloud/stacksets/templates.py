"""The template of a set: read once in the administrator's account, checked before any stack is tried."""

from __future__ import annotations

import html
from collections.abc import Mapping

from ministack.services.cloudformation import engine, handlers, helpers

from builders.cloud.schemas import Json
from builders.cloud.stacksets.refusals import Refused, invalid
from builders.cloud.stacksets.wire import Request
from builders.cloud.strictness import templates as strict_templates

Template = Mapping[str, Json]


def read(request: Request) -> tuple[str, Template] | None:
    """Return body and content of the template that a request brings; None where it brings none."""
    body, problem = helpers._resolve_template({name: [request[name]] for name in _SOURCES if name in request})
    if problem:
        raise invalid(message(problem))
    if not body:
        return None
    try:
        template = engine._parse_template(body)
        engine._validate_template_statics(template)
    except ValueError as error:
        text = str(error)
        raise invalid(text if text.startswith("Template ") else f"Template format error: {text}") from error
    if not isinstance(template.get("Resources"), dict) or not template["Resources"]:
        raise invalid("Template format error: At least one Resources member must be defined.")
    return body, template


_SOURCES = ("TemplateBody", "TemplateURL")


def check(template: Template, service_managed: bool, request: Request, previous: Mapping[str, str]) -> None:
    """Refuse parameters that do not fit, IAM that is not acknowledged, and what service-managed sets cannot deploy.

    Sources: CloudFormation user guide, "Considerations for service-managed permissions";
    aws-cloudformation/cloudformation-coverage-roadmap #839 for the sentence about transforms.
    """
    given = [
        {
            "Key": each["ParameterKey"],
            "Value": each.get("ParameterValue", ""),
            "UsePreviousValue": each.get("UsePreviousValue", False),
        }
        for each in request.get("Parameters") or []
    ]
    for each in given:
        if each["UsePreviousValue"] and each["Key"] not in previous:
            raise invalid(
                f"Invalid input for parameter key {each['Key']}. Cannot specify usePreviousValue as true for a "
                "parameter key not in the previous template"
            )
    try:
        strict_templates.check_given(template, given, previous)
    except ValueError as error:
        raise invalid(str(error)) from error
    missing = handlers._missing_capabilities(
        set(request.get("Capabilities") or []), handlers._required_iam_capabilities(template)
    )
    if missing:
        raise Refused("InsufficientCapabilitiesException", handlers._insufficient_capabilities_message(missing))
    if not service_managed:
        return
    if handlers._uses_macro(template):
        raise invalid("Transform is not supported in SERVICE_MANAGED permission model")
    kinds = {each.get("Type") for each in template["Resources"].values()}
    if "AWS::CloudFormation::Stack" in kinds:
        raise invalid("Nested stack is not supported in SERVICE_MANAGED permission model")


def hidden(template: Template) -> set[str]:
    """Return the parameters whose values are not shown."""
    declared = template.get("Parameters") or {}
    return {name for name, each in declared.items() if str(each.get("NoEcho", "")).lower() == "true"}


def message(response: Json) -> str:
    """Return the sentence of an error that ministack answers with."""
    return html.unescape(response[2].decode().partition("<Message>")[2].partition("</Message>")[0])
