"""The command `python -m tools.fuzz [SUBJECT...]`: feeds mutated inputs to everything that reads one.

Each input is made by the seed, the subject and its number alone. One that ends in a traceback, or takes more than 30
seconds of the processor, is kept in a folder, and `--replay FILE` feeds it again. Exit codes: 0 without a failure, 1
with one, 2 wrong use, 130 interrupted: what was found is kept and counted.
"""

from __future__ import annotations

import collections
import contextlib
import os
import signal
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import NoReturn

import click

from builders import files, progress
from tools.fuzz.subjects import Subject

COUNT, SEED, MOST_SECONDS = 10_000, 1, 30
FOUND, WRONG_USE, INTERRUPTED = 1, 2, 130
_KEPT_OF_A_KIND = 3
_SAID_EVERY = 1_000


class TookTooLong(BaseException):
    """An input takes too many seconds of the processor. No Exception: no reader may take it for an error of its own."""


@dataclass
class Found:
    """The results of a subject: what became of its inputs, and the failures by kind: the error and its line."""

    outcomes: Counter[str] = field(default_factory=collections.Counter)
    failures: Counter[str] = field(default_factory=collections.Counter)

    @property
    def count(self) -> int:
        """The number of inputs that were fed."""
        return sum(self.outcomes.values()) + sum(self.failures.values())


def source_of(seed: int, subject: str, number: int) -> Random:
    """The random numbers of one input, the same on every machine."""
    return Random(f"{seed}/{subject}/{number}")  # noqa: S311  to repeat an input, not to keep a secret


def fed(subject: Subject, content: bytes, found: Found) -> str:
    """Feed one input and count what became of it. Return the traceback of a failure, empty where there is none."""
    try:
        with _limited():
            found.outcomes[subject.take(content)] += 1
    except subject.refusals as error:
        try:
            _require_lines(error)
        except AssertionError as odd:
            found.failures[str(odd)] += 1
            return "".join(traceback.format_exception(odd))
        found.outcomes[f"refused: {type(error).__name__}"] += 1
    except (Exception, TookTooLong) as error:
        found.failures[_kind(error)] += 1
        return "".join(traceback.format_exception(error))
    return ""


def _require_lines(error: Exception) -> None:
    odd = sorted({character for character in str(error) if character != "\n" and not character.isprintable()})
    assert not odd, f"the message of {type(error).__name__} has {odd!r}"


def _kind(error: BaseException) -> str:
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if "site-packages" not in frame.filename]
    last = next((frame for frame in reversed(own) if "/tools/fuzz/" not in frame.filename), own[-1])
    name = os.path.relpath(last.filename) if os.path.isabs(last.filename) else last.filename
    words = f": {error}" if isinstance(error, AssertionError) else ""
    return f"{type(error).__name__} in {name}, line {last.lineno}{words}"


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    def end(_signal: int, _frame: object) -> NoReturn:
        raise TookTooLong(f"it took more than {MOST_SECONDS} s of the processor")

    before = signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def all_subjects(folder: Path) -> dict[str, Subject]:
    """Every subject by its name."""
    from tools.fuzz import functions, subjects  # noqa: PLC0415  --help does not wait for cfn-lint

    return {**subjects.subjects(folder), "functions": functions.subject()}


def run(subject: Subject, seed: int, numbers: range, kept: Path, found: Found) -> None:
    """Feed a subject the inputs of these numbers; keep the first failures of each kind."""
    for number in numbers:
        content = subject.make(source_of(seed, subject.name, number))
        before = found.failures.copy()
        if trace := fed(subject, content, found):
            (kind,) = found.failures - before
            if found.failures[kind] <= _KEPT_OF_A_KIND:
                files.replace(kept / subject.name / f"{seed}-{number}.input", content)
                files.replace(kept / subject.name / f"{seed}-{number}.txt", trace.encode("utf-8", "backslashreplace"))
                progress.say(f"{subject.name} {number}: {kind}; kept in {kept / subject.name}/{seed}-{number}.input")
        if found.count % _SAID_EVERY == 0:
            progress.say(f"{subject.name}: {found.count:,} inputs, {found.failures.total():,} failures")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("names", nargs=-1, metavar="[SUBJECT]...")
@click.option("--count", type=click.IntRange(min=1), default=COUNT, show_default=True, help="Inputs of each subject.")
@click.option("--seed", type=int, default=SEED, show_default=True, help="Another seed makes other inputs.")
@click.option("--first", type=click.IntRange(min=0), default=0, show_default=True, help="Number of the first input.")
@click.option("--kept", type=click.Path(path_type=Path, file_okay=False), default=Path("build/fuzz"), show_default=True,
              help="Folder for inputs that fail, each with its traceback.")  # fmt: skip
@click.option("--replay", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Feed this input alone.")
def command(names: Sequence[str], count: int, seed: int, first: int, kept: Path, replay: Path | None) -> int:
    """Feed mutated inputs to what reads rollout.yaml, environments, templates, plans, outputs, journals and events.

    From the repository's root. Without a SUBJECT all are fed.
    """
    with tempfile.TemporaryDirectory(prefix="stackferry-fuzz-") as folder:
        known = all_subjects(Path(folder))
        unknown = [name for name in names if name not in known]
        if unknown or (replay and len(names) != 1):
            raise click.UsageError(f"name one of {', '.join(known)}" if unknown else "--replay needs its one SUBJECT")
        results = {name: Found() for name in names or known}
        interrupted = False
        try:
            if replay:
                progress.say(fed(known[names[0]], replay.read_bytes(), results[names[0]]))
            else:
                for name, found in results.items():
                    run(known[name], seed, range(first, first + count), kept, found)
        except KeyboardInterrupt:
            interrupted = True
    for line in table(results, seed):
        print(line)
    return INTERRUPTED if interrupted else FOUND if any(found.failures for found in results.values()) else 0


def table(results: dict[str, Found], seed: int) -> Iterator[str]:
    """The counts, for a person."""
    for name, found in results.items():
        outcomes = ", ".join(f"{number:,} {outcome}" for outcome, number in sorted(found.outcomes.items()))
        yield f"{name:<14} {found.count:>7,} inputs of seed {seed}, {found.failures.total():,} tracebacks: {outcomes}"
        for kind, number in found.failures.most_common():
            yield f"{'':<14} {number:>7,} {kind}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    try:
        return int(command.main(arguments, prog_name="python -m tools.fuzz", standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        return WRONG_USE
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
