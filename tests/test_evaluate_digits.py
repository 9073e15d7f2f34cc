"""scripts/evaluate-digits: the shares of its jobs make one report."""

import importlib.machinery
import importlib.util
import json
import pathlib

import numpy as np
import pytest

from caffe_gradcam.measuring import comparison
from caffe_gradcam.measuring.measurement import Measurement

SCRIPT = pathlib.Path(__file__).resolve().parents[1] / "scripts" / "evaluate-digits"
METHODS = (("grad-cam", "conv"), ("rise", "data"), ("random", None))


@pytest.fixture(scope="module")
def script():
    loader = importlib.machinery.SourceFileLoader("evaluate_digits", str(SCRIPT))
    module = importlib.util.module_from_spec(
        importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def measurements():
    rng = np.random.RandomState(0)
    return [Measurement(f"{image:04d}.png", class_index, method, layer, {
        "pointing": float(rng.rand()), "cause": float("nan") if image == 2 else float(rng.rand())})
        for image in range(6) for class_index in (3, 5) for method, layer in METHODS]


def share(paths):
    """What a job prints about some images."""
    images = [{"path": path, "maps": [
        {"class": entry.class_index, "method": entry.method, "layer": entry.layer,
         "values": {name: comparison.number(value) for name, value in entry.values.items()}}
        for entry in measurements() if entry.path == path]} for path in paths]
    return json.loads(json.dumps({"images": images}))


def test_a_report_in_shares_gives_the_rows_of_the_whole(script):
    paths = sorted({entry.path for entry in measurements()})
    report = share(paths[0::2])
    report["images"] += share(paths[1::2])["images"]
    merged = comparison.rows(script.measured(report))
    assert str(merged) == str(comparison.rows(measurements()))
    cell = script.row_entry(merged[0])["cells"]["pointing"]
    assert (cell["mean"], cell["low"], cell["high"]) == (
        merged[0].cells["pointing"].mean, merged[0].cells["pointing"].low,
        merged[0].cells["pointing"].high)
