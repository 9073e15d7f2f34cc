"""Boxes that a detector finds, each with its heatmap: the same with any engine."""

import dataclasses
import json

import numpy as np
import pytest
from definitions import Builder, write_model
from detectors import mobilenet_ssd, vgg_ssd

from caffe_gradcam import Model
from caffe_gradcam.explaining.box_questions import BoxQuestion
from caffe_gradcam.explaining.detections import DetectionExplainer
from caffe_gradcam.explaining.detectors import detector_of
from caffe_gradcam.explaining.detectors.detection import Candidates, Detection
from caffe_gradcam.explaining.detectors.similarity import largest_similarity
from caffe_gradcam.explaining.methods import gradients
from caffe_gradcam.explaining.settings import Explaining
from caffe_gradcam.model.geometry import Geometry
from caffe_gradcam.model.model import LoadedModel
from caffe_gradcam.model.preprocess import prepare
from prototxt_tools.errors import ModelError, Outcome, QuestionError

pytest.importorskip("torch")

from caffe_gradcam.engines.running import Running  # noqa: E402

PIXELS = np.random.RandomState(0).randint(0, 255, (90, 70, 3)).astype(np.uint8)
READING = dict(mean=[100, 100, 100], scale=1 / 60)


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("ssd"), mobilenet_ssd())


@pytest.fixture(scope="module")
def model(paths):
    return LoadedModel.load(*paths, **READING)


def explain(model, images, methods=("odam",), aspect="confidence", least=0.3, **settings):
    with DetectionExplainer.open(model, Explaining(methods, **settings),
                                 BoxQuestion(least, aspect), Running("torch")) as explainer:
        return [outcome.unwrap() for outcome in explainer.explain(images)]


def listed(model, image, least=0.3):
    """The rows of DetectionOutput itself, run by the torch engine."""
    from caffe_gradcam.engines.opening import open_engine
    from caffe_gradcam.engines.running import NetToRun
    from caffe_gradcam.model.preprocess import prepare

    blobs = prepare(image, model.inputs).blobs
    net = NetToRun(model.prototxt, model.weights, ("detection_out",), model.layers)
    with open_engine(net, Running("torch")) as engine:
        rows = engine.forward(blobs, ["detection_out"])["detection_out"].reshape(-1, 7)
    rows = rows[(rows[:, 2] >= least) & (rows[:, 5] > rows[:, 3]) & (rows[:, 6] > rows[:, 4])]
    return rows[np.argsort(-rows[:, 2], kind="mergesort")]


@pytest.mark.parametrize("text", [mobilenet_ssd(), vgg_ssd(), vgg_ssd(shared=False)])
def test_the_boxes_are_those_that_detection_output_lists(tmp_path, text):
    model = LoadedModel.load(*write_model(tmp_path, text), **READING)
    found, = explain(model, [PIXELS])
    rows = listed(model, PIXELS)
    assert len(found) == len(rows) > 5
    for explanation, row in zip(found, rows):
        x, y, width, height = explanation.box
        assert explanation.class_index == row[1]
        assert explanation.probability == pytest.approx(row[2], abs=1e-5)
        left, top, right, bottom = np.clip(row[3:], 0, 1) * [70, 90, 70, 90]
        assert [x, y, x + width, y + height] == pytest.approx([left, top, right, bottom], abs=1e-3)


def test_each_box_is_explained_at_the_layer_that_it_was_read_from(model):
    found, = explain(model, [PIXELS])
    assert {explanation.layer for explanation in found} == {"conv1", "conv2"}
    assert all(explanation.question.endswith(f" at box {rank}")
               for rank, explanation in enumerate(found, 1))


def test_boxes_that_share_a_backward_pass_have_the_maps_of_passes_of_their_own(model, monkeypatch):
    shared = explain(model, [PIXELS, PIXELS[::-1].copy()])
    monkeypatch.setattr("caffe_gradcam.explaining.detections.in_rounds",
                        lambda jobs: [[job] for job in jobs])
    alone = explain(model, [PIXELS, PIXELS[::-1].copy()])
    for together, single in zip(shared, alone):
        for one, other in zip(together, single):
            assert np.allclose(one.cam, other.cam, atol=1e-5)


