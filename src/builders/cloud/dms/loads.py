"""The loads of a run, side by side, and the changes that are kept for the tables that still load.

A table's kept changes are applied as soon as its load is over, while others go on (DMS user guide, "Creating tasks for
ongoing replication using AWS DMS"). Until all loads are over each table has a position of its own in the target.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Sequence

from ministack.core.responses import get_account_id, get_region, request_scope

from builders.cloud.dms.capture import Transaction
from builders.cloud.dms.control import LOADED, Progress
from builders.cloud.dms.load import Loader
from builders.cloud.dms.tables import Table
from builders.cloud.dms.troubles import StopAsked
from builders.logical_decoding import Change, Name, Truncate

GRACE_SECONDS = 0.5
"""The time for which a load that is to end may go on."""


class Loads:
    """The loads that are under way; `ready` are the tables whose changes are applied."""

    def __init__(self, loader: Loader, tables: Sequence[Table], progress: Progress, at_once: int) -> None:
        self._loader = loader
        self._scope = (get_account_id(), get_region())
        self._pool = concurrent.futures.ThreadPoolExecutor(max(1, at_once), thread_name_prefix="dms-load")
        done = {name for name, one in progress.tables.items() if one.state == LOADED}
        waiting = [t for t in tables if t.name not in done and not loader.statistics.is_suspended(t.name)]
        self.ready: set[Name] = {table.name for table in tables} - {table.name for table in waiting}
        self.until: dict[Name, int] = {name: one.loaded_at for name, one in progress.tables.items()}
        """Up to where a table's changes overlap with what its load has read."""
        self._kept: dict[Name, list[Transaction]] = {table.name: [] for table in waiting}
        self._under_way = {self._pool.submit(self._load, table): table for table in waiting}

    @property
    def are_over(self) -> bool:
        """Return whether every table is loaded and nothing is kept."""
        return not self._under_way

    def wait(self, seconds: float) -> bool:
        """Wait for a load's end; return whether there are more. Raises what a load has raised."""
        concurrent.futures.wait(self._under_way, seconds, concurrent.futures.FIRST_COMPLETED)
        self.sift([])
        return not self.are_over

    def sift(self, transactions: Sequence[Transaction]) -> list[Transaction]:
        """Keep the changes of tables that still load; return the others, after those that were kept until now."""
        released: list[Transaction] = []
        for future in [each for each in self._under_way if each.done()]:
            table = self._under_way.pop(future)
            self.until[table.name] = future.result()
            self.ready.add(table.name)
            released += self._kept.pop(table.name)
        if self.are_over:
            self._loader.close()
        released.sort(key=lambda one: one.position)
        return released + [self._sifted(one) for one in transactions]

    def _sifted(self, transaction: Transaction) -> Transaction:
        if not self._kept:
            return transaction
        now: list[Change] = []
        for change in transaction.changes:
            kept = None if isinstance(change, Truncate) else self._kept.get(change.table)
            if kept is None:
                now.append(change)
            elif kept and kept[-1].position == transaction.position:
                kept[-1].changes.append(change)
            else:
                kept.append(Transaction([change], transaction.position, transaction.committed_at))
        return Transaction(now, transaction.position, transaction.committed_at)

    def _load(self, table: Table) -> int:
        if self._loader.stop.is_set():
            raise StopAsked
        with request_scope(*self._scope):
            return self._loader.load(table)

    def close(self) -> None:
        """End the loads that are under way, and wait for their ends."""
        self._loader.stop.set()
        self._pool.shutdown(wait=False, cancel_futures=True)
        while concurrent.futures.wait(self._under_way, GRACE_SECONDS).not_done:
            self._loader.cancel()
        self._loader.close()
