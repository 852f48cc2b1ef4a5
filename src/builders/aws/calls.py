"""The one way of every AWS call: counted, observed, limited, made again where that may help, its errors translated.

Naming access, roles and sessions loads no boto3; the first call does.
"""

from __future__ import annotations

import contextlib
import contextvars
import enum
import functools
import itertools
import math
import os
import random
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from builders import progress
from builders.aws import errors
from builders.aws.limiter import Api, Limiter
from builders.errors import RolloutError, UsageError

if TYPE_CHECKING:
    from builders.aws.boto_clients import BotoClients


MOST_AT_ONCE = 8
"""Calls under way at one time, over all accounts. The administrator's own API allows few a second, and whatever it
throttles here it throttles for everybody else in the account too."""

ATTEMPTS = 8
"""Attempts of a call that meets errors which pass; with growing pauses about a minute."""

LONGEST_PAUSE = 20.0
"""Seconds before another attempt; the first pauses are up to one second, two, four ..."""

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
    """Attempts of each call, the first included; 0: what AWS_MAX_ATTEMPTS says, else 8 for errors that pass, and for
    throttles as many as there is time for."""
    throttled_seconds: float = 600
    """A call that AWS throttles is made again for so long."""
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
    """Moment at which a call is observed."""

    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True)
class ApiCall:
    """One call to AWS; pages are calls of their own, further attempts are not.

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


def own_region(profile: str | None = None) -> str:
    """The region that boto3 finds for the caller, by AWS_DEFAULT_REGION or the profile; empty where there is none.

    Raises `Unreachable` where the profile does not exist.
    """
    import boto3  # noqa: PLC0415 boto3 is loaded at the first call

    with errors.translated("sts", "GetCallerIdentity", "", "", errors.ROLLOUT):
        return boto3.Session(profile_name=profile).region_name or ""


def _attempts_of_environment() -> int:
    given = os.environ.get("AWS_MAX_ATTEMPTS") or "0"
    if not (given.isascii() and given.isdecimal()):
        raise UsageError(f"AWS_MAX_ATTEMPTS is {given!r}, and not a number of attempts such as 8")
    return int(given)


class ApiCalls:
    """Makes calls. Safe for threads."""

    def __init__(self, access: Access, observe: CallObserver | None = None, limiter: Limiter | None = None) -> None:
        self.access = access
        self.counts: Counter[str] = Counter()
        self.limiter = limiter or Limiter(say=progress.say)
        self._observe = observe or (lambda _moment, _call: None)
        self._account = self._caller = ""
        self._session_name = "stackferry"
        self._unnamed: set[str] = set()
        """Roles that take no source identity from us."""
        self._clients: BotoClients | None = None
        self._lock = threading.Lock()
        self._room = threading.BoundedSemaphore(MOST_AT_ONCE)

    def session(self, region: str = "", role: Role | None = None) -> Session:
        """A session in a region, the administrator's where none is given."""
        return Session(self, region or self.access.region, role)

    def account(self) -> str:
        """The account that the caller's own credentials belong to; asked once."""
        if not self._account:
            found = self.session().ask("sts", "GetCallerIdentity")
            self._account, self._caller = str(found["Account"]), str(found["Arn"])
        return self._account

    def caller(self) -> str:
        """The ARN of the user, or of the role and its session, whose credentials these are."""
        return self._caller if self.account() else ""

    def name_sessions(self, name: str) -> None:
        """Name the sessions of roles from now on, so that CloudTrail in their accounts tells which run it was."""
        name = session_text(f"stackferry-{name}")
        with self._lock:
            if name != self._session_name and self._clients:
                self._clients.forget_roles()
            self._session_name = name

    def make(self, session: Session, service: str, operation: str, request: Mapping[str, Any]) -> Any:
        """Make a call once its turn comes and there is room for it, and again while AWS asks for that."""
        return self._until_answered(session, service, operation, request, self._room)

    def _until_answered(
        self,
        session: Session,
        service: str,
        operation: str,
        request: Mapping[str, Any],
        room: contextlib.AbstractContextManager[Any],
    ) -> Any:
        """Make attempts. botocore makes one each: its quota of retries ends long before throttling does."""
        account, role = (session.role.account, session.role.name) if session.role else ("", "")
        call = ApiCall(service, operation, account, session.region, role)
        api = Api(account or self._account, session.region, service, operation)
        most = self.access.attempts or _attempts_of_environment()
        throttled_since, broken = math.inf, 0
        for attempt in itertools.count(1):
            begun = self.limiter.wait(api, _is_given_up)
            try:
                with room:
                    if attempt == 1:
                        self._observe(Moment.BEFORE, call)
                        with self._lock:
                            self.counts[str(call)] += 1
                    answer = self._make(session, service, operation, request)
                    self.limiter.answered(api)
                    self._observe(Moment.AFTER, call)
                    return answer
            except errors.Throttled as error:
                self.limiter.throttled(api, begun)
                throttled_since = min(throttled_since, begun)
                waited = self.limiter.now() - throttled_since
                spent = attempt == most if most else waited > self.access.throttled_seconds
                if spent or _is_given_up():
                    raise errors.Unreachable(str(error)) from error
            except errors.Refused:
                self.limiter.answered(api)
                raise
            except errors.Transient as error:
                broken += 1  # throttled attempts, of which there may be hundreds, do not count
                if (attempt == most if most else broken == ATTEMPTS) or _is_given_up():
                    raise errors.Unreachable(str(error)) from error
                self.limiter.sleep(random.uniform(0, min(2.0 ** (broken - 1), LONGEST_PAUSE)))  # noqa: S311  no secret
        raise AssertionError("the last attempt returns or raises")

    def _make(self, session: Session, service: str, operation: str, request: Mapping[str, Any]) -> Any:
        """Make one attempt."""
        from botocore import parsers, xform_name  # noqa: PLC0415 boto3 is loaded at the first call

        role = session.role.name if session.role else ""
        with errors.translated(service, operation, str(session), role, self.access.advice):
            clients = self._connected()
            method = getattr(clients.client(service, session.region), xform_name(operation))
            with clients.acting(session.role):
                answer = method(**request)
            if errors.is_page(answer):  # of which botocore reads what JSON and S3 would have, which is nothing
                raise parsers.ResponseParserError
            return answer

    def _connected(self) -> BotoClients:
        """Made at the first call: a command that only plans from files loads no boto3."""
        from builders.aws.boto_clients import BotoClients  # noqa: PLC0415 see above

        with self._lock:
            self._clients = self._clients or BotoClients(self.access, self._assume)
            return self._clients

    def _assume(self, request: Mapping[str, str | int]) -> Mapping[str, Any]:
        """Assume a role, and say who does it. It happens within another call, so it takes no room of its own.

        A source identity needs sts:SetSourceIdentity in the trust policy and in the caller's own, and one that the
        caller's session has cannot be changed (IAM user guide, "Monitor and control actions taken with assumed roles"):
        where it is refused the role is assumed without.
        """
        request, arn = {**request, "RoleSessionName": self._session_name}, str(request["RoleArn"])
        person = session_text(re.split("[/:]", self._caller)[-1])
        ask = functools.partial(self._until_answered, self.session(), "sts", "AssumeRole")
        answer: Any = None
        if len(person) >= SHORTEST_SESSION_TEXT and arn not in self._unnamed:
            try:
                answer = ask({**request, "SourceIdentity": person}, contextlib.nullcontext())
            except errors.AccessDenied:
                answer = ask(request, contextlib.nullcontext())
                if not self._unnamed:
                    self.limiter.say(
                        f"CloudTrail will tell the run and not the person: {arn} takes no source identity; its trust "
                        "policy and the caller's need sts:SetSourceIdentity"
                    )
                self._unnamed.add(arn)
        answer = answer or ask(request, contextlib.nullcontext())
        credentials: Mapping[str, Any] = answer["Credentials"]
        return credentials


