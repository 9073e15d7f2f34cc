"""Detectors other than SSD: YOLO, Faster R-CNN, R-FCN and DetectNet."""

import numpy as np
import pytest
from definitions import Builder, random_input, write_model
from detector_nets import faster_rcnn, rfcn, yolo

pytest.importorskip("torch")

from caffe_gradcam import Like, Model, Top  # noqa: E402
from caffe_gradcam.engines.detection import clusters, grids, regions  # noqa: E402
from caffe_gradcam.engines.opening import open_engine  # noqa: E402
from caffe_gradcam.engines.running import NetToRun, Running  # noqa: E402
from caffe_gradcam.explaining.box_questions import BoxQuestion  # noqa: E402
from caffe_gradcam.explaining.detections import DetectionExplainer  # noqa: E402
from caffe_gradcam.explaining.settings import Explaining  # noqa: E402
from caffe_gradcam.model.model import LoadedModel  # noqa: E402
from prototxt_tools import rewrite, shapes, weights  # noqa: E402
from prototxt_tools.errors import PrototxtError, QuestionError  # noqa: E402
from prototxt_tools.net.net import Net  # noqa: E402
from prototxt_tools.text.document import Document  # noqa: E402

PIXELS = np.random.RandomState(0).randint(0, 255, (40, 60, 3)).astype(np.uint8)
PROPOSAL = """layer {{ name: "p" type: "Python" bottom: "s" bottom: "b" bottom: "i" top: "rois"
  python_param {{ module: "rpn.proposal_layer" layer: "ProposalLayer" param_str: "{}" }} }}"""
READING = dict(mean=[100, 100, 100], scale=1 / 60)


def message(kind, parameters):
    return Net.parse(f'layer {{ name: "x" type: "{kind}" {parameters} }}').layers[0].message


def explain(model, image=PIXELS, least=0.2, aspect="confidence", methods=("odam",), samples=None):
    with DetectionExplainer.open(model, Explaining(methods, samples=samples),
                                 BoxQuestion(least, aspect), Running("torch")) as explainer:
        outcome, = explainer.explain([image])
        return outcome, explainer.detector.note


def detectnet(neighbours=0):
    b = Builder("detectnet", (1, 3, 32, 48))
    x = b.conv_relu("conv2", b.conv_relu("conv1", "data", 8, 3, stride=2, pad=1), 8, 3, stride=2,
                    pad=1)
    b.layer("Sigmoid", "coverage/sig", b.conv("cvg/classifier", x, 1, 1), top="coverage")
    b.layer("Python", "cluster", ["coverage", b.conv("bboxes", x, 4, 1)], top="bbox-list", params=(
        'python_param { module: "caffe.layers.detectnet.clustering" layer: "ClusterDetections" '
        f'param_str: "48, 32, 4, 0.5, {neighbours}, 0.5, 1, 1" }}'))
    return b.text()


@pytest.mark.parametrize("version", [2, 3])
def test_the_boxes_of_yolo_are_those_that_its_output_layer_lists(tmp_path, version):
    model = LoadedModel.load(*write_model(tmp_path, yolo(version)), **READING)
    outcome, _ = explain(model, least=0.1)
    found = outcome.unwrap()
    net = NetToRun(model.prototxt, model.weights, ("boxes",), ("conv1",))
    from caffe_gradcam.model.preprocess import prepare

    with open_engine(net, Running("torch")) as engine:
        rows = engine.forward(prepare(PIXELS, model.inputs).blobs, ["boxes"])["boxes"][0, 0]
    rows = rows[np.argsort(-rows[:, 2], kind="mergesort")]
    assert len(found) == len(rows) > 2
    for explanation, row in zip(found, rows):
        assert explanation.class_index == row[1] >= 1
        assert explanation.probability == pytest.approx(row[2], abs=1e-5)
    assert {explanation.layer for explanation in found} <= {"conv2", "conv3"}


def test_classes_of_yolo_have_their_names_behind_those_of_the_channels(tmp_path):
    model = LoadedModel.load(*write_model(tmp_path, yolo(2)), labels=["cat", "dog", "horse"],
                             **READING)
    found = explain(model, least=0.1)[0].unwrap()
    names = ["cat", "dog", "horse"]
    assert all(explanation.class_name == names[explanation.class_index - 1]
               for explanation in found)


def test_an_anchor_of_yolo_is_placed_in_its_cell():
    grid = grids.Grid(np.array([[0.25, 0.5]]), 1, True)
    numbers = np.zeros((4, 4))
    numbers[3, 2] = np.log(2)
    boxes = grid.boxes(numbers, (2, 2))
    assert np.allclose(boxes[0], [0.125, 0, 0.375, 0.5])
    assert np.allclose(boxes[3], [0.5, 0.5, 1, 1])


