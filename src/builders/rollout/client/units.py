"""AWS Organizations: which accounts the units hold that a service-managed set is aimed at."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rollout.client.calls import Calls
from builders.rollout.client.sessions import Where


class Organizations:
    """The organization of the administrator, who is its management account or a delegated administrator."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._where = Where(calls.access.region)

    def accounts(self, unit: str) -> list[str]:
        """Active accounts of a unit (or root) and of all units below it, sorted, without the management account.

        Nobody can be deployed to who is suspended, and StackSets never deploys to the management account.
        """
        management = self._calls.ask(self._where, "organizations", "DescribeOrganization")["Organization"]
        return sorted(set(self._below(unit)) - {management["MasterAccountId"]})

    def _below(self, unit: str) -> Iterator[str]:
        for each in self._pages("ListAccountsForParent", "Accounts", unit):
            # Status is on its way out (AWS Organizations API reference, Account).
            if each.get("State", each.get("Status")) == "ACTIVE":
                yield each["Id"]
        for each in self._pages("ListOrganizationalUnitsForParent", "OrganizationalUnits", unit):
            yield from self._below(each["Id"])

    def _pages(self, operation: str, found: str, unit: str) -> Iterator[dict[str, str]]:
        return self._calls.pages(self._where, "organizations", operation, found, ParentId=unit)
