"""A build writes, removes, keeps and reports; a check reports the same and writes nothing."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from builders.building.run import Request, build_templates
from builders.building.templates import Format, text_of
from builders.catalog import assemble
from builders.errors import UsageError
from builders.findings import Finding

MakePackage = Callable[..., ModuleType]

TOPIC = """
def build(stack):
    stack.add(sns.Topic("Topic"))
"""
BIG = """
def build(stack):
    stack.add(sns.Topic("Topic", DisplayName="x" * 51200))
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project, which is the current directory."""
    folder = tmp_path / "a project"
    folder.mkdir()
    (folder / "environments").mkdir()
    monkeypatch.chdir(folder)
    return folder


def written(project: Path) -> dict[str, bytes]:
    return {str(path.relative_to(project)): path.read_bytes() for path in project.rglob("*") if path.is_file()}


def rules(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.rule, Path(finding.file).name) for finding in findings]


def test_every_layer_has_a_template_with_the_text_of_its_stack(project: Path, make_layers: MakePackage) -> None:
    package = make_layers(topics=TOPIC, more=TOPIC)
    assert build_templates(Request(lint=False, source=package)) == []
    templates = assemble(package).templates
    assert written(project) == {
        f"templates/{name}.json": text_of(templates[name], Format.JSON).encode() for name in ("topics", "more")
    }


def test_only_the_named_layers_are_written(project: Path, make_layers: MakePackage) -> None:
    build_templates(Request(names=["topics"], lint=False, source=make_layers(topics=TOPIC, more=TOPIC)))
    assert list(written(project)) == ["templates/topics.json"]


def test_templates_can_be_yaml(project: Path, make_layers: MakePackage) -> None:
    build_templates(Request(form=Format.YAML, lint=False, source=make_layers(topics=TOPIC)))
    assert list(written(project)) == ["templates/topics.yaml"]


def test_a_template_that_is_fresh_is_left_alone(
    project: Path, make_layers: MakePackage, capsys: pytest.CaptureFixture[str]
) -> None:
    request = Request(lint=False, source=make_layers(topics=TOPIC))
    build_templates(request)
    before = (project / "templates" / "topics.json").stat()
    build_templates(request)
    assert (project / "templates" / "topics.json").stat() == before
    assert capsys.readouterr().err.splitlines()[-1] == "1 template built, 0 written"


def test_a_layer_that_fails_keeps_its_template_and_the_others_are_written(
    project: Path, make_layers: MakePackage
) -> None:
    (project / "templates").mkdir()
    (project / "templates" / "broken.json").write_text("old", encoding="utf-8")
    findings = build_templates(Request(lint=False, source=make_layers(broken="import nowhere", topics=TOPIC)))
    assert rules(findings) == [("layer", "broken.py")]
    assert sorted(written(project)) == ["templates/broken.json", "templates/topics.json"]


def test_a_finding_names_a_page_where_it_can_be_opened(project: Path, make_layers: MakePackage) -> None:
    broken = "raise RuntimeError('see docs/own-layer.md')"
    (finding,) = build_templates(Request(lint=False, source=make_layers(broken=broken)))
    assert Path(finding.message.rpartition("see ")[2]).is_file()


def test_mistakes_of_layers_that_are_not_named_are_not_reported(project: Path, make_layers: MakePackage) -> None:
    package = make_layers(broken="import nowhere", topics=TOPIC)
    assert build_templates(Request(names=["topics"], lint=False, source=package)) == []


def test_an_unknown_layer_is_refused_before_anything_is_written(project: Path, make_layers: MakePackage) -> None:
    with pytest.raises(UsageError, match=r"^unknown layer 'topic', did you mean 'topics'\? layers are topics$"):
        build_templates(Request(names=["topics", "topic"], source=make_layers(topics=TOPIC)))
    assert written(project) == {}


def test_a_body_that_needs_a_bucket_is_found(project: Path, make_layers: MakePackage) -> None:
    (finding,) = build_templates(Request(lint=False, source=make_layers(big=BIG)))
    size = len(written(project)["templates/big.json"])
    assert finding.message == (
        f"big: the template has {size:,} bytes; CloudFormation takes 51,200 in a request; "
        "move resources into a layer of their own"
    )


@pytest.fixture
def project_with_left_over(project: Path, make_layers: MakePackage) -> tuple[Path, ModuleType]:
    """A project whose templates are fresh, but for gone.json of a layer that is gone."""
    package = make_layers(topics=TOPIC, more=TOPIC)
    build_templates(Request(lint=False, source=package))
    (project / "templates" / "topics.json").replace(project / "templates" / "gone.json")
    build_templates(Request(names=["topics"], lint=False, source=package))
    return project, package


def test_a_full_build_removes_the_template_of_a_layer_that_is_gone(
    project_with_left_over: tuple[Path, ModuleType], capsys: pytest.CaptureFixture[str]
) -> None:
    project, package = project_with_left_over
    build_templates(Request(lint=False, source=package))
    assert sorted(written(project)) == ["templates/more.json", "templates/topics.json"]
    assert "templates/gone.json removed: it belongs to no layer" in capsys.readouterr().err


def test_a_build_of_named_layers_removes_nothing(project_with_left_over: tuple[Path, ModuleType]) -> None:
    project, package = project_with_left_over
    build_templates(Request(names=["topics"], lint=False, source=package))
    assert "templates/gone.json" in written(project)


def test_a_check_finds_the_template_of_a_layer_that_is_gone(project_with_left_over: tuple[Path, ModuleType]) -> None:
    _, package = project_with_left_over
    (finding,) = build_templates(Request(check=True, lint=False, source=package))
    assert finding.message == ("gone: templates/gone.json belongs to no layer; run build-templates, which removes it")


def test_a_check_writes_nothing(project_with_left_over: tuple[Path, ModuleType]) -> None:
    project, package = project_with_left_over
    (project / "templates" / "more.json").write_text("{}", encoding="utf-8")
    before = written(project)
    findings = build_templates(Request(check=True, lint=False, source=package))
    assert rules(findings) == [("stale-template", "gone.json"), ("stale-template", "more.json")]
    assert written(project) == before


def test_a_check_holds_the_parameter_files_against_all_layers(project: Path, make_layers: MakePackage) -> None:
    package = make_layers(topics=TOPIC, more=TOPIC)
    build_templates(Request(lint=False, source=package))
    (project / "environments" / "dev.json").write_text(
        '["EnvironmentSuffix=dev", "MigrationPhase=dev", "CostCenter=1", "Zzz=1"]', encoding="utf-8"
    )
    assert rules(build_templates(Request(names=["topics"], check=True, lint=False, source=package))) == [
        ("unknown-parameter", "dev.json")
    ]


def test_what_is_built_is_linted_under_the_name_of_its_file(project: Path, make_layers: MakePackage) -> None:
    unused = """
from builders import parameters
def build(stack):
    stack.parameter(parameters.boolean("IsUnused", "Nothing looks at it"))
    stack.add(sns.Topic("Topic"))
"""
    findings = build_templates(Request(source=make_layers(topics=unused), regions=["us-east-1"]))
    assert ("W2001", "templates/topics.json") in [(finding.rule, finding.file) for finding in findings]


def test_the_garbage_collector_is_at_work_again_after_the_lint(project: Path, make_layers: MakePackage) -> None:
    build_templates(Request(source=make_layers(topics=TOPIC)))
    assert gc.isenabled()


@pytest.mark.parametrize("request_for", ["file/templates", "file"])
def test_a_folder_that_cannot_be_written_is_wrong_use(
    project: Path, make_layers: MakePackage, request_for: str
) -> None:
    (project / "file").touch()
    request = Request(lint=False, templates_dir=Path(request_for), source=make_layers(topics=TOPIC))
    with pytest.raises(
        UsageError, match=r"^cannot write file.*/topics.json: .*; make room, make it writable, or say --te"
    ):
        build_templates(request)
