"""From photographs to explanations, on an engine whose answers are known."""

import dataclasses
import numpy as np
import pytest
from fake_engine import FakeEngine, write_model

from caffe_gradcam.asking.questions import Top
from caffe_gradcam.explaining.explainer import Explainer
from caffe_gradcam.explaining.memory import SmallerBatch
from caffe_gradcam.model.model import LoadedModel
from prototxt_tools.errors import InputError, OutOfMemory

BLUE, GREEN, DARK = 0, 1, 2


@pytest.fixture
def model(tmp_path):
    return LoadedModel.load(write_model(tmp_path / "model"))


@pytest.fixture
def engine():
    return FakeEngine()


def photograph(height=8, width=8, blue=0, green=0):
    """Blue in the upper left quarter, green in the lower right one."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2, 0] = blue
    image[height // 2:, width // 2:, 1] = green
    return image


def changed(model, **fields):
    """The model with some of its preprocessing replaced."""
    return dataclasses.replace(
        model, inputs={model.input: dataclasses.replace(model.preprocessing, **fields)})


def test_by_default_the_best_class_is_explained(model, engine):
    result, = Explainer(model, engine).explain([photograph(blue=200, green=100)])
    assert result.scores == pytest.approx([0.5, 0.25, -0.75])
    one, = result.explanations
    assert (one.class_index, one.label, one.target) == (BLUE, "blue, azure", "smaller")
    assert (one.score, one.method, one.status) == (0.5, "grad-cam", "ok")
    assert one.cam.tolist() == [[0.5, 0], [0, 0]]


def test_probabilities_are_the_softmax_of_the_scores(model, engine):
    result, = Explainer(model, engine).explain([photograph(blue=200, green=100)])
    powers = np.exp([0.5, 0.25, -0.75])
    assert result.probabilities == pytest.approx(powers / powers.sum())
    assert result.explanations[0].probability == pytest.approx(powers[0] / powers.sum())


def test_classes_are_explained_in_the_order_asked_for_and_once(model, engine):
    result, = Explainer(model, engine).explain(
        [photograph(blue=200, green=100)], [GREEN, Top(2), DARK]
    )
    assert [one.class_index for one in result.explanations] == [GREEN, BLUE, DARK]


def test_one_forward_serves_all_classes_and_one_backward_each_rank(model, engine):
    Explainer(model, engine).explain(
        [photograph(blue=200), photograph(green=200), photograph(blue=9)], [Top(2)]
    )
    assert engine.batches == [3]
    assert [seed.argmax(axis=1).tolist() for seed in engine.seeds] == [[0, 1, 0], [1, 0, 1]]
    assert all(seed.sum() == 3 for seed in engine.seeds)


def test_a_photograph_with_fewer_classes_gets_an_empty_seed(model, engine):
    results = Explainer(model, engine).explain(
        [photograph(blue=200), photograph(green=200)], [Top(1), GREEN]
    )
    assert [len(result.explanations) for result in results] == [2, 1]
    assert engine.seeds[1].tolist() == [[0, 1, 0], [0, 0, 0]]


def test_a_batch_gives_what_single_images_give(model):
    pictures = [photograph(blue=b, green=200 - b) for b in (0, 40, 90, 200)]
    together = Explainer(model, FakeEngine()).explain(pictures, [Top(3)])
    for picture, result in zip(pictures, together):
        alone, = Explainer(model, FakeEngine()).explain([picture], [Top(3)])
        for mine, other in zip(result.explanations, alone.explanations):
            assert mine.class_index == other.class_index
            assert np.array_equal(mine.cam, other.cam)


def test_several_targets_come_from_the_same_passes(model, engine):
    model = dataclasses.replace(model, layers=("small", "smaller"))
    result, = Explainer(model, engine).explain([photograph(green=200)])
    assert [one.target for one in result.explanations] == ["small", "smaller"]
    assert [one.cam.shape for one in result.explanations] == [(4, 4), (2, 2)]
    assert len(engine.seeds) == 1


def test_the_heatmap_has_the_photographs_size_and_lies_where_the_colour_is(model, engine):
    result, = Explainer(model, engine).explain([photograph(60, 90, green=200)])
    heatmap = result.explanations[0].heatmap
    assert heatmap.shape == (60, 90) and heatmap.dtype == np.float32
    assert heatmap.max() == 1 and heatmap[:15, :22].max() == 0
    assert (heatmap[45:, 68:] == 1).all()


def test_a_map_without_anything_positive_is_empty_and_all_zeros(model, engine):
    result, = Explainer(model, engine).explain([photograph(blue=200, green=200)], [DARK])
    one, = result.explanations
    assert one.status == "empty" and one.cam.min() == -0.5
    assert not one.heatmap.any()


def test_a_photograph_that_does_not_fit_fails_alone(model, engine):
    model = changed(model, resize=None, crop=(8, 8))
    small, good = Explainer(model, engine).explain([photograph(4, 4), photograph(blue=200)])
    assert isinstance(small, InputError) and "4x4 before the crop of 8x8" in str(small)
    assert good.explanations[0].class_index == BLUE


def test_a_class_beyond_the_scores_is_refused(model, engine):
    outcome, = Explainer(model, engine).explain([photograph(blue=200)], [3])
    assert "no class 3; the net's classes are 0 to 2" in str(outcome)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_that_are_no_numbers_are_reported(model, engine, value):
    bad = changed(model, mean=np.float32([value]))
    with np.errstate(invalid="ignore"):
        outcome, = Explainer(bad, engine).explain([photograph(blue=200)])
    assert "the scores hold NaN or infinity" in str(outcome)


def test_maps_that_are_no_numbers_are_reported(model, engine):
    engine.backward = lambda score, seed, targets: {
        name: np.full((len(seed), 2, 2, 2), np.nan, np.float32) for name in targets
    }
    outcome, = Explainer(model, engine).explain([photograph(blue=200)])
    assert str(outcome) == "the map of class 0 blue, azure at smaller holds NaN or infinity"


def test_a_batch_that_the_memory_does_not_hold_is_halved_and_said(model, engine):
    pictures = [photograph(blue=b) for b in (40, 90, 200)]
    whole = Explainer(model, FakeEngine()).explain(pictures)
    plain = engine.forward

    def forward(inputs, keep):
        if len(inputs["data"]) > 2:
            raise OutOfMemory("no room")
        return plain(inputs, keep)

    engine.forward = forward
    with pytest.warns(SmallerBatch, match="a batch of 3 does not fit the memory; going on with 2"):
        halves = Explainer(model, engine).explain(pictures)
    assert engine.batches == [2, 1]
    for mine, other in zip(halves, whole):
        assert np.array_equal(mine.explanations[0].cam, other.explanations[0].cam)


def test_a_photograph_that_does_not_fit_the_memory_alone_is_an_error(model, engine):
    engine.forward = lambda inputs, keep: (_ for _ in ()).throw(OutOfMemory("no room"))
    with pytest.raises(OutOfMemory, match="no room"):
        Explainer(model, engine).explain([photograph()])


def test_leaving_the_explainer_closes_the_engine(model, engine):
    with Explainer(model, engine):
        assert not engine.closed
    assert engine.closed
