"""One run of a task: from its start over the load to the changes, until it is stopped, is over, or fails.

The run is a thread of the server. It goes on by itself after errors of the environment, as RecoverableErrorCount and
its companions say, from what the target holds: the loaded tables and the position of the last applied transaction.
"""

from __future__ import annotations

import concurrent.futures
import hashlib
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg
from ministack.core.responses import request_scope
from psycopg import sql

from builders.cloud.dms import capture, endpoints, mappings, settings as task_settings, tables as source_tables
from builders.cloud.dms.apply import Applier
from builders.cloud.dms.capture import SlotUnusable, Stream, Transaction
from builders.cloud.dms.control import LOADED, Control, Progress
from builders.cloud.dms.endpoints import Endpoint, Unusable
from builders.cloud.dms.faults import Fault
from builders.cloud.dms.load import Loader
from builders.cloud.dms.reporting import Metrics, Report, Tables
from builders.cloud.dms.settings import Settings
from builders.cloud.dms.tables import Table
from builders.cloud.dms.troubles import FATAL, RECOVERABLE, StopAsked, TaskStopped, is_recoverable
from builders.cloud.dms.validation import Validator
from builders.resource_types import Json

logger = logging.getLogger("dms")

WAIT_SECONDS = 0.2
TELL_SECONDS = 1.0
METRIC_SECONDS = 5.0
RETRIES_OF_MINUS_ONE = 6
LOAD_ONLY, BOTH, CDC = "full-load", "full-load-and-cdc", "cdc"
NO_TABLES = (
    "No tables were found at task initialization. Either the selected table(s) or schemas(s) no longer exist or no "
    "match was found for the table selection pattern(s)."
)


@dataclass(frozen=True)
class Order:
    """What a run is told: the task as CloudFormation made it, the kind of start, and where to tell of it."""

    arn: str
    account: str
    region: str
    instance: str
    properties: Mapping[str, Json]
    kind: str
    """start-replication, resume-processing or reload-target."""
    slot: str
    """The slot that the task made; empty where it has none yet."""
    again: bool
    """The server was killed, and takes up what this run had begun."""
    shown_tables: list[dict[str, Json]]
    statistics: dict[str, Json]
    running: Callable[[], None]
    """Called when the task runs."""
    keep_slot: Callable[[str], None]
    over: Callable[[str, str, str], None]
    """Called at the end: status, stop reason, failure."""

    @property
    def resource(self) -> str:
        """The last part of the ARN: the task's name in control tables, metrics and logs."""
        return self.arn.rpartition(":")[2]


class Replication(threading.Thread):
    """Runs a task; `stop` ends the run."""

    def __init__(self, order: Order) -> None:
        super().__init__(name=f"dms-{order.resource}", daemon=True)
        self.order = order
        self.stop_asked = threading.Event()
        self.silent = False
        """Ends without a word: the server ends, or the task was made to fail from outside."""

    def stop(self) -> None:
        """Ask the run to end."""
        self.stop_asked.set()

    def leave(self) -> None:
        """End without a word: somebody else has told of the end, or goes on."""
        self.silent = True
        self.stop_asked.set()

    def run(self) -> None:
        """Run, and tell of the end."""
        with request_scope(self.order.account, self.order.region):
            end = self._to_its_end()
            if not self.silent:
                self.order.over(*end)

    def _to_its_end(self) -> tuple[str, str, str]:
        try:
            run = _Run(self.order, self.stop_asked)
            return "stopped", f"Stop Reason {self._with_patience(run)}", ""
        except StopAsked:
            return "stopped", "Stop Reason NORMAL", ""
        except TaskStopped as stopped:
            return "failed", stopped.reason, f"Last Error {stopped} {stopped.reason}"
        except (psycopg.Error, Unusable, Fault, OSError) as error:
            return "failed", FATAL, f"Last Error {_one_line(error)} {FATAL}"
        except Exception as error:  # a mistake of ours: the task must not seem to run
            logger.exception("task %s", self.order.arn)
            return "failed", FATAL, f"Last Error internal error of the embedded cloud: {error!r} {FATAL}"

    def _with_patience(self, run: _Run) -> str:
        """Run, again after each error of the environment; return the stop reason."""
        errors = run.settings.errors
        most, attempts = int(errors["RecoverableErrorCount"]), 0
        wait, longest = float(errors["RecoverableErrorInterval"]), float(errors["RecoverableErrorThrottlingMax"])
        while True:
            try:
                return run.attempt()
            except psycopg.Error as error:
                if self.stop_asked.is_set():
                    raise StopAsked from error
                if not is_recoverable(error):
                    raise
                if run.worked:
                    attempts, wait, run.worked = 0, float(errors["RecoverableErrorInterval"]), False
                attempts += 1
                at_the_longest = errors["RecoverableErrorThrottling"] and wait >= longest
                gives_up = at_the_longest and errors["RecoverableErrorStopRetryAfterThrottlingMax"]
                if gives_up or (most >= 0 and attempts > most):
                    raise TaskStopped(_one_line(error), RECOVERABLE) from error
                run.report.write("TASK_MANAGER", "W", f"Task restarts in {wait:g} seconds after: {_one_line(error)}")
            if self.stop_asked.wait(wait):
                raise StopAsked
            wait = min(wait * 2, longest) if errors["RecoverableErrorThrottling"] else wait


