"""W9502: a function whose steps do nothing."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from builders.rules._rule import Finding, Rule
from builders.rules._template import Template

_PROMISES = re.compile(
    r"(?im)(?:#|//|/\*)[^\n]*\b(todo|fixme|placeholder|not implemented|implement (?:this|me|here))\b"
)


class IdleSteps(Rule):
    """Reports inline code with a Python function that only passes, or with a comment that promises the code."""

    id = "W9502"
    shortdesc = "Inline code whose steps do nothing"
    why = "The stack deploys and looks done; a rotation whose steps pass reports success and changes no password."
    source = "AWS Secrets Manager user guide, 'Lambda rotation functions'"
    bad = """
    Resources:
      Function:
        Type: AWS::Lambda::Function
        Properties:
          Code: {ZipFile: "def set_secret(event):\\n  pass\\n\\ndef handler(event, context):\\n  set_secret(event)"}
    """
    good = """
    Resources:
      Function:
        Type: AWS::Lambda::Function
        Properties:
          Code: {ZipFile: "def handler(event, context):\\n    return event['RequestId']\\n"}
    """

    def _findings(self, template: Template) -> Iterator[Finding]:
        for function in template.resources("AWS::Lambda::Function"):
            for code in template.constants(function, "Code.ZipFile"):
                text = code.value
                if not isinstance(text, str) or not template.possible(code):
                    continue
                promise = _PROMISES.search(text)
                if promise:
                    yield Finding(code, f"{function.name} has code that is not there yet: {promise[0].strip()!r}")
                for idle in _idle_functions(text):
                    yield Finding(code, f"{function.name} has a function {idle} that does nothing")


def _idle_functions(text: str) -> list[str]:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []  # another language, or a fragment
    functions = (node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))
    return [function.name for function in functions if all(_is_idle(line) for line in function.body)]


def _is_idle(line: ast.stmt) -> bool:
    return isinstance(line, ast.Pass) or (isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant))
