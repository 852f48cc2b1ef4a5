"""The benchmark of the build: its plain script makes what the layers make, and its ratios are of one turn each."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest

from benchmarks import performance_page, plain_scripts
from benchmarks.build import Figure, Group, Usage, results

TEMPLATES = Path(__file__).parents[1] / "templates"


@pytest.mark.parametrize("layer", ["database_users", "network"])  # a custom resource; routes, conditions, rules
def test_the_plain_script_makes_the_same_template(layer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    template = json.loads((TEMPLATES / f"{layer}.json").read_text(encoding="utf-8"))
    script = plain_scripts.write_troposphere({layer: template}, tmp_path / "script")
    monkeypatch.setattr(sys, "argv", [str(script), str(tmp_path)])
    monkeypatch.syspath_prepend(script.parent)
    runpy.run_path(str(script))
    assert json.loads((tmp_path / f"{layer}.json").read_text(encoding="utf-8")) == template


def test_a_ratio_is_the_median_of_those_of_each_turn() -> None:
    group = Group("cold", list, [Figure("ours", "theirs", "cpu", 0.6)])
    ours, theirs = ([Usage(1, cpu, 1) for cpu in each] for each in ((1, 6, 2), (2, 10, 5)))
    (figure,) = results(group, {"ours": ours, "theirs": theirs})
    assert (figure["lowest"], figure["ratio"], figure["highest"]) == (0.4, 0.5, 0.6)


def test_the_page_says_which_goal_is_missed_and_keeps_what_stands_around(tmp_path: Path) -> None:
    figures = [
        {"group": "cold", "command": name, "against": "theirs", "measure": "cpu", "goal": 0.6, "ratio": ratio,
         "lowest": ratio, "highest": ratio, "value": 1.0, "baseline": 2.0, "runs": 1}
        for name, ratio in (("quick", 0.5), ("slow", 0.7))
    ]  # fmt: skip
    page = tmp_path / "performance.md"
    page.write_text(f"before\n{performance_page.BEGIN}\nold\n{performance_page.END}\nafter\n", encoding="utf-8")
    performance_page.write({"machine": {"processors": "2", "load": "1"}, "figures": figures}, tmp_path)
    text = page.read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if "theirs" in line]
    assert ["missed" in row for row in rows] == [False, True]
    assert (text.splitlines()[0], text.splitlines()[-1], "old" in text) == ("before", "after", False)
