"""What can be seen of a run: counts, rates, and how busy each stage is."""

import collections
import threading
import time

from caffe_gradcam.batch.output.rows import STATUSES

_WINDOW = 60.0


class Gauges:
    """Counters of a run; safe between threads.

    Attributes
    ----------
    counts : dict
        Status -> images; an image with several rows counts as ok if one of them is.
    parts : int
    """

    def __init__(self):
        self._guard = threading.Lock()
        self._started = time.monotonic()
        self._stages = collections.OrderedDict()
        self._samples = collections.deque([(self._started, 0)])
        self.counts = dict.fromkeys(STATUSES, 0)
        self.parts = 0

    def stage(self, name, workers):
        """A function that takes seconds of work of a stage with so many more workers."""
        with self._guard:
            entry = self._stages.setdefault(name, [0.0, 0])
            entry[1] += workers

        def add(seconds):
            with self._guard:
                entry[0] += seconds

        return add

    def count(self, outcomes):
        """Count images that are done."""
        with self._guard:
            for one in outcomes:
                self.counts[status(one)] += 1
            now = time.monotonic()
            if now - self._samples[-1][0] > 1:
                self._samples.append((now, sum(self.counts.values())))
            while now - self._samples[0][0] > _WINDOW and len(self._samples) > 2:
                self._samples.popleft()

    def add(self, counts):
        """Count a part that was made elsewhere, its images by status."""
        with self._guard:
            for name, value in counts.items():
                self.counts[name] += value
            self.parts += 1
            self._samples.append((time.monotonic(), sum(self.counts.values())))

    def count_part(self):
        with self._guard:
            self.parts += 1

    @property
    def images(self):
        return sum(self.counts.values())

    @property
    def bad(self):
        return self.counts["unreadable"] + self.counts["failed"]

    @property
    def seconds(self):
        """Since the beginning."""
        return time.monotonic() - self._started

    @property
    def rate(self):
        """Images per second in the last minute."""
        with self._guard:
            start, before = self._samples[0]
        return (self.images - before) / max(time.monotonic() - start, 1e-3)

    def busy(self):
        """Stage -> the part of its workers' time that they worked, 0 to 1."""
        with self._guard:
            return {name: min(1.0, seconds / workers / max(self.seconds, 1e-3))
                    for name, (seconds, workers) in self._stages.items()}


def status(outcome):
    """The status of an image whatever the number of its explanations."""
    if outcome.status != "done":
        return outcome.status
    return "ok" if any(one.status == "ok" for one in outcome.explanations) else "empty"
