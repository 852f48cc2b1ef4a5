"""Writes measured ratios as a table, and into docs/performance.md with a chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- measured: python -m benchmarks.build --page -->", "<!-- end of what is measured -->"
_MEASURES = {"cpu": "CPU", "wall": "time", "peak": "memory"}
_SHOWN = {"cpu": "{:.2f} s", "wall": "{:.2f} s", "peak": "{:.0f} MB"}
_COLUMNS = ("what", "of what", "in", "ratio", "lowest to highest", "goal", "measured", "turns")

_WIDTH, _LABELS, _ROW, _BAR, _TOP = 960, 430, 34, 14, 58
_ABOVE = 1.6
"""Ratios above this end at the edge of the chart: `python -c pass` is a floor to compare with, no rival."""


def table(measured: Mapping[str, Any]) -> str:
    """Write the figures as a table in Markdown, with the machine below it."""
    rows = [_COLUMNS, *map(_row, measured["figures"])]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join([*lines, "", _described(measured["machine"]), ""])


def write(measured: Mapping[str, Any], docs: Path) -> None:
    """Put the table between the marks of performance.md, and draw performance.svg beside it."""
    page = docs / "performance.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    text = f"{before}{BEGIN}\n\n![Ratios](performance.svg)\n\n{table(measured)}\n{END}{after}"
    page.write_text(text, encoding="utf-8")
    (docs / "performance.svg").write_text(chart(measured["figures"]), encoding="utf-8")


def chart(figures: Sequence[Mapping[str, Any]]) -> str:
    """Draw a bar for each ratio to a rival, the lowest and highest as a line over it, and the goal as a mark."""
    drawn = [figure for figure in figures if figure["against"] != "python -c pass"]
    height = _TOP + _ROW * len(drawn) + 12
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        '<text x="12" y="20" font-size="15" font-weight="bold">build-templates as a share of the plain way</text>',
        f'<text x="{_WIDTH - 12}" y="20" text-anchor="end" fill="#666666">green: the goal; orange: missed</text>',
    ]
    for ratio in (0.0, 0.5, 1.0, 1.5):
        x, color = _x(ratio), "#555555" if ratio == 1 else "#dddddd"
        parts.append(f'<line x1="{x}" y1="{_TOP - 8}" x2="{x}" y2="{height - 8}" stroke="{color}"/>')
        parts.append(f'<text x="{x}" y="{_TOP - 14}" text-anchor="middle" fill="#333333">{ratio:g}</text>')
    for number, figure in enumerate(drawn):
        parts += _bar(figure, _TOP + number * _ROW)
    return "\n".join([*parts, "</svg>", ""])


def _bar(figure: Mapping[str, Any], top: int) -> list[str]:
    met = figure["goal"] is None or figure["ratio"] <= figure["goal"]
    middle = top + _BAR / 2 + 2
    group = f"{figure['group']}: " if figure["group"][0].isdigit() else ""
    label = f"{group}{figure['command'].replace('build-templates', 'build')}"
    left, right = _x(figure["lowest"]), _x(figure["highest"])
    parts = [
        f'<text x="{_LABELS - 10}" y="{top + 8}" text-anchor="end">{escape(label)}</text>',
        f'<text x="{_LABELS - 10}" y="{top + 22}" text-anchor="end" fill="#666666" font-size="10">'
        f"{_MEASURES[figure['measure']]}, of {escape(figure['against'])}</text>",
        f'<rect x="{_LABELS}" y="{top + 2}" width="{_x(figure["ratio"]) - _LABELS:.1f}" height="{_BAR}" '
        f'fill="{"#3b7dd8" if met else "#d8763b"}"/>',
        f'<line x1="{left}" y1="{middle}" x2="{right}" y2="{middle}" stroke="#111111"/>',
    ]
    at = max(right, _x(figure["ratio"])) + 6
    if figure["goal"] is not None:
        goal = _x(figure["goal"])
        parts.append(
            f'<line x1="{goal}" y1="{top - 2}" x2="{goal}" y2="{top + _BAR + 6}" stroke="#0a7d32" stroke-width="3"/>'
        )
        at = max(at, goal + 6)
    parts.append(f'<text x="{at}" y="{top + 13}">{figure["ratio"]:.2f}</text>')
    return parts


def _x(ratio: float) -> float:
    return round(_LABELS + min(ratio, _ABOVE) / _ABOVE * (_WIDTH - _LABELS - 50), 1)


def _row(figure: Mapping[str, Any]) -> tuple[str, ...]:
    group = f"{figure['group']}: " if figure["group"][0].isdigit() else ""
    divisor = 1024**2 if figure["measure"] == "peak" else 1
    value, baseline = (_SHOWN[figure["measure"]].format(figure[name] / divisor) for name in ("value", "baseline"))
    goal = (
        "" if figure["goal"] is None else f"{figure['goal']:g}{'' if figure['ratio'] <= figure['goal'] else ', missed'}"
    )
    return (
        f"{group}{figure['command']}",
        figure["against"],
        _MEASURES[figure["measure"]],
        f"{figure['ratio']:.2f}",
        f"{figure['lowest']:.2f} to {figure['highest']:.2f}",
        goal,
        f"{value} of {baseline}",
        str(figure["runs"]),
    )


def _described(machine: Mapping[str, str]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine.items() if name not in ("processors", "load"))
    return f"{machine['processors']} processors, load average {machine['load']} at the end; {versions}."
