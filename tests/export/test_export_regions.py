"""Detectors whose layers choose among boxes, as ONNX operators: Faster R-CNN, R-FCN and YOLO."""

import numpy as np
import pytest
from definitions import Builder, random_weights
from detector_nets import faster_rcnn, rfcn, yolo

from caffe_gradcam.engines.onnx.registry import Unsupported
from prototxt_tools import rewrite
from prototxt_tools.text.document import Document


def native(text):
    return rewrite.native(Document.parse(text)).document.text()


@pytest.fixture
def boxes_of(exported_of):
    """The outputs of a detector's graph, whose comparison with the engine is checked."""
    def make(text):
        blobs = random_weights(text)
        blobs["conv1"][0] /= 40  # The made numbers are as large as pixels.
        exported = exported_of(text, blobs)
        assert exported.certificate.passes, exported.certificate.failures[0]
        return exported.outputs
    return make


@pytest.mark.parametrize("version", [2, 3])
def test_the_boxes_of_yolo_are_those_of_the_engine(boxes_of, version):
    rows = boxes_of(yolo(version))["boxes"]
    assert rows.shape[:2] == (1, 1) and rows.shape[2] > 2 and rows[..., 1].min() >= 1


@pytest.mark.parametrize("version", [2, 3])
def test_yolo_without_a_sure_box_says_so(boxes_of, version):
    text = yolo(version).replace("confidence_threshold: 0.1", "confidence_threshold: 1.1")
    assert boxes_of(text)["boxes"].tolist() == [[[[0, -1, -1, -1, -1, -1, -1]]]]


def test_the_regions_of_faster_rcnn_and_what_they_hold_are_those_of_the_engine(boxes_of):
    outputs = boxes_of(native(faster_rcnn()))
    assert len(outputs["cls_prob"]) == len(outputs["bbox_pred"]) > 1


def test_the_regions_of_rfcn_are_pooled_as_in_the_engine(boxes_of):
    assert len(boxes_of(native(rfcn()))["cls_prob"]) > 1


@pytest.mark.parametrize("kind, scale", [
    ("ROIPooling", ""), ("ROIPooling", "spatial_scale: 0.5"),
    ("PSROIPooling", "spatial_scale: 0.5")])
def test_made_regions_lie_in_what_they_are_pooled_from(kind, scale, exported_of):
    b = Builder("fast", (1, 3, 30, 20))
    b.lines += ['input: "rois" input_shape { dim: 6 dim: 5 }']
    x = b.conv_relu("conv1", "data", 8, 3, stride=2, pad=1)
    params = {"ROIPooling": f"roi_pooling_param {{ pooled_h: 2 pooled_w: 2 {scale} }}",
              "PSROIPooling": f"psroi_pooling_param {{ output_dim: 2 group_size: 2 {scale} }}"}
    b.fc("score", b.layer(kind, "pooled", [x, "rois"], params=params[kind]), 3)
    exported = exported_of(b.text(), random_weights(b.text()))
    assert exported.certificate.passes
    rois, (width, height) = exported.inputs["rois"], (20, 30) if scale else (10, 15)
    assert (rois[:, 0] == 0).all() and (rois[:, 1:3] <= rois[:, 3:]).all() and rois.min() >= 0
    assert height / 2 < rois[:, 4].max() < height and width / 2 < rois[:, 3].max() < width


def test_the_likelihood_of_regions_can_be_a_blob(boxes_of):
    text = native(faster_rcnn()).replace('top: "rois"', 'top: "rois" top: "likely"')
    likely = boxes_of(text)["likely"]
    assert likely.shape[1:] == (1,) and (np.diff(likely[:, 0]) <= 0).all()


def test_a_layer_that_needs_to_know_how_many_regions_there_are_is_refused(exported_of):
    text = native(faster_rcnn()) + """layer { name: "fixed" type: "Reshape" bottom: "cls_prob"
      top: "fixed" reshape_param { shape { dim: 2 dim: 2 } } }"""
    with pytest.raises(Unsupported, match="layer fixed needs a fixed number of boxes: .*"
                                          "only a run tells how many there are"):
        exported_of(text, random_weights(text))
