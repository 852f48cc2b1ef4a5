"""The pace of calls: every API of an account and region has a rate of its own, found by what AWS answers.

AWS publishes no rates for CloudFormation, and they are shared with whoever else works in the account. So the rate is
free until AWS throttles; from then on it grows by as much each second, and falls by a part at each throttle (additive
increase, multiplicative decrease).
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

INCREASE = 0.1
"""Calls a second that a rate grows by in each second in which it is used up."""

DECREASE = 0.7

SLOWEST = 0.2
"""Calls a second, however often AWS throttles: it must be asked to know that it answers again."""

FIRST = 10.0
"""Calls a second that AWS is supposed to allow when it throttles for the first time, unless it has answered more."""

_WINDOW = 1.0
_COUNTED = 64
"""The answers that are remembered to measure the first rate."""

SLICE_SECONDS = 0.5
"""Longest wait before it is seen that nobody waits for the answer any more."""

SILENT_SECONDS = 5.0
"""A throttle that is over sooner is not worth a line."""

LINE_SECONDS = 60.0
"""Between two lines on throttles, whichever APIs they are of."""


class Api(NamedTuple):
    """The calls that AWS limits together. The account is empty for the caller's own, until it is known."""

    account: str
    region: str
    service: str
    operation: str


@dataclass
class _Pace:
    """The rate of an API in calls a second, and when its next call is due."""

    rate: float = math.inf
    due: float = -math.inf
    lowered: float = -math.inf
    first_throttled: float = math.inf
    answered: deque[float] = field(default_factory=lambda: deque(maxlen=_COUNTED))


class Limiter:
    """Spaces calls. Safe for threads.

    `now` are seconds that only grow, `sleep` lets them pass, and `say` takes the few lines that a person should read.
    """

    def __init__(
        self,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        say: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self.now = now
        self.sleep = sleep
        self.say = say
        self._paces: dict[Api, _Pace] = {}
        self._lock = threading.Lock()
        self._said = -math.inf

    def rate(self, api: Api) -> float:
        """The calls a second that an API is called at most; infinite while it was never throttled."""
        with self._lock:
            return self._pace(api).rate

    def wait(self, api: Api, given_up: Callable[[], bool] = lambda: False) -> float:
        """Wait until an API may be called, or nobody waits for its answer any more; return when it was to be."""
        with self._lock:
            pace = self._pace(api)
            now = self.now()
            begin = max(now, pace.due)
            pace.due = begin + 1 / pace.rate
        while begin > now and not given_up():
            self.sleep(min(begin - now, SLICE_SECONDS))
            now = self.now()
        return begin

    def answered(self, api: Api) -> None:
        """Count a call that AWS did not throttle."""
        with self._lock:
            pace = self._pace(api)
            pace.answered.append(self.now())
            pace.rate += INCREASE / max(pace.rate, 1)

    def throttled(self, api: Api, begun: float) -> None:
        """Count a call that AWS throttled. Those that were under way together lower the rate once."""
        with self._lock:
            pace, now = self._pace(api), self.now()
            if begun >= pace.lowered:
                measured = sum(now - each <= _WINDOW for each in pace.answered) / _WINDOW
                before = pace.rate if pace.rate < math.inf else max(measured, FIRST)
                pace.rate, pace.lowered = max(SLOWEST, before * DECREASE), now
                pace.due = max(pace.due, now + 1 / pace.rate)
            pace.first_throttled = min(pace.first_throttled, now)
            worth_a_line = now - pace.first_throttled >= SILENT_SECONDS and now - self._said >= LINE_SECONDS
            if worth_a_line:
                self._said = now
            rate = pace.rate
        if worth_a_line:
            where = f"account {api.account}, {api.region}" if api.account else api.region
            self.say(
                f"{api.service} throttles {api.operation} in {where}; it is called {rate:.1f} times a second now, and "
                "everything takes longer"
            )

    def _pace(self, api: Api) -> _Pace:
        return self._paces.setdefault(api, _Pace())