def test_boxes_share_backward_passes(model):
    with DetectionExplainer.open(model, Explaining(("odam",)), BoxQuestion(0.3),
                                 Running("torch")) as explainer:
        backward, calls = explainer.engine.backward, []
        explainer.engine.backward = lambda *args: calls.append(args) or backward(*args)
        found = explainer.explain([PIXELS])[0].unwrap()
    assert len(calls) < len(found) / 3


def test_at_a_named_layer_boxes_of_earlier_heads_keep_their_own(model, caplog):
    found, = explain(model, [PIXELS], layers=("conv2",))
    assert {explanation.layer for explanation in found} == {"conv1", "conv2"}
    assert "conv1_conf does not depend on conv2" in caplog.text
    found, = explain(model, [PIXELS], layers=("conv0",))
    assert {explanation.layer for explanation in found} == {"conv0"}


def test_the_gradient_of_an_edge_is_that_of_its_position(model):
    detector = detector_of(model.graph, model.shapes, model.input)
    values = {head: np.random.RandomState(3).normal(0, 1, (1,) + model.shapes[head][1:]).astype(
        np.float32) for head in detector.heads}
    found = detector.find(values, 0.3)[0][0]
    for index, edge in enumerate(("left", "top", "right", "bottom")):
        for term in found.terms[edge]:
            moved = {head: value.copy() for head, value in values.items()}
            moved[term.head].reshape(-1)[term.offset] += 1e-2
            same = next(other for other in detector.find(moved, 0.0)[0]
                        if (other.prior, other.class_index) == (found.prior, found.class_index))
            slope = (same.box[index] - found.box[index]) / 1e-2
            assert slope == pytest.approx(term.weight, rel=0.02, abs=1e-5)


def test_an_edge_is_explained_by_its_position_in_pixels(model):
    found, = explain(model, [PIXELS], aspect="right")
    assert found[0].question.endswith(", right edge")
    assert found[0].score == pytest.approx(found[0].box[0] + found[0].box[2])


def test_model_detect_gives_each_box_with_its_picture(paths):
    model = Model.load(*paths, **READING)
    found, = model.detect(PIXELS, 0.3, running=Running("torch"))
    assert found[0].box[2] > 0
    assert found[0].figure(kind="overlay").shape == PIXELS.shape
    with pytest.raises(QuestionError, match="no keyword 'minscore'"):
        model.detect(PIXELS, minscore=0.3)


@pytest.mark.parametrize("settings, sentence", [
    (dict(methods=("score-cam",)), "method score-cam does not explain boxes; use one of grad-cam"),
    (dict(fuse="mean"), "the maps of boxes are not fused"),
    (dict(aspect="middle"), "no aspect of a box 'middle'"),
    (dict(least="high"), "the least score of a box must be between 0 and 1, not 'high'"),
    (dict(least=1.5), "the least score of a box must be between 0 and 1, not 1.5"),
    (dict(layers=("nowhere",)), "the net has no layer or blob 'nowhere'"),
])
def test_what_cannot_be_asked_of_boxes_is_refused_in_one_sentence(model, settings, sentence):
    with pytest.raises(QuestionError, match=sentence):
        explain(model, [PIXELS], **settings)


def test_a_net_that_lists_no_boxes_is_named(tmp_path):
    b = Builder("classifier", (1, 3, 16, 16))
    b.softmax(b.fc("fc", b.conv_relu("conv", "data", 4, 3), 3))
    model = LoadedModel.load(*write_model(tmp_path, b.text()))
    with pytest.raises(QuestionError, match="the net lists no boxes: it has none of the layers"):
        explain(model, [PIXELS])


def test_priors_from_elsewhere_are_named(tmp_path):
    b = Builder("odd", (1, 3, 16, 16))
    x = b.conv_relu("conv", "data", 4, 3)
    scores = b.layer("Flatten", "flat", b.softmax(b.conv("conf", x, 2, 1), "conf_softmax"))
    b.layer("DetectionOutput", "boxes", [b.conv("loc", x, 4, 1), scores, b.conv("made", x, 8, 1)],
            params="detection_output_param { num_classes: 2 }")
    model = LoadedModel.load(*write_model(tmp_path, b.text()), score="conf")
    with pytest.raises(ModelError, match="the priors in blob made come from layer made"):
        explain(model, [PIXELS])


