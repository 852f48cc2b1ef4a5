"""W9502: a function whose steps do nothing."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Template

_PROMISE = re.compile(r"(?i)\b(placeholder|not implemented|implement (?:this|me|here))\b")
_LATER = re.compile(r"(?i)\b(todo|fixme)\b")
_TOKENS = {
    "python": r"\"{3}.*?\"{3}|\'{3}.*?\'{3}|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|(?P<comment>#[^\n]*)",
    "other": r"\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`|(?P<comment>//[^\n]*|/\*.*?\*/)",
}
"""Texts and comments of a language: what looks like a comment inside a text is none."""
_NOTHING_TO_DO = re.compile(r"__\w+__|(?:\w*_)?(?:no_?op|delete|cleanup|teardown)(?:_\w*)?", re.IGNORECASE)
"""Functions that may do nothing: Python's own, and those for the end of a resource that holds nothing."""
_SHORT = 4  # lines; a note in code of more lines that works is a wish for more, and no step that is missing


class IdleSteps(Rule):
    """Reports inline code with a Python function that only passes, or with a comment that promises the code: one that
    says placeholder or not implemented, or a TODO where the code around it does no work.
    """

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

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for function in template.resources("AWS::Lambda::Function"):
            for code in template.constants(function, "Code.ZipFile"):
                text = code.value
                if not isinstance(text, str) or not template.possible(code):
                    continue
                tree = _parsed(text)
                promise = _promise_in(text, tree)
                if promise:
                    yield RuleFinding(code, f"{function.name} has code that is not there yet: {promise!r}")
                for idle in _idle_functions(tree) if tree else []:
                    yield RuleFinding(code, f"{function.name} has a function {idle} that does nothing")


def _parsed(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None  # another language, or a fragment


def _promise_in(text: str, tree: ast.Module | None) -> str | None:
    """The first comment that promises the code, up to its word."""
    tokens = re.finditer(_TOKENS["python" if tree else "other"], text, re.DOTALL)
    comments = [(token.start("comment"), token["comment"]) for token in tokens if token["comment"]]
    for start, comment in comments:
        found = _PROMISE.search(comment)
        later = _LATER.search(comment)
        if later and not found and _is_idle_around(text, tree, text.count("\n", 0, start) + 1):
            found = later
        if found:
            return comment[: found.end()].strip()
    return None


def _is_idle_around(text: str, tree: ast.Module | None, line: int) -> bool:
    """Return whether the function around a line, or the whole code where none is, does no work."""
    if tree is None:
        return len([one for one in text.splitlines() if one.strip()]) <= _SHORT
    body: list[ast.stmt] = tree.body
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.lineno <= line <= (node.end_lineno or 0):
            body = node.body
    calls = [node for statement in body for node in ast.walk(statement) if isinstance(node, ast.Call)]
    return all(re.search(r"print|log", ast.unparse(call.func)) for call in calls)


def _idle_functions(tree: ast.Module) -> list[str]:
    """The functions that only pass; without those of a class that works, decorated ones, and those that may."""
    of_classes = {
        id(method)
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for method in node.body
        if node.bases or any(isinstance(other, ast.FunctionDef) and not _is_idle(other) for other in node.body)
    }
    functions = (node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))
    return [
        function.name
        for function in functions
        if _is_idle(function)
        and id(function) not in of_classes
        and not function.decorator_list
        and not _NOTHING_TO_DO.fullmatch(function.name)
    ]


def _is_idle(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return all(
        isinstance(line, ast.Pass) or (isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant))
        for line in function.body
    )
