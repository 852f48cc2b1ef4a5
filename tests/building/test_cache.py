"""Findings of earlier runs are taken where nothing changed, and never where something did or they are not trusted."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from builders.build import main
from builders.building import cache, lint, run
from builders.building.cache import Cache, Memory, SoundValues

Remembering = Callable[..., Memory]

TOPIC = """
def build(stack):
    stack.add(sns.Topic("Topic"))
"""
OPTIONS = {
    "templates_dir": "templates",
    "environments_dir": "environments",
    "lambda_dir": "lambda",
    "check": True,
    "regions": ["us-east-1"],
    "report": "text",
}


@pytest.fixture
def kept(tmp_path: Path) -> tuple[Cache, Path]:
    """A cache with the text "found" under "key", and the file that has it."""
    known = Cache(str(tmp_path / "cache"))
    known.put("key", "found")
    return known, tmp_path / "cache" / "key"


def test_a_text_is_found_by_its_key(kept: tuple[Cache, Path]) -> None:
    known, _ = kept
    assert (known.get("key"), known.get("other")) == ("found", None)


def test_nobody_else_may_read_the_cache(kept: tuple[Cache, Path]) -> None:
    _, file = kept
    assert (file.parent.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)


def _truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def _change(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b"found", b"forged"))


def _let_others_write(file: Path) -> None:
    file.chmod(0o666)


def _let_others_replace(file: Path) -> None:
    file.parent.chmod(0o777)


def _link(file: Path) -> None:
    file.replace(file.with_name("elsewhere"))
    file.symlink_to("elsewhere")


def _link_folder(file: Path) -> None:
    elsewhere = file.parent.with_name("elsewhere")
    file.parent.replace(elsewhere)
    file.parent.symlink_to(elsewhere)


def _pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def _folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def _enlarge(file: Path) -> None:
    file.write_bytes(b"x" * (cache.LARGEST_ENTRY_BYTES + 1))


def _empty(file: Path) -> None:
    os.truncate(file, 0)


DAMAGES = (
    *(_truncate, _change, _let_others_write, _let_others_replace, _link, _link_folder),
    *(_pipe, _folder, _enlarge, _empty),
)


@pytest.mark.parametrize("damage", DAMAGES)
def test_an_entry_that_is_damaged_or_could_be_anothers_is_not_read(kept: tuple[Cache, Path], damage: Any) -> None:
    known, file = kept
    damage(file)
    assert known.get("key") is None


def test_an_entry_under_the_name_of_another_is_not_read(kept: tuple[Cache, Path]) -> None:
    known, file = kept
    file.replace(file.with_name("other"))
    assert known.get("other") is None


@pytest.mark.parametrize("damage", [_truncate, _change, _let_others_write, _link, _pipe])
def test_a_damaged_entry_is_replaced(kept: tuple[Cache, Path], damage: Any) -> None:
    known, file = kept
    damage(file)
    known.put("key", "found again")
    assert known.get("key") == "found again"


def test_a_cache_that_cannot_be_written_keeps_nothing_and_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    known = Cache(str(tmp_path / "file" / "cache"))
    known.put("key", "found")
    known.prune()
    assert known.get("key") is None


def test_many_may_write_one_entry_at_a_time(tmp_path: Path) -> None:
    known = Cache(str(tmp_path / "cache"))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: known.put("key", "x" * 50_000 + str(number)), range(50)))
    found = known.get("key")
    assert found is not None
    assert found.startswith("x" * 50_000)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["key"]


def test_what_is_old_goes(kept: tuple[Cache, Path]) -> None:
    known, file = kept
    month_ago = time.time() - (cache.OLDEST_DAYS + 1) * 86400
    os.utime(file, (month_ago, month_ago))
    known.put("new", "found")
    known.prune()
    assert (known.get("key"), known.get("new")) == (None, "found")


def test_the_oldest_goes_when_there_is_too_much(kept: tuple[Cache, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    known, file = kept
    os.utime(file, (1, time.time() - 60))
    known.put("new", "found")
    monkeypatch.setattr(cache, "MOST_BYTES", file.stat().st_size + 10)
    known.prune()
    assert (known.get("key"), known.get("new")) == (None, "found")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in the current directory, beside a home directory, a package of builders, and installed packages."""
    files = {
        "home/.cfnlintrc": "regions: [us-east-1]",
        "home/.cache/aws/cfn-lint/schemas/version.json": "{}",
        "package/naming.py": "SUFFIX = 1",
        "package/rules/rule.py": "RULE = 1",
        "package/layers/topics.py": "SCOPE = 1",
        "package/layers/_migration/settings.json": "{}",
        "package/reachability/flows.py": "FLOWS = 1",
        "package/cloud/server.py": "SERVER = 1",
        "more/extra.py": "SCOPE = 1",
        "installed/troposphere-4.11.0.dist-info/RECORD": "",
        "project/.cfnlintrc": "regions: [us-east-1]",
        "project/templates/topics.json": "{}",
        "project/templates/notes.txt": "",
        "project/environments/dev.json": "[]",
        "project/lambda/rotation/index.py": "def handler(): ...",
        "project/README.md": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.syspath_prepend(tmp_path / "installed")
    return tmp_path


@pytest.fixture
def memory(site: Path) -> Remembering:
    """Makes the memory of a run in the project, with some options changed."""

    def of(**options: Any) -> Memory:
        layers = [str(site / "package" / "layers"), str(site / "more")]
        return Memory(cache.of_user(), OPTIONS | options, layers, str(site / "package"))

    return of


CHANGED_FILES = (
    *("home/.cfnlintrc", "package/naming.py", "package/rules/rule.py", "package/layers/topics.py"),
    *("package/layers/_migration/settings.json", "package/reachability/flows.py", "more/extra.py"),
    *("project/.cfnlintrc", "project/templates/topics.json", "project/environments/dev.json"),
    "project/lambda/rotation/index.py",
)
NEW_FILES = (
    *("home/.cfnlintrc.yaml", "package/errors.py", "package/rules/new/rule.py", "package/layers/more.py"),
    *(
        "more/_helper/text.txt",
        "project/.cfnlintrc.yml",
        "project/templates/gone.json",
        "project/environments/new.json",
    ),
    *("project/lambda/shared/errors.py", "installed/cfn_lint-1.59.0.dist-info/RECORD", "installed/own.egg-info"),
    "home/.cache/aws/cfn-lint/schemas/providers/list",
)


@pytest.mark.parametrize("name", CHANGED_FILES)
def test_a_run_is_not_recalled_when_a_file_that_it_read_has_changed(site: Path, memory: Remembering, name: str) -> None:
    memory().remember("out", "line", had_findings=True)
    assert memory().recall() == ("out", "line", True)
    file = site / name
    before = file.stat()
    file.write_text(file.read_text(encoding="utf-8").swapcase() + "\n", encoding="utf-8")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))  # as a checkout may leave it
    assert memory().recall() is None


