"""The display of a run: a progress bar, lines of text or JSON, and a file for Prometheus."""

import json
import logging
import sys
import threading
import time
from typing import IO, Any, Dict, Optional

from caffe_gradcam.batch.options import Reporting
from caffe_gradcam.batch.pipeline.gauges import Gauges
from prototxt_tools.files import write_bytes

_TICK, _LINE_EVERY, _METRICS_EVERY = 0.5, 10.0, 5.0
_HELP = {
    "images_total": "Images that are done in this run, by status.",
    "parts_total": "Part files that this run has written.",
    "images_planned": "Images that this run has to do.",
    "images_per_second": "Rate of the last minute.",
    "stage_busy_ratio": "Part of their time that a stage's processes worked.",
}
_logger = logging.getLogger(__name__)
_REPORTING = Reporting()


class Progress:
    """Shows a run while it runs, and tells it when to stop.

    Parameters
    ----------
    total : int
        Images that this run has to do.
    reporting : Reporting
    stop : threading.Event, optional
        Set by the caller to end the run after the parts in hand.
    stream : text file, optional
        Instead of stderr.

    Attributes
    ----------
    gauges : Gauges
    stop : threading.Event
    """

    def __init__(self, total: int, reporting: Reporting = _REPORTING,
                 stop: Optional[threading.Event] = None, stream: Optional[IO[str]] = None) -> None:
        self.gauges = Gauges()
        self.stop = stop or threading.Event()
        self._total, self._reporting = total, reporting
        self._stream = stream or sys.stderr
        self._bar: Any = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._last_line = self._last_metrics = time.monotonic()

    def __enter__(self) -> "Progress":
        is_terminal = getattr(self._stream, "isatty", lambda: False)()
        if is_terminal and not (self._reporting.quiet or self._reporting.log_json):
            from tqdm import tqdm

            self._bar = tqdm(total=self._total, unit="image", file=self._stream, smoothing=0.05)
        self.event("start", images=self._total)
        self._thread.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self._over.set()
        self._thread.join()
        self._write_metrics()
        if self._bar is not None:
            self._show_bar()
            self._bar.close()
        elif not error[0]:
            self._show_line()

    def warn(self, sentence: str) -> None:
        """Report a problem that does not stop the run and has no row."""
        if self._reporting.log_json:
            self.event("warning", message=sentence)
        else:
            _logger.warning("%s", sentence)

    def inform(self, sentence: str) -> None:
        """Tell how the run goes about its work."""
        if self._reporting.log_json:
            self.event("info", message=sentence)
        elif not self._reporting.quiet:
            self._write_line(f"caffe-gradcam: {sentence}")

    def event(self, name: str, **values: Any) -> None:
        """A line of the JSON log."""
        if self._reporting.log_json:
            self._write_line(json.dumps(
                dict({"time": round(time.time(), 3), "event": name}, **values)))

    def _run(self) -> None:
        while not self._over.wait(_TICK):
            now = time.monotonic()
            if self._bar is not None:
                self._show_bar()
            elif now - self._last_line >= _LINE_EVERY:
                self._last_line = now
                self._show_line()
            if now - self._last_metrics >= _METRICS_EVERY:
                self._last_metrics = now
                self._write_metrics()

    def _show_bar(self) -> None:
        self._bar.set_postfix_str(f"{self.gauges.bad} bad, busy: {self._busy()}", refresh=False)
        self._bar.update(self.gauges.images - self._bar.n)

    def _busy(self) -> str:
        return " ".join(f"{name} {100 * ratio:.0f}%" for name, ratio in self.gauges.busy().items())

    def _show_line(self) -> None:
        gauges = self.gauges
        rate = gauges.rate
        left = (self._total - gauges.images) / rate if rate > 0 else None
        if self._reporting.log_json:
            self.event("progress", done=gauges.images, images=self._total, counts=gauges.counts,
                       parts=gauges.parts, rate=round(rate, 2),
                       eta_seconds=None if left is None else round(left),
                       busy={name: round(ratio, 3) for name, ratio in gauges.busy().items()})
        elif not self._reporting.quiet:
            self._write_line(f"{gauges.images} of {self._total} images, {rate:.1f}/s, "
                             f"{duration(left)} left, {gauges.bad} bad, busy: {self._busy()}")

    def _write_line(self, line: str) -> None:
        if self._bar is not None:
            self._bar.write(line, file=self._stream)
        else:
            self._stream.write(line + "\n")
            self._stream.flush()

    def _write_metrics(self) -> None:
        if self._reporting.metrics:
            write_bytes(self._reporting.metrics,
                        to_prometheus(self.gauges, self._total).encode("ascii"))


def to_prometheus(gauges: Gauges, total: int) -> str:
    """The gauges in Prometheus' text format."""
    values: Dict[str, Dict[str, float]] = {
        "images_total": {f'{{status="{name}"}}': value
                         for name, value in gauges.counts.items()},
        "parts_total": {"": gauges.parts},
        "images_planned": {"": total},
        "images_per_second": {"": round(gauges.rate, 3)},
        "stage_busy_ratio": {f'{{stage="{name}"}}': round(ratio, 4)
                             for name, ratio in gauges.busy().items()},
    }
    lines = []
    for name, samples in values.items():
        full = "caffe_gradcam_batch_" + name
        kind = "counter" if name.endswith("_total") else "gauge"
        lines += [f"# HELP {full} {_HELP[name]}", f"# TYPE {full} {kind}"]
        lines += [f"{full}{labels} {value}" for labels, value in samples.items()]
    return "\n".join(lines) + "\n"


def duration(seconds: Optional[float]) -> str:
    """``1:02:03``, or ``?`` for None."""
    if seconds is None:
        return "?"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
