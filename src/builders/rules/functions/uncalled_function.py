"""E9505: a function that a rule of EventBridge may not call."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Resource, Template
from builders.rules._values import ABSENT


class UncalledFunction(Rule):
    """Reports a rule of EventBridge whose target is a function of the template that no permission lets it call: there
    is none, each is for another service or another rule, or a condition can take it away.
    """

    id = "E9505"
    shortdesc = "A function that a rule of EventBridge may not call"
    why = "EventBridge takes the target all the same. No event arrives, and only the rule's FailedInvocations shows it."
    source = "Amazon EventBridge user guide, 'Using resource-based policies for Amazon EventBridge' (AWS Lambda)"
    bad = """
    Resources:
      Function: {Type: "AWS::Lambda::Function", Properties: {}}
      Daily:
        Type: AWS::Events::Rule
        Properties: {ScheduleExpression: rate(1 day), Targets: [{Id: function, Arn: !GetAtt Function.Arn}]}
    """
    good = """
    Resources:
      Function: {Type: "AWS::Lambda::Function", Properties: {}}
      Daily:
        Type: AWS::Events::Rule
        Properties: {ScheduleExpression: rate(1 day), Targets: [{Id: function, Arn: !GetAtt Function.Arn}]}
      Permission:
        Type: AWS::Lambda::Permission
        Properties:
          Action: lambda:InvokeFunction
          FunctionName: !Ref Function
          Principal: events.amazonaws.com
          SourceArn: !GetAtt Daily.Arn
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        if template.cfn.transform_pre.get("Transform"):
            return  # a transform makes permissions that are not seen here
        permissions = template.resources("AWS::Lambda::Permission")
        for rule in template.resources("AWS::Events::Rule"):
            for arn in template.branches(rule, "Targets.*.Arn"):
                function = template.target(arn.value)
                if function is None or function.type != "AWS::Lambda::Function":
                    continue
                letting = [each.scenario for each in permissions if _lets_call(template, each, rule, function)]
                if template.can_lack(letting, arn, function.scenario):
                    message = (
                        f"EventBridge may not call {function.name} for {rule.name}: add an AWS::Lambda::Permission"
                    )
                    yield RuleFinding(arn, message)


def _lets_call(template: Template, permission: Resource, rule: Resource, function: Resource) -> bool:
    """Return whether the permission lets the rule call the function, or may do so for all that is known."""
    principals = template.constants(permission, "Principal")
    named = [template.target(name.value) for name in template.branches(permission, "FunctionName")]
    sources = template.branches(permission, "SourceArn")
    return (
        any(not isinstance(who.value, str) or who.value in ("*", "events.amazonaws.com") for who in principals)
        and any(target is None or target is function or target.type != "AWS::Lambda::Function" for target in named)
        and any(
            source.value is ABSENT or (target := template.target(source.value)) is None or target is rule
            for source in sources
        )
    )
