"""What Prometheus may know: counts and times, never a name, a word or a voice."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from softspoken.serve.scheduler import BatchRun

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)


class Metrics:
    """One server's counters."""

    def __init__(self) -> None:
        self.registry = there = CollectorRegistry()
        self.requests = Counter(
            "softspoken_requests", "Requests answered.", ["route", "method", "status"], registry=there
        )
        self.seconds = Histogram(
            "softspoken_request_seconds", "Time to the end of an answer.", ["route"], buckets=_SECONDS, registry=there
        )
        self.first = Histogram(
            "softspoken_first_segment_seconds",
            "From the end of an upload to its first segment.",
            buckets=_SECONDS,
            registry=there,
        )
        self.audio = Counter("softspoken_audio_seconds", "Seconds of audio transcribed.", registry=there)
        self.running = Gauge("softspoken_transcriptions", "Transcriptions waiting or running.", registry=there)
        self.held = Gauge("softspoken_held_audio_seconds", "Seconds of audio in memory.", registry=there)
        self.sockets = Gauge("softspoken_sockets", "Sockets open for live sound.", registry=there)
        self.streamed = Counter("softspoken_live_audio_seconds", "Seconds of live sound heard.", registry=there)
        self.refused = Counter("softspoken_refused", "Requests told to come back later.", registry=there)
        self.batches = Counter("softspoken_batches", "Batches run.", registry=there)
        self.rows = Histogram("softspoken_batch_rows", "Rows of a batch.", buckets=(1, 2, 4, 8, 16, 32), registry=there)
        self.batch_seconds = Histogram("softspoken_batch_seconds", "Time of a batch.", buckets=_SECONDS, registry=there)

    def count(self, run: BatchRun) -> None:
        """A batch."""
        self.batches.inc()
        self.rows.observe(run.rows)
        self.batch_seconds.observe(run.seconds)
        self.audio.inc(max(run.audio_s, 0.0))

    def text(self) -> bytes:
        """All of them, as Prometheus reads them."""
        return generate_latest(self.registry)
