"""Metrics for Prometheus: the ledger by organisation and duty, what waits, failed activities, process, the SDK's own.

Labels are organisations, duties and names of our own: never a case, a person or a text. What stands in the store is
read from the store at each scrape, so it survives restarts and is the same from every worker.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, get_args

import structlog
from prometheus_client import CollectorRegistry, Counter, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import case
from sqlmodel import col, func, select
from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.runtime import (
    LogForwardingConfig,
    LoggingConfig,
    PrometheusConfig,
    Runtime,
    TelemetryConfig,
    TelemetryFilter,
)
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from models.case import ClockStatus
from models.common import Model
from models.tables import ClockRow
from operations.health import Health, Waiting, What
from operations.intake import Sessions

PORT_TRIES = 5


# ---- the ledger -----------------------------------------------------------------------------------------------------


class Clocks(Model):
    """How many clocks of a duty stand in a state."""

    organisation: str
    duty: str
    state: ClockStatus
    number: int


async def clocks(sessions: Sessions, now: datetime) -> tuple[Clocks, ...]:
    """Every clock there ever was, counted; one round trip, and one pass over the ledger.

    A clock is overdue from its due instant on, as in `starter.py list`, also when no worker has recorded it yet.
    """
    overdue = (col(ClockRow.status) == "running") & col(ClockRow.can_be_late) & (col(ClockRow.due) <= now)
    state = case((overdue, "overdue"), else_=ClockRow.status)
    query = select(ClockRow.organisation, ClockRow.duty, state, func.count()).group_by(
        ClockRow.organisation, ClockRow.duty, state
    )
    async with sessions() as session:
        rows = (await session.exec(query)).all()
    return tuple(Clocks(organisation=o, duty=d, state=s, number=n) for o, d, s, n in sorted(rows))


# ---- failed activities ----------------------------------------------------------------------------------------------


class Failures(Interceptor):
    """Counts failed attempts of activities, and tells the log which duties an activity concerns."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._failed = Counter(
            "termins_activity_failures",
            "Failed attempts of activities, by the type of the error",
            ("activity", "error"),
            registry=self.registry,
        )

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Wraps every activity of the worker."""
        failed = self._failed

        class Inbound(ActivityInboundInterceptor):
            async def execute_activity(self, input: ExecuteActivityInput) -> Any:
                if concerned := _duties(input.args):
                    # never unbound: an attempt has its own context, and the SDK logs a failure after this returns
                    structlog.contextvars.bind_contextvars(duty=concerned)
                try:
                    return await super().execute_activity(input)
                except Exception as e:
                    type_ = (e.type if isinstance(e, ApplicationError) else None) or type(e).__name__
                    failed.labels(activity.info().activity_type, type_).inc()
                    raise

        return Inbound(next)


def _duties(args: Sequence[Any]) -> str:
    """The duties that a step is about: its own, and those whose clocks it changes."""
    found = {
        duty
        for of in args
        for what in (of, *getattr(of, "ticks", ()), *getattr(of, "changes", ()))
        if isinstance(duty := getattr(what, "duty", None), str)
    }
    return ", ".join(sorted(found))


# ---- the SDK --------------------------------------------------------------------------------------------------------


def runtime(*, metrics: bool) -> tuple[Runtime, str | None]:
    """The SDK's runtime for a process, and where it answers with its own metrics (on this machine only).

    What the SDK's core logs goes through Python's logging, so that it is one line like every other, without the fields
    in which it quotes failures.
    """
    logs = LoggingConfig(
        filter=TelemetryFilter(core_level="WARN", other_level="ERROR"),
        forwarding=LogForwardingConfig(
            logging.getLogger("temporalio.core"),
            append_target_to_name=False,
            prepend_target_on_message=False,
            append_log_fields_to_message=False,
        ),
    )
    if not metrics:
        return Runtime(telemetry=TelemetryConfig(logging=logs)), None
    for left in reversed(range(PORT_TRIES)):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        own = PrometheusConfig(
            bind_address=address, counters_total_suffix=True, unit_suffix=True, durations_as_seconds=True
        )
        try:
            return Runtime(telemetry=TelemetryConfig(logging=logs, metrics=own)), f"http://{address}/metrics"
        except ValueError:  # somebody took the port meanwhile
            if not left:
                raise
    raise AssertionError("unreachable")


# ---- exposition -----------------------------------------------------------------------------------------------------


class _Asked(Collector):
    """What was asked for one scrape."""

    def __init__(self, health: Health, found: Sequence[Clocks] | None) -> None:
        self._health = health
        self._clocks = found

    def collect(self) -> Iterable[Metric]:
        health = self._health
        parts = GaugeMetricFamily("termins_part_ok", "1 where nothing is wrong with a part", labels=("part",))
        for part in health.parts:
            parts.add_metric((part.name,), part.ok)
        yield parts
        yield GaugeMetricFamily("termins_ready", "1 where everything answers that a worker needs", health.ready)
        for name, text, number in (
            ("termins_stuck_cases", "Cases that the engine reports as stuck", health.stuck),
            ("termins_diverged_cases", "Cases that differ from their record", health.diverged),
            (
                "termins_checkpoint_timestamp_seconds",
                "When the newest checkpoint was made",
                health.checkpoint_at.timestamp() if health.checkpoint_at is not None else None,
            ),
        ):
            if number is not None:
                yield GaugeMetricFamily(name, text, number)
        aside = GaugeMetricFamily("termins_incoming_aside", "What came in and is left for people", labels=("source",))
        read = GaugeMetricFamily(
            "termins_incoming_read_timestamp_seconds", "When a source was read last", labels=("source",)
        )
        for one in health.incoming:
            aside.add_metric((one.source,), one.aside)
            read.add_metric((one.source,), one.looked_at.timestamp())
        yield aside
        yield read
        if self._clocks is not None:
            yield from _of_clocks(self._clocks)


def _of_clocks(found: Sequence[Clocks]) -> Iterable[Metric]:
    states = GaugeMetricFamily(
        "termins_clocks", "Clocks that stand in a state now", labels=("organisation", "duty", "state")
    )
    started = CounterMetricFamily(
        "termins_clocks_started", "Clocks that were ever started", labels=("organisation", "duty")
    )
    by_duty: dict[tuple[str, str], dict[str, int]] = {}
    for one in found:
        by_duty.setdefault((one.organisation, one.duty), {})[one.state] = one.number
    for key, numbers in by_duty.items():
        started.add_metric(key, sum(numbers.values()))
        # all of them, so that the first late one is an increase and not a new series
        for state in get_args(ClockStatus):
            states.add_metric((*key, state), numbers.get(state, 0))
    yield started
    yield states


class _Waits(Collector):
    """What waits, and for how long."""

    def __init__(self, waits: Sequence[Waiting], organisations: Iterable[str], now: datetime) -> None:
        self._waits = waits
        self._organisations = organisations
        self._now = now

    def collect(self) -> Iterable[Metric]:
        numbers = GaugeMetricFamily(
            "termins_waiting", "What waits to be done by the machine", labels=("organisation", "what")
        )
        ages = GaugeMetricFamily(
            "termins_waiting_oldest_seconds", "How long the oldest of it waits", labels=("organisation", "what")
        )
        found = {(w.organisation, w.what): w for w in self._waits}
        for organisation in sorted({*self._organisations, *(w.organisation for w in self._waits)}):
            for what in get_args(What):
                one = found.get((organisation, what))
                numbers.add_metric((organisation, what), one.number if one else 0)
                ages.add_metric((organisation, what), max((self._now - one.since).total_seconds(), 0) if one else 0)
        yield numbers
        yield ages


def exposition(health: Health, found: Sequence[Clocks] | None, now: datetime, own: CollectorRegistry) -> bytes:
    """Prometheus' text format; without the ledger's part where the store does not answer."""
    asked = CollectorRegistry()
    asked.register(_Asked(health, found))
    if found is not None:
        asked.register(_Waits(health.waiting, {c.organisation for c in found}, now))
    return generate_latest(asked) + generate_latest(own)
