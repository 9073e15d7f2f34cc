"""How fast nets are explained, how busy the card is, and which operations take the time."""

import time
import types
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence

from gpu_checks import facts, product, timing
from gpu_checks.report import Clock, OutOfTime, Report
from gpu_checks.setting import Setting

TITLE = "Images per second, arrays in and arrays out"
COLUMNS = ["net", "precision", "batch", "forward", "explain", "explain / forward, time",
           "memory, MiB"]
LIBRARY = "pytorch-grad-cam on the same layers, fp32"
SHOWN = 15
# Seconds that a cell of the table is measured at most.
CELL = 0.4


@dataclass(frozen=True)
class Cell:
    """The seconds of a batch, and the MiB of the card that it takes."""

    forward: float
    explain: float
    memory: Optional[float]


def net(setting: Setting, report: Report, name: str, precisions: Sequence[str]) -> None:
    """Forward and explain, for each precision and size of the batch."""
    model = product.load(setting, name)
    ready, clock = product.prepared(model, 1), Clock(setting.seconds)
    inputs = product.inputs(model, max(batches(setting)))
    cells = [(precision, batch) for precision in product.usable(setting, report, precisions)
             for batch in batches(setting)]
    opened: Dict[str, product.Explainer] = {}
    for index, (precision, batch) in enumerate(cells):
        if clock.left < 0:
            _close(opened)
            raise OutOfTime(f"{len(cells) - index} of {len(cells)} measurements are missing")
        if precision not in opened:
            _close(opened)
            opened = {precision: product.explainer(model, setting.device, precision)}
        seconds = min(CELL, clock.left / (len(cells) - index) / 3)
        try:
            cell = measure(setting, opened[precision], ready * batch, {
                blob: array[:batch] for blob, array in inputs.items()}, seconds)
        except product.OutOfMemory:
            report.row(TITLE, COLUMNS, [name, precision, batch] + ["does not fit"] * 4)
            continue
        report.row(TITLE, COLUMNS, [
            name, precision, batch, batch / cell.forward, batch / cell.explain,
            cell.explain / cell.forward, cell.memory])
    _close(opened)


def batches(setting: Setting) -> List[int]:
    """Sizes of the batches that are measured."""
    return [1, 2] if setting.is_dry else [1, 8, 64, 256]


def measure(setting: Setting, explainer: product.Explainer,
            ready: List["product.Outcome[product.Prepared]"], inputs: Dict[str, Any],
            seconds: float) -> Cell:
    """The median times of a batch; raises OutOfMemory where it does not fit as a whole."""
    def forward() -> None:
        explainer.engine.forward(inputs, [explainer.model.score])

    def explain() -> None:
        explainer.explain_prepared(ready, [1])

    forward()
    forward_seconds = timing.median_seconds(forward, setting, seconds)
    memory = timing.peak_mib(setting.device, explain)
    return Cell(forward_seconds, timing.median_seconds(explain, setting, seconds), memory)


def _close(opened: Dict[str, product.Explainer]) -> None:
    """Close the explainers, and give the card's memory back."""
    for explainer in opened.values():
        explainer.close()
    if opened:
        import torch

        opened.clear()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def library(setting: Setting, report: Report, nets: List[str]) -> None:
    """pytorch-grad-cam, compared with explaining the same batch here."""
    from explain_library import make

    for name in nets:
        model = product.load(setting, name)
        with product.explainer(model, setting.device) as explainer:
            for batch in [1, 2] if setting.is_dry else [1, 8, 64]:
                data = product.inputs(model, batch)["data"]
                run = make(types.SimpleNamespace(
                    engine=explainer.engine, score=model.score, target=model.layers[0],
                    data=data))
                ready = product.prepared(model, 1) * batch
                theirs = timing.median_seconds(run, setting, CELL)
                ours = timing.median_seconds(
                    lambda: explainer.explain_prepared(ready, [0]),  # noqa: B023
                    setting, CELL)
                report.row(LIBRARY, ["net", "batch", "its images per second",
                                     "images per second here", "its time / ours"],
                           [name, batch, batch / theirs, batch / ours, theirs / ours])


def profile(setting: Setting, report: Report, precisions: Sequence[str]) -> None:
    """How busy the card is while ResNet-50 explains batch after batch, and with which kernels."""
    batch, seconds = (2, 0.0) if setting.is_dry else (64, 2.0)
    model = product.load(setting, "resnet50")
    ready = product.prepared(model, 1) * batch
    for precision in product.usable(setting, report, precisions):
        with product.explainer(model, setting.device, precision) as explainer:
            def explain() -> None:
                explainer.explain_prepared(ready, [1])  # noqa: B023

            explain()
            with timing.Busy(setting.device) as busy:
                end = time.perf_counter() + seconds
                while time.perf_counter() < end:
                    explain()
                clocks = None if setting.is_dry else facts.clocks()
            kernels = timing.kernels(setting, explain, 1 if setting.is_dry else 5)
        _report(report, precision, batch, [busy.percent, busy.source, clocks], kernels)


def _report(report: Report, precision: str, batch: int, busy: List[Any],
            kernels: timing.Kernels) -> None:
    report.row(f"How busy the device is while ResNet-50 explains batches of {batch}",
               ["precision", "by the driver, %", "source",
                "clocks during this (SM, memory; maximum), MHz",
                "kernels and copies, % of the time"],
               [precision, *busy, 100 * kernels.device / kernels.wall])
    title = f"What takes the device's time: ResNet-50, explain, {precision}, batch of {batch}"
    for name, calls, seconds in kernels.rows[:SHOWN]:
        report.row(title, ["kernel, copy or operator", "calls", "ms", "%"],
                   [name[:100], calls, 1000 * seconds, 100 * seconds / (kernels.device or 1)])


def layout(setting: Setting, report: Report, precisions: Sequence[str]) -> None:
    """Forward with kernels in the engine's layout (channels last) and in Caffe's."""
    import torch

    from caffe_gradcam.engines.torch.engine import TorchEngine

    batch = 2 if setting.is_dry else 64
    model = product.load(setting, "resnet50")
    inputs = product.inputs(model, batch)
    for precision in product.usable(setting, report, precisions):
        rates = []
        for layout_name in (torch.channels_last, torch.contiguous_format):
            with product.engine(model, setting.device, precision) as engine:
                assert isinstance(engine, TorchEngine)
                for arrays in engine._weights.values():
                    arrays[:] = [array.contiguous(memory_format=layout_name)
                                 if array.dim() == 4 else array for array in arrays]
                rates.append(batch / timing.median_seconds(
                    lambda: engine.forward(inputs, [model.score]),  # noqa: B023
                    setting, CELL))
        report.row(f"Layout of kernels and blobs: ResNet-50, forward, batch of {batch}",
                   ["precision", "channels last, images per second",
                    "channels first, images per second"], [precision] + rates)
