"""Reads a file of account ids: one a line, with empty lines and # comments, or a JSON list of texts.

Holds the data of rollout.yaml against the models, and says in this project's words what pydantic found.

Reads rollout.yaml: text, data, models, then what the parts say together. Every mistake is told at once.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from builders.rollout.config import checks
from builders.rollout.config.checks import CHECKS, Case
from builders.rollout.config.document import Document, Mistake, read_document, refusal
from builders.rollout.config.schema import KeyPath, RolloutFile, account_id
from builders.text import suggestion

_FORM = 'write one account id a line, or a JSON list such as ["111111111111"]'


def read_account_ids(file: Path, path: KeyPath) -> tuple[tuple[str, ...], list[Mistake]]:
    """The accounts of a file that is named at `path`, in its order, and what is wrong with it."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        return (), [Mistake(path, f"{file} cannot be read: {error.strerror}; make it readable")]
    except ValueError:
        return (), [Mistake(path, f"{file} is not UTF-8 text, or no name of a file; {_FORM}")]
    if not text.lstrip().startswith("["):
        return _judged(_lines(text), file, path)
    try:
        items = json.loads(text)
    except (ValueError, RecursionError):
        return (), [Mistake(path, f"begins as a JSON list and is none; {_FORM}", file=str(file))]
    numbers = [item for item in items if not isinstance(item, str)]
    if numbers:
        return (), [Mistake(path, f"{numbers[0]!r} is no text; quote account ids", file=str(file))]
    return _judged(((item, 0) for item in items), file, path)


def _lines(text: str) -> Iterator[tuple[str, int]]:
    for number, line in enumerate(text.splitlines(), start=1):
        word = line.partition("#")[0].strip()
        if word:
            yield word, number


def _judged(words: Iterable[tuple[str, int]], file: Path, path: KeyPath) -> tuple[tuple[str, ...], list[Mistake]]:
    accounts: dict[str, int] = {}
    mistakes = []
    for word, line in words:
        try:
            if account_id(word) in accounts:
                raise ValueError(f"account {word} stands here twice; keep one of them")
            accounts[word] = line
        except ValueError as error:
            mistakes.append(Mistake(path, str(error), line or None, str(file)))
    if not accounts and not mistakes:
        mistakes.append(Mistake(path, f"{file} names no account; {_FORM}"))
    return tuple(accounts), mistakes


_SENTENCES = {
    "missing": "is missing; add it",
    "string_type": "must be a text; put it in quotes",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list, such as [a, b]",
    "dict_type": "must be keys and values",
    "model_type": "must be keys and values",
    "string_too_short": "is empty; give a value or leave the key out",
    "too_short": "is empty; give at least one",
}


def validated(data: Any) -> tuple[RolloutFile | None, list[Mistake]]:
    """The model of a file's data, or what is wrong with it."""
    try:
        return RolloutFile.model_validate(data), []
    except ValidationError as error:
        return None, [_mistake(found) for found in error.errors(include_url=False, include_input=False)]


def _mistake(found: ErrorDetails) -> Mistake:
    path: KeyPath = tuple(part for part in found["loc"] if part != "[key]")
    context: Mapping[str, Any] = found.get("ctx", {})
    kind = found["type"]
    if kind == "extra_forbidden":
        message = _unknown(path)
    elif kind == "value_error":
        message = str(context["error"])
    elif kind == "literal_error":
        message = f"must be {context['expected']}"
    elif kind in ("greater_than_equal", "less_than_equal"):
        bound = f"at least {context['ge']}" if "ge" in context else f"at most {context['le']}"
        message = f"must be {bound}"
    else:
        message = _SENTENCES.get(kind, found["msg"].lower())
    return Mistake(path, message)


def _unknown(path: KeyPath) -> str:
    known = sorted(_keys(RolloutFile, path[:-1]))
    close = suggestion(str(path[-1]), known)
    return "is no key of this file; " + (f"did you mean {close}?" if close else f"known here: {', '.join(known)}")


def _keys(model: type[BaseModel], path: KeyPath) -> Iterator[str]:
    """The keys that the model at a path has: names of fields lead there, other parts are phases and list items."""
    for part in path:
        if part in model.model_fields:
            model = _model_in(model.model_fields[str(part)].annotation) or model
    yield from model.model_fields


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model that a field holds: as it is, in a list or by name."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = (_model_in(argument) for argument in getattr(annotation, "__args__", ()))
    return next((model for model in inner if model), None)


# What stands in for the parts that are wrong, so that the others can be checked together.
_BLANK_ACCOUNT = {"account": "000000000000", "parameters": "-"}
_BLANK_PHASE = {"environment": "-", "targets": {"accounts": ["000000000000"]}, "regions": ["us-east-1"]}
_OUTSIDE = frozenset({"stacksets", "tooling", "network"})


def load_rollout_file(path: Path) -> RolloutFile:
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
    return rollout.located(path, read.lines, accounts)


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
        return read_document(path.read_text(encoding="utf-8-sig"))
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
        yield from checks.mistakes_of_file(rollout)
    for name, plan in rollout.phases.items():
        named = plan.targets.accounts
        if plan.targets.accounts_file:
            named, unreadable = read_account_ids(
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
