"""The one place through which every AWS call goes: counted, observed, bounded in number, its errors in our words.

Many questions at once, but never too many.
"""

from __future__ import annotations

import enum
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from builders.rollout.aws import errors
from builders.rollout.aws.access import Access, Session

if TYPE_CHECKING:
    from builders.rollout.aws.boto_clients import BotoClients


MOST_AT_ONCE = 8
"""Calls under way at one time, over all accounts. The administrator's own API allows few a second, and whatever it
throttles here it throttles for everybody else in the account too."""


class Moment(enum.Enum):
    """When a call is observed."""

    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True)
class ApiCall:
    """One call to AWS; pages are calls of their own, botocore's retries are not.

    `account` and `role` are empty for our own.
    """

    service: str
    operation: str
    account: str
    region: str
    role: str = ""

    def __str__(self) -> str:
        """The form in which calls are counted, such as "cloudformation:DescribeStackSet"."""
        return f"{self.service}:{self.operation}"


CallObserver = Callable[[Moment, ApiCall], None]
"""Is told of each call before it is made and after it was answered; what it raises goes through (crash tests)."""

# What a list calls its place: in the request and in the answer.
_TOKENS = {"dms": ("Marker", "Marker"), "s3": ("ContinuationToken", "NextContinuationToken")}


class ApiCalls:
    """Makes calls. Safe for threads."""

    def __init__(self, access: Access, observe: CallObserver | None = None) -> None:
        self.access = access
        self.counts: Counter[str] = Counter()
        self._observe = observe or (lambda _moment, _call: None)
        self._account = ""
        self._sessions: BotoClients | None = None
        self._lock = threading.Lock()
        self._room = threading.BoundedSemaphore(MOST_AT_ONCE)

    def ask(self, where: Session, service: str, operation: str, **request: Any) -> Any:
        """Make one call and return its answer. `operation` is the API's name, such as DescribeStackSet.

        Raises `Unreachable`, or `Refused` and its children.
        """
        with self._room:
            return self._ask(where, service, operation, request)

    def pages(self, where: Session, service: str, operation: str, found: str, **request: Any) -> Iterator[Any]:
        """Make as many calls as a list has pages, and return what the member `found` of their answers holds."""
        asked, told = _TOKENS.get(service, ("NextToken", "NextToken"))
        while True:
            answer = self.ask(where, service, operation, **request)
            yield from answer.get(found) or []
            if not answer.get(told):
                return
            request[asked] = answer[told]

    def account(self) -> str:
        """The account that the caller's own credentials belong to; asked once."""
        if not self._account:
            self._account = str(self.ask(Session(self.access.region), "sts", "GetCallerIdentity")["Account"])
        return self._account

    def _ask(self, where: Session, service: str, operation: str, request: Mapping[str, Any]) -> Any:
        account, role = (where.role.account, where.role.name) if where.role else ("", "")
        call = ApiCall(service, operation, account, where.region, role)
        with errors.translated(service, operation, where):
            sessions = self._connected()
            method = getattr(sessions.client(service, where.region), _method(operation))
            with sessions.acting(where.role):
                self._observe(Moment.BEFORE, call)
                with self._lock:
                    self.counts[str(call)] += 1
                answer = method(**request)
                self._observe(Moment.AFTER, call)
        return answer

    def _connected(self) -> BotoClients:
        """Made at the first call: whoever only plans from files loads no boto3."""
        from builders.rollout.aws.boto_clients import BotoClients  # noqa: PLC0415 see above

        with self._lock:
            self._sessions = self._sessions or BotoClients(self.access, self._assume)
            return self._sessions

    def _assume(self, request: Mapping[str, str | int]) -> Mapping[str, Any]:
        """Assume a role. It happens within another call, so it takes no room of its own."""
        where = Session(self.access.region)
        answer: Mapping[str, Any] = self._ask(where, "sts", "AssumeRole", request)["Credentials"]
        return answer


def _method(operation: str) -> str:
    from botocore import xform_name  # noqa: PLC0415 boto3 is loaded at the first call

    name: str = xform_name(operation)
    return name


Item = TypeVar("Item")
Found = TypeVar("Found")


def concurrently(work: Callable[[Item], Found], items: Iterable[Item]) -> Iterator[tuple[Item, Found]]:
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
