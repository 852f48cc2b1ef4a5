"""Loads rollout.yaml: text, data, models, then the checks of its parts together. All mistakes are reported at once."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from builders.naming import SUFFIX_PATTERN
from builders.rollout.config.checks import PHASE_CHECKS, PhaseInFile, file_mistakes
from builders.rollout.config.document import Document, Mistake, read_document, refusal
from builders.rollout.config.schema import PATTERN_SENTENCES, KeyPath, RolloutFile, account_id
from builders.text import suggestion

_ACCOUNTS_FORM = 'write one account id a line, or a JSON list such as ["111111111111"]'
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
"""Messages by pydantic's types of errors."""

# Valid stand-ins for the parts that have mistakes, so that the other parts can be given together.
_BLANK_ACCOUNT = {"account": "000000000000", "parameters": "-"}
_BLANK_PHASE = {"environment": "-", "targets": {"accounts": ["000000000000"]}, "regions": ["us-east-1"]}
_OUTSIDE_PHASES = frozenset({"stacksets", "tooling", "network"})


def load_rollout_file(path: Path) -> RolloutFile:
    """Read a rollout file and the files of accounts that it names.

    Raises `RolloutFileError` with one line for each mistake, which names the file, the line and the key.
    """
    document = _read(path)
    rollout, found = (None, []) if document.data is None else _validated(document.data)
    mistakes = document.mistakes + [mistake for mistake in found if not _is_within_any(mistake, document.mistakes)]
    accounts: dict[str, tuple[str, ...]] = {}
    if isinstance(document.data, dict):
        mistakes += _mistakes_together(document.data, mistakes, path.parent, accounts)
    if mistakes or rollout is None:
        raise refusal(path, document.lines, mistakes)
    return rollout.located(path, document.lines, accounts)


def check_accounts(rollout: RolloutFile, phase: str, accounts: Collection[str]) -> None:
    """Check a phase once the accounts of its organizational units are known.

    Raises `RolloutFileError` as `load_rollout_file` does, for instance for a canary that is in none of the units.
    """
    given = PhaseInFile(rollout, rollout.phases[phase], frozenset(accounts))
    mistakes = [mistake for check in PHASE_CHECKS for mistake in check.mistakes(given)]
    if mistakes:
        raise refusal(rollout.path, rollout.lines, (_in_phase(phase, mistake) for mistake in mistakes))


