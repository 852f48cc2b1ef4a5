"""Runs cfn-lint in this process over many templates, its rules and ours loaded once.

Importing this module imports cfn-lint, which takes longer than building all templates: import it only to lint.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor

from cfnlint.config import ConfigMixIn, ManualArgs
from cfnlint.decode import decode_str
from cfnlint.exceptions import CfnLintExitException, ConfigFileError
from cfnlint.helpers import REGIONS
from cfnlint.match import Match
from cfnlint.runner import Runner
from yaml import YAMLError

from builders.errors import UsageError
from builders.findings import Finding, Severity
from builders.text import unknown_name

OWN_RULES = "builders.rules"
_SEVERITIES = {"error": Severity.ERROR, "warning": Severity.WARNING, "informational": Severity.NOTE}


class Linter:
    """cfn-lint with the project's `.cfnlintrc` and our rules, ready for many templates.

    `regions` go before those of `.cfnlintrc`. Raises `UsageError` for a region that AWS does not have and for a
    `.cfnlintrc` that cfn-lint refuses.
    """

    def __init__(self, regions: Sequence[str] = ()) -> None:
        try:
            # cfn-lint would look for the files that .cfnlintrc names, and exit when there are none yet.
            arguments = ManualArgs(templates=[])
            if regions:
                arguments["regions"] = list(regions)
            self._config = ConfigMixIn([], **arguments)
            self._runner = Runner(self._config)
            if OWN_RULES not in self._config.append_rules:
                self._runner.rules.update(self._runner.rules.create_from_module(OWN_RULES))
        except (ConfigFileError, CfnLintExitException, YAMLError) as error:
            raise UsageError(f".cfnlintrc: cfn-lint refuses it: {' '.join(str(error).split())}") from error
        unknown = sorted(set(self._config.regions) - set(REGIONS))
        if unknown:
            raise UsageError(unknown_name("region", unknown[0], REGIONS))

    @property
    def regions(self) -> list[str]:
        """The regions that templates are linted for."""
        return list(self._config.regions)

    def lint(self, file: str, text: str) -> list[Finding]:
        """The findings of one template; `file` is the name that they carry."""
        template, broken = decode_str(text)
        if template is None:
            return [_finding(file, match) for match in broken]
        return [_finding(file, match) for match in self._runner.validate_template(template)]

    def lint_all(self, texts: Mapping[str, str], processes: int) -> Iterator[tuple[str, list[Finding]]]:
        """The findings of many templates, by the names of their files, as they come.

        Several processes share the work; they take over the loaded rules by a fork.
        """
        # The longest first, so that none is left to run alone at the end.
        longest_first = sorted(texts.items(), key=lambda item: len(item[1]), reverse=True)
        if min(processes, len(texts)) <= 1:
            yield from ((file, self.lint(file, text)) for file, text in longest_first)
            return
        fork = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(min(processes, len(texts)), fork, _take_over, (self,)) as pool:
            results = pool.map(_lint_in_worker, *zip(*longest_first, strict=True))
            yield from zip((file for file, _ in longest_first), results, strict=True)


def usable_processes() -> int:
    """The number of processes to lint with: with 13 templates on two cores, two need two thirds of the time of one.

    More than four gain nothing, since the largest template alone takes a quarter of the time. Only Linux forks well.
    """
    return min(4, len(os.sched_getaffinity(0))) if sys.platform == "linux" else 1


_linter_of_worker: Linter


def _take_over(linter: Linter) -> None:
    """Make the parent's linter the worker's own. An interrupt is the parent's to handle."""
    global _linter_of_worker  # noqa: PLW0603  a pool passes nothing else to its workers without pickling it
    _linter_of_worker = linter
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _lint_in_worker(file: str, text: str) -> list[Finding]:
    return _linter_of_worker.lint(file, text)


def _finding(file: str, match: Match) -> Finding:
    return Finding(
        match.rule.id,
        " ".join(match.message.split()),
        file,
        match.linenumber,
        match.columnnumber,
        _SEVERITIES[match.rule.severity],
    )
