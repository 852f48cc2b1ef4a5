"""The direction in which an alarm's metric or expression is bad, as far as the catalog and arithmetic tell."""

from __future__ import annotations

import ast
from collections.abc import Mapping

_OPPOSITE = {"high": "low", "low": "high"}
_KEEP = ("ABS", "AVG", "CEIL", "FILL", "FLOOR", "MAX", "MIN", "SUM")
"""Functions that grow with their first argument, where no value is below 0."""


def direction(expression: str, bad: Mapping[str, str]) -> str | None:
    """Return "high", "low" or "stop" (see the catalog) for an expression of metric math over metrics with these
    directions; None where it can be meant both ways, or holds something that this does not follow.
    """
    try:
        tree = ast.parse(expression.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return _of(tree.body, bad)


def _of(node: ast.expr, bad: Mapping[str, str]) -> str | None:
    if isinstance(node, ast.Name):
        return bad.get(node.id)
    if isinstance(node, (ast.List, ast.Tuple)):
        return _one({_of(entry, bad) for entry in node.elts})
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return _OPPOSITE.get(_of(node.operand, bad) or "")
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _KEEP and node.args:
        if node.func.id in ("MAX", "MIN", "SUM", "AVG") and len(node.args) > 1:
            return None
        return _of(node.args[0], bad)
    return _of_operation(node, bad) if isinstance(node, ast.BinOp) else None


def _of_operation(node: ast.BinOp, bad: Mapping[str, str]) -> str | None:
    left, right = _of(node.left, bad), _of(node.right, bad)
    constant = _is_positive(node.left), _is_positive(node.right)
    if isinstance(node.op, (ast.Add, ast.Mult)):
        if constant[0] or constant[1]:
            return right if constant[0] else left
        return _one({left, right}) if isinstance(node.op, ast.Add) else None
    if isinstance(node.op, ast.Sub):
        return left if constant[1] else _OPPOSITE.get(right or "") if constant[0] else None
    if isinstance(node.op, ast.Div):
        # a share of errors is bad when it is high, whatever it is a share of; one of work done says little
        return left if constant[1] or (left in _OPPOSITE and right is None) else None
    return None


def _one(directions: set[str | None]) -> str | None:
    return directions.pop() if len(directions) == 1 else None


def _is_positive(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, (int, float)) and node.value > 0
