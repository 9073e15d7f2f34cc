"""How long things take on a device, and how busy it is meanwhile."""

import statistics
import threading
import time
from dataclasses import dataclass
from typing import Any, Callable, List, Optional, Tuple

from gpu_checks.setting import Setting

MOST, LEAST = 50, 3
# Seconds between two samples of how busy the card is.
PERIOD = 0.05


def synchronize(device: str) -> None:
    """Wait until the device has finished its work."""
    if device != "cpu":
        import torch

        torch.cuda.synchronize()


def median_seconds(call: Callable[[], Any], setting: Setting, seconds: float) -> float:
    """The median time of a call, after two that do not count; in a dry run, of a single call.

    Parameters
    ----------
    call : callable
    setting : Setting
        Its device is waited for before and after each call.
    seconds : float
        How long to repeat the call: at least 3 times and at most 50.
    """
    for _ in range(0 if setting.is_dry else 2):
        call()
    times: List[float] = []
    end = time.perf_counter() + (0 if setting.is_dry else seconds)
    while len(times) < (1 if setting.is_dry else LEAST) or (
            time.perf_counter() < end and len(times) < MOST):
        synchronize(setting.device)
        started = time.perf_counter()
        call()
        synchronize(setting.device)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def peak_mib(device: str, call: Callable[[], Any]) -> Optional[float]:
    """The most memory of the card that tensors took during a call, in MiB; None on a CPU."""
    if device == "cpu":
        call()
        return None
    import torch

    torch.cuda.reset_peak_memory_stats()
    call()
    torch.cuda.synchronize()
    return float(torch.cuda.max_memory_allocated() >> 20)


class Busy:
    """Samples how busy the card is, by the driver's count, while a block runs.

    Attributes
    ----------
    percent : float or None
        The mean; None where the driver does not report it.
    source : str
        What reported it, or why nothing did.
    """

    def __init__(self, device: str) -> None:
        self.percent: Optional[float] = None
        self.source = "there is no card"
        self._samples: List[float] = []
        self._over = threading.Event()
        self._thread: Optional[threading.Thread] = None
        self._ask = _asker(self) if device != "cpu" else None

    def __enter__(self) -> "Busy":
        if self._ask:
            self._thread = threading.Thread(target=self._sample, daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self._over.set()
        if self._thread:
            self._thread.join()
        if self._samples:
            self.percent = statistics.mean(self._samples)

    def _sample(self) -> None:
        while not self._over.wait(PERIOD):
            assert self._ask
            self._samples.append(self._ask())


def _asker(busy: Busy) -> Optional[Callable[[], float]]:
    """A function that asks the driver through NVML, or through nvidia-smi, or None."""
    import shutil
    import subprocess

    try:
        import pynvml

        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        pynvml.nvmlDeviceGetUtilizationRates(handle)
        busy.source = "NVML"
        return lambda: float(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu)
    except Exception as error:  # noqa: B902 - NVML's own errors have no common parent
        busy.source = f"NVML does not work: {error}"
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    command = [tool, "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "--id=0"]

    def ask() -> float:
        return float(subprocess.check_output(command, timeout=5).decode().strip())

    try:
        ask()
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    busy.source = "nvidia-smi"
    return ask


@dataclass(frozen=True)
class Kernels:
    """What torch's profiler records.

    Attributes
    ----------
    wall : float
        Seconds.
    device : float
        Seconds in which kernels and copies ran on the card, or operators on the CPU.
    rows : list of (str, int, float)
        Name, calls and seconds of each, the longest first.
    """

    wall: float
    device: float
    rows: List[Tuple[str, int, float]]


def kernels(setting: Setting, call: Callable[[], Any], count: int) -> Kernels:
    """Which kernels or operators take the time of some calls."""
    from torch.profiler import ProfilerActivity, profile

    on_card = setting.device != "cpu"
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * on_card
    call()
    synchronize(setting.device)
    with profile(activities=activities) as profiler:
        started = time.perf_counter()
        for _ in range(count):
            call()
        synchronize(setting.device)
        wall = time.perf_counter() - started
    rows = []
    for event in profiler.key_averages():
        if on_card == (str(event.device_type).rsplit(".", 1)[-1] == "CUDA"):
            microseconds = (event.self_device_time_total if on_card
                            else event.self_cpu_time_total)
            rows.append((event.key, event.count, microseconds / 1e6))
    rows.sort(key=lambda row: -row[2])
    return Kernels(wall, sum(row[2] for row in rows), rows)
