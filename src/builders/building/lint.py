"""Runs cfn-lint in this process over many templates, its rules and ours loaded once.

Importing this module imports cfn-lint, which takes longer than building all templates: import it only to lint.
"""

# ruff: noqa: E402
from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence

from builders import cfnlint_libraries

cfnlint_libraries.import_cfnlint()  # before all that imports cfn-lint, which takes three times as long by itself

from cfnlint.config import ConfigMixIn, ManualArgs
from cfnlint.decode import decode_str
from cfnlint.exceptions import CfnLintExitException, ConfigFileError
from cfnlint.helpers import REGIONS
from cfnlint.match import Match
from cfnlint.runner import Runner
from yaml import YAMLError

from builders.building import cfnlint_speed
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
        cfnlint_speed.install()
        try:
            # cfn-lint would look for the files that .cfnlintrc names, and exit when there are none yet.
            arguments = ManualArgs(templates=[])
            if regions:
                arguments["regions"] = list(regions)
            self._config = ConfigMixIn([], **arguments)
            self._runner = Runner(self._config)
            if OWN_RULES not in self._config.append_rules:
                self._runner.rules.update(self._runner.rules.create_from_module(OWN_RULES))
        except (ConfigFileError, CfnLintExitException, YAMLError, TypeError, ValueError) as error:
            raise UsageError(f".cfnlintrc: cfn-lint refuses it: {' '.join(str(error).split())}") from error
        except SystemExit as error:  # it has said why, and ends the process
            raise UsageError(".cfnlintrc: cfn-lint cannot read the file that override_spec names") from error
        unknown = sorted(set(self._config.regions) - set(REGIONS))
        if unknown:
            raise UsageError(unknown_name("region", unknown[0], REGIONS))
        cfnlint_speed.index_keywords(self._runner.rules)
        if self._has_foreign_rules:
            cfnlint_libraries.use_networkx()

    @property
    def regions(self) -> list[str]:
        """The regions that templates are linted for."""
        return list(self._config.regions)

    @property
    def reads_other_files(self) -> bool:
        """True where .cfnlintrc names files that say what is found: rules, schemas, values of parameters."""
        config = self._config
        named = (config.custom_rules, config.override_spec, config.registry_schemas)
        values = (config.parameter_files, config.deployment_files)
        return any((*named, *values)) or self._has_foreign_rules

    @property
    def _has_foreign_rules(self) -> bool:
        _, *appended = self._config.append_rules  # the first are those of cfn-lint itself
        return any(rules != OWN_RULES for rules in appended)

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
        import multiprocessing  # noqa: PLC0415  one template does not wait for these two
        from concurrent.futures import ProcessPoolExecutor  # noqa: PLC0415

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
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(parent: int) -> None:
    """End this process when its parent is gone: a killed one closes no pool, whose workers would wait for ever."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


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
