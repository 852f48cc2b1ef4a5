"""Reads the parameter files that rollout.yaml names."""

from __future__ import annotations

from builders import environments
from builders.environments import ParameterFile
from builders.errors import ParameterFileError, RolloutFileError
from builders.rollout.file import RolloutFile
from builders.rollout.file.mistakes import all_at_once

SUFFIX = "EnvironmentSuffix"
"""As `builders.parameters` names it, which would bring troposphere with it."""


def environment(rollout: RolloutFile, phase: str) -> ParameterFile:
    """The parameter file of a phase. Raises `RolloutFileError` where it cannot be read, or its suffix is another's."""
    file = read(rollout, rollout.phases[phase].environment)
    mine = suffix(rollout, phase, file)
    for other, plan in rollout.phases.items():
        if other == phase:
            continue
        try:
            theirs = suffix(rollout, other, environments.read(rollout.beside(plan.environment)))
        except ParameterFileError:  # the other phase's own matter
            continue
        if mine == theirs:
            raise RolloutFileError(
                f"{rollout.path}: phases {phase} and {other} both have {SUFFIX} {mine!r}, so that their stack sets "
                "would be the same; give each a suffix of its own"
            )
    return file


def read(rollout: RolloutFile, name: str) -> ParameterFile:
    """A parameter file that rollout.yaml names. Raises `RolloutFileError` with what is wrong with its form."""
    try:
        file = environments.read(rollout.beside(name))
    except ParameterFileError as error:
        raise RolloutFileError(str(error)) from error
    if file.findings:
        raise all_at_once(f"{found.file}, line {found.line}: {found.message}" for found in file.findings)
    return file


def suffix(rollout: RolloutFile, phase: str, file: ParameterFile) -> str | None:
    """What ends the names of a phase, as its parameter file or rollout.yaml says."""
    return rollout.phases[phase].parameters.get(SUFFIX, file.values.get(SUFFIX))
