"""The HTML page of a report, and the two files that are written."""

from __future__ import annotations

import datetime
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from builders import files
from builders.errors import UsageError
from builders.migration.report.model import Report


def html(report: Report) -> str:
    """Return the page: no script, no link, nothing that is fetched; every value is escaped."""
    environment = Environment(
        loader=PackageLoader("builders.migration.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["moment"] = _moment
    environment.filters["seconds"] = _seconds
    return environment.get_template("report.html.j2").render(report=report)


def write(report: Report, directory: Path) -> tuple[Path, Path]:
    """Write `migration-<phase>.html` and `.json`, and return both. Raises `UsageError` where that cannot be."""
    page, data = (directory / f"migration-{report.phase}.{kind}" for kind in ("html", "json"))
    try:
        files.replace(page, html(report).encode())
        files.replace(data, (report.model_dump_json(indent=1) + "\n").encode())
    except OSError as error:
        raise UsageError(f"{error.filename or directory} cannot be written: {error.strerror}") from error
    return page, data


def _moment(at: datetime.datetime | None) -> str:
    """A moment in UTC, by the target's clock."""
    return f"{at.astimezone(datetime.UTC):%Y-%m-%d %H:%M:%S} UTC" if at else "-"


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:,.2f} s"
