"""One run of a task: from its start over the load to the changes, until it is stopped, is over, or fails.

The run is a thread of the server. It goes on by itself after errors of the environment, as RecoverableErrorCount and
its companions say, from what the target holds: the loaded tables and the position of the last applied transaction.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg
from ministack.core.responses import request_scope

from builders.cloud.dms import capture, endpoints, mappings, settings as task_settings, tables as source_tables
from builders.cloud.dms.apply import Applier
from builders.cloud.dms.capture import SlotUnusable, Stream, Transaction
from builders.cloud.dms.control import Control, Progress
from builders.cloud.dms.endpoints import Endpoint, Unusable
from builders.cloud.dms.faults import Fault
from builders.cloud.dms.load import Loader
from builders.cloud.dms.loads import Loads
from builders.cloud.dms.reporting import Metrics, Report, Tables
from builders.cloud.dms.settings import TaskSettings
from builders.cloud.dms.troubles import FATAL, RECOVERABLE, StopAsked, TaskStopped, is_recoverable
from builders.cloud.dms.validation import Validator
from builders.logical_decoding import Name
from builders.resource_types import Json

logger = logging.getLogger("dms")

WAIT_SECONDS = 0.2
STOP_SECONDS = 1.0
METRIC_SECONDS = 5.0
LOAD_ONLY, BOTH, CDC = "full-load", "full-load-and-cdc", "cdc"
NO_TABLES = (
    "No tables were found at task initialization. Either the selected table(s) or schemas(s) no longer exist or no "
    "match was found for the table selection pattern(s)."
)


@dataclass(frozen=True)
class Order:
    """The input of a run: the task as CloudFormation made it, the kind of start, and where to report."""

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
        self._run: _Run | None = None
        self.silent = False
        """Ends without a word: the server ends, or the task was made to fail from outside."""

    def stop(self) -> None:
        """Ask the run to end."""
        self.stop_asked.set()
        patience = threading.Timer(STOP_SECONDS, self._cancel)
        patience.daemon = True
        patience.start()

    def _cancel(self) -> None:
        """End the statement that the run waits for, such as one that another session's lock keeps."""
        if self.is_alive() and self._run and self._run.applying:
            self._run.applying.cancel_safe(timeout=1)

    def leave(self) -> None:
        """End without a report: somebody else has reported the end, or goes on."""
        self.silent = True
        self.stop()

    def run(self) -> None:
        """Run, and tell of the end."""
        with request_scope(self.order.account, self.order.region):
            end = self._to_its_end()
            if end[2] and self._run:
                self._run.report.write("TASK_MANAGER", "E", end[2])
            if not self.silent:
                self.order.over(*end)

    def _to_its_end(self) -> tuple[str, str, str]:
        try:
            self._run = _Run(self.order, self.stop_asked)
            return "stopped", f"Stop Reason {self._with_patience(self._run)}", ""
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
                run.say_running()  # so that it can be stopped
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
    """The progress and the delay of the changes."""

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
    """True where something was loaded or applied since the last error."""
    began: bool = False
    lag: _Lag = field(default_factory=_Lag)

    def __post_init__(self) -> None:
        properties = self.order.properties
        self.settings: TaskSettings = task_settings.read(properties.get("ReplicationTaskSettings"))
        self.mappings = mappings.read(properties["TableMappings"])
        self.type = str(properties["MigrationType"])
        log = self.settings["Logging"]["EnableLogging"]
        self.report = Report(f"dms-tasks-{self.order.instance}", f"dms-task-{self.order.resource}", bool(log))
        self.metrics = Metrics(self.order.instance, self.order.resource)
        self.fresh = self.order.kind != "resume-processing"
        self.slot = self.order.slot or (capture.slot_name(self.order.arn) if self.order.again else "")
        self.changes = 0
        self.applying: psycopg.Connection[Any] | None = None
        self._found: tuple[Endpoint, Endpoint] | None = None
        self._measured = self._kept_history = 0.0

    def attempt(self) -> str:
        """Work until the end; return the stop reason."""
        source, target = self._endpoints()
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

    def _endpoints(self) -> tuple[Endpoint, Endpoint]:
        """Source and target; the secrets are read once a run, which so does not outlive a rotation of them."""
        if self._found is None:
            source, target = (str(self.order.properties[f"{side}EndpointArn"]) for side in ("Source", "Target"))
            self._found = endpoints.find(source), endpoints.find(target)
        return self._found

    def _only_load(self, source: Endpoint, target: Endpoint) -> str:
        self.say_running()
        self._load(source, target, None, Progress(0, {}))
        return "FULL_LOAD_ONLY_FINISHED"

    def _prepare(self, session: psycopg.Connection[Any], source: Endpoint, control: Control) -> None:
        """Have a slot to read from: an own new one before the load, the one before on the way on, or the given one."""
        _check_source(session)
        given = source.attributes.get("slotname", "")
        if given:
            start = self.order.properties.get("CdcStartPosition")
            if self.type == CDC and not start:
                raise TaskStopped(f"slotName {given} is given without a CdcStartPosition")
            capture.check_slot(session, given)
            self.slot = given
        if self.order.again and self.fresh and control.progress().position and capture.has_slot(session, self.slot):
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
        self.slot = capture.slot_name(self.order.arn)
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
            raise TaskStopped(f"CdcStartPosition {text} is not a log sequence number, such as 4AF/B00000D0") from error

    def say_running(self) -> None:
        """Tell that the task runs."""
        if not self.began:
            self.began = True
            self.order.running()

    def _load_and_follow(
        self, session: psycopg.Connection[Any], source: Endpoint, target: Endpoint, control: Control
    ) -> str:
        self.say_running()
        progress = control.progress()
        if self.type == CDC:
            for table in self.tables.values():
                if not self.statistics.is_suspended(table.name):
                    self.statistics.complete(table)
            return self._follow(session, source, target, control, progress, None)
        control.status("FULL LOAD", 0, progress.position, 0.0, 0.0)
        if self.settings["FullLoadSettings"]["StopTaskCachedChangesNotApplied"]:
            self._load(source, target, control, progress)
            return "STOPPED_AFTER_FULL_LOAD"
        loads = self._loads(source, target, control, progress)
        try:
            return self._follow(session, source, target, control, progress, loads)
        finally:
            loads.close()

    def _loads(self, source: Endpoint, target: Endpoint, control: Control | None, progress: Progress) -> Loads:
        """Begin to load what is not loaded yet, MaxFullLoadSubTasks tables at a time."""
        loader = Loader(source, target, self.settings, self.statistics, self.report, threading.Event(), control,
                        lambda table: table.name in progress.tables)  # fmt: skip
        self.order.statistics.setdefault("FullLoadStartDate", time.time())
        at_once = int(self.settings["FullLoadSettings"]["MaxFullLoadSubTasks"])
        return Loads(loader, list(self.tables.values()), progress, at_once)

    def _load(self, source: Endpoint, target: Endpoint, control: Control | None, progress: Progress) -> None:
        """Load, and do nothing else."""
        loads = self._loads(source, target, control, progress)
        try:
            while loads.wait(WAIT_SECONDS):
                self._tell_statistics()
                if self.stop.is_set():
                    raise StopAsked
            self._loaded()
        finally:
            loads.close()

    def _loaded(self) -> None:
        self.worked = True
        self.order.statistics.setdefault("FullLoadFinishDate", time.time())
        self._tell_statistics()

    def _follow(
        self, session: psycopg.Connection[Any], source: Endpoint, target: Endpoint, control: Control,
        progress: Progress, loads: Loads | None,
    ) -> str:  # fmt: skip
        """Apply changes until the task is stopped; those of a table that still loads are kept until it is loaded."""
        self.applying = other = target.connect()
        stream = Stream(source, self.slot, progress.position)
        validator = Validator(self.tables, self.settings, self.statistics, control, source, target, self.report)
        try:
            other.execute("SET synchronous_commit = on")
            until = loads.until if loads else {}
            applier = Applier(other, self.tables, self.settings, control, self.statistics, self.report, until)
            if loads:
                ready = loads.ready
                applier.after = {name: one.applied for name, one in progress.tables.items()}
                applier.mark = lambda session, at: control.tables_applied(session, ready, at)
            heartbeat = capture.Heartbeat(source, session, self.report)
            validator.start()
            most = max(1, int(self.settings["ChangeProcessingTuning"]["MinTransactionSize"]))
            while not self.stop.is_set():
                if validator.waits:
                    stream.ask()
                transactions = stream.read(WAIT_SECONDS, most)
                self._take(applier, loads.sift(transactions) if loads else transactions, most)
                validator.applied(applier.changed, stream.heard, loads.ready if loads else self.tables)
                if loads and loads.are_over:
                    control.begin_at(stream.read_position)
                    stream.confirm(stream.read_position)
                    applier.after, applier.mark, loads = {}, control.applied, None
                    self._loaded()
                if loads is None and transactions:
                    stream.confirm(stream.read_position)
                self._measure(transactions, control)
                heartbeat.beat()
                if loads is None and self._is_enough(transactions, stream.read_position, until):
                    return "STOPPED_AFTER_CACHED_EVENTS"
        finally:
            validator.stop()
            stream.close()
            other.close()
        raise StopAsked

    def _take(self, applier: Applier, transactions: list[Transaction], most: int) -> None:
        """Apply transactions, about `most` changes at a time."""
        applier.changed = []
        part: list[Transaction] = []
        for number, transaction in enumerate(transactions, 1):
            part.append(transaction)
            if number == len(transactions) or sum(len(one.changes) for one in part) >= most:
                self._apply(applier, part)
                part = []

    def _is_enough(self, transactions: list[Transaction], read: int, until: Mapping[Name, int]) -> bool:
        """Return whether the task stops now, since the changes that were kept are applied."""
        stops = self.settings["FullLoadSettings"]["StopTaskCachedChangesApplied"]
        return bool(stops) and (not transactions or read >= max(until.values(), default=0))

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
        elapsed = int(1000 * (time.time() - self.order.statistics["StartDate"]))
        self.order.statistics.update(counts, FullLoadProgressPercent=percent, ElapsedTimeMillis=elapsed)
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


def _check_source(session: psycopg.Connection[Any]) -> None:
    """Refuse a source that is not set up (DMS user guide, "Enabling CDC using a self-managed PostgreSQL database")."""
    level, timeout = session.execute(
        "SELECT current_setting('wal_level'), (SELECT setting::int FROM pg_settings WHERE name='wal_sender_timeout')"
    ).fetchone() or ("", 0)
    if level != "logical":
        raise TaskStopped(f"The source's wal_level is {level}; it must be logical for change data capture")
    if 0 < timeout < 10_000:
        raise TaskStopped(f"The source's wal_sender_timeout is {timeout} ms; it must be 0, or at least 10 seconds")


def _one_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    state = getattr(error, "sqlstate", None)
    return f"{state + ' ' if state else ''}{' '.join(lines) or type(error).__name__}"