@pytest.mark.parametrize("name", CHANGED_FILES)
def test_a_run_is_not_recalled_when_a_file_that_it_read_is_gone(site: Path, memory: Remembering, name: str) -> None:
    memory().remember("out", "line", had_findings=True)
    (site / name).unlink()
    assert memory().recall() is None


@pytest.mark.parametrize("name", NEW_FILES)
def test_a_run_is_not_recalled_when_there_is_a_file_more(site: Path, memory: Remembering, name: str) -> None:
    memory().remember("out", "line", had_findings=True)
    (site / name).parent.mkdir(parents=True, exist_ok=True)
    (site / name).write_text("", encoding="utf-8")
    assert memory().recall() is None


@pytest.mark.parametrize(
    "options",
    [
        {"check": False},
        {"regions": []},
        {"regions": ["us-east-1", "us-east-2"]},
        {"report": "json"},
        {"names": ("topics",)},
        {"lint": False},
        {"form": "yaml"},
        {"templates_dir": "./templates"},
        {"environments_dir": "elsewhere"},
        {"second_opinion": True},
    ],
)
def test_a_run_is_not_recalled_for_other_options(memory: Remembering, options: dict[str, Any]) -> None:
    memory().remember("out", "line", had_findings=True)
    assert memory(**options).recall() is None


