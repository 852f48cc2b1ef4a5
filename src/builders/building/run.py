"""Runs `build-templates`: builds the layers, writes or checks what they make, packages functions, lints."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from builders import catalog, files, layers, package, progress
from builders.building.templates import Format, orphaned, stale_finding, text_of
from builders.errors import UsageError
from builders.findings import WRITERS, Finding, in_reading_order
from builders.naming import TEMPLATE_LIMIT_BYTES


@dataclass(frozen=True)
class Request:
    """The options of the command. `names`, of layers, and `regions` are empty where it does not say."""

    names: Sequence[str] = ()
    check: bool = False
    form: Format = Format.JSON
    report: str = "text"
    lint: bool = True
    regions: Sequence[str] = ()
    templates_dir: Path = Path("templates")
    environments_dir: Path = Path("environments")
    lambda_dir: Path = Path("lambda")
    package: bool = False
    upload: Sequence[str] = ()
    source: ModuleType = layers

    def path(self, layer: str) -> Path:
        """The file of a layer's template."""
        return self.templates_dir / f"{layer}.{self.form.value}"


def build_templates(request: Request) -> list[Finding]:
    """Carry out a request, write the findings to stdout, and return them. Raises `UsageError` for wrong use."""
    names = [catalog.known_layer(name, request.source) for name in request.names] or catalog.layer_names(request.source)
    made = catalog.assemble(request.source)
    findings = [found for name in names for found in made.findings[name]]
    templates = {request.path(name): made.templates[name] for name in names if name in made.templates}
    texts = {path: text_of(template, request.form) for path, template in templates.items()}
    findings += _oversized(texts)
    orphans = [] if request.names else orphaned(request.templates_dir, names, request.form)
    if request.check:
        findings += _stale(templates, orphans, request.form)
        from builders.building import environment_check  # noqa: PLC0415  building alone does not wait for it

        functions = package.functions(request.lambda_dir)
        findings += environment_check.check(request.environments_dir, made, functions)
    else:
        _write(texts, orphans)
    if request.package or request.upload:
        from builders.building import packages  # noqa: PLC0415

        packages.upload(packages.make(request.lambda_dir, request.environments_dir), request.upload)
    if request.lint:
        findings += _lint(texts, request.regions)
    findings = in_reading_order(findings)
    sys.stdout.write(WRITERS[request.report](findings))
    return findings


def _oversized(texts: Mapping[Path, str]) -> Iterator[Finding]:
    for path, text in texts.items():
        size = len(text.encode())
        if size > TEMPLATE_LIMIT_BYTES:
            message = (
                f"{path.stem}: the template has {size:,} bytes; at most {TEMPLATE_LIMIT_BYTES:,} deploy without a "
                "bucket; move resources into a layer of their own"
            )
            yield Finding("template-too-large", message, str(path))


def _stale(templates: Mapping[Path, dict[str, Any]], orphans: Iterable[Path], form: Format) -> Iterator[Finding]:
    for path, template in templates.items():
        found = stale_finding(path, template, form)
        if found is not None:
            yield found
    for path in orphans:
        message = f"{path.stem}: {path} belongs to no layer; run build-templates, which removes it"
        yield Finding("stale-template", message, str(path))


def _write(texts: Mapping[Path, str], orphans: Sequence[Path]) -> None:
    stale = {path: text.encode() for path, text in texts.items() if not _is_written(path, text)}
    for path, content in stale.items():
        with _only_wrong_use("write", path):
            files.replace(path, content)
    for path in orphans:
        with _only_wrong_use("remove", path):
            path.unlink()
    progress.say(f"{len(texts)} templates built, {len(stale)} written")
    for path in orphans:
        progress.say(f"{path} removed: it belongs to no layer")


def _is_written(path: Path, text: str) -> bool:
    try:
        return path.read_bytes() == text.encode()
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


def _lint(texts: Mapping[Path, str], regions: Sequence[str]) -> list[Finding]:
    if not texts:
        return []
    findings: list[Finding] = []
    with _without_collector(), progress.bar("linting", len(texts)) as advance:
        from builders.building import lint  # noqa: PLC0415  importing cfn-lint takes longer than building all templates

        by_name = {str(path): text for path, text in texts.items()}
        for path, found in lint.Linter(regions).lint_all(by_name, lint.usable_processes()):
            advance(Path(path).stem)
            findings += found
    return findings


@contextlib.contextmanager
def _without_collector() -> Iterator[None]:
    """cfn-lint makes millions of short-lived objects: looking for circles among them takes a quarter of its time.

    Without the collector the process needs some 6 MB more for each template.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