def test_d_rise_is_refused_where_nothing_speaks_of_boxes(model):
    from caffe_gradcam.explaining.explainer import Explainer

    with pytest.raises(QuestionError, match="method d-rise explains the boxes of a detector"):
        Explainer.open(model, Explaining(("d-rise",)), Running("torch"))


def test_similarity_is_overlap_times_cosine_times_objectness():
    target = Detection(1, 0.9, 0, np.array([0, 0, .2, .2]), {})
    candidates = Candidates(
        np.array([[[.1, .1, .3, .3]], [[.5, .5, .7, .7]]]),
        np.array([[0, .6, .8], [0, 1, 0]]), np.array([0.5, 1]))
    # Overlap 1/7, cosine of (0, 1, 0) with (0, 0.6, 0.8).
    assert largest_similarity(target, np.array([0, 1, 0]), candidates) == pytest.approx(
        1 / 7 * 0.6 * 0.5)
    far = Detection(1, 0.9, 0, np.array([.8, .8, .9, .9]), {})
    assert largest_similarity(far, np.array([0, 1, 0]), candidates) == 0


def test_d_rise_weighs_masks_by_similarity():
    from caffe_gradcam.explaining.methods.reruns import d_rise

    inputs = np.ones((2, 1, 32, 32), np.float32)

    def similarities(images):
        # The first box needs the left half, the second one the right half.
        return np.array([[image[0, :, :16].mean(), image[0, :, 16:].mean()] for image in images])

    left, right = d_rise(inputs, similarities, 200)
    assert left[:, :16].mean() > left[:, 16:].mean()
    assert right[:, 16:].mean() > right[:, :16].mean()


def test_odam_smooths_gradients_before_it_weighs_cells():
    slopes = np.zeros((1, 1, 5, 5), np.float32)
    slopes[0, 0, 2, 2] = 1
    cam = gradients.odam(np.full((1, 1, 5, 5), 2, np.float32), slopes)
    assert cam.shape == (1, 5, 5)
    assert cam.sum() == pytest.approx(2, rel=1e-5)
    assert cam[0, 2, 2] == cam.max() > 4 * cam[0, 2, 3] > 0 == cam[0, 0, 0]


def test_boxes_are_cut_off_at_the_image():
    from caffe_gradcam.explaining.detections import on_image

    whole = Geometry((50, 100), (0.0, 0.0, 100.0, 50.0))
    assert on_image(np.array([-.1, .2, .5, 1.2]), whole) == pytest.approx((0, 10, 50, 40))
    mirrored = Geometry((50, 100), (100.0, 0.0, 0.0, 50.0))
    assert on_image(np.array([0, 0, .25, .5]), mirrored) == pytest.approx((75, 0, 25, 25))


def test_a_class_of_a_detector_has_the_probability_that_boxes_are_chosen_by(paths):
    with Model.load(*paths, **READING) as model:
        assert (model.score, model.link) == ("mbox_conf_reshape", "softmax")
        box = model.detect(PIXELS, 0.3, running=Running("torch"))[0][0]
        asked = model.explain(PIXELS, ["top:1", f"probability of {box.class_index}",
                                       f"{box.class_index} at prior 5"], engine="torch")
        best, of_class, elsewhere = asked
        scores = elsewhere_scores(model, 5)
    assert best.position == box.position and best.class_index == box.class_index
    assert [best.probability, of_class.score] == pytest.approx([box.probability] * 2, abs=1e-6)
    chances = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
    assert elsewhere.probability == pytest.approx(chances[box.class_index], abs=1e-6)


def elsewhere_scores(model, prior):
    """The scores of all classes at one prior."""
    return np.array([explanation.score for explanation in model.explain(
        PIXELS, [f"{index} at prior {prior}" for index in range(5)], engine="torch")])