@dataclass
class _Lag:
    """How far the changes are."""

    read: int = 0
    read_at: float = 0.0
    applied_at: float = 0.0
    latency_source: float = 0.0
    latency_target: float = 0.0
    incoming: int = 0


@dataclass
class _Run:
    """The state of a run over its attempts."""

    order: Order
    stop: threading.Event
    worked: bool = False
    """Something was loaded or applied since the last error."""
    began: bool = False
    lag: _Lag = field(default_factory=_Lag)

    def __post_init__(self) -> None:
        properties = self.order.properties
        self.settings: Settings = task_settings.read(properties.get("ReplicationTaskSettings"))
        self.mappings = mappings.read(properties["TableMappings"])
        self.type = str(properties["MigrationType"])
        log = self.settings["Logging"]["EnableLogging"]
        self.report = Report(f"dms-tasks-{self.order.instance}", f"dms-task-{self.order.resource}", bool(log))
        self.metrics = Metrics(self.order.instance, self.order.resource)
        self.fresh = self.order.kind != "resume-processing"
        self.slot = self.order.slot or (slot_name(self.order.arn) if self.order.again else "")
        self.changes = 0
        self._told = self._measured = self._kept_history = 0.0

    def attempt(self) -> str:
        """Work until the end; return the stop reason."""
        source, target = self._endpoint("SourceEndpointArn"), self._endpoint("TargetEndpointArn")
        with source.connect() as session, target.connect() as other:
            other.execute("SET synchronous_commit = on")
            self.tables = source_tables.read(session, self.mappings, self.settings, source, target)
            if not self.tables and self.settings.errors["FailOnNoTablesCaptured"]:
                raise TaskStopped(NO_TABLES)
            validated = bool(self.settings["ValidationSettings"]["EnableValidation"])
            self.statistics = Tables(self.order.shown_tables, self.tables.values(), validated)
            if self.type == LOAD_ONLY:
                return self._only_load(source, target)
            control = Control(other, self.settings, self.order.resource)
            control.make()
            self._prepare(session, source, control)
            try:
                return self._load_and_follow(session, source, target, control)
            finally:
                self._say_stopped(control)

    def _endpoint(self, side: str) -> Endpoint:
        return endpoints.find(str(self.order.properties[side]))

    def _only_load(self, source: Endpoint, target: Endpoint) -> str:
        self._running()
        self._load(source, target, None, Progress(0, {}))
        return "FULL_LOAD_ONLY_FINISHED"

    def _prepare(self, session: psycopg.Connection[Any], source: Endpoint, control: Control) -> None:
        """Have a slot to read from: an own new one before the load, the one before on the way on, or the given one."""
        endpoints.allow_replication(source)
        _check_source(session)
        given = source.attributes.get("slotname", "")
        if given:
            start = self.order.properties.get("CdcStartPosition")
            if self.type == CDC and not start:
                raise TaskStopped(f"slotName {given} is given without a CdcStartPosition")
            capture.check_slot(session, given)
            self.slot = given
        if self.order.again and self.fresh and control.progress().position and _has_slot(session, self.slot):
            self.fresh = False
        if self.fresh:
            control.forget()
            if not given:
                self._new_slot(session, control)
            elif self.order.properties.get("CdcStartPosition"):
                control.begin_at(self._start_position())
            self.fresh = False
        elif self.slot:
            capture.check_slot(session, self.slot)
        else:
            raise SlotUnusable("the task has no replication slot to go on from; reload the target")

    def _new_slot(self, session: psycopg.Connection[Any], control: Control) -> None:
        if self.slot:
            capture.drop_slot(session, self.slot)
        self.slot = slot_name(self.order.arn)
        capture.drop_slot(session, self.slot)
        start = capture.create_slot(session, self.slot)
        self.order.keep_slot(self.slot)
        control.begin_at(start)
        self.report.write("SOURCE_CAPTURE", "I", f"Created replication slot '{self.slot}' at {capture.shown(start)}")

    def _start_position(self) -> int:
        text = str(self.order.properties["CdcStartPosition"])
        try:
            return capture.position(text)
        except ValueError as error:
            raise TaskStopped(f"CdcStartPosition {text} is no log sequence number such as 4AF/B00000D0") from error

    def _running(self) -> None:
        if not self.began:
            self.began = True
            self.order.running()

    def _load_and_follow(
        self, session: psycopg.Connection[Any], source: Endpoint, target: Endpoint, control: Control
    ) -> str:
        self._running()
        progress = control.progress()
        if self.type == BOTH:
            control.status("FULL LOAD", 0, progress.position, 0.0, 0.0)
            self._load(source, target, control, progress)
            if self.settings["FullLoadSettings"]["StopTaskCachedChangesNotApplied"]:
                return "STOPPED_AFTER_FULL_LOAD"
        else:
            for table in self.tables.values():
                if not self.statistics.is_suspended(table.name):
                    self.statistics.complete(table)
            self._tell_statistics()
        return self._follow(session, source, target, control)

    def _load(self, source: Endpoint, target: Endpoint, control: Control | None, progress: Progress) -> None:
        """Load what is not loaded yet, MaxFullLoadSubTasks tables at a time."""
        done = {name for name, (state, _) in progress.tables.items() if state == LOADED}
        loader = Loader(source, target, self.settings, self.statistics, self.report, self.stop, control,
                        lambda table: table.name in progress.tables)  # fmt: skip
        waiting = [table for table in self.tables.values() if table.name not in done
                   and not self.statistics.is_suspended(table.name)]  # fmt: skip
        if waiting:
            self.order.statistics.setdefault("FullLoadStartDate", time.time())
        workers = max(1, int(self.settings["FullLoadSettings"]["MaxFullLoadSubTasks"]))
        with concurrent.futures.ThreadPoolExecutor(workers, thread_name_prefix="dms-load") as pool:
            loads = [pool.submit(self._load_one, loader, table) for table in waiting]
            try:
                while loads:
                    finished, rest = concurrent.futures.wait(loads, WAIT_SECONDS)[:2]
                    for each in finished:
                        each.result()
                        self.worked = True
                    loads = list(rest)
                    self._tell_statistics()
            except BaseException:
                self._give_up(pool, loader)
                raise
        self.order.statistics["FullLoadFinishDate"] = time.time()
        self._tell_statistics()

    @staticmethod
    def _give_up(pool: concurrent.futures.ThreadPoolExecutor, loader: Loader) -> None:
        loader.stop = threading.Event()
        loader.stop.set()
        pool.shutdown(wait=True, cancel_futures=True)

    def _load_one(self, loader: Loader, table: Table) -> None:
        if loader.stop.is_set():
            raise StopAsked
        with request_scope(self.order.account, self.order.region):
            loader.load(table)

    def _follow(self, session: psycopg.Connection[Any], source: Endpoint, target: Endpoint, control: Control) -> str:
        """Apply changes until the task is stopped."""
        progress = control.progress()
        until = {name: at for name, (_, at) in progress.tables.items()}
        last_overlap = max(until.values(), default=0)
        applied_session = target.connect()
        stream = Stream(source, self.slot, progress.position)
        validator = Validator(self.tables, self.settings, self.statistics, control, source, target, self.report)
        try:
            applied_session.execute("SET synchronous_commit = on")
            applier = Applier(applied_session, self.tables, self.settings, control, self.statistics, self.report,
                              lambda name: until.get(name, 0))  # fmt: skip
            heartbeat = _Heartbeat(source, session)
            validator.start()
            most = max(1, int(self.settings["ChangeProcessingTuning"]["MinTransactionSize"]))
            while not self.stop.is_set():
                transactions = stream.read(WAIT_SECONDS, most)
                if transactions:
                    self._apply(applier, transactions)
                    stream.confirm(transactions[-1].position)
                    validator.applied(applier.changed, transactions[-1].position)
                self._measure(transactions, control)
                heartbeat.beat()
                if self._cached_changes_are_applied(transactions, last_overlap):
                    return "STOPPED_AFTER_CACHED_EVENTS"
        finally:
            validator.stop()
            stream.close()
            applied_session.close()
        raise StopAsked

    def _cached_changes_are_applied(self, transactions: list[Transaction], last_overlap: int) -> bool:
        if not self.settings["FullLoadSettings"]["StopTaskCachedChangesApplied"]:
            return False
        return not transactions or transactions[-1].position >= last_overlap

    def _apply(self, applier: Applier, transactions: list[Transaction]) -> None:
        last = transactions[-1]
        self.lag.read, self.lag.read_at = last.position, last.committed_at
        self.lag.incoming = sum(len(one.changes) for one in transactions)
        self.lag.latency_source = max(0.0, time.time() - last.committed_at)
        self.changes += applier.apply(transactions)
        self.lag.applied_at = last.committed_at
        self.lag.latency_target = max(0.0, time.time() - transactions[0].committed_at)
        self.lag.incoming = 0
        self.worked = True

    def _measure(self, transactions: list[Transaction], control: Control) -> None:
        """Tell of the lag, once in a while."""
        if not transactions:
            self.lag.latency_source = self.lag.latency_target = 0.0
        now, lag = time.monotonic(), self.lag
        self._tell_statistics()
        if now - self._measured > METRIC_SECONDS:
            self._measured = now
            self._publish()
            control.status("CHANGE PROCESSING", lag.incoming, lag.read, lag.applied_at, lag.read_at)
        minutes = int(self.settings["ControlTablesSettings"]["HistoryTimeslotInMinutes"] or 5)
        if now - self._kept_history > 60 * minutes:
            self._kept_history = now
            control.history("CHANGE PROCESSING", minutes, lag.latency_target, self.changes)

    def _publish(self) -> None:
        lag = self.lag
        counts = {"CDCIncomingChanges": lag.incoming, "CDCChangesMemorySource": 0, "CDCChangesMemoryTarget": 0,
                  "CDCChangesDiskSource": 0, "CDCChangesDiskTarget": 0}  # fmt: skip
        latencies = {"CDCLatencySource": lag.latency_source, "CDCLatencyTarget": lag.latency_target}
        gauges = {name: (float(number), "Count") for name, number in counts.items()}
        gauges |= {name: (seconds, "Seconds") for name, seconds in latencies.items()}
        if self.type == LOAD_ONLY or (not self.lag.read and self.type == BOTH and self._is_loading()):
            gauges = {}
        rows = {"CDCThroughputRowsSource": self.changes, "CDCThroughputRowsTarget": self.changes,
                "FullLoadThroughputRowsSource": self.statistics.total("FullLoadRows"),
                "FullLoadThroughputRowsTarget": self.statistics.total("FullLoadRows")}  # fmt: skip
        self.metrics.publish(gauges, rows)

    def _is_loading(self) -> bool:
        counts = self.statistics.counts()
        return bool(counts["TablesLoading"] or counts["TablesQueued"])

    def _tell_statistics(self) -> None:
        """Bring the task's own statistics up to date."""
        counts = self.statistics.counts()
        whole = sum(counts.values())
        done = counts["TablesLoaded"] + counts["TablesErrored"]
        percent = 100 if done == whole else min(99, 100 * done // whole)
        self.order.statistics.update(counts, FullLoadProgressPercent=percent)
        now = time.monotonic()
        if self._is_loading() and now - self._measured > METRIC_SECONDS:
            self._measured = now
            self._publish()

    def _say_stopped(self, control: Control) -> None:
        try:
            lag = self.lag
            control.status("NOT RUNNING", 0, lag.read, lag.applied_at, lag.read_at)
        except psycopg.Error:
            return  # the target is gone: so is the table


class _Heartbeat:
    """Writes to the source every few minutes, so that an idle database's slot moves on.

    Source: DMS API reference, "PostgreSQLSettings": HeartbeatEnable, HeartbeatFrequency (minutes, 5), HeartbeatSchema.
    """

    def __init__(self, source: Endpoint, session: psycopg.Connection[Any]) -> None:
        self._session, self._last = session, 0.0
        self._enabled = source.flag("HeartbeatEnable")
        self._seconds = 60.0 * source.number("HeartbeatFrequency", 5)
        self._schema = sql.Identifier(source.attributes.get("heartbeatschema") or "public")
        self._table = sql.SQL("{}.awsdms_heartbeat").format(self._schema)

    def beat(self) -> None:
        """Write, when it is time."""
        now = time.monotonic()
        if not self._enabled or (self._last and now - self._last < self._seconds):
            return
        if not self._last:
            self._session.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(self._schema))
            self._session.execute(
                sql.SQL("CREATE TABLE IF NOT EXISTS {} (hb_key bigint PRIMARY KEY, hb_created_by varchar(100), "
                        "hb_created_at timestamptz, hb_last_heartbeat_at timestamptz)").format(self._table)
            )  # fmt: skip
        self._session.execute(
            sql.SQL("INSERT INTO {} VALUES (1, 'AWS-DMS', now(), now()) ON CONFLICT (hb_key) DO UPDATE SET "
                    "hb_last_heartbeat_at = now()").format(self._table)
        )  # fmt: skip
        self._last = now


