"""What shorter numbers change of classes and maps; docs/performance.md tells the figures.

torch computes in bf16 on every processor, if slowly, so that this holds where there is none;
OpenVINO only where there is one.
"""

import cv2
import numpy as np
import pytest

from caffe_gradcam.engines.running import Running
from caffe_gradcam.explaining.explainer import Explainer
from caffe_gradcam.measuring.metrics.similarity import rank_correlation
from caffe_gradcam.model.model import LoadedModel


@pytest.fixture(params=["torch", "openvino"])
def in_both(request, monkeypatch):
    """A function that explains pictures in fp32 and in bf16: two lists of results."""
    if request.param == "torch":
        _imitated(request, monkeypatch)
    else:
        _there()

    def explain(folder, paths):
        images, results = [cv2.imread(str(path)) for path in paths], []
        for precision in ("fp32", "bf16"):
            with Explainer.open(LoadedModel.load(str(folder)), running=Running(
                    engine=request.param, precision=precision)) as explainer:
                assert explainer.engine.description["precision"] == precision
                results.append([outcome.unwrap() for outcome in explainer.explain(images)])
        return results
    return explain


def _imitated(request, monkeypatch):
    """Have torch compute in bf16 on any processor."""
    if not hasattr(request.getfixturevalue("torch"), "autocast"):
        pytest.skip("this torch does not compute in bf16")
    from caffe_gradcam.engines.torch import devices

    monkeypatch.setattr(devices, "processor_has_bf16", lambda: True)


def _there():
    pytest.importorskip("onnx", reason="onnx is not installed here")
    pytest.importorskip("openvino", reason="openvino is not installed here")
    from caffe_gradcam.engines import openvino_library

    if not openvino_library.has_bf16():
        pytest.skip("this processor has no arithmetic in bf16")


def compare(exact, short):
    """Hold the classes against each other; the median rank correlation of the maps.

    Weights and blobs have eight bits in bf16, so that nearly equal scores may change places.
    """
    correlations = []
    for result, other in zip(exact, short):
        second, best = np.sort(result.scores)[-2:]
        if best - second > 0.01 * best:
            assert result.scores.argmax() == other.scores.argmax()
        if result.scores.argmax() != other.scores.argmax():
            continue
        cam, other_cam = (of.explanations[0].cam for of in (result, other))
        assert not np.array_equal(cam, other_cam)
        correlations.append(rank_correlation(cam, other_cam))
    return np.median(correlations)


def test_digits_keep_their_classes_and_nearly_the_order_of_their_cells(in_both, models):
    folder = models / "digits"
    assert compare(*in_both(folder, sorted((folder / "scenes").glob("*.png")))) > 0.997


def test_photographs_keep_classes_that_are_no_tie_and_the_order_of_their_cells(in_both, shared):
    photographs = sorted((shared / "images").iterdir())
    assert compare(*in_both(shared / "models" / "squeezenet_v1.1", photographs)) > 0.999
