"""One map of several crops, and of several layers."""

import dataclasses

import numpy as np
import pytest
from fake_engine import FakeEngine, write_model

from caffe_gradcam.asking.questions import At, Top
from caffe_gradcam.explaining import combine
from caffe_gradcam.explaining.explainer import Explainer
from caffe_gradcam.explaining.explanation import Explanation
from caffe_gradcam.model.geometry import Geometry, Placement
from caffe_gradcam.model.model import LoadedModel
from caffe_gradcam.model.preprocess import Preprocessing, to_blobs


def explain(model, engine, *asked):
    return [outcome.unwrap() for outcome in Explainer(model, engine).explain(*asked)]


def facts(explanation):
    """What explanations are about."""
    return (explanation.question, explanation.class_index, explanation.class_name,
            explanation.score, explanation.probability, explanation.method)


def explanation(cam, layer="layer", rectangle=(0.0, 0.0, 8.0, 8.0), placement=None):
    return Explanation("0", 0, None, 1.0, None, "grad-cam", layer, np.float32(cam),
                       Geometry((8, 8), rectangle), placement, "data")


FIRST = explanation([[1, 2], [4, -8]], "a")
SECOND = explanation([[10, 0], [5, 10]], "b")


@pytest.mark.parametrize("how, expected", [
    ("mean", [[0.625, 0.25], [0.75, 0.5]]), ("max", [[1, 0.5], [1, 1]]),
    ("product", [[0.25, 0], [0.5, 0]])])
def test_fused_maps_are_each_over_its_maximum_first(how, expected):
    fused = combine.fuse([FIRST, SECOND], how)
    assert fused.cam.tolist() == expected and fused.layer == "a+b"


def test_an_empty_map_adds_nothing():
    fused = combine.fuse([FIRST, explanation([[-1, 0], [0, 0]])], "mean")
    assert fused.cam.tolist() == [[0.125, 0.25], [0.5, 0]]


def test_the_finest_map_gives_the_cells():
    fine = explanation(np.arange(16).reshape(4, 4))
    coarse = explanation([[0, 8], [8, 8]])
    fused = combine.fuse([coarse, fine], "product")
    # The centres of the fine map lie at 1/4 and 3/4 between those of the coarse one, and beyond.
    unit = np.array([[0, 0.25, 0.75, 1], [0.25, 0.4375, 0.8125, 1], [0.75, 0.8125, 0.9375, 1],
                     [1, 1, 1, 1]])
    np.testing.assert_allclose(fused.cam, unit * np.arange(16).reshape(4, 4) / 15, rtol=1e-6)


def test_maps_are_fused_where_their_cells_lie():
    # Of the other map only the upper left quarter of the blob has cells.
    fine = explanation(np.ones((4, 4)))
    placed = explanation([[0, 4], [0, 4]], placement=Placement((0.125, 0.25), (0.125, 0.25)))
    fused = combine.fuse([fine, placed], "product")
    assert fused.cam.tolist() == [[0, 1, 1, 1]] * 4


def test_border_cells_whose_centres_lie_beyond_the_input_are_fused_too():
    outside = Placement((-0.125, 0.375), (-0.125, 0.375))
    fine = explanation(np.ones((4, 4)), placement=outside)
    assert combine.fuse([fine, FIRST], "product").cam.min(axis=1)[0] > 0


def ramp(height, width):
    return np.random.RandomState(0).randint(0, 250, (height, width, 3)).astype(np.uint8)


