"""Measuring the maps of clips: what happens to the score as parts of the frames disappear."""

import json

import cv2
import numpy as np
import pytest
from clip_nets import C3D, FRAMES, SEGMENTS, write

pytest.importorskip("torch")

from caffe_gradcam.asking.questions import Class  # noqa: E402
from caffe_gradcam.commands.cli import main  # noqa: E402
from caffe_gradcam.engines.running import Running  # noqa: E402
from caffe_gradcam.explaining.clips import ClipExplainer, ClipExplanation  # noqa: E402
from caffe_gradcam.explaining.settings import Explaining  # noqa: E402
from caffe_gradcam.measuring import clip_bench  # noqa: E402
from caffe_gradcam.measuring.measurement import Settings  # noqa: E402
from caffe_gradcam.model.geometry import Geometry  # noqa: E402
from caffe_gradcam.model.model import LoadedModel  # noqa: E402
from prototxt_tools.errors import ImageError, Outcome  # noqa: E402


def measured(explainer, clips, metrics=clip_bench.METRICS):
    bench = clip_bench.ClipBench(explainer, Settings(metrics, steps=4))
    return bench.measure([f"{index}" for index in range(len(clips))], clips,
                         [[Class(2)]] * len(clips))


@pytest.fixture(params=[(C3D, 6), (SEGMENTS, 3)], ids=["c3d", "segments"])
def case(request, tmp_path):
    """An explainer, and a clip for it."""
    net, count = request.param
    model = LoadedModel.load(str(write(tmp_path, net)))
    with ClipExplainer(model, Explaining(("grad-cam",)), Running("torch")) as explainer:
        yield explainer, FRAMES[:count]


def test_deletion_begins_with_the_clip_and_ends_with_the_mean_colour(case):
    explainer, frames = case
    broken = Outcome(error=ImageError("a video that ends early"))
    outcome, failed = measured(explainer, [Outcome(frames), broken])
    assert failed.error is broken.error
    measurements = outcome.unwrap()
    assert [(entry.method, entry.layer, entry.class_index) for entry in measurements] == [
        ("grad-cam", "conv1", 2), ("random", None, 2), ("centre", None, 2)]
    views, _ = explainer.clip.views(frames, explainer.model.preprocessing)
    whole, mean = (softmax(explainer.scores(clip)[0])[2] for clip in (views, 0 * views))
    for entry in measurements:
        assert entry.curves["deletion"][0] == pytest.approx(whole, rel=1e-5)
        assert entry.curves["deletion"][-1] == pytest.approx(mean, rel=1e-5)
        assert entry.curves["insertion"][-1] == pytest.approx(whole, rel=1e-5)
        assert set(entry.values) == {"deletion", "insertion", "gap", "drop", "increase", "sparse",
                                     "estimate", "faithful"}


def softmax(scores):
    exponentials = np.exp(scores - scores.max())
    return exponentials / exponentials.sum()


class Recorder(ClipExplainer):
    """Gives a clip the number of its pixels that are not of the mean colour, by frame."""

    def __init__(self, explainer):
        self.model, self.clip, self.explain_views = (
            explainer.model, explainer.clip, explainer.explain_views)
        self.seen = []

    def scores(self, views):
        self.seen.append((views != 0).any(axis=1).sum(axis=(1, 2)).tolist())
        return np.zeros((1, 3), np.float32)


def test_the_hottest_pixels_are_those_of_the_whole_clip_whichever_frames_they_lie_in(case):
    explainer, frames = case
    recorder = Recorder(explainer)
    measured(recorder, [Outcome([np.uint8(frame // 2 + 60) for frame in frames])], ("deletion",))
    by_step = recorder.seen[:5]
    size = frames[0].shape[0] * frames[0].shape[1]
    assert [sum(counts) for counts in by_step] == [
        round((1 - step / 4) * size * len(frames)) for step in range(5)]
    explanation, = explainer.explain([np.uint8(frame // 2 + 60) for frame in frames],
                                     [Class(2)]).explanations
    heat = clip_bench.heat_on_frames(explanation, explanation.geometries[0], frames[0].shape[:2])
    hottest = np.argsort(-heat.ravel(), kind="stable")[:size * len(frames) // 4]
    removed = np.bincount(hottest // size, minlength=len(frames))
    if (heat > 0).sum() > len(hottest):  # Otherwise chance decides among those without heat.
        assert by_step[1] == (size - removed).tolist()


def test_heat_lies_where_the_net_reads_the_frames_and_is_at_most_1():
    cams = np.zeros((2, 1, 2), np.float32)
    cams[0, 0, 0], cams[1, 0, 1] = 4, 2
    geometry = Geometry((10, 20), (5, 0, 15, 10))
    explanation = ClipExplanation("", 0, None, 0.0, None, "grad-cam", "conv1", cams,
                                  [geometry] * 2, "data")
    heat = clip_bench.heat_on_frames(explanation, geometry, (4, 4))
    assert heat.shape == (2, 4, 4) and heat.max() == 1
    np.testing.assert_allclose(heat[0, 0], [1, 0.75, 0.25, 0])
    np.testing.assert_allclose(heat[1, 0], [0, 0.125, 0.375, 0.5])


@pytest.fixture
def command(tmp_path):
    (tmp_path / "model").mkdir()
    folder = tmp_path / "clip"
    folder.mkdir()
    for number, frame in enumerate(FRAMES):
        cv2.imwrite(str(folder / f"{number}.png"), frame)
    model = str(write(tmp_path / "model", C3D))
    return ["evaluate", model, str(folder), "missing.gif", "--engine", "torch", "--class", "1",
            "--steps", "2"]


def test_evaluate_compares_methods_on_clips(command, capsys):
    assert main([*command, "--method", "grad-cam,layer-cam", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert [row["method"] for row in report["rows"]] == [
        "grad-cam", "layer-cam", "random", "centre"]
    assert set(report["columns"]) == {"gap", "deletion", "insertion", "drop", "increase"}
    assert "missing.gif: no such file" in report["images"][1]["error"]


@pytest.mark.parametrize("options, message", [
    (("--metrics", "road"), "no metric of clips 'road'"),
    (("--metrics", "pointing"), "no metric of clips 'pointing'"),
    (("--boxes", "boxes.csv"), "--boxes is for single images, not for clips"),
    (("--objects", "objects.json"), "--objects is for maps of classes in single images"),
    (("--method", "score-cam"), "clips are explained by methods that need gradients only"),
    (("--detections",), "--detections: a net that takes clips is asked about classes"),
])
def test_what_has_no_meaning_for_clips_is_refused(command, capsys, options, message):
    assert main([*command, *options]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
