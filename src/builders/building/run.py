"""Runs `build-templates`: builds the layers, writes or checks what they make, packages functions, lints."""

from __future__ import annotations

import contextlib
import gc
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from builders import advice, catalog, files, layers, progress
from builders.building.templates import Format, orphaned, parse, stale_finding, text_of
from builders.errors import UsageError
from builders.findings import WRITERS, Finding, Severity, in_reading_order
from builders.naming import oversize
from builders.stack import Value
from builders.text import counted_noun, name_list

if TYPE_CHECKING:
    from builders.building.cache import Memory
    from builders.building.lint import Linter
    from builders.building.second_opinion import SecondOpinion

ACCOUNT = "account"
"""The layer of the execution role."""


class Request(Value):
    """The options of the command. `names`, of layers, and `regions` are empty where it does not say.

    Without `memory` everything is linted, and nothing is kept for the next run. A `linter` is one for the same regions.
    """

    names: Sequence[str] = ()
    check: bool = False
    form: Format = Format.JSON
    report: str = "text"
    lint: bool = True
    regions: Sequence[str] = ()
    templates_dir: Path = Path("templates")
    environments: bool = True
    environments_dir: Path = Path("environments")
    lambda_dir: Path = Path("lambda")
    layers_dir: Path = Path("layers")
    package: bool = False
    upload: Sequence[str] = ()
    source: ModuleType = layers
    memory: Memory | None = None
    second_opinion: bool = False
    linter: Linter | None = None

    def path(self, layer: str) -> Path:
        """The file of a layer's template."""
        return self.templates_dir / f"{layer}.{self.form.value}"


def build_templates(request: Request) -> list[Finding]:
    """Carry out a request, write the findings to stdout, and return them. Raises `UsageError` for wrong use."""
    if request.source is layers:
        layers.include(request.layers_dir)
    asked = [catalog.known_layer(name, request.source) for name in request.names]
    second = _second_opinion(request)
    made = catalog.assemble(request.source)
    names = asked or list(made.findings)
    findings = [found for name in names for found in made.findings[name]]
    templates = {request.path(name): made.templates[name] for name in names if name in made.templates}
    texts = {path: text_of(template, request.form) for path, template in templates.items()}
    findings += _oversized(texts)
    line = _summary(len(texts), 0)
    orphans = [] if request.names else orphaned(request.templates_dir, names, request.form)
    if request.check:
        findings += _stale(templates, orphans, request.form)
        from builders import package  # noqa: PLC0415  building alone does not wait for these two
        from builders.building import environment_check  # noqa: PLC0415

        line = ""
        if request.environments:
            functions = package.available(request.lambda_dir)
            findings += environment_check.check(request.environments_dir, made, functions)
            line = environment_check.named_values(request.environments_dir, made)
    else:
        _write(texts, orphans)
    if request.package or request.upload:
        from builders.building import packages  # noqa: PLC0415

        built = packages.make(request.lambda_dir, request.environments_dir)
        packages.upload(built, request.upload, request.environments_dir)
    if request.lint:
        findings += _lint(texts, request)
    if second:
        for path, text in texts.items():
            findings += second.findings(str(path), text, [found for found in findings if found.file == str(path)])
    findings = in_reading_order([each._replace(message=advice.completed(each.message)) for each in findings])
    if request.check:
        line = "; ".join(filter(None, [_checked(request, len(texts), len(findings)), line]))
        progress.say(line)
    output = WRITERS[request.report](findings)
    sys.stdout.write(output)
    sys.stdout.flush()  # the watch says on stderr how many there are, after them
    if request.memory:
        request.memory.remember(output, line, bool(findings))
    return findings


def _oversized(texts: Mapping[Path, str]) -> Iterator[Finding]:
    for path, text in texts.items():
        if too_large := oversize(text):
            message = f"{path.stem}: {too_large}; move resources into a layer of their own"
            yield Finding("template-too-large", message, str(path))


def _stale(templates: Mapping[Path, dict[str, Any]], orphans: Iterable[Path], form: Format) -> Iterator[Finding]:
    for path, template in templates.items():
        found = stale_finding(path, template, form)
        if found is not None:
            yield found
            yield from _missing_actions(path, template, form)
    for path in orphans:
        message = f"{path.stem}: {path} belongs to no layer; run build-templates, which removes it"
        yield Finding("stale-template", message, str(path))


