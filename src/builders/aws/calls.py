"""The one way of every AWS call: counted, observed, bounded in number, its errors translated.

Naming access, roles and sessions loads no boto3; the first call does.
"""

from __future__ import annotations

import enum
import functools
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from builders.aws import errors

if TYPE_CHECKING:
    from builders.aws.boto_clients import BotoClients


MOST_AT_ONCE = 8
"""Calls under way at one time, over all accounts. The administrator's own API allows few a second, and whatever it
throttles here it throttles for everybody else in the account too."""

# For lists that botocore has no paginator for, such as ListStackInstanceResourceDrifts.
_PAGINATION = {"input_token": "NextToken", "output_token": "NextToken", "result_key": "Summaries"}


@dataclass(frozen=True)
class Access:
    """The administrator's credentials and region: boto3's standard chain, unless `keys` (id and secret) are given.

    `endpoint_url` is for the embedded cloud; without it boto3 decides (AWS_ENDPOINT_URL too).
    """

    region: str
    profile: str | None = None
    endpoint_url: str | None = None
    keys: tuple[str, str] | None = field(default=None, repr=False)
    attempts: int = 0
    """Of each call, the first included; 0: what AWS_MAX_ATTEMPTS says, else 8."""
    connect_seconds: float = 10
    read_seconds: float = 60
    advice: errors.Advice = errors.ROLLOUT


@dataclass(frozen=True)
class Role:
    """A role that is assumed; `external_id` may be empty."""

    account: str
    name: str
    external_id: str = ""


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
        """Return the form in which calls are counted, such as "cloudformation:DescribeStackSet"."""
        return f"{self.service}:{self.operation}"


CallObserver = Callable[[Moment, ApiCall], None]
"""Sees each call before it is made and after it was answered; what it raises goes through (crash tests)."""


class ApiCalls:
    """Makes calls. Safe for threads."""

    def __init__(self, access: Access, observe: CallObserver | None = None) -> None:
        self.access = access
        self.counts: Counter[str] = Counter()
        self._observe = observe or (lambda _moment, _call: None)
        self._account = ""
        self._clients: BotoClients | None = None
        self._lock = threading.Lock()
        self._room = threading.BoundedSemaphore(MOST_AT_ONCE)

    def session(self, region: str = "", role: Role | None = None) -> Session:
        """A session in a region, the administrator's where none is given."""
        return Session(self, region or self.access.region, role)

    def account(self) -> str:
        """The account that the caller's own credentials belong to; asked once."""
        if not self._account:
            self._account = str(self.session().ask("sts", "GetCallerIdentity")["Account"])
        return self._account

    def make(self, session: Session, service: str, operation: str, request: Mapping[str, Any]) -> Any:
        """Make a call once there is room for it."""
        with self._room:
            return self._make(session, service, operation, request)

    def _make(self, session: Session, service: str, operation: str, request: Mapping[str, Any]) -> Any:
        from botocore import xform_name  # noqa: PLC0415 boto3 is loaded at the first call

        account, role = (session.role.account, session.role.name) if session.role else ("", "")
        call = ApiCall(service, operation, account, session.region, role)
        with errors.translated(service, operation, str(session), role, self.access.advice):
            clients = self._connected()
            method = getattr(clients.client(service, session.region), xform_name(operation))
            with clients.acting(session.role):
                self._observe(Moment.BEFORE, call)
                with self._lock:
                    self.counts[str(call)] += 1
                answer = method(**request)
                self._observe(Moment.AFTER, call)
        return answer

    def _connected(self) -> BotoClients:
        """Made at the first call: a command that only plans from files loads no boto3."""
        from builders.aws.boto_clients import BotoClients  # noqa: PLC0415 see above

        with self._lock:
            self._clients = self._clients or BotoClients(self.access, self._assume)
            return self._clients

    def _assume(self, request: Mapping[str, str | int]) -> Mapping[str, Any]:
        """Assume a role. It happens within another call, so it takes no room of its own."""
        answer: Mapping[str, Any] = self._make(self.session(), "sts", "AssumeRole", request)["Credentials"]
        return answer


@dataclass(frozen=True)
class Session:
    """A region, and the role to assume there; without a role the caller's own credentials are used."""

    calls: ApiCalls = field(repr=False)
    region: str
    role: Role | None = None

    def ask(self, service: str, operation: str, **request: Any) -> Any:
        """Make one call and return its answer. `operation` is the API's name, such as DescribeStackSet.

        Raises `Unreachable`, or `Refused` and its children.
        """
        return self.calls.make(self, service, operation, request)

    def pages(self, service: str, operation: str, **request: Any) -> Iterator[Any]:
        """Make as many calls as a list has pages, and return the items of all."""
        from botocore.paginate import Paginator  # noqa: PLC0415 boto3 is loaded at the first call

        ask = functools.partial(self.ask, service, operation)
        paginator = Paginator(ask, _paginators(service).get(operation, _PAGINATION), None)
        for page in paginator.paginate(**request):
            for key in paginator.result_keys:
                yield from key.search(page) or []

    def __str__(self) -> str:
        """Return the form that messages use."""
        return f"account {self.role.account}, {self.region}" if self.role else self.region


@functools.cache
def _paginators(service: str) -> Mapping[str, Any]:
    """botocore's own table of a service's lists: their tokens, and the members that hold their items."""
    from botocore.loaders import Loader  # noqa: PLC0415 boto3 is loaded at the first call

    found: Mapping[str, Any] = Loader().load_service_model(service, "paginators-1")["pagination"]
    return found


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