def read_account_ids(file: Path, path: KeyPath) -> tuple[tuple[str, ...], list[Mistake]]:
    """The accounts of a file that is named at `path`, in its order, and its mistakes.

    The file has one id a line, with empty lines and # comments, or is a JSON list of texts.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        return (), [Mistake(path, f"{file} cannot be read: {error.strerror}; make it readable")]
    except ValueError:
        return (), [Mistake(path, f"{file} is not UTF-8 text, or no name of a file; {_ACCOUNTS_FORM}")]
    if not text.lstrip().startswith("["):
        lines = ((line.partition("#")[0].strip(), number) for number, line in enumerate(text.splitlines(), start=1))
        return _distinct_accounts(((word, number) for word, number in lines if word), file, path)
    try:
        items = json.loads(text)
    except (ValueError, RecursionError):
        return (), [Mistake(path, f"begins as a JSON list and is none; {_ACCOUNTS_FORM}", file=str(file))]
    numbers = [item for item in items if not isinstance(item, str)]
    if numbers:
        return (), [Mistake(path, f"{numbers[0]!r} is no text; quote account ids", file=str(file))]
    return _distinct_accounts(((item, 0) for item in items), file, path)


def _distinct_accounts(
    words: Iterable[tuple[str, int]], file: Path, path: KeyPath
) -> tuple[tuple[str, ...], list[Mistake]]:
    accounts: dict[str, int] = {}
    mistakes = []
    for word, line in words:
        try:
            if account_id(word) in accounts:
                raise ValueError(f"account {word} is listed twice; keep one of them")
            accounts[word] = line
        except ValueError as error:
            mistakes.append(Mistake(path, str(error), line or None, str(file)))
    if not accounts and not mistakes:
        mistakes.append(Mistake(path, f"{file} names no account; {_ACCOUNTS_FORM}"))
    return tuple(accounts), mistakes


def _read(path: Path) -> Document:
    try:
        return read_document(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        advice = "run from the project's root, or say where it is"
        return Document(mistakes=[Mistake((), f"cannot be read: {error.strerror}; {advice}")])
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        return Document(mistakes=[Mistake((), "is not UTF-8 text; save it as UTF-8", line)])


def _validated(data: Any) -> tuple[RolloutFile | None, list[Mistake]]:
    """The model of a file's data, or the mistakes that pydantic finds, in this project's words."""
    try:
        return RolloutFile.model_validate(data), []
    except ValidationError as error:
        return None, [_mistake(found) for found in error.errors(include_url=False)]


def _mistake(found: ErrorDetails) -> Mistake:
    path: KeyPath = tuple(part for part in found["loc"] if part != "[key]")
    context: Mapping[str, Any] = found.get("ctx", {})
    kind = found["type"]
    if kind == "extra_forbidden":
        message = _unknown_key(path)
    elif kind == "string_pattern_mismatch":
        message = f"{found['input']!r} {PATTERN_SENTENCES[context['pattern']]}"
    elif kind == "string_too_long":  # nothing but the names of phases has a longest length
        message = f"{found['input']!r} {PATTERN_SENTENCES[SUFFIX_PATTERN]}"
    elif kind == "value_error":
        message = str(context["error"])
    elif kind == "literal_error":
        message = f"must be {context['expected']}"
    elif kind in ("greater_than_equal", "less_than_equal"):
        message = f"must be at least {context['ge']}" if "ge" in context else f"must be at most {context['le']}"
    else:
        message = _SENTENCES.get(kind, found["msg"].lower())
    return Mistake(path, message)


def _unknown_key(path: KeyPath) -> str:
    known = sorted(_keys(RolloutFile, path[:-1]))
    close = suggestion(str(path[-1]), known)
    return "is no key of this file; " + (f"did you mean {close}?" if close else f"keys here are {', '.join(known)}")


def _keys(model: type[BaseModel], path: KeyPath) -> Iterable[str]:
    """The keys of the model at a path: fields lead to other models, other parts are phases and list items."""
    for part in path:
        if part in model.model_fields:
            model = _model_in(model.model_fields[str(part)].annotation) or model
    return model.model_fields


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model that a field holds: as it is, in a list or by name."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = (_model_in(argument) for argument in getattr(annotation, "__args__", ()))
    return next((model for model in inner if model), None)


def _mistakes_together(
    data: Mapping[str, Any], mistakes: Iterable[Mistake], folder: Path, accounts: dict[str, tuple[str, ...]]
) -> Iterator[Mistake]:
    """Check together the parts without mistakes of their own; the accounts of files are added to `accounts`."""
    wrong = {mistake.path for mistake in mistakes}
    rollout = _validated(_without(data, wrong))[0]
    if rollout is None:
        return
    wrong_keys = {str(path[0]) for path in wrong if path}
    if not wrong_keys & (_OUTSIDE_PHASES | {"phases"}):
        yield from file_mistakes(rollout)
    for name, phase in rollout.phases.items():
        named = phase.targets.accounts
        if phase.targets.accounts_file:
            here = ("phases", name, "targets", "accounts_file")
            named, unreadable = read_account_ids(folder / phase.targets.accounts_file, here)
            yield from unreadable
            accounts[name] = named
        given = PhaseInFile(rollout, phase, frozenset(named) or None)
        wrong_here = {str(path[2]) for path in wrong if path[:2] == ("phases", name)} | wrong_keys
        for check in PHASE_CHECKS:
            if not check.keys & wrong_here:
                yield from (_in_phase(name, mistake) for mistake in check.mistakes(given))


def _without(data: Mapping[str, Any], wrong: Collection[KeyPath]) -> dict[str, Any]:
    """The data without its wrong parts: keys of the file, phases, and keys of phases."""

    def is_right(*path: str) -> bool:
        return not any(each[: len(path)] == path for each in wrong)

    phases = data.get("phases")
    named = {
        name: _BLANK_PHASE | {key: value for key, value in phase.items() if is_right("phases", name, key)}
        for name, phase in (phases.items() if isinstance(phases, dict) else ())
        if isinstance(phase, dict) and ("phases", name) not in wrong
    }
    outside = {key: value for key, value in data.items() if key != "phases" and is_right(key)}
    return {"tooling": _BLANK_ACCOUNT, "phases": named or {"none": _BLANK_PHASE}} | outside


def _in_phase(phase: str, mistake: Mistake) -> Mistake:
    return mistake._replace(path=("phases", phase, *mistake.path))


def _is_within_any(mistake: Mistake, others: Iterable[Mistake]) -> bool:
    """Tell whether one of the others is about the same value, or about one that it is part of."""
    return any(other.path and mistake.path[: len(other.path)] == other.path for other in others)
