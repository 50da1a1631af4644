"""What Prometheus reads at /metrics: requests, latency of each step, tokens, cache, queue, turns.

No label holds what a user typed: routes are told by their pattern, models by their kind.
"""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

Reading = Callable[[], dict[str, float]]


class Metrics:
    """One server's counters."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "flywheel_requests",
            "Requests that were answered.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self.seconds = Histogram(
            "flywheel_request_seconds",
            "Time until the last byte of a request's answer.",
            ("route",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.first_byte = Histogram(
            "flywheel_first_content_seconds",
            "Time until the first event of an answer that is streamed.",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.step = Histogram(
            "flywheel_step_seconds",
            "Time that a step of an answer took: search, answer, write, store.",
            ("step",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.answers = Counter(
            "flywheel_answers",
            "Answers by kind, and by what gave them.",
            ("kind", "origin"),
            registry=self._registry,
        )
        self.tokens = Counter(
            "flywheel_tokens", "Tokens, as usage counts them.", ("of",), registry=self._registry
        )
        self.cache = Counter(
            "flywheel_cache", "Looks into the cache.", ("outcome",), registry=self._registry
        )
        self.saved = Counter(
            "flywheel_cache_saved_seconds",
            "Time that answers from the cache had taken when they were made.",
            registry=self._registry,
        )
        self.feedback = Counter(
            "flywheel_feedback",
            "Acts of feedback that were kept.",
            ("kind",),
            registry=self._registry,
        )
        self.refused = Counter(
            "flywheel_refused",
            "Requests that were turned away, by the reason.",
            ("reason",),
            registry=self._registry,
        )
        self.running = Gauge(
            "flywheel_running", "Requests that are worked on.", registry=self._registry
        )
        self.waiting = Gauge("flywheel_waiting", "Requests that wait.", registry=self._registry)

    def add_readings(self, name: str, about: str, read: Reading) -> None:
        """Adds a gauge that is read whenever somebody looks, one value for each `what`."""
        self._registry.register(_Readings(name, about, read))

    def page(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self._registry)


class _Readings(Collector):
    """A gauge whose values are asked for at each look."""

    def __init__(self, name: str, about: str, read: Reading) -> None:
        self._name, self._about, self._read = name, about, read

    def describe(self) -> list[GaugeMetricFamily]:
        return [GaugeMetricFamily(self._name, self._about, labels=["what"])]

    def collect(self) -> list[GaugeMetricFamily]:
        family = GaugeMetricFamily(self._name, self._about, labels=["what"])
        for what, value in sorted(self._read().items()):
            family.add_metric([what], value)
        return [family]
