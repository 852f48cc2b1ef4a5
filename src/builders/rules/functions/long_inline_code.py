"""W9501: a program inside a template."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Template


class LongInlineCode(Rule):
    """Reports ZipFile code of more lines than the option `lines` (20)."""

    id = "W9501"
    shortdesc = "A function whose code is a string in the template"
    why = "Nobody tests, types or reviews code in a string, and it counts against the template's size."
    source = "CloudFormation template reference, 'AWS::Lambda::Function Code', ZipFile"
    options: ClassVar[dict[str, Any]] = {"lines": 20}
    bad = """
    # with -x W9501:lines=3
    Resources:
      Function:
        Type: AWS::Lambda::Function
        Properties:
          Code: {ZipFile: "a = 0\\nb = 0\\n\\ndef handler(event, context):\\n  return a"}
    """
    good = """
    Parameters:
      PackageKey: {Type: String}
    Resources:
      Function:
        Type: AWS::Lambda::Function
        Properties:
          Code: {S3Bucket: packages, S3Key: !Ref PackageKey}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for function in template.resources("AWS::Lambda::Function"):
            for code in template.branches(function, "Code.ZipFile"):
                text = "".join(
                    piece if isinstance(piece, str) else "x" for piece in template.resolver.pieces(code.value)
                )
                lines = text.count("\n") + 1
                if lines > self.config["lines"] and template.possible(code):
                    yield RuleFinding(
                        code, f"{function.name} has {lines} lines of code in a string: package a tested file"
                    )
