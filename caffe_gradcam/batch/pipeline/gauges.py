"""What can be seen of a run: counts, rates, and how busy each stage is."""

import collections
import threading
import time
from typing import Callable, Deque, Dict, List, Mapping, Tuple

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

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._started = time.monotonic()
        self._stages: Dict[str, List[float]] = collections.OrderedDict()
        self._samples: Deque[Tuple[float, int]] = collections.deque([(self._started, 0)])
        self.counts: Dict[str, int] = dict.fromkeys(STATUSES, 0)
        self.parts = 0

    def stage(self, name: str, processes: int) -> Callable[[float], None]:
        """Add processes to a stage; the function that counts the seconds of their work."""
        with self._guard:
            entry = self._stages.setdefault(name, [0.0, 0])
            entry[1] += processes

        def add(seconds: float) -> None:
            with self._guard:
                entry[0] += seconds

        return add

    def count(self, counts: Mapping[str, int]) -> None:
        """Count images that are done, by status."""
        with self._guard:
            for name, value in counts.items():
                self.counts[name] += value
            now = time.monotonic()
            if now - self._samples[-1][0] > 1:
                self._samples.append((now, sum(self.counts.values())))
            while now - self._samples[0][0] > _WINDOW and len(self._samples) > 2:
                self._samples.popleft()

    def add(self, counts: Mapping[str, int]) -> None:
        """Count a part that another process made, with its images by status."""
        with self._guard:
            for name, value in counts.items():
                self.counts[name] += value
            self.parts += 1
            self._samples.append((time.monotonic(), sum(self.counts.values())))

    def count_part(self) -> None:
        """Count a part that has been written."""
        with self._guard:
            self.parts += 1

    @property
    def images(self) -> int:
        return sum(self.counts.values())

    @property
    def bad(self) -> int:
        return self.counts["unreadable"] + self.counts["failed"]

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._started

    @property
    def rate(self) -> float:
        """Images per second in the last minute."""
        with self._guard:
            start, before = self._samples[0]
        return (self.images - before) / max(time.monotonic() - start, 1e-3)

    def busy(self) -> Dict[str, float]:
        """Stage -> the fraction of its processes' time that they worked, 0 to 1."""
        with self._guard:
            return {name: min(1.0, seconds / processes / max(self.seconds, 1e-3))
                    for name, (seconds, processes) in self._stages.items()}