@pytest.mark.parametrize("aspect", ["confidence", "top"])
@pytest.mark.parametrize("text, layer", [(faster_rcnn(), "conv2"), (rfcn(), "rfcn_cls")])
def test_regions_are_proposed_natively_and_explained(tmp_path, text, layer, aspect):
    # Shapes end at the Python layer, so the weights are made for the net that runs.
    path, caffemodel = write_model(tmp_path, rewrite.native(Document.parse(text)).document.text())
    (tmp_path / "deploy.prototxt").write_text(text)
    model = LoadedModel.load(path, caffemodel, **READING)
    assert model.arrays["im_info"].default.tolist() == [[40, 48, 1]]
    outcome, note = explain(model, aspect=aspect)
    found = outcome.unwrap()
    assert len(found) >= 1
    assert found[0].layer == (layer if aspect == "confidence" else layer.replace("cls", "bbox"))
    assert found[0].class_index != 0
    assert note == "Python proposal (line {}) is run natively, as a Proposal layer".format(
        text[:text.index('name: "proposal"')].count("\n") + 1)


@pytest.mark.parametrize("text", [faster_rcnn(), rfcn()], ids=["faster", "rfcn"])
def test_scores_of_proposed_regions_are_no_scores_of_an_image(tmp_path, text):
    path, caffemodel = write_model(tmp_path, rewrite.native(Document.parse(text)).document.text())
    model = Model.load(path, caffemodel, **READING)
    for classes in ([1], [Top(2)], [Like(PIXELS)]):
        with pytest.raises(QuestionError, match="rows of scores where 1 row went in, since the net "
                                                "finds regions by itself; use --detections"):
            model.explain(PIXELS, classes=classes, engine="torch")


