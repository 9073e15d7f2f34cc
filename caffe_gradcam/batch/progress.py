"""A run as people and programs see it: a progress bar, lines, JSON lines, Prometheus' text."""

import json
import sys
import threading
import time

from prototxt_tools.files import write_bytes

_TICK, _LINE_EVERY, _METRICS_EVERY = 0.5, 10.0, 5.0
_HELP = {
    "images_total": "Images that are done in this run, by status.",
    "parts_total": "Part files that this run has written.",
    "images_planned": "Images that this run has to do.",
    "images_per_second": "Rate of the last minute.",
    "stage_busy_ratio": "Part of their time that a stage's workers worked.",
}


class Watch:
    """Shows a run's gauges while it runs.

    Parameters
    ----------
    gauges : Gauges
    total : int
        Images that this run has to do.
    quiet : bool
        Show nothing but warnings.
    log_json : bool
        One JSON object a line on stderr, instead of text.
    metrics : str or None
        A file for Prometheus' textfile collector.
    stream : text file, optional
        Instead of stderr.
    """

    def __init__(self, gauges, total, quiet=False, log_json=False, metrics=None, stream=None):
        self._gauges, self._total = gauges, total
        self._quiet, self._json, self._metrics = quiet, log_json, metrics
        self._stream = stream or sys.stderr
        self._bar = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._last_line = self._last_metrics = time.monotonic()

    def __enter__(self):
        is_terminal = getattr(self._stream, "isatty", lambda: False)()
        if is_terminal and not (self._quiet or self._json):
            from tqdm import tqdm

            self._bar = tqdm(total=self._total, unit="image", file=self._stream, smoothing=0.05)
        self.event("start", images=self._total)
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._over.set()
        self._thread.join()
        self._write_metrics()
        if self._bar is not None:
            self._show_bar()
            self._bar.close()
        elif not error[0]:
            self._progress()

    def warn(self, sentence):
        """Tell of something that went wrong and does not stop the run."""
        if self._json:
            self.event("warning", message=sentence)
        else:
            self._print("caffe-gradcam: warning: " + sentence)

    def event(self, name, **values):
        """A line of the JSON log."""
        if self._json:
            self._print(json.dumps(dict({"time": round(time.time(), 3), "event": name}, **values)))

    def _run(self):
        while not self._over.wait(_TICK):
            now = time.monotonic()
            if self._bar is not None:
                self._show_bar()
            elif now - self._last_line >= _LINE_EVERY:
                self._last_line = now
                self._progress()
            if now - self._last_metrics >= _METRICS_EVERY:
                self._last_metrics = now
                self._write_metrics()

    def _show_bar(self):
        self._bar.set_postfix_str(f"{self._gauges.bad} bad, busy: {self._busy()}",
                                  refresh=False)
        self._bar.update(self._gauges.images - self._bar.n)

    def _busy(self):
        return " ".join(f"{name} {100 * part:.0f}%"
                        for name, part in self._gauges.busy().items())

    def _progress(self):
        gauges = self._gauges
        rate = gauges.rate
        left = (self._total - gauges.images) / rate if rate > 0 else None
        if self._json:
            self.event("progress", done=gauges.images, images=self._total, counts=gauges.counts,
                       parts=gauges.parts, rate=round(rate, 2),
                       eta_seconds=None if left is None else round(left),
                       busy={name: round(part, 3) for name, part in gauges.busy().items()})
        elif not self._quiet:
            self._print(f"{gauges.images} of {self._total} images, {rate:.1f}/s, {duration(left)} left, {gauges.bad} bad, busy: {self._busy()}")

    def _print(self, line):
        if self._bar is not None:
            self._bar.write(line, file=self._stream)
        else:
            print(line, file=self._stream, flush=True)

    def _write_metrics(self):
        if self._metrics:
            write_bytes(self._metrics, to_prometheus(self._gauges, self._total).encode("ascii"))


def to_prometheus(gauges, total):
    """The gauges in Prometheus' text format."""
    values = {
        "images_total": {f'{{status="{name}"}}': value
                         for name, value in gauges.counts.items()},
        "parts_total": {"": gauges.parts},
        "images_planned": {"": total},
        "images_per_second": {"": round(gauges.rate, 3)},
        "stage_busy_ratio": {f'{{stage="{name}"}}': round(part, 4)
                             for name, part in gauges.busy().items()},
    }
    lines = []
    for name, samples in values.items():
        full = "caffe_gradcam_batch_" + name
        kind = "counter" if name.endswith("_total") else "gauge"
        lines += [f"# HELP {full} {_HELP[name]}", f"# TYPE {full} {kind}"]
        lines += [f"{full}{labels} {value}" for labels, value in samples.items()]
    return "\n".join(lines) + "\n"


def duration(seconds):
    """``1:02:03``, or ``?`` of None."""
    if seconds is None:
        return "?"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