@pytest.mark.parametrize("name", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_a_run_is_not_recalled_when_a_variable_that_cfn_lint_reads_has_changed(
    memory: Remembering, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    memory().remember("out", "line", had_findings=True)
    monkeypatch.setenv(name, "eu-west-3")
    assert memory().recall() is None


def test_a_run_is_not_recalled_on_another_day(memory: Remembering, monkeypatch: pytest.MonkeyPatch) -> None:
    memory().remember("out", "line", had_findings=True)
    monkeypatch.setattr("time.strftime", lambda form: "2031-02-03")
    assert memory().recall() is None


def test_a_run_is_not_recalled_on_another_python(memory: Remembering, monkeypatch: pytest.MonkeyPatch) -> None:
    memory().remember("out", "line", had_findings=True)
    monkeypatch.setattr("sys.version", "3.99.0")
    assert memory().recall() is None


def test_a_run_is_not_recalled_in_another_directory_with_the_same_files(
    site: Path, memory: Remembering, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory().remember("out", "line", had_findings=True)
    shutil.copytree(site / "project", site / "copy")
    monkeypatch.chdir(site / "copy")
    assert memory().recall() is None


@pytest.mark.parametrize("name", ["package/cloud/server.py", "project/README.md", "project/templates/notes.txt"])
def test_a_run_is_recalled_when_what_it_does_not_read_has_changed(site: Path, memory: Remembering, name: str) -> None:
    memory().remember("out", "line", had_findings=False)
    (site / name).write_text("other", encoding="utf-8")
    assert memory().recall() == ("out", "line", False)


def test_a_run_that_writes_templates_does_not_depend_on_environments(site: Path, memory: Remembering) -> None:
    memory(check=False).remember("out", "line", had_findings=False)
    (site / "project/environments/dev.json").write_text("other", encoding="utf-8")
    assert memory(check=False).recall() == ("out", "line", False)


@pytest.mark.parametrize("name", ["package/rules/rule.py", "package/layers/topics.py", "project/environments/dev.json"])
def test_a_run_is_not_kept_when_what_it_read_changed_meanwhile(site: Path, memory: Remembering, name: str) -> None:
    running = memory()
    before = (site / name).read_bytes()
    (site / name).write_text("other", encoding="utf-8")
    running.remember("out", "line", had_findings=False)
    assert memory().recall() is None
    (site / name).write_bytes(before)
    assert memory().recall() is None


def test_nothing_is_kept_of_a_template_when_a_rule_changed_meanwhile(site: Path, memory: Remembering) -> None:
    running = memory()
    running.keep("text", "findings")
    rule = site / "package/rules/rule.py"
    before = rule.read_bytes()
    rule.write_text("RULE = 2", encoding="utf-8")
    running.remember("out", "line", had_findings=False)
    assert memory().findings("text") is None
    rule.write_bytes(before)
    assert memory().findings("text") is None


def test_what_is_known_of_a_template_outlives_a_change_of_a_layer(site: Path, memory: Remembering) -> None:
    running = memory()
    running.keep("text", "findings")
    running.remember("out", "line", had_findings=False)
    (site / "package/layers/topics.py").write_text("SCOPE = 2", encoding="utf-8")
    assert (memory().findings("text"), memory().findings("texts")) == ("findings", None)


@pytest.mark.parametrize("name", ["package/rules/rule.py", "package/naming.py", "project/.cfnlintrc"])
def test_nothing_is_known_of_a_template_when_its_judges_changed(site: Path, memory: Remembering, name: str) -> None:
    running = memory()
    running.keep("text", "findings")
    running.remember("out", "line", had_findings=False)
    (site / name).write_text("other: 1", encoding="utf-8")
    assert memory().findings("text") is None


def test_nothing_is_known_of_a_template_for_other_regions(memory: Remembering) -> None:
    running = memory()
    running.keep("text", "findings")
    running.remember("out", "line", had_findings=False)
    assert memory(regions=["eu-west-3"]).findings("text") is None


def test_only_the_layer_that_changed_is_linted(
    make_layers: Callable[..., ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    package = make_layers(topics=TOPIC, more=TOPIC)
    linted: list[str] = []

    def record(self: Any, texts: dict[str, str], processes: int) -> Any:
        linted.extend(sorted(texts))
        return [(file, self.lint(file, text)) for file, text in texts.items()]

    monkeypatch.setattr(lint.Linter, "lint_all", record)
    known = Cache(str(tmp_path / "cache"))

    def build() -> list[Any]:
        memory = Memory(known, {**OPTIONS, "check": False}, list(package.__path__))
        return run.build_templates(run.Request(source=package, regions=["us-east-1"], memory=memory))

    first = build()
    assert linted == ["templates/more.json", "templates/topics.json"]
    linted.clear()
    package.topics.build = lambda stack: stack.template.set_description("changed")  # as an import anew would
    again = build()
    assert linted == ["templates/topics.json"]
    assert [found for found in again if "more" in found.file] == [found for found in first if "more" in found.file]


# Values of targets


@pytest.fixture
def sound(site: Path) -> Callable[..., SoundValues]:
    """Makes what is known of the values of a project with one template."""
    (site / "package" / "rollout").mkdir()
    (site / "package" / "rollout" / "values.py").write_text("VALUES = 1", encoding="utf-8")

    def of(*texts: str) -> SoundValues:
        return SoundValues(cache.of_user(), texts or ("dev", "{}"), str(site / "package"))

    return of


def test_values_are_known_until_others_take_their_place(sound: Callable[..., SoundValues]) -> None:
    one, other = SoundValues.digest("Size=1"), SoundValues.digest("Size=2")
    assert one not in sound()
    sound().keep({one})
    assert (one in sound(), other in sound()) == (True, False)
    sound().keep({other})
    assert (one in sound(), other in sound()) == (False, True)


@pytest.mark.parametrize(
    "name",
    [
        *(each for each in CHANGED_FILES if each.startswith(("home", "package", "project/.cfnlintrc"))),
        *("package/rollout/values.py", "installed/cfn_lint-1.59.0.dist-info", "home/.cache/aws/cfn-lint/schemas/more"),
    ],
)
def test_no_values_are_known_when_what_they_were_judged_by_has_changed(
    site: Path, sound: Callable[..., SoundValues], name: str
) -> None:
    one = SoundValues.digest("Size=1")
    sound().keep({one})
    assert one in sound()
    (site / name).write_text("changed", encoding="utf-8")
    assert one not in sound()


@pytest.mark.parametrize("texts", [("dev", "{ }"), ("staging", "{}"), ("dev", "{}", "{}")])
def test_no_values_are_known_for_another_phase_or_with_other_templates(
    sound: Callable[..., SoundValues], texts: tuple[str, ...]
) -> None:
    one = SoundValues.digest("Size=1")
    sound().keep({one})
    assert one not in sound(*texts)


@pytest.fixture
def of_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Runs the command in a project with no template yet and a cache of its own: exit code, stdout and stderr."""
    (tmp_path / "environments").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def call(*arguments: str) -> tuple[int, str, str]:
        code = main([*arguments, "--regions", "us-east-1"])
        written = capsys.readouterr()
        return code, written.out, written.err

    return call


@pytest.mark.parametrize(
    "arguments",
    [
        ["secrets"],
        ["--check", "secrets"],
        ["--check", "--report", "json", "--format", "yaml", "secrets"],
        ["--check", "--report", "sarif", "--no-lint", "secrets"],
        ["--no-lint", "--format", "yaml", "secrets"],
    ],
)
def test_a_recalled_run_says_and_writes_the_same_as_one_without_a_cache(
    of_the_project: Callable[..., tuple[int, str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
) -> None:
    of_the_project("--no-cache", *arguments)
    without = of_the_project("--no-cache", *arguments)
    assert not (tmp_path / "cache").exists()
    assert of_the_project(*arguments) == without
    monkeypatch.delattr(run, "build_templates")  # the last call must do without it
    assert of_the_project(*arguments) == without
    assert without[0] == (1 if "--check" in arguments else 0)


def test_a_template_that_is_gone_is_written_again(
    of_the_project: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    arguments = ("--no-lint", "secrets")
    of_the_project(*arguments)
    of_the_project(*arguments)
    (tmp_path / "templates" / "secrets.json").unlink()
    assert of_the_project(*arguments) == (0, "", "1 template built, 1 written\n")
    assert (tmp_path / "templates" / "secrets.json").exists()


def test_nothing_is_kept_where_the_configuration_names_other_files(
    of_the_project: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    (tmp_path / "rules.txt").write_text("", encoding="utf-8")
    (tmp_path / ".cfnlintrc").write_text("custom_rules: rules.txt\n", encoding="utf-8")
    of_the_project("secrets")
    assert not (tmp_path / "cache" / "stackferry").exists()


def test_packaging_is_done_each_time_and_lints_no_template_that_is_known(
    of_the_project: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "lambda" / "greeting" / "index.py"
    own.parent.mkdir(parents=True)
    own.write_text("def handler(event, context): ...\n", encoding="utf-8")
    of_the_project("--check", "secrets")
    monkeypatch.delattr(lint, "Linter")
    for _ in range(2):
        code, findings, said = of_the_project("--package", "secrets")
        assert (code, findings, "build/packages/greeting/" in said) == (0, "", True)
