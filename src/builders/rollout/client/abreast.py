"""Many questions at once, but never too many."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

from builders.rollout.client.calls import MOST_AT_ONCE

Item = TypeVar("Item")
Found = TypeVar("Found")


def together(work: Callable[[Item], Found], items: Iterable[Item]) -> Iterator[tuple[Item, Found]]:
    """Do `work` for all items, a few at once, and return each with what came of it, as they come.

    Items are taken up only as there is room for them, so that a hundred thousand cost no memory. What `work` raises is
    raised here, and what has not begun does not begin any more.
    """
    waiting: dict[Future[Found], Item] = {}
    pool = ThreadPoolExecutor(MOST_AT_ONCE)
    try:
        for item in items:
            waiting[pool.submit(work, item)] = item
            if len(waiting) >= 2 * MOST_AT_ONCE:
                yield from _done(waiting)
        while waiting:
            yield from _done(waiting)
    finally:
        pool.shutdown(cancel_futures=True)


def _done(waiting: dict[Future[Found], Item]) -> Iterator[tuple[Item, Found]]:
    for future in wait(waiting, return_when=FIRST_COMPLETED).done:
        yield waiting.pop(future), future.result()