def test_a_report_shows_each_box_on_the_image(tmp_path, paths, capsys):
    import cv2

    from caffe_gradcam.commands.cli import main

    pytest.importorskip("jinja2")
    cv2.imwrite(str(tmp_path / "noise.png"), PIXELS)
    cv2.imwrite(str(tmp_path / "grey.png"), np.full_like(PIXELS, 100))
    (tmp_path / "broken.png").write_bytes(b"no image")
    page = tmp_path / "page.html"
    assert main(["explain", paths[0], "--weights", paths[1], "-o", str(tmp_path / "out"),
                 *(str(tmp_path / name) for name in ("noise.png", "grey.png", "broken.png")),
                 "--detections", "--min-score", "0.6", "--engine", "torch", "--mean",
                 "100,100,100", "--scale", "0.016667", "--report", str(page), "--json"]) == 1
    rows = json.loads(capsys.readouterr().out)["images"]
    noise, grey, broken = entries_of(page)
    assert [shown["detected_box"] for shown in noise["maps"]] == [
        pytest.approx(detection["box"]) for detection in rows[0]["detections"]]
    assert [shown["question"] for shown in noise["maps"]] == [
        detection["explanations"][0]["question"] for detection in rows[0]["detections"]]
    assert all(shown["heat"] for shown in noise["maps"]) and noise["maps"]
    assert grey["status"] == "empty"
    assert grey["note"] == "there is no box with a score of 0.6 or more"
    assert "broken.png" in broken["error"]


def entries_of(page):
    """The entries that the script of a page reads."""
    text = page.read_text(encoding="utf-8")
    data = text.split('<script type="application/json" id="data">')[1].split("</script>")[0]
    return json.loads(data)["entries"]


def test_explain_lists_boxes_and_writes_a_figure_for_each(tmp_path, paths, capsys):
    import cv2

    from caffe_gradcam.commands.cli import main

    cv2.imwrite(str(tmp_path / "noise.png"), PIXELS)
    (tmp_path / "broken.png").write_bytes(b"no image")
    arguments = ["explain", paths[0], str(tmp_path / "noise.png"), str(tmp_path / "broken.png"),
                 "-o", str(tmp_path / "out"), "--detections", "--min-score", "0.7", "--engine",
                 "torch", "--weights", paths[1], "--mean", "100,100,100", "--scale", "0.016667"]
    assert main(arguments + ["--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    first, second = report["images"]
    assert "broken.png" in second["error"]
    for detection in first["detections"]:
        assert detection["score"] >= 0.7 and len(detection["box"]) == 4
        explanation, = detection["explanations"]
        assert explanation["method"] == "odam"
        assert cv2.imread(explanation["figure"]) is not None
    assert main(arguments[:-2] + ["--scale", "0.016667", "--class", "2"]) == 2
    assert "give no classes, regions or priors with it" in capsys.readouterr().err


def test_an_image_whose_numbers_are_not_finite_fails_alone(model):
    blobs = [prepare(image, model.inputs) for image in (PIXELS, PIXELS[::-1], PIXELS)]
    broken = dataclasses.replace(blobs[1], blobs={
        name: np.full_like(blob, np.nan) for name, blob in blobs[1].blobs.items()})
    with DetectionExplainer.open(model, Explaining(("odam",)), BoxQuestion(0.3),
                                 Running("torch")) as explainer:
        first, second, third = explainer.explain_prepared(
            [Outcome(blobs[0]), Outcome(broken), Outcome(blobs[2])])
    assert "holds NaN or infinity; check the weights, the mean and the scale" in str(second.error)
    expected, = explain(model, [PIXELS])
    for outcome in (first, third):
        explanations = outcome.unwrap()
        assert [entry.question for entry in explanations] == [entry.question for entry in expected]
        np.testing.assert_allclose(explanations[0].cam, expected[0].cam, atol=1e-6)


def test_an_image_of_another_size_than_the_priors_fails_alone(paths):
    model = LoadedModel.load(*paths, resize="none", **READING)
    height, width = model.inputs["data"].size
    fitting = np.resize(PIXELS, (height, width, 3))
    with DetectionExplainer.open(model, Explaining(("odam",)), BoxQuestion(0),
                                 Running("torch")) as explainer:
        first, second = explainer.explain([fitting, PIXELS])
    assert first.ok
    assert str(second.error) == (
        "the image is 90x70 after resize and crop, and boxes are found in "
        f"{height}x{width} only; leave --resize out")


def test_the_background_is_not_listed_among_the_classes(model):
    from caffe_gradcam.explaining.explainer import Explainer
    from caffe_gradcam.pictures.outputs import image_row

    assert model.layout.background == 0
    with Explainer.open(model, running=Running("torch")) as explainer:
        result = explainer.explain([PIXELS])[0].unwrap()
    listed_classes = [entry["class"] for entry in image_row("a.png", result, model)["top"]]
    assert 0 not in listed_classes and listed_classes[0] == result.predicted
