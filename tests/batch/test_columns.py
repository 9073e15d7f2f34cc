"""Explanations as columns are those that are made one by one."""

import pathlib

import numpy as np
import pytest

from caffe_gradcam.asking.questions import Class, Probability, Top
from caffe_gradcam.engines.running import Running
from caffe_gradcam.explaining import columns
from caffe_gradcam.explaining.batches import BatchExplainer, ImagesOfBatch
from caffe_gradcam.explaining.explainer import Explainer
from caffe_gradcam.explaining.settings import Explaining
from caffe_gradcam.model import images
from caffe_gradcam.model.model import LoadedModel
from caffe_gradcam.model.preprocess import prepare
from prototxt_tools.errors import Outcome

DIGITS = pathlib.Path(__file__).resolve().parents[2] / "models" / "digits"
METHODS = ("grad-cam", "grad-cam++", "xgrad-cam", "hirescam", "element-wise", "layer-cam")


@pytest.fixture(scope="module")
def model():
    pytest.importorskip("torch", reason="torch is not installed here")
    return LoadedModel.load(str(DIGITS))


@pytest.fixture(scope="module")
def prepared(model):
    paths = sorted((DIGITS / "scenes").glob("*.png"))[:5]
    return [prepare(images.read(str(path)), model.inputs) for path in paths]


def side_by_side(prepared):
    return ImagesOfBatch(
        {name: np.stack([image.blobs[name] for image in prepared]) for name in prepared[0].blobs},
        {name: np.array([list(map(columns.geometry_row, image.geometries[name]))
                         for image in prepared]) for name in prepared[0].geometries})


def explainer_of(model, **explaining):
    return Explainer.open(model, Explaining(**explaining),
                          Running(engine="torch", isolated=False))


@pytest.mark.parametrize("questions", [[Top(1)], [Top(3)], [Class(7), Class(2)],
                                       [Probability(Class(3))]])
def test_a_batch_is_explained_as_its_images_are_one_by_one(model, prepared, questions):
    with explainer_of(model, methods=METHODS) as explainer:
        batch = BatchExplainer(explainer, questions).explain(side_by_side(prepared))
        singles = columns.of_results(explainer.explain_prepared(
            [Outcome(image) for image in prepared], questions))
    assert batch.predicted.tolist() == singles.predicted.tolist()
    assert len(batch.groups) == len(singles.groups) == len(METHODS) * ranks(questions)
    for group, single in zip(batch.groups, singles.groups):
        assert (group.method, group.layer, group.input, group.placement) == (
            single.method, single.layer, single.input, single.placement)
        assert [group.asked[code] for code in group.codes] == [
            single.asked[code] for code in single.codes]
        assert group.images.tolist() == single.images.tolist()
        np.testing.assert_array_equal(group.geometries, single.geometries)
        np.testing.assert_allclose(group.scores, single.scores, rtol=1e-6)
        np.testing.assert_allclose(group.probabilities, single.probabilities, rtol=1e-6)
        np.testing.assert_allclose(group.cams, single.cams, rtol=1e-4,
                                   atol=1e-5 * np.abs(single.cams).max())


def ranks(questions):
    return sum(question.count if isinstance(question, Top) else 1 for question in questions)


def test_a_question_of_one_image_alone_is_answered_for_it(model, prepared):
    with explainer_of(model) as explainer:
        batch = BatchExplainer(explainer, [Top(1)]).explain(
            side_by_side(prepared[:2]), [Outcome([Class(4)]), Outcome([Class(5), Class(6)])])
    assert [(group.images.tolist(), [group.asked[code].class_index for code in group.codes])
            for group in batch.groups] == [([0, 1], [4, 5]), ([1], [6])]


def test_an_image_of_nan_fails_alone(model, prepared):
    images = side_by_side(prepared)
    images.blobs["data"][2] = np.nan
    with explainer_of(model) as explainer:
        batch = BatchExplainer(explainer, [Top(1)]).explain(images)
    assert list(batch.errors) == [2] and "NaN" in str(batch.errors[2])
    assert batch.groups[0].images.tolist() == [0, 1, 3, 4]
    assert batch.predicted[2] == -1
