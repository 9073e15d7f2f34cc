"""From images to explanations, on an engine whose answers are known."""

import dataclasses

import numpy as np
import pytest
from fake_engine import FakeEngine, write_model

from caffe_gradcam.asking.questions import Top
from caffe_gradcam.explaining.evidence import EVIDENCE
from caffe_gradcam.explaining.explainer import Explainer
from caffe_gradcam.explaining.memory import SmallerBatch
from caffe_gradcam.explaining.methods import METHODS, NEEDS, Method
from caffe_gradcam.explaining.settings import Explaining
from caffe_gradcam.model.model import LoadedModel
from prototxt_tools.errors import OutOfMemory, QuestionError

BLUE, GREEN, DARK = 0, 1, 2


@pytest.fixture
def model(tmp_path):
    return LoadedModel.load(write_model(tmp_path / "model"))


@pytest.fixture
def engine():
    return FakeEngine()


def image(height=8, width=8, blue=0, green=0):
    """Blue in the upper left quarter, green in the lower right one."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2, 0] = blue
    pixels[height // 2:, width // 2:, 1] = green
    return pixels


def explain(model, engine, *asked):
    return [outcome.unwrap() for outcome in Explainer(model, engine).explain(*asked)]


def error_of(model, engine, *asked):
    outcome, = Explainer(model, engine).explain(*asked)
    return str(outcome.error)


def changed(model, **fields):
    """The model with some of its preprocessing replaced."""
    return dataclasses.replace(
        model, inputs={model.input: dataclasses.replace(model.preprocessing, **fields)})


def test_by_default_the_best_class_is_explained(model, engine):
    result, = explain(model, engine, [image(blue=200, green=100)])
    assert result.scores == pytest.approx([0.5, 0.25, -0.75])
    explanation, = result.explanations
    assert (explanation.class_index, explanation.class_name) == (BLUE, "blue, azure")
    assert explanation.layer == "smaller"
    assert (explanation.score, explanation.method, explanation.status) == (0.5, "grad-cam", "ok")
    assert explanation.cam.tolist() == [[0.5, 0], [0, 0]]


def test_probabilities_are_the_softmax_of_the_scores(model, engine):
    result, = explain(model, engine, [image(blue=200, green=100)])
    powers = np.exp([0.5, 0.25, -0.75])
    assert result.probabilities == pytest.approx(powers / powers.sum())
    assert result.explanations[0].probability == pytest.approx(powers[0] / powers.sum())


def test_classes_are_explained_in_the_order_asked_for_and_once(model, engine):
    result, = explain(
        model, engine, [image(blue=200, green=100)], [GREEN, Top(2), DARK]
    )
    assert [explanation.class_index for explanation in result.explanations] == [GREEN, BLUE, DARK]


def test_one_forward_serves_all_classes_and_one_backward_each_rank(model, engine):
    explain(
        model, engine, [image(blue=200), image(green=200), image(blue=9)], [Top(2)]
    )
    assert engine.batches == [3]
    assert [seed.argmax(axis=1).tolist() for seed in engine.seeds] == [[0, 1, 0], [1, 0, 1]]
    assert all(seed.sum() == 3 for seed in engine.seeds)


def test_the_net_runs_on_changed_images_once_for_all_questions_about_an_image(model):
    pictures = [image(blue=200, green=100), image(blue=50, green=200)]
    explaining = Explaining(("occlusion", "rise"), samples=5)
    engine = FakeEngine()
    together = Explainer(model, engine, explaining).explain(pictures, [BLUE, GREEN])
    alone = [FakeEngine(), FakeEngine()]
    separate = [Explainer(model, other, explaining).explain(pictures, [question])
                for other, question in zip(alone, (BLUE, GREEN))]
    assert sum(engine.batches) == sum(alone[0].batches) == sum(alone[1].batches)
    for outcome, *others in zip(together, *separate):
        expected = [explanation.cam for other in others
                    for explanation in other.unwrap().explanations]
        maps = [explanation.cam for explanation in outcome.unwrap().explanations]
        assert np.array_equal(maps, expected)


def test_a_image_with_fewer_classes_gets_an_empty_seed(model, engine):
    results = explain(
        model, engine, [image(blue=200), image(green=200)], [Top(1), GREEN]
    )
    assert [len(result.explanations) for result in results] == [2, 1]
    assert engine.seeds[1].tolist() == [[0, 1, 0], [0, 0, 0]]


def test_a_batch_gives_what_single_images_give(model):
    pictures = [image(blue=b, green=200 - b) for b in (0, 40, 90, 200)]
    together = explain(model, FakeEngine(), pictures, [Top(3)])
    for picture, result in zip(pictures, together):
        alone, = explain(model, FakeEngine(), [picture], [Top(3)])
        for mine, other in zip(result.explanations, alone.explanations):
            assert mine.class_index == other.class_index
            assert np.array_equal(mine.cam, other.cam)


def test_several_targets_come_from_the_same_passes(model, engine):
    model = dataclasses.replace(model, layers=("small", "smaller"))
    result, = explain(model, engine, [image(green=200)])
    assert [explanation.layer for explanation in result.explanations] == ["small", "smaller"]
    assert [explanation.cam.shape for explanation in result.explanations] == [(4, 4), (2, 2)]
    assert len(engine.seeds) == 1


def test_the_heatmap_has_the_images_size_and_lies_where_the_colour_is(model, engine):
    result, = explain(model, engine, [image(60, 90, green=200)])
    heatmap = result.explanations[0].heatmap
    assert heatmap.shape == (60, 90) and heatmap.dtype == np.float32
    assert heatmap.max() == 1 and heatmap[:15, :22].max() == 0
    assert (heatmap[45:, 68:] == 1).all()


def test_a_map_without_anything_positive_is_empty_and_all_zeros(model, engine):
    result, = explain(model, engine, [image(blue=200, green=200)], [DARK])
    explanation, = result.explanations
    assert explanation.status == "empty" and explanation.cam.min() == -0.5
    assert not explanation.heatmap.any()


def test_a_image_that_does_not_fit_fails_alone(model, engine):
    model = changed(model, resize=None, crop=(8, 8))
    small, good = Explainer(model, engine).explain([image(4, 4), image(blue=200)])
    assert not small.ok and "4x4 before the crop of 8x8" in str(small.error)
    assert good.unwrap().explanations[0].class_index == BLUE


def test_a_class_beyond_the_scores_is_refused(model, engine):
    assert "no class 3; the net's classes are 0 to 2" in error_of(
        model, engine, [image(blue=200)], [3])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_that_are_no_numbers_are_reported(model, engine, value):
    bad = changed(model, mean=np.float32([value]))
    with np.errstate(invalid="ignore"):
        assert "the scores hold NaN or infinity" in error_of(bad, engine, [image(blue=200)])


def test_maps_that_are_no_numbers_are_reported(model, engine):
    engine.backward = lambda score, seed, targets: {
        name: np.full((len(seed), 2, 2, 2), np.nan, np.float32) for name in targets
    }
    assert error_of(model, engine, [image(blue=200)]) == (
        "the map of class 0 blue, azure at smaller by grad-cam holds NaN or infinity")


def test_a_batch_that_the_memory_does_not_hold_is_halved_and_said(model, engine):
    pictures = [image(blue=b) for b in (40, 90, 200)]
    whole = explain(model, FakeEngine(), pictures)
    plain = engine.forward

    def forward(inputs, keep):
        if len(inputs["data"]) > 2:
            raise OutOfMemory("no room")
        return plain(inputs, keep)

    engine.forward = forward
    with pytest.warns(SmallerBatch, match="a batch of 3 does not fit the memory; going on with 2"):
        halves = explain(model, engine, pictures)
    assert engine.batches == [2, 1]
    for mine, other in zip(halves, whole):
        assert np.array_equal(mine.explanations[0].cam, other.explanations[0].cam)


def test_a_image_that_does_not_fit_the_memory_alone_is_an_error(model, engine):
    engine.forward = lambda inputs, keep: (_ for _ in ()).throw(OutOfMemory("no room"))
    with pytest.raises(OutOfMemory, match="no room"):
        explain(model, engine, [image()])


def test_leaving_the_explainer_closes_the_engine(model, engine):
    with Explainer(model, engine):
        assert not engine.closed
    assert engine.closed


def test_the_heatmap_is_computed_once_and_cannot_be_written_to(model, engine):
    result, = explain(model, engine, [image(blue=200)])
    explanation, = result.explanations
    assert explanation.heatmap is explanation.heatmap
    assert explanation.signed_heatmap is explanation.signed_heatmap
    assert not explanation.heatmap.flags.writeable


def test_explanations_are_equal_only_to_themselves(model, engine):
    first, second = explain(model, engine, [image(blue=200)] * 2)
    assert first.explanations[0] == first.explanations[0] != second.explanations[0]
    assert second.explanations[0] not in first.explanations
    assert len({first.explanations[0], second.explanations[0]}) == 2


def test_a_layer_without_spatial_extent_is_named(model, engine):
    plain = engine.forward
    engine.forward = lambda inputs, keep: {
        name: value.mean(axis=(2, 3)) if name == "smaller" else value
        for name, value in plain(inputs, keep).items()}
    with pytest.raises(QuestionError, match=r"blob smaller \(2\) has no spatial extent; choose"):
        explain(model, engine, [image()])


def test_lists_of_questions_must_be_as_many_as_the_images(model, engine):
    with pytest.raises(QuestionError, match="there are 2 lists of questions about 1 images"):
        explain(model, engine, [image()], [[0], [1]])


def test_there_is_a_function_for_every_need():
    assert set(EVIDENCE) == set(NEEDS)


def test_an_unknown_need_is_refused_when_the_method_is_made():
    with pytest.raises(QuestionError, match="'activatons'; did you mean activations"):
        Method(lambda activatons: activatons, ("activatons",))


def test_so_is_a_need_that_the_function_does_not_take():
    with pytest.raises(QuestionError, match="does not take what the method needs: .*gradients"):
        Method(lambda activations: activations, ("activations", "gradients"))
    with pytest.raises(QuestionError, match="does not take what the method needs: .*samples"):
        Method(lambda activations: activations, ("activations",), samples=3)


@pytest.mark.parametrize("function, returned", [
    (lambda activations: activations, "2x2x2x2 float32"),
    (lambda activations: activations.sum(axis=(0, 1)), "2x2 float32"),
    (lambda activations: activations.sum(), "float32"),
    (lambda activations: None, "NoneType"),
    (lambda activations: activations[:, 0].tolist(), "list"),
    (lambda activations: activations[:, 0].astype(int), "2x2x2 int64"),
    (lambda activations: activations[:, 0].astype(complex), "2x2x2 complex128"),
    (lambda activations: activations[:, 0, :1], "2x1x2 float32"),
])
def test_a_method_that_does_not_return_maps_is_named(model, engine, monkeypatch, function,
                                                     returned):
    monkeypatch.setitem(METHODS, "mine", Method(function, ("activations",)))
    explainer = Explainer(model, engine, Explaining(("mine",)))
    with pytest.raises(QuestionError) as caught:
        explainer.explain([image(blue=200), image()])
    assert str(caught.value) == (
        f"method mine returned {returned}; it must return 2x2x2 floats (N x height x width)")
    assert caught.value.subject == "mine"


@pytest.mark.parametrize("samples", [0, -1, 1.5, True, "x"])
def test_samples_are_a_whole_number_of_at_least_one(samples):
    with pytest.raises(QuestionError, match="samples must be a whole number of at least 1, not"):
        Explaining(samples=samples)


@pytest.mark.parametrize("fields, problem", [
    ({"methods": ("gradcam",)}, "no method 'gradcam'; did you mean grad-cam"),
    ({"methods": ()}, "no method is named"), ({"fuse": "sum"}, "no fusion 'sum'"),
    ({"gradient": "pre"}, "no gradient 'pre'"), ({"placement": "center"}, "no placement 'center'"),
])
def test_unknown_names_are_refused_before_anything_opens(fields, problem):
    with pytest.raises(QuestionError, match=problem):
        Explaining(**fields)


def test_a_method_or_layer_named_twice_counts_once():
    explaining = Explaining(("cam", "grad-cam", "cam"), ("conv1", "conv1"))
    assert explaining.methods == ("cam", "grad-cam") and explaining.layers == ("conv1",)