def _missing_actions(path: Path, template: Mapping[str, Any], form: Format) -> Iterator[Finding]:
    """The actions that the execution role lacks by a stale template, whose layers StackSets could not deploy."""
    if path.stem != ACCOUNT:
        return
    from builders.layers._execution import own  # noqa: PLC0415  only a stale template asks

    try:
        standing = parse(files.read_text(path), form)
        missing = sorted(own.granted(template) - own.granted(standing))
    except (OSError, ValueError, AttributeError, KeyError, TypeError, RecursionError):
        return  # that it is no template of ours has been said
    if missing:
        message = (
            f"{path.stem}: by {path} the execution role of StackSets may not {name_list(missing)}; "
            "run build-templates, then rollout-stacksets bootstrap"
        )
        yield Finding("execution-actions", message, str(path))


def _write(texts: Mapping[Path, str], orphans: Sequence[Path]) -> None:
    stale = {path: text.encode() for path, text in texts.items() if not _is_written(path, text)}
    for path, content in stale.items():
        with _only_wrong_use("write", path):
            files.replace(path, content)
    for path in orphans:
        with _only_wrong_use("remove", path):
            path.unlink()
    progress.say(_summary(len(texts), len(stale)))
    for path in orphans:
        progress.say(f"{path} removed: it belongs to no layer")


def _is_written(path: Path, text: str) -> bool:
    try:
        return files.read_bytes(path) == text.encode()
    except OSError:  # writing it will tell what is wrong
        return False


@contextlib.contextmanager
def _only_wrong_use(what: str, path: Path) -> Iterator[None]:
    """An unwritable folder or a full disk is the user's to mend, in one line."""
    try:
        yield
    except OSError as error:
        message = f"cannot {what} {path}: {error.strerror}; make room, make it writable, or say --templates-dir"
        raise UsageError(message) from error


def _second_opinion(request: Request) -> SecondOpinion | None:
    """The second linter, before anything is written: it may not be there."""
    if not request.second_opinion:
        return None
    from builders.building import second_opinion  # noqa: PLC0415  an extra

    return second_opinion.SecondOpinion(request.regions)


def _checked(request: Request, built: int, found: int) -> str:
    """Say what a check looked at, since no finding alone would be silence."""
    parts = [f"{counted_noun(built, 'template')} in {request.templates_dir}"]
    if request.environments:
        files = len(list(request.environments_dir.glob("*.json")))
        parts.append(f"{counted_noun(files, 'parameter file')} in {request.environments_dir}")
    found_what = counted_noun(found, "finding") if found else "no findings"
    return f"checked: {name_list(parts)}{'' if request.lint else ', without lint'}: {found_what}"


def _summary(built: int, written: int) -> str:
    return f"{counted_noun(built, 'template')} built, {written} written"


def _lint(texts: Mapping[Path, str], request: Request) -> list[Finding]:
    findings: list[Finding] = []
    unknown = {str(path): text for path, text in texts.items()}
    for path, text in list(unknown.items()):
        known = _recalled(path, request.memory.findings(text) if request.memory else None)
        if known is not None:
            findings += known
            del unknown[path]
    if not unknown:
        return findings
    with progress.bar("linting", len(unknown)) as advance:
        from builders.building import lint  # noqa: PLC0415  importing cfn-lint takes longer than building all templates

        linter = request.linter or lint.Linter(request.regions)
        with _rare_collections():
            for path, found in linter.lint_all(unknown, lint.usable_processes()):
                advance(Path(path).stem)
                findings += found
                if request.memory:
                    request.memory.keep(unknown[path], _plain(found))
    if request.memory and linter.reads_other_files:
        request.memory.forget()
    return findings


def _plain(findings: Iterable[Finding]) -> str:
    """Findings of one template as text, without the file's name, which may be another next time."""
    return json.dumps([[each.rule, each.message, each.line, each.column, each.severity.value] for each in findings])


def _recalled(path: str, kept: str | None) -> list[Finding] | None:
    if kept is None:
        return None
    return [
        Finding(rule, message, path, line, column, Severity(severity))
        for rule, message, line, column, severity in json.loads(kept)
    ]


@contextlib.contextmanager
def _rare_collections() -> Iterator[None]:
    """Look for circles among objects, but not as often as Python does: that takes a quarter of cfn-lint's time.

    Never would take half as much memory again. No collection looks at the rules, which stay, and so no worker copies
    their pages.
    """
    enabled, thresholds = gc.isenabled(), gc.get_threshold()
    gc.freeze()
    gc.set_threshold(200_000, *thresholds[1:])
    gc.enable()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)
        if not enabled:
            gc.disable()
