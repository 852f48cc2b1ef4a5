"""A phase of three small layers that is rolled out by `rollout-stacksets` itself, called as a person would call it."""

from __future__ import annotations

import contextlib
import io
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builders.aws.calls import Access, ApiCalls, CallObserver
from builders.cloud.process import Cloud
from builders.rehearsal.accounts import Accounts
from builders.rollout.cli import main

from .conftest import DEPLOY_ROLE, REGION

SHARED = ("administration", "artifacts", "account")
"""Real templates of this project that `bootstrap` deploys."""

COMMON = {"EnvironmentSuffix": "dev", "MigrationPhase": "dev", "CostCenter": "payments"}
OF_ACCOUNTS = {"CreateDmsVpcRole": "false", "CreateDmsLogsRole": "false"}
QUICK = ("--yes", "--no-check", "--poll", "0.05")


@dataclass(frozen=True)
class Said:
    """The output of a command, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """The answer of a command that was called with --json."""
        return json.loads(self.out)


class Person(io.StringIO):
    """Somebody at a terminal with an answer, and what happens before it comes."""

    def __init__(self, meanwhile: Callable[[], object] = lambda: None, answer: str = "y") -> None:
        super().__init__()
        self._meanwhile = meanwhile
        self._answer = answer

    def isatty(self) -> bool:
        return True

    def readline(self, _size: int = -1) -> str:  # type: ignore[override]
        self._meanwhile()
        return f"{self._answer}\n"


class CalledPhase:
    """A folder with a rollout file, environments and templates, and the accounts that they speak of."""

    def __init__(self, cloud: Cloud, tooling: str, accounts: list[str], folder: Path) -> None:
        self.cloud = cloud
        self.tooling = tooling
        self.accounts = accounts
        self.folder = folder
        self.file = folder / "rollout.yaml"
        self.templates = folder / "templates"
        self.saved = folder / "plan.json"
        self.observe: CallObserver | None = None
        self.attempts = 2
        self._plan: dict[str, Any] = {}
        self.templates.mkdir()
        for layer in SHARED:
            text = Path("templates", f"{layer}.json").read_text(encoding="utf-8")
            (self.templates / f"{layer}.json").write_text(text, encoding="utf-8")
        for layer in ("network", "database", "monitoring"):
            self.layer(layer)
        shared = {**COMMON, "EnvironmentSuffix": "tooling", "MigrationPhase": "shared"}
        self.environment("tooling", **shared, ReaderAccountIds=",".join(accounts))
        self.environment("dev", **COMMON, **OF_ACCOUNTS)
        self.phase()

    def open_accounts(self) -> None:
        """Let the tooling account deploy in all accounts, and bootstrap the phase."""
        for account in self.accounts:
            self.add_account(account)
        said = self.call("bootstrap", "--phase", "dev", "--yes")
        assert said.code == 0, said.err

    def add_account(self, account: str) -> None:
        """Let the tooling account deploy in an account."""
        Accounts(self.cloud).create_admin_role(account, DEPLOY_ROLE, self.tooling)

    def api(self, service: str, account: str = "") -> Any:
        """A client of boto3's own, as the owner of an account sees it."""
        return Accounts(self.cloud).api(service, account or self.tooling)

    def stacks(self, account: str) -> dict[str, tuple[str, str]]:
        """When each stack of an account was last touched, and its status."""
        found = self.api("cloudformation", account).describe_stacks()["Stacks"]
        return {
            each["StackName"]: (str(each.get("LastUpdatedTime", each["CreationTime"])), each["StackStatus"])
            for each in found
        }

    def wait(self, name: str, operation: str) -> None:
        """Wait for the end of an operation of somebody else."""
        api = self.api("cloudformation")
        asked = {"StackSetName": name, "OperationId": operation}
        while api.describe_stack_set_operation(**asked)["StackSetOperation"]["Status"] in ("RUNNING", "QUEUED"):
            time.sleep(0.05)

    def environment(self, name: str, **values: str) -> None:
        """Write a parameter file."""
        text = json.dumps([f"{key}={value}" for key, value in values.items()], indent=1)
        (self.folder / f"{name}.json").write_text(text, encoding="utf-8")

    def phase(self, name: str = "dev", **plan: Any) -> None:
        """Write a phase into the rollout file; it goes to all accounts in one region where nothing else is said."""
        said = {"environment": f"{name}.json", "targets": {"accounts": self.accounts}, "regions": [REGION]}
        self._plan[name] = {**said, "concurrency": {"max_concurrent": "100%"}, **plan}
        tooling = {"account": self.tooling, "parameters": "tooling.json"}
        self.file.write_text(json.dumps({"tooling": tooling, "phases": self._plan}), encoding="utf-8")

    def layer(
        self, layer: str, version: str = "1", parameters: Mapping[str, Any] | None = None, **resources: Any
    ) -> None:
        """Write a layer's template; another version is an update in place."""
        tags = [{"Key": "Version", "Value": version}]
        topic = {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": {"Ref": "DisplayName"}, "Tags": tags}}
        needs = {"network": [], "database": ["network"], "monitoring": ["database", "network"]}[layer]
        content = {
            "Metadata": {"Stackferry": {"Scope": "PHASE", "Needs": needs}},
            "Parameters": {
                **{name: {"Type": "String"} for name in COMMON},
                "DisplayName": {"Type": "String", "Default": "payments"},
                **(parameters or {}),
            },
            "Resources": {"Topic": topic, **resources},
        }
        (self.templates / f"{layer}.json").write_text(json.dumps(content), encoding="utf-8")

    def release(self, version: str) -> None:
        """Write another version of every layer."""
        for layer in ("network", "database", "monitoring"):
            self.layer(layer, version)

    def open_api(self, region: str, _profile: str | None) -> ApiCalls:
        """The calls of commands, with the tooling account's keys."""
        access = Access(
            region,
            endpoint_url=self.cloud.endpoint_url,
            keys=(self.tooling, self.cloud.secret_access_key(self.tooling)),
            attempts=self.attempts,
        )
        return ApiCalls(access, self.observe)

    def call(self, *arguments: str | Path) -> Said:
        """Run one command; it asks nobody, since its input is no terminal."""
        out, err = io.StringIO(), io.StringIO()
        whole = ["--file", str(self.file), "--templates-dir", str(self.templates), *map(str, arguments)]
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main.main(whole, open_api=self.open_api)
        return Said(code, out.getvalue(), err.getvalue())

    def apply(self, *more: str | Path, phase: str = "dev") -> Said:
        """Apply a phase without being asked."""
        return self.call("apply", *more, "--phase", phase, *QUICK)

    def status(self, phase: str = "dev") -> Mapping[str, Any]:
        """The answer of `status --json`."""
        found: Mapping[str, Any] = self.call("status", "--phase", phase, "--json").data
        return found
