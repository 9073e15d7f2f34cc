"""From texts, options and Python values to questions."""

import types

import numpy as np
import pytest

from caffe_gradcam.asking.asker import Asker, Asking
from caffe_gradcam.asking.grammar import parse, parse_box, parse_region, questions_of
from caffe_gradcam.asking.questions import (
    Against,
    At,
    Class,
    Like,
    Probability,
    Sum,
    Top,
    Weighted,
)
from caffe_gradcam.model import images, labels
from caffe_gradcam.model.layouts import ScoreLayout
from prototxt_tools.errors import InputError, QuestionError

NAMES = ("zero", "A+", "man at work", "look versus see, at noon", "against all odds", "C++",
         "top:1", "281 versus", "eight+nine", "probability of rain")


def model(names=NAMES, score_shape=(1, 10)):
    axes = ("item", "class", "row", "column")[:len(score_shape)]
    return types.SimpleNamespace(
        class_names=names, score="score", shapes={"score": score_shape},
        class_count=score_shape[1], layout=ScoreLayout(axes),
        find_class=lambda text: labels.find(text, names, 10))


def asked(text):
    return parse(text, model().find_class, NAMES)


@pytest.mark.parametrize("index", range(len(NAMES)))
def test_the_exact_name_of_a_class_is_that_class(index):
    assert asked(NAMES[index]) == Class(index)


def test_so_is_one_of_its_names_between_commas_in_any_case():
    assert asked("Look VERSUS see") == Class(3)


@pytest.mark.parametrize("text, question", [
    ("top:2", Top(2)), ("weighted:3", Weighted(3)), ("zero+man at work", Sum(((0, 1.0), (2, 1.0)))),
    ("A+ versus C++", Sum(((1, 1.0), (5, -1.0)))),
    ("look versus see versus zero", Sum(((3, 1.0), (0, -1.0)))),
    ("against top:1", Against(Class(6))), ("against against all odds", Against(Class(4))),
    ("probability of top:2", Probability(Top(2))),
])
def test_texts_with_such_names_in_them(text, question):
    assert asked(text) == question


def test_a_number_is_a_class_and_never_a_name():
    assert parse("1", lambda text: int(text), ["one", "0", "1"]) == Class(1)


def test_prefixes_without_end_are_refused():
    with pytest.raises(QuestionError, match="more than 10 prefixes"):
        asked("against " * 5000 + "zero")


@pytest.mark.parametrize("classes, questions", [
    (3, [Class(3)]), ("zero", [Class(0)]), (np.int64(3), [Class(3)]), ([3, "zero"], [3, 0]),
    (np.array([3, 5]), [3, 5]), (np.array(4), [4]), ({5, 3}, [3, 5]), ((3, 5), [3, 5]),
    (range(2), [0, 1]), ((index for index in (7, 1)), [7, 1]), (Top(2), [Top(2)]),
    ([Against(1), Top(1)], [Against(1), Top(1)]), ({"zero", 3}, [3, 0]),
])
def test_what_python_callers_may_give_as_classes(classes, questions):
    expected = [Class(value) if isinstance(value, int) else value for value in questions]
    assert questions_of(classes, model()) == expected


@pytest.mark.parametrize("classes", [3.0, True, None, [3.0], [None], np.array([0.5]), {2.5}, b"3"])
def test_what_is_no_class_is_named_with_its_type(classes):
    with pytest.raises(QuestionError, match="a class is a whole number, a name or a question"):
        questions_of(classes, model())


@pytest.mark.parametrize("text", ["", "  ", "3+", "+3", "3 + + 5"])
def test_a_class_without_a_name_is_refused(text):
    with pytest.raises(QuestionError, match="a class without a name"):
        questions_of(text, model())


def test_tensors_of_whole_numbers_are_classes(torch):
    assert questions_of(torch.tensor([3, 5]), model()) == [Class(3), Class(5)]
    assert questions_of(torch.tensor(3), model()) == [Class(3)]


def test_nothing_at_all_is_refused():
    with pytest.raises(QuestionError, match="no class is asked about"):
        questions_of([], model())


@pytest.mark.parametrize("text, region", [
    ("3,4", (3, 4, 1, 1)), ("3, 4, 10, 20", (3, 4, 10, 20)), ("-3,4", (-3, 4, 1, 1))])
def test_regions(text, region):
    assert parse_region(text) == region


@pytest.mark.parametrize("text", ["", "3", "3,4,5", "3;4", "a,b", "3,4,0,1", "3,4,5,-1", "1.5,2"])
def test_what_is_no_region(text):
    with pytest.raises(QuestionError, match="--at needs X,Y or X,Y,WIDTH,HEIGHT in whole pixels"):
        parse_region(text)


def test_a_box_has_four_numbers():
    assert parse_box("1,2,3,4") == (1, 2, 3, 4)
    with pytest.raises(QuestionError, match="--crop needs X,Y,WIDTH,HEIGHT in whole pixels, not"):
        parse_box("1,2")


def test_without_classes_the_one_with_the_highest_score_is_asked_about():
    assert Asker(Asking(), model()).questions() == [Top(1)]


def test_classes_regions_probabilities_and_counterfactuals_together():
    asking = Asking(("zero", "top:2"), at=(1, 2, 3, 4), probability=True, counterfactual=True)
    first, second = Asker(asking, model()).questions()
    assert isinstance(first, Against) and isinstance(first.of, Probability)
    assert isinstance(first.of.of, At) and first.of.of.region == (1, 2, 3, 4)
    assert (first.of.of.of, second.of.of.of) == (Class(0), Top(2))


def test_an_image_may_have_questions_and_a_box_of_its_own():
    asker = Asker(Asking(("zero",), at=(0, 0, 1, 1)), model(score_shape=(1, 10, 4, 4)))
    question, = asker.questions(["C++"], [1, 2, 3, 4])
    assert (question.of, question.region) == (Class(5), (1, 2, 3, 4))


def test_its_box_is_not_asked_about_where_there_is_no_map_of_scores():
    assert Asker(Asking(), model()).questions(box=[1, 2, 3, 4]) == [Top(1)]


def test_the_mask_is_read_once_and_its_white_pixels_count(tmp_path):
    mask = np.zeros((4, 5, 3), np.uint8)
    mask[1, 2] = 255
    images.write(tmp_path / "mask.png", mask)
    question, = Asker(Asking(mask=str(tmp_path / "mask.png")), model()).questions()
    assert np.argwhere(question.region).tolist() == [[1, 2]]


def test_an_image_to_compare_with_is_run_once(tmp_path):
    images.write(tmp_path / "cat.png", np.full((4, 5, 3), 7, np.uint8))
    asking = Asking(like=str(tmp_path / "cat.png"), cosine=True)
    asker = Asker(asking, model(), lambda image: image.mean(axis=(0, 1)))
    question, = asker.questions()
    assert isinstance(question, Like) and question.cosine
    assert question.reference.tolist() == [7, 7, 7]


def test_files_that_are_missing_are_found_before_anything_runs():
    for asking in (Asking(mask="nowhere.png"), Asking(like="nowhere.png")):
        with pytest.raises(InputError, match="nowhere.png: no such file"):
            Asker(asking, model())


def test_an_unknown_class_is_found_before_anything_runs():
    with pytest.raises(InputError, match="there is no class 'zebra'"):
        Asker(Asking(("zebra",)), model())
