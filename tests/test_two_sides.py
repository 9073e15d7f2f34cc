"""One score with two class names: positive as it is, negative as its counterfactual."""

import numpy as np
import pytest
from definitions import Builder
from explaining import load, open_explainer, photographs

from caffe_gradcam.asking.grammar import parse
from caffe_gradcam.asking.questions import (
    Against,
    Class,
    Context,
    Like,
    Probability,
    Sum,
    Top,
    Weighted,
    resolve,
)
from caffe_gradcam.measuring.bench import Bench, Settings
from prototxt_tools.errors import Outcome, QuestionError

NAMES = ("negative", "positive")
SCORE = 0.7
P = 1 / (1 + np.exp(-SCORE))


def binary(link="Sigmoid"):
    b = Builder("binary", (1, 3, 16, 20))
    b.fc("score", b.conv_relu("conv1", "data", 6, 3, pad=1), 1)
    if link:
        b.layer(link, "prob", "score")
    return b.text()


@pytest.fixture
def model(tmp_path):
    return load(tmp_path / "model", binary(), labels=NAMES)


def seed(question, score=SCORE, link="sigmoid"):
    scores = np.float32([score])
    found, = resolve([question], Context(scores, link, NAMES.__getitem__, lambda region: None,
                                         two_sided=True))
    return found


@pytest.mark.parametrize("question, value, slope", [
    (Class(1), SCORE, 1),
    (Class(0), -SCORE, -1),
    (Against(Class(1)), -SCORE, -1),
    (Sum(((1, 1.0), (0, -1.0))), 2 * SCORE, 2),
    (Weighted(2), P * SCORE - (1 - P) * SCORE, 2 * P - 1),
    (Probability(Class(1)), P, P * (1 - P)),
    (Probability(Class(0)), 1 - P, -P * (1 - P)),
    (Like(np.float32([2])), 2 * SCORE, 2),
])
def test_each_question_is_a_number_of_the_one_score(question, value, slope):
    scores = np.float32([[SCORE]])
    assert seed(question).values(scores) == pytest.approx([value])
    assert seed(question).gradients(scores) == pytest.approx(np.float32([[slope]]))


def test_the_side_that_the_score_speaks_for_is_the_best():
    assert seed(Top(1)).text == "1 positive"
    assert seed(Top(1), -SCORE).text == "0 negative"


def test_there_is_no_third_side():
    with pytest.raises(QuestionError, match="no class 2; the net's classes are 0 to 1"):
        seed(Class(2))


@pytest.mark.parametrize("text, index", [
    ("positive", 1), ("negative", 0), ("1", 1), ("0", 0)])
def test_a_side_is_asked_for_by_name_or_number(model, text, index):
    assert parse(text, model.find_class, model.class_names) == Class(index)


def test_both_sides_have_their_map_and_their_probability(model):
    pytest.importorskip("torch", reason="torch is not installed here")
    with open_explainer(model, "torch") as explainer:
        result = explainer.explain(photographs(1), [Top(2)])[0].unwrap()
        score = explainer.score_blob(photographs(1)[0])
    first, second = sorted(result.explanations, key=lambda explanation: -explanation.class_index)
    assert (first.class_name, second.class_name) == ("positive", "negative")
    assert result.scores.tolist() == [-score[0], score[0]]
    assert first.probability == pytest.approx(1 / (1 + np.exp(-score[0])))
    assert first.probability + second.probability == pytest.approx(1)
    assert np.array_equal(first.cam, -second.cam) and first.cam.any()


def test_the_maps_of_a_side_are_measured_by_its_probability(model):
    pytest.importorskip("torch", reason="torch is not installed here")
    image, = photographs(1)
    with open_explainer(model, "torch") as explainer:
        result = explainer.explain([image], [Class(0)])[0].unwrap()
        measured, = Bench(explainer, Settings(metrics=("deletion",), steps=2)).measure(
            ["image.png"], [Outcome(image)], [Class(0)])
    curve = measured.unwrap()[0].curves["deletion"]
    assert curve[0] == pytest.approx(result.probabilities[0], abs=1e-6)


def test_without_names_the_only_class_is_the_score(tmp_path):
    assert load(tmp_path / "model", binary()).class_count == 1


def test_a_single_score_behind_a_softmax_has_no_sides(tmp_path):
    model = load(tmp_path / "model", binary("Softmax"), labels=NAMES)
    assert model.class_names is None and model.class_count == 1
    assert "2 labels for 1 classes" in model.warnings[0]


def test_sides_without_a_sigmoid_have_scores_only(tmp_path):
    model = load(tmp_path / "model", binary(None), labels=NAMES)
    assert model.link == "none" and model.class_count == 2
