"""Who belongs where, over the records that ministack keeps for each management account."""

from __future__ import annotations

from collections.abc import Callable

from ministack.services import organizations

from builders.cloud.schemas import Json

_management: dict[str, str] = {}
"""Each account that is in an organization, and the account that manages it."""
_trusted: dict[str, dict[str, float]] = {}
"""Each management account's trusted services, and since when (seconds since the epoch)."""
_delegates: dict[str, dict[str, dict[str, float]]] = {}
"""Each management account's delegated administrators, by service, and since when."""

Listener = Callable[[str, str, list[str], list[str]], None]
"""Takes the management account, an account, and the units above it (nearest first, root last) before and after."""
listeners: list[Listener] = []
"""Told of every account that joins, moves or leaves."""


class Denied(Exception):
    """An error of the API; `name` is what SDKs raise it under."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


def stores() -> dict[str, dict[str, Json]]:
    """Return what is remembered here, by name, to be kept over a restart."""
    return {"management": _management, "trusted": _trusted, "delegates": _delegates}


def management_of(account: str) -> str | None:
    """Return the management account of an account's organization; None outside of any."""
    return _management.get(account)


def organization_id_of(account: str) -> str | None:
    """Return the id of an account's organization (the condition key aws:PrincipalOrgID)."""
    found = organizations._orgs.get_scoped(_management.get(account), None, "self")
    return found["Id"] if found else None


def join(account: str, management: str) -> None:
    """An account belongs to an organization from now on."""
    _management[account] = management
    _tell(account, management, [])


def leave(account: str) -> None:
    """An account belongs to none any more."""
    management = _management[account]
    before = units_above(management, account)
    organizations._accounts.pop_scoped(management, None, account, None)
    for accounts in _delegates.get(management, {}).values():
        accounts.pop(account, None)
    del _management[account]
    for listener in listeners:
        listener(management, account, before, [])


def moved(account: str, management: str, before: list[str]) -> None:
    """Tell the listeners that an account was moved; `before` are the units that were above it."""
    _tell(account, management, before)


def _tell(account: str, management: str, before: list[str]) -> None:
    after = [] if suspended(account) else units_above(management, account)
    for listener in listeners:
        listener(management, account, before, after)


def record(management: str, account: str) -> dict[str, Json] | None:
    """Return what ministack keeps about a member."""
    found: dict[str, Json] | None = organizations._accounts.get_scoped(management, None, account)
    return found


def suspended(account: str) -> bool:
    """Tell whether an account is closed."""
    management = _management.get(account)
    found = record(management, account) if management else None
    return bool(found) and found is not None and found["Status"] == "SUSPENDED"


def units_above(management: str, child: str) -> list[str]:
    """Return the units above an account or unit, nearest first, the root last."""
    node = record(management, child) or organizations._ous.get_scoped(management, None, child)
    above = []
    while node is not None:
        above.append(node["_ParentId"])
        node = organizations._ous.get_scoped(management, None, node["_ParentId"])
    return above


def accounts_below(management: str, unit: str) -> list[str] | None:
    """Return the members in a unit or root and in all units below it; None when there is no such unit."""
    known = organizations._ous.get_scoped(management, None, unit) or organizations._roots.get_scoped(
        management, None, unit
    )
    if known is None:
        return None
    members = (account for (owner, account) in list(organizations._accounts._data) if owner == management)
    return [account for account in members if unit in units_above(management, account)]


def trusts(management: str, service: str) -> bool:
    """Tell whether a service may act in the organization."""
    return service in _trusted.get(management, {})


def trust(management: str, service: str, wanted: bool, since: float = 0.0) -> None:
    """Let a service act in the organization, or no longer."""
    services = _trusted.setdefault(management, {})
    if wanted:
        services.setdefault(service, since)
    else:
        services.pop(service, None)


def trusted_services(management: str) -> dict[str, float]:
    """Return the services that may act in the organization, and since when."""
    return _trusted.get(management, {})


def delegates(management: str) -> dict[str, dict[str, float]]:
    """Return the delegated administrators by service, to look at and to change."""
    return _delegates.setdefault(management, {})


def delegated(account: str, service: str) -> bool:
    """Tell whether an account administers a service for its organization."""
    return account in _delegates.get(_management.get(account, ""), {}).get(service, {})
