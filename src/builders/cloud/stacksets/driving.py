"""What a test or a rehearsal decides about StackSets: how long things take, and how much fits.

One operation beside the API, at the same address:

    POST /  X-Amz-Target: StackferryStackSets.Drive
    {"Administrator": "111111111111", "StackSeconds": 0.3, "ResultsLagSeconds": 2.0, "StackSets": 3, "Instances": 9,
     "Accounts": {"222222222222": {"StackSeconds": 5.0}, "333333333333": {"Failure": "Rate exceeded"}}}

Administrator is the account that owns the sets; all else may be left out and stays as it is. StackSeconds is how long
each instance of an operation is RUNNING before its stack is touched. ResultsLagSeconds is how far
ListStackSetOperationResults is behind. StackSets and Instances are the quotas of sets and of instances in a set.
Accounts names those that are slower than the others, or in which every operation fails, with the reason; it replaces
what was said of accounts before.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from ministack import app
from ministack.core import router
from ministack.core.responses import error_response_json, json_response

from builders.cloud.schemas import Json

TARGET = "StackferryStackSets"


@dataclass
class Settings:
    """What holds for the sets of one administrator; the defaults are what nobody has to know about.

    Quotas: CloudFormation user guide, "Understand CloudFormation quotas".
    """

    stack_seconds: float = 0.0
    results_lag_seconds: float = 0.3
    stack_sets: int = 1000
    instances: int = 100_000
    accounts: dict[str, dict[str, Json]] = field(default_factory=dict)

    def seconds(self, account: str) -> float:
        """Return how long an instance in the account is RUNNING before its stack is touched."""
        return float(self.accounts.get(account, {}).get("StackSeconds", self.stack_seconds))

    def failure(self, account: str) -> str:
        """Return why every operation fails in the account; empty when it does not."""
        return str(self.accounts.get(account, {}).get("Failure", ""))


_settings: defaultdict[str, Settings] = defaultdict(Settings)


def settings(administrator: str) -> Settings:
    """Return what holds for an account's sets."""
    return _settings[administrator]


def install() -> None:
    """Let ministack route the operation here."""
    router.SERVICE_PATTERNS["stackferry-stacksets"] = {"target_prefixes": [TARGET]}
    app.SERVICE_HANDLERS["stackferry-stacksets"] = _handle


async def _handle(_method: str, _path: str, _headers: Mapping[str, str], body: bytes, _query: Json) -> Json:
    request = json.loads(body or b"{}")
    try:
        decided = settings(str(request.pop("Administrator")))
        decided.stack_seconds = float(request.pop("StackSeconds", decided.stack_seconds))
        decided.results_lag_seconds = float(request.pop("ResultsLagSeconds", decided.results_lag_seconds))
        decided.stack_sets = int(request.pop("StackSets", decided.stack_sets))
        decided.instances = int(request.pop("Instances", decided.instances))
        decided.accounts = dict(request.pop("Accounts", decided.accounts))
    except (KeyError, TypeError, ValueError) as error:
        return error_response_json("ValidationException", f"{error!r}: see builders/cloud/stacksets/driving.py")
    if request:
        return error_response_json("ValidationException", f"unknown: {', '.join(sorted(request))}")
    return json_response({})
