"""Concurrency and failure tolerance of operations, counted in accounts. Pure."""

from __future__ import annotations

from dataclasses import replace

from builders.rollout.model import ConcurrencyMode, Preferences


def account_count(given: str, accounts: int) -> int:
    """A count, or a percentage of the accounts rounded down, as StackSets do (API reference,
    StackSetOperationPreferences)."""
    if given.endswith("%"):
        return accounts * int(given.removesuffix("%")) // 100
    return int(given)


def tolerated_accounts(preferences: Preferences, accounts: int) -> int:
    """The accounts that may fail in a region, but never all: a canary of one that failed must stop what comes next."""
    return max(0, min(account_count(preferences.failure_tolerance, accounts), accounts - 1))


def concurrent_accounts(preferences: Preferences, accounts: int) -> int:
    """The accounts of a region that are worked on at once: strict tolerance begins one more than it may lose."""
    most = max(1, account_count(preferences.max_concurrent, accounts))
    if preferences.mode is ConcurrencyMode.STRICT:
        most = min(most, tolerated_accounts(preferences, accounts) + 1)
    return max(1, min(most, accounts))


def operation_preferences(preferences: Preferences, accounts: int, failed: int, of: int) -> Preferences:
    """The preferences of one of several operations that together may do what the wave's accounts (`of`) may."""
    left = max(0, tolerated_accounts(preferences, of) - failed)
    most = max(1, min(account_count(preferences.max_concurrent, of), accounts))
    return replace(preferences, max_concurrent=str(most), failure_tolerance=str(min(left, max(0, accounts - 1))))
