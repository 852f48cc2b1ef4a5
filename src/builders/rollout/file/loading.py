"""Reads rollout.yaml: text, data, models, then what the parts say together. Every mistake is told at once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from builders.rollout.file import checks
from builders.rollout.file.accounts import listed
from builders.rollout.file.checks import CHECKS, Case
from builders.rollout.file.mistakes import Mistake, refusal
from builders.rollout.file.models import KeyPath, RolloutFile
from builders.rollout.file.nodes import Document, document
from builders.rollout.file.validating import validated

# What stands in for the parts that are wrong, so that the others can be checked together.
_BLANK_ACCOUNT = {"account": "000000000000", "parameters": "-"}
_BLANK_PHASE = {"environment": "-", "targets": {"accounts": ["000000000000"]}, "regions": ["us-east-1"]}
_OUTSIDE = frozenset({"stacksets", "tooling", "network"})


def load(path: Path) -> RolloutFile:
    """Read a rollout file and the files of accounts that it names.

    Raises `RolloutFileError` with one line for each mistake, which names the file, the line and the key.
    """
    read = _read(path)
    rollout, found = (None, []) if read.data is None else validated(read.data)
    mistakes = read.mistakes + [mistake for mistake in found if not _is_told(mistake, read.mistakes)]
    accounts: dict[str, tuple[str, ...]] = {}
    if isinstance(read.data, dict):
        mistakes += _together(read.data, mistakes, path.parent, accounts)
    if mistakes or rollout is None:
        raise refusal(path, read.lines, mistakes)
    return rollout.found(path, read.lines, accounts)


def check_accounts(rollout: RolloutFile, phase: str, accounts: Collection[str]) -> None:
    """Check what a phase says of accounts once those of its organizational units are known.

    Raises `RolloutFileError` as `load` does, for instance for a canary that is in none of the units.
    """
    case = Case(rollout, rollout.phases[phase], tuple(accounts))
    mistakes = [mistake for check in CHECKS for mistake in check.mistakes(case)]
    if mistakes:
        raise refusal(rollout.path, rollout.lines, (_in_phase(phase, mistake) for mistake in mistakes))


def _in_phase(phase: str, mistake: Mistake) -> Mistake:
    return mistake._replace(path=("phases", phase, *mistake.path))


def _read(path: Path) -> Document:
    try:
        return document(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        advice = "run from the project's root, or say where it is"
        return Document(mistakes=[Mistake((), f"cannot be read: {error.strerror}; {advice}")])
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        return Document(mistakes=[Mistake((), "is not UTF-8 text; save it as UTF-8", line)])


def _is_told(mistake: Mistake, told: list[Mistake]) -> bool:
    """Whether something was said about the value already, or about one that it is part of or has in it."""
    return any(_is_within(mistake.path, other.path) for other in told if other.path)


def _is_within(path: KeyPath, other: KeyPath) -> bool:
    return path[: len(other)] == other


def _together(
    data: Mapping[str, Any], mistakes: list[Mistake], folder: Path, accounts: dict[str, tuple[str, ...]]
) -> Iterator[Mistake]:
    """Check what is right by itself; the accounts of files are added to `accounts`."""
    wrong = {mistake.path for mistake in mistakes}
    rollout = validated(_usable(data, wrong))[0]
    if rollout is None:
        return
    wrong_outside = {str(path[0]) for path in wrong if path}
    if not wrong_outside & (_OUTSIDE | {"phases"}):
        yield from checks.of_file(rollout)
    for name, plan in rollout.phases.items():
        named = plan.targets.accounts
        if plan.targets.accounts_file:
            named, unreadable = listed(
                folder / plan.targets.accounts_file, ("phases", name, "targets", "accounts_file")
            )
            yield from unreadable
            accounts[name] = named
        case = Case(rollout, plan, named or None)
        wrong_here = {str(path[2]) for path in wrong if path[:2] == ("phases", name)} | wrong_outside
        for check in CHECKS:
            if not check.keys & wrong_here:
                yield from (_in_phase(name, mistake) for mistake in check.mistakes(case))


def _usable(data: Mapping[str, Any], wrong: set[KeyPath]) -> dict[str, Any]:
    """The data without its wrong parts: keys of the file, phases, and keys of phases."""
    outside = {key: value for key, value in data.items() if key != "phases" and not _touched((key,), wrong)}
    phases = data.get("phases")
    named = {
        name: _BLANK_PHASE | {key: value for key, value in plan.items() if not _touched(("phases", name, key), wrong)}
        for name, plan in (phases.items() if isinstance(phases, dict) else ())
        if isinstance(plan, dict) and ("phases", name) not in wrong
    }
    return {"tooling": _BLANK_ACCOUNT, "phases": named or {"none": _BLANK_PHASE}} | outside


def _touched(path: KeyPath, wrong: set[KeyPath]) -> bool:
    return any(_is_within(each, path) for each in wrong)
