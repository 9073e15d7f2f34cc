"""The goals on one H100: maps per second from prepared batches, and how near they are to fp32."""

import time
from typing import Dict, List, Optional

import numpy as np

from caffe_gradcam.asking.questions import Class
from caffe_gradcam.explaining.batches import BatchExplainer, ImagesOfBatch
from caffe_gradcam.explaining.columns import geometry_row
from gpu_checks import product
from gpu_checks.report import Clock, Failed, Report
from gpu_checks.setting import Setting

TITLE = "Maps per second from prepared batches: Grad-CAM of one class"
COLUMNS = ["net", "precision", "batch", "maps per second", "goal on an H100",
           "rank correlation with fp32: mean", "minimum", "goal", "passes recorded"]
RATE, RANK = 30000, 0.999
# The precision that the goal is about.
PRECISION = "bf16"
SECONDS = 2.0
CLASS = 1


def goal(setting: Setting, report: Report, name: str, precisions: List[str]) -> None:
    """Explain the same batches again and again, one begun while the one before is computed."""
    model, clock = product.load(setting, name), Clock(setting.seconds)
    exact: Optional[np.ndarray] = None
    cells = [(precision, batch) for precision in product.usable(setting, report, precisions)
             for batch in ([2] if setting.is_dry else [64, 256])]
    for index, (precision, batch) in enumerate(cells):
        images = _images(model, batch)
        with product.explainer(model, setting.device, precision) as explainer:
            batches = BatchExplainer(explainer, [Class(CLASS)])
            cams = batches.explain(images).groups[0].cams
            if exact is None or len(exact) != len(cams):
                exact = cams if precision == "fp32" else _exact(setting, model, images)
            seconds = 0.2 if setting.is_dry else min(SECONDS, clock.left / (len(cells) - index))
            rate = _rate(batches, images, seconds)
            graph = explainer.engine.description.get("graph", "yes")
        ranks = [product.rank_correlation(cam, other) for cam, other in zip(cams, exact)]
        is_goal = precision == PRECISION and not setting.is_dry
        report.row(TITLE, COLUMNS, [
            name, precision, batch, rate, RATE if is_goal else "", float(np.mean(ranks)),
            float(np.min(ranks)), RANK if is_goal else "",
            graph if setting.device != "cpu" else "no card"])
        if not np.isfinite(cams).all():
            raise Failed(f"maps in {precision} hold infinity or NaN")


def _exact(setting: Setting, model: product.LoadedModel, images: ImagesOfBatch) -> np.ndarray:
    with product.explainer(model, setting.device) as explainer:
        return BatchExplainer(explainer, [Class(CLASS)]).explain(images).groups[0].cams


def _images(model: product.LoadedModel, count: int) -> ImagesOfBatch:
    """Prepared images side by side, as decoders lay them."""
    ready = [outcome.unwrap() for outcome in product.prepared(model, count)]
    blobs: Dict[str, np.ndarray] = {
        name: np.stack([image.blobs[name] for image in ready]) for name in model.inputs}
    rows = {name: np.array([list(map(geometry_row, image.geometries[name])) for image in ready])
            for name in model.inputs}
    return ImagesOfBatch(blobs, rows)


def _rate(batches: BatchExplainer, images: ImagesOfBatch, seconds: float) -> float:
    """Images per second, after passes that do not count."""
    for _ in range(4):  # A pass is recorded when its shape has come often.
        batches.explain(images)
    count, started = 0, time.perf_counter()
    pending = batches.begin(images)
    while time.perf_counter() - started < seconds:
        following = batches.begin(images)
        pending.result()
        pending, count = following, count + 1
    pending.result()
    return (count + 1) * len(images) / (time.perf_counter() - started)