def test_gradients_of_region_pooling_are_its_slopes(torch):
    from caffe_gradcam.engines.torch.registry import LAYERS

    layer = message("PSROIPooling", """psroi_pooling_param { spatial_scale: 0.5 output_dim: 2
        group_size: 2 }""")
    x = torch.from_numpy(random_input((1, 8, 6, 7))).double().requires_grad_()
    rois = torch.tensor([[0, 1., 2., 9., 8.], [0, 0., 0., 3., 11.]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda value: LAYERS["PSROIPooling"](
        layer, [value, rois], [])[0], (x,))
    # Region 0 covers columns 0.5 to 5, rows 1 to 4.5; its first bin columns 0 to 2, rows 1 to 2.
    top, = LAYERS["PSROIPooling"](layer, [x, rois], [])
    assert top[0, 0, 0, 0].item() == pytest.approx(x[0, 0, 1:3, 0:3].mean().item())
    assert top[0, 1, 1, 0].item() == pytest.approx(x[0, 6, 2:5, 0:3].mean().item())


def test_anchors_are_those_of_faster_rcnn():
    param = message("Proposal", "proposal_param { }").proposal_param
    assert regions.anchors(param).tolist() == [
        [-84, -40, 99, 55], [-176, -88, 191, 103], [-360, -184, 375, 199],
        [-56, -56, 71, 71], [-120, -120, 135, 135], [-248, -248, 263, 263],
        [-36, -80, 51, 95], [-80, -168, 95, 183], [-168, -344, 183, 359]]


def test_deltas_move_and_scale_boxes():
    boxes = np.array([[10, 20, 19, 39]], float)  # 10 wide, 20 high
    deltas = np.array([[0, 0, 0, 0, .5, -.25, np.log(2), 0]])
    assert np.allclose(regions.moved(boxes, deltas), [
        [[10, 20, 20, 40], [10, 15, 30, 35]]])


def test_regions_too_small_are_left_out():
    param = message("Proposal", """proposal_param { ratio: 1 scale: 1 base_size: 4 feat_stride: 4
        min_size: 3 nms_thresh: 0.7 post_nms_topn: 2 }""").proposal_param
    scores = np.array([[[[0, 0, 0]], [[.1, .9, .5]]]])
    deltas = np.zeros((1, 4, 1, 3))
    deltas[0, 2:, 0, 1] = -2  # shrinks the best one
    boxes, likely = regions.proposals(param, scores, deltas, np.array([4, 12, 1]))
    assert np.allclose(boxes, [[0, 8, 0, 11, 3], [0, 0, 0, 3.5, 3]], atol=1)
    assert np.allclose(likely, [.5, .1])


def test_other_python_layers_stay_as_they_are():
    text = 'layer { name: "x" type: "Python" python_param { module: "m" layer: "L" } }'
    changed = rewrite.native(Document.parse(text))
    assert changed.document.text() == text and not changed.notes


@pytest.mark.parametrize("param_str, fields", [
    ("", ""),
    ("'feat_stride': 16", "feat_stride: 16"),
    ("'feat_stride': 8\\n'scales': !!python/tuple [4, 8]", "feat_stride: 8 scale: 4 scale: 8"),
    ("{'feat_stride': 16, 'scales': [3], 'ratios': [0.5, 0.667]}",
     "feat_stride: 16 scale: 3 ratio: 0.5 ratio: 0.667")])
def test_the_parameters_of_a_proposal_layer_are_read_as_yaml(param_str, fields):
    changed = rewrite.native(Document.parse(PROPOSAL.format(param_str)))
    assert f"proposal_param {{ {fields} }}" in changed.document.text() and changed.notes


@pytest.mark.parametrize("param_str", [
    "16", "'feat_stride': [16]", "'feat_stride': 16.5", "'scales': []", "'scales': ['8']",
    "'scales': [0]", "'scales': .inf", "'scales': true", "'strides': 16", "'scales': [8",
    "&a [*a]", "!!python/object/apply:os.abort []", "'scales': 2020-13-45", "[" * 3000])
def test_a_proposal_layer_with_other_parameters_stays_python_code(param_str):
    text = PROPOSAL.format(param_str)
    assert rewrite.native(Document.parse(text)).document.text() == text


def test_a_proposal_layer_with_another_number_of_boxes_than_its_bottoms_is_refused():
    text = faster_rcnn().replace("[1, 2]", "[1, 2, 4]")
    with pytest.raises(PrototxtError, match="for 9 boxes around each cell .* it needs 18 channels"):
        shapes.infer(Net.parse(rewrite.native(Document.parse(text)).document))


def test_a_region_without_area_is_named(tmp_path):
    b = Builder("fast", (1, 3, 24, 24))
    b.lines += ['input: "rois" input_shape { dim: 2 dim: 5 }']
    pooled = b.layer("ROIPooling", "pool5", [b.conv_relu("conv", "data", 4, 3, pad=1), "rois"],
                     params="roi_pooling_param { pooled_h: 2 pooled_w: 2 spatial_scale: 1 }")
    b.softmax(b.fc("cls_score", pooled, 3))
    model = LoadedModel.load(*write_model(tmp_path, b.text()), **READING)
    rois = np.float32([[0, 2, 2, 20, 20], [0, 9, 9, 5, 12]])
    outcome, _ = explain(model, {"data": PIXELS, "rois": rois})
    assert str(outcome.error) == ("region 1 in rois (9, 9, 5, 12) has no area; a region is image, "
                                  "left, top, right, bottom")
    rois[1, 3] = 15
    assert explain(model, {"data": PIXELS, "rois": rois}, least=0)[0].ok
    outcome, _ = explain(model, {"data": PIXELS, "rois": rois}, 0, methods=("d-rise",), samples=4)
    assert outcome.ok


def test_detectnet_finds_the_cells_that_objects_cover(tmp_path):
    path, caffemodel = write_model(tmp_path, detectnet(2))
    learned = dict(weights.load(caffemodel))
    # Each cell proposes 12 x 12 pixels around its corner.
    learned["bboxes"] = [0 * learned["bboxes"][0], np.float32([-6, -6, 6, 6])]
    weights.save(caffemodel, learned)
    model = LoadedModel.load(path, caffemodel, **READING)
    assert model.score == "cvg/classifier"
    outcome, note = explain(model, least=0)
    found = outcome.unwrap()
    assert found and {explanation.layer for explanation in found} == {"conv2"}
    assert note == "layer cluster (Python, ClusterDetections) is run natively"
    assert explain(model, least=0, aspect="left")[0].unwrap()[0].layer == "conv2"


def test_rectangles_are_grouped_as_opencv_4_groups_them():
    rectangles = np.array([[10, 10, 20, 20], [11, 10, 20, 21], [10, 11, 20, 20], [60, 5, 9, 9],
                           [61, 5, 9, 9], [12, 12, 14, 14], [12, 12, 14, 14]])
    # cv2.groupRectangles(rectangles, 1, 0.2) of OpenCV 4.14; two small ones lie in a larger one.
    assert clusters.grouped(rectangles, 1, 0.2).tolist() == [[10, 10, 20, 20], [60, 5, 9, 9]]
    assert clusters.grouped(rectangles, 2, 0.2).tolist() == [[10, 10, 20, 20]]
