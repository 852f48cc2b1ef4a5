"""Loads rollout.yaml: text, data, models, then the checks of its parts together. All mistakes are reported at once."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from builders import files
from builders.naming import PHASE_PATTERN
from builders.rollout.config.document import Document, Mistake, leading, refusal
from builders.rollout.config.schema import (
    ACCOUNT,
    PATTERN_SENTENCES,
    KeyPath,
    PhaseConfig,
    RolloutFile,
    TargetConfig,
    WaveConfig,
)
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
    "too_long": "has {actual_length}; give at most {max_length}",
    "literal_error": "must be {expected}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "value_error": "{error}",
}
"""Messages by pydantic's types of errors, with the names of an error's context."""

# Valid stand-ins for the parts that have mistakes, so that the other parts can be given together.
_BLANK_ACCOUNT = {"account": "000000000000", "parameters": "-"}
_BLANK_PHASE = {"environment": "-", "targets": {"accounts": ["000000000000"]}, "regions": ["us-east-1"]}


def load_rollout_file(path: Path) -> RolloutFile:
    """Read a rollout file and the files of accounts that it names.

    Raises `RolloutFileError` with one line for each mistake, which names the file, the line and the key.
    """
    document = _read(path)
    rollout, found = (None, []) if document.data is None else _validated(document.data)
    # A value that cannot be read is wrong once: what pydantic says of it, or of a part of it, is left out.
    unread = {mistake.path for mistake in document.mistakes if mistake.path}
    mistakes = document.mistakes + [mistake for mistake in found if unread.isdisjoint(leading(mistake.path))]
    accounts: dict[str, tuple[str, ...]] = {}
    if document.data is not None:
        mistakes += _mistakes_together(document.data, mistakes, path.parent, accounts)
    if mistakes or rollout is None:
        raise refusal(path, document.lines, mistakes)
    return rollout.located(path, document.lines, accounts)


def check_accounts(rollout: RolloutFile, phase: str, accounts: Collection[str]) -> None:
    """Check a phase once the accounts of its organizational units are known.

    Raises `RolloutFileError` as `load_rollout_file` does, for instance for a canary that is in none of the units.
    """
    if mistakes := list(phase_mistakes(rollout, phase, frozenset(accounts))):
        raise refusal(rollout.path, rollout.lines, mistakes)


def _account_ids(folder: Path, name: str, path: KeyPath) -> tuple[tuple[str, ...], list[Mistake]]:
    """The accounts of a file in a folder that is named at `path`, in its order, and its mistakes.

    The file has one id a line, with empty lines and # comments, or is a JSON list of texts. No message has anything of
    the file but an id that it gives twice: it may be a file that was never meant.
    """
    file = folder / name
    try:
        text = files.read_text(file, within=folder, encoding="utf-8-sig")
    except OSError as error:
        return (), [Mistake(path, f"{file} {files.unreadable(error)}")]
    except UnicodeDecodeError:
        return (), [Mistake(path, f"{file} is not UTF-8 text; {_ACCOUNTS_FORM}")]
    lines = enumerate((line.partition("#")[0].strip() for line in text.splitlines()), start=1)
    words: list[tuple[Any, int | None]] = [(word, line) for line, word in lines if word]
    if text.lstrip().startswith("["):
        try:
            words = [(item, None) for item in json.loads(text)]
        except (ValueError, RecursionError):
            return (), [Mistake(path, f"begins like a JSON list and is not one; {_ACCOUNTS_FORM}", file=str(file))]
    mistakes = []
    seen: set[str] = set()
    for number, (word, line) in enumerate(words, start=1):
        if not isinstance(word, str):
            return (), [Mistake(path, f"item {number} is not a text; quote account ids", file=str(file))]
        if not re.fullmatch(ACCOUNT, word):
            mistakes.append(Mistake(path, f"this {PATTERN_SENTENCES[ACCOUNT]}", line, str(file)))
        elif word in seen:
            mistakes.append(Mistake(path, f"account {word} is listed twice; keep one of them", line, str(file)))
        seen.add(word)
    if not words:
        mistakes.append(Mistake(path, f"{file} names no account; {_ACCOUNTS_FORM}"))
    return tuple(dict.fromkeys(word for word, _ in words)), mistakes


def _read(path: Path) -> Document:
    try:
        return Document.of(files.read_text(path, encoding="utf-8-sig"))
    except OSError as error:
        advice = "run from the project's root, or say where it is"
        return Document(mistakes=[Mistake((), files.unreadable(error, advice))])
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
    context, kind = found.get("ctx", {}), found["type"]
    if kind == "extra_forbidden":
        return Mistake(path, _unknown_key(path))
    if kind in ("string_pattern_mismatch", "string_too_long"):
        # Nothing but the names of phases has a longest length.
        return Mistake(path, f"{found['input']!r} {PATTERN_SENTENCES[context.get('pattern', PHASE_PATTERN)]}")
    return Mistake(path, _SENTENCES[kind].format(**context) if kind in _SENTENCES else found["msg"].lower())


def _unknown_key(path: KeyPath) -> str:
    model: type[BaseModel] = RolloutFile
    for part in path[:-1]:  # fields lead to other models, other parts are phases and list items
        if part in model.model_fields:
            model = _model_in(model.model_fields[str(part)].annotation) or model
    known = sorted(model.model_fields)
    close = suggestion(str(path[-1]), known)
    return "is not a key of this file; " + (f"did you mean {close}?" if close else f"keys here are {', '.join(known)}")


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model that a field holds: as it is, in a list or by name."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = (_model_in(argument) for argument in getattr(annotation, "__args__", ()))
    return next((model for model in inner if model), None)


def _mistakes_together(
    data: Mapping[str, Any], mistakes: Iterable[Mistake], folder: Path, accounts: dict[str, tuple[str, ...]]
) -> Iterator[Mistake]:
    """Check together the parts without mistakes of their own; the accounts of files are added to `accounts`.

    Parts are keys of the file, phases, and keys of phases.
    """
    wrong = {mistake.path[: 3 if mistake.path[:1] == ("phases",) else 1] for mistake in mistakes}
    rollout = _validated(_without(data, wrong))[0]
    if rollout is None:
        return
    if {path[0] for path in wrong if path}.isdisjoint(("stacksets", "tooling", "network", "phases")):
        yield from file_mistakes(rollout)
    for name, phase in rollout.phases.items():
        named = phase.targets.accounts
        if phase.targets.accounts_file:
            here = ("phases", name, "targets", "accounts_file")
            named, unreadable = _account_ids(folder, phase.targets.accounts_file, here)
            yield from unreadable
            accounts[name] = named
        wrong_keys = frozenset(str(path[-1]) for path in wrong if path[:-1] in ((), ("phases", name)) and path)
        yield from phase_mistakes(rollout, name, frozenset(named) or None, wrong_keys)


def _without(data: Mapping[str, Any], wrong: Collection[KeyPath]) -> dict[str, Any]:
    """The data without its wrong parts."""
    phases = data.get("phases")
    named = {
        name: _BLANK_PHASE | {key: value for key, value in phase.items() if ("phases", name, key) not in wrong}
        for name, phase in (phases.items() if isinstance(phases, dict) else ())
        if isinstance(phase, dict) and ("phases", name) not in wrong
    }
    outside = {key: value for key, value in data.items() if key != "phases" and (key,) not in wrong}
    return {"tooling": _BLANK_ACCOUNT, "phases": named or {"none": _BLANK_PHASE}} | outside


def phase_mistakes(
    rollout: RolloutFile, name: str, accounts: frozenset[str] | None, wrong: frozenset[str] = frozenset()
) -> Iterator[Mistake]:
    """The mistakes between the parts of a phase. `accounts` are its targets, None while only AWS knows them.

    A check is left out where one of the keys that it reads is `wrong`: has a mistake of its own.
    """
    for mistake in _phase_mistakes(rollout, rollout.phases[name], accounts, wrong):
        yield mistake._replace(path=("phases", name, *mistake.path))


def _phase_mistakes(
    rollout: RolloutFile, phase: PhaseConfig, accounts: frozenset[str] | None, wrong: frozenset[str]
) -> Iterator[Mistake]:
    targets = phase.targets
    if "targets" not in wrong:
        yield from _not_exactly_one(
            targets, ("accounts", "accounts_file", "organizational_units"), ("targets",), "gives"
        )
        yield from _repeated(targets.accounts, ("targets", "accounts"))
        yield from _repeated(targets.organizational_units, ("targets", "organizational_units"))
    model = rollout.stacksets.permission_model
    if wrong.isdisjoint(("targets", "stacksets")) and model == "SERVICE_MANAGED" and not targets.organizational_units:
        message = f"stacksets.permission_model {model} needs organizational_units; name them, or use SELF_MANAGED"
        yield Mistake(("targets",), message)
    if "regions" not in wrong:
        yield from _repeated(phase.regions, ("regions",))
    if wrong.isdisjoint(("targets", "regions", "region_parameters", "account_parameters", "place_parameters")):
        yield from _unused_parameters(phase, accounts)
    if wrong.isdisjoint(("targets", "waves")):
        yield from wave_mistakes(phase.waves, accounts)
    if wrong.isdisjoint(("targets", "concurrency")):
        yield from _tolerance_mistakes(phase.concurrency.failure_tolerance, accounts)


def _not_exactly_one(
    config: WaveConfig | TargetConfig, keys: Sequence[str], path: KeyPath, beginning: str
) -> Iterator[Mistake]:
    given = [key for key in keys if getattr(config, key)]
    if len(given) != 1:
        found = " and ".join(given) or "nothing"
        yield Mistake(path, f"{beginning} {found}; give exactly one of {', '.join(keys)}")


def _repeated(values: Sequence[str], path: tuple[str, ...]) -> Iterator[Mistake]:
    seen: set[str] = set()
    for number, value in enumerate(values):
        if value in seen:
            yield Mistake((*path, number), f"{value} is listed twice; keep one of them")
        seen.add(value)


def _unused_parameters(phase: PhaseConfig, accounts: frozenset[str] | None) -> Iterator[Mistake]:
    """Parameters of targets that the phase does not have would be dropped in silence."""
    not_in = "the phase is not in {}; its regions are " + ", ".join(phase.regions)
    no_target = "account {} is not a target of the phase; add it to targets"
    for region in phase.region_parameters:
        if region not in phase.regions:
            yield Mistake(("region_parameters", region), not_in.format(region))
    for target in phase.place_parameters:
        account, _, region = target.partition("/")
        if region not in phase.regions:
            yield Mistake(("place_parameters", target), not_in.format(region))
        if accounts is not None and account not in accounts:
            yield Mistake(("place_parameters", target), no_target.format(account))
    for account in phase.account_parameters:
        if accounts is not None and account not in accounts:
            yield Mistake(("account_parameters", account), f"{no_target.format(account)}, or take its values out")


def wave_mistakes(waves: Sequence[WaveConfig], accounts: Collection[str] | None) -> Iterator[Mistake]:
    """The mistakes in the waves of a phase; `accounts` is None while only AWS knows them."""
    seen: dict[str, str] = {}
    for number, wave in enumerate(waves):
        path = ("waves", number)
        yield from _not_exactly_one(wave, ("accounts", "percent", "count", "rest"), path, f"wave {wave.name} gives")
        for position, account in enumerate(wave.accounts):
            here = (*path, "accounts", position)
            if account in seen:
                yield Mistake(here, f"account {account} is in wave {seen[account]} already; name it once")
            seen[account] = wave.name
            if accounts is not None and account not in accounts:
                yield Mistake(here, f"account {account} is not a target of the phase; add it to targets or take it out")
    for name, times in Counter(wave.name for wave in waves).items():
        if times > 1:
            yield Mistake(("waves",), f"{times} waves are called {name}; give each a name of its own")
    # Exactly one wave takes the rest, and it is the last: otherwise an account would belong to none.
    if not any(wave.rest for wave in waves):
        yield Mistake(("waves",), "no wave takes the accounts that are left; end with {name: rest, rest: true}")
    for number, wave in enumerate(waves[:-1]):
        if wave.rest:
            yield Mistake(("waves", number, "rest"), "nothing is left after rest: true; make it the last wave")


def _tolerance_mistakes(tolerance: str, accounts: frozenset[str] | None) -> Iterator[Mistake]:
    path = ("concurrency", "failure_tolerance")
    if tolerance == "100%":
        yield Mistake(path, "every account may fail at 100%; leave some that must not")
    elif accounts is not None and not tolerance.endswith("%") and int(tolerance) >= len(accounts):
        message = f"every account may fail: the phase has {len(accounts)}; write at most {len(accounts) - 1}"
        yield Mistake(path, message)


def file_mistakes(rollout: RolloutFile) -> Iterator[Mistake]:
    """The mistakes between the parts outside the phases."""
    model = rollout.stacksets
    if model.call_as == "DELEGATED_ADMIN" and model.permission_model != "SERVICE_MANAGED":
        message = "DELEGATED_ADMIN is only for permission_model SERVICE_MANAGED; write SELF, or change the model"
        yield Mistake(("stacksets", "call_as"), message)
    of_phases = {region for phase in rollout.phases.values() for region in phase.regions}
    used = (("tooling", rollout.tooling, {*of_phases, rollout.home}), ("network", rollout.network, of_phases))
    for name, shared, regions in used:
        for region in shared.region_parameters if shared else {}:
            if region not in regions:
                message = f"no phase is in {region}; take its values out, or add the region to a phase"
                yield Mistake((name, "region_parameters", region), message)