def cells_of(blobs):
    """Means over 2 x 2 pixels: a linear net, whose maps of crops are crops of its map."""
    views, _, height, width = blobs.shape
    return blobs[:, 0].reshape(views, height // 2, 2, width // 2, 2).mean(axis=(2, 4))


# Cells of the middle crop fall on those of the corners' (12 - 8) / 2 = 2 pixels, one cell apart.
@pytest.mark.parametrize("size", [(12, 12), (12, 16), (8, 12)])
def test_ten_crops_of_a_linear_net_are_merged_to_its_map_of_the_whole(size):
    image = ramp(*size)
    whole, _ = to_blobs(image, Preprocessing(size, "GRAY"))
    blobs, geometries = to_blobs(
        image, Preprocessing((8, 8), "GRAY", crop=(8, 8), crops=10))
    cam, geometry, placement = combine.merge(
        cells_of(blobs), geometries, Placement.stretched((4, 4)))
    np.testing.assert_allclose(cam, cells_of(whole)[0], rtol=1e-5)
    assert geometry == Geometry(size, (0.0, 0.0, float(size[1]), float(size[0])))
    assert placement is None


def test_where_the_crops_leave_a_gap_there_is_nothing():
    _, geometries = to_blobs(ramp(8, 40), Preprocessing((8, 8), "GRAY", crop=(8, 8), crops=10))
    cam, _, _ = combine.merge(np.ones((10, 4, 4), np.float32), geometries, None)
    seen = [1] * 4 + [0] * 4 + [1] * 4 + [0] * 4 + [1] * 4
    assert cam.tolist() == [seen] * 4


def test_one_crop_is_left_as_it_is():
    placement = Placement((0.1, 0.2), (0.1, 0.2))
    cam, geometry, where = combine.merge(np.ones((1, 2, 2)), [FIRST.geometry], placement)
    assert np.array_equal(cam, np.ones((2, 2)))
    assert (geometry, where) == (FIRST.geometry, placement)


@pytest.fixture
def model(tmp_path):
    model = LoadedModel.load(write_model(tmp_path / "model"))
    fields = {"resize": None, "crop": (8, 8), "crops": 10}
    return dataclasses.replace(
        model, inputs={model.input: dataclasses.replace(model.preprocessing, **fields)})


def test_scores_are_the_mean_of_those_of_the_ten_crops(model):
    image, engine = ramp(13, 12), FakeEngine()
    result, = explain(model, engine, [image])
    blobs, _ = to_blobs(image, model.preprocessing)
    single = engine.forward({"data": blobs}, ["score"])["score"]
    assert engine.batches == [10, 10]
    np.testing.assert_allclose(result.scores, single.mean(axis=0), rtol=1e-6)
    powers = np.exp(single)
    chances = (powers / powers.sum(axis=1, keepdims=True)).mean(axis=0)
    np.testing.assert_allclose(result.probabilities, chances, rtol=1e-6)


def test_ten_crops_of_each_image_go_through_the_net_together(model):
    images = [ramp(8, 12), ramp(12, 9)[::-1], ramp(10, 10)]
    engine = FakeEngine()
    together = explain(model, engine, images, [[0], [Top(2)], [1, 2]])
    assert engine.batches == [30]
    for image, asked, result in zip(images, [[0], [Top(2)], [1, 2]], together):
        alone, = explain(model, FakeEngine(), [image], asked)
        assert len(alone.explanations) == len(result.explanations)
        for mine, other in zip(result.explanations, alone.explanations):
            np.testing.assert_allclose(mine.cam, other.cam, rtol=1e-6)
            assert facts(mine) == facts(other) and mine.geometry == other.geometry


def test_no_region_is_asked_about_in_ten_crops(model):
    outcome, = Explainer(model, FakeEngine()).explain([ramp(12, 12)], [At(0, (0, 0, 4, 4))])
    assert not outcome.ok


def test_the_ten_crops_are_caffes(caffe):
    io = pytest.importorskip("caffe.io", reason="caffe.io cannot be imported here")
    for size in ((13, 12), (9, 16), (8, 8)):
        image = ramp(*size)
        blobs, _ = to_blobs(image, Preprocessing((8, 7), crop=(8, 7), crops=10))
        theirs = io.oversample([image.astype(np.float32)], (8, 7))
        assert np.array_equal(blobs, theirs.transpose(0, 3, 1, 2))


def test_the_ten_crops_by_hand():
    image = np.zeros((3, 4, 3), np.uint8)
    image[:] = np.arange(12).reshape(3, 4, 1)
    blobs, _ = to_blobs(image, Preprocessing((2, 2), crop=(2, 2), crops=10))
    assert blobs[:5, 0, 0].tolist() == [[0, 1], [2, 3], [4, 5], [6, 7], [1, 2]]
    assert np.array_equal(blobs[5:], blobs[:5, :, :, ::-1])
