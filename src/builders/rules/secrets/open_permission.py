"""W9403: a Lambda permission for a whole service."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Template
from builders.rules._values import ABSENT

_NARROWINGS = ("SourceArn", "SourceAccount", "PrincipalOrgID", "EventSourceToken")


class OpenPermission(Rule):
    """Reports a Lambda permission for a service principal that names neither SourceArn nor SourceAccount."""

    id = "W9403"
    shortdesc = "A Lambda permission without a source"
    why = "Anybody's resource in that service, in any account, may then call the function (the confused deputy)."
    source = "AWS Lambda developer guide, 'Granting Lambda function access to AWS services'"
    bad = """
    Resources:
      Permission:
        Type: AWS::Lambda::Permission
        Properties: {Action: "lambda:InvokeFunction", FunctionName: rotate, Principal: secretsmanager.amazonaws.com}
    """
    good = """
    Resources:
      Permission:
        Type: AWS::Lambda::Permission
        Properties:
          Action: lambda:InvokeFunction
          FunctionName: rotate
          Principal: secretsmanager.amazonaws.com
          SourceAccount: !Ref AWS::AccountId
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for permission in template.resources("AWS::Lambda::Permission"):
            sources = [value for name in _NARROWINGS for value in template.branches(permission, name)]
            narrowed = [value.when for value in sources if value.value is not ABSENT]
            for principal in template.constants(permission, "Principal"):
                service = principal.value
                is_service = isinstance(service, str) and service.endswith(".amazonaws.com")
                if is_service and template.can_lack(narrowed, principal):
                    message = (
                        f"{permission.name} lets all of {service} call the function: add SourceArn or SourceAccount"
                    )
                    yield RuleFinding(principal, message)