SHORTEST_SESSION_TEXT, LONGEST_SESSION_TEXT = 2, 64


def session_text(text: str) -> str:
    """Write a text as RoleSessionName and SourceIdentity take it (STS API reference, AssumeRole)."""
    return re.sub(r"[^\w+=,.@-]", "-", text, flags=re.ASCII)[:LONGEST_SESSION_TEXT]


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

    def answers(self) -> bool:
        """Return whether the role can be assumed. Raises `Unreachable`."""
        try:
            self.ask("sts", "GetCallerIdentity")
        except errors.AccessDenied:
            return False
        return True

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


_given_up: contextvars.ContextVar[tuple[threading.Event, ...]] = contextvars.ContextVar("given_up", default=())
"""Set for work whose results nobody waits for any more, such as after Ctrl-C: its calls are not made again."""


def _is_given_up() -> bool:
    return any(each.is_set() for each in _given_up.get())


def concurrently(work: Callable[[Item], Found], items: Iterable[Item]) -> Iterator[tuple[Item, Found]]:
    """Do `work` for all items, a few at once, and return each with what came of it, as they come.

    Items are taken up only as there is room for them, so that a hundred thousand cost no memory. What `work` raises is
    raised here, and what has not begun does not begin any more.
    """
    waiting: dict[Future[Found], Item] = {}
    given_up = threading.Event()
    events = (*_given_up.get(), given_up)
    pool = ThreadPoolExecutor(MOST_AT_ONCE, initializer=lambda: _given_up.set(events))
    try:
        for item in items:
            waiting[pool.submit(work, item)] = item
            if len(waiting) >= 2 * MOST_AT_ONCE:
                yield from _done(waiting)
        while waiting:
            yield from _done(waiting)
    finally:
        given_up.set()
        pool.shutdown(cancel_futures=True)


def attempted(work: Callable[[Item], Found], items: Iterable[Item]) -> Iterator[tuple[Item, Found | RolloutError]]:
    """Do `work` for all items as `concurrently` does; a `RolloutError` that it raises is what came of its item."""

    def attempt(item: Item) -> Found | RolloutError:
        try:
            return work(item)
        except RolloutError as error:
            return error

    return concurrently(attempt, items)


def _done(waiting: dict[Future[Found], Item]) -> Iterator[tuple[Item, Found]]:
    for future in wait(waiting, return_when=FIRST_COMPLETED).done:
        yield waiting.pop(future), future.result()