def _check_source(session: psycopg.Connection[Any]) -> None:
    """Refuse a source that is not set up (DMS user guide, "Enabling CDC using a self-managed PostgreSQL database")."""
    level, timeout = session.execute(
        "SELECT current_setting('wal_level'), (SELECT setting::int FROM pg_settings WHERE name='wal_sender_timeout')"
    ).fetchone() or ("", 0)
    if level != "logical":
        raise TaskStopped(f"The source's wal_level is {level}; it must be logical for change data capture")
    if 0 < timeout < 10_000:
        raise TaskStopped(f"The source's wal_sender_timeout is {timeout} ms; it must be 0, or at least 10 seconds")


def _has_slot(session: psycopg.Connection[Any], name: str) -> bool:
    return bool(session.execute("SELECT 1 FROM pg_replication_slots WHERE slot_name = %s", (name,)).fetchone())


def slot_name(arn: str) -> str:
    """Return the name of a task's own slot: lower-case letters, digits and underscores, at most 63."""
    name = "".join(
        letter if letter.isalnum() and letter.isascii() else "_" for letter in arn.rpartition(":")[2].lower()
    )
    return f"awsdms_{name[:40]}_{hashlib.sha256(arn.encode()).hexdigest()[:12]}"


def _one_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    state = getattr(error, "sqlstate", None)
    return f"{state + ' ' if state else ''}{' '.join(lines) or type(error).__name__}"
