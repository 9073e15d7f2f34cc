"""Questions: numbers made of scores, and their gradients."""

import numpy as np
import pytest

from caffe_gradcam.asking.grammar import parse
from caffe_gradcam.asking.questions import (
    Against,
    At,
    Class,
    Context,
    Like,
    Probability,
    Sum,
    Top,
    Weighted,
    resolve,
)
from caffe_gradcam.asking.seeds import score_vectors, to_probabilities
from prototxt_tools.errors import InputError, QuestionError

SCORES = np.array([0.5, 2.0, -1.0, 1.0])
DENSE = np.random.RandomState(0).randn(4, 2, 3)
LABELS = ["cat", "dog", "cow", "owl"]
BOX = np.float32([[0, 0.5, 0.5], [0, 0, 0]])
REFERENCE = np.float32([1, -2, 0.5, 3])


def context(scores=SCORES, link="softmax", labels=(), cells_of=None):
    return Context(np.asarray(scores), link, lambda index: labels[index] if labels else None,
                   cells_of or (lambda region: BOX))


def seed(question, *arguments, **options):
    found, = resolve([question], context(*arguments, **options))
    return found


def value(question, scores=SCORES, **options):
    return seed(question, scores, **options).values(np.asarray(scores)[np.newaxis])[0]


def gradient(question, scores=SCORES, **options):
    return seed(question, scores, **options).gradients(np.asarray(scores)[np.newaxis])[0].tolist()


QUESTIONS = {
    "class": Class(1),
    "number": 2,
    "together": Sum(((0, 1.0), (2, 1.0))),
    "versus": Sum(((0, 1.0), (3, -1.0))),
    "weighted": Weighted(3),
    "probability": Probability(Class(1)),
    "counterfactual": Against(Class(3)),
    "counterfactual of versus": Against(Sum(((1, 1.0), (2, -1.0)))),
    "counterfactual of probability": Against(Probability(Class(0))),
    "probability of counterfactual": Probability(Against(Class(0))),
}


def check_gradient(one, scores):
    """Central differences in double precision."""
    found = one.gradients(scores[np.newaxis])
    assert found.dtype == np.float32 and found.shape == (1,) + scores.shape
    expected, step = np.zeros(scores.shape), 1e-6
    for place in np.ndindex(*scores.shape):
        moved = np.stack([scores, scores])
        moved[(0,) + place] += step
        moved[(1,) + place] -= step
        upper, lower = one.values(moved)
        expected[place] = (upper - lower) / (2 * step)
    np.testing.assert_allclose(found[0], expected, rtol=1e-4, atol=1e-7)
    assert np.abs(expected).max() > 1e-3


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
@pytest.mark.parametrize("scores", [SCORES, DENSE], ids=["vector", "map"])
@pytest.mark.parametrize("name", sorted(QUESTIONS))
def test_gradients_are_the_derivatives_of_the_values(name, scores, link):
    check_gradient(seed(QUESTIONS[name], scores, link=link), scores)


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
@pytest.mark.parametrize("region", [(1, 2, 3, 4), np.eye(5)], ids=["box", "mask"])
@pytest.mark.parametrize("name", sorted(QUESTIONS))
def test_so_they_are_for_a_region_of_a_map(name, region, link):
    one = seed(At(QUESTIONS[name], region), DENSE, link=link)
    check_gradient(one, DENSE)
    outside = one.gradients(DENSE[np.newaxis])[0][:, BOX == 0]
    assert not outside.any()


@pytest.mark.parametrize("cosine", [False, True])
@pytest.mark.parametrize("scores", [SCORES, DENSE], ids=["vector", "map"])
def test_so_they_are_for_likeness(scores, cosine):
    reference = np.random.RandomState(7).randn(*scores.shape)
    check_gradient(seed(Like(reference, cosine), scores), scores)


def test_the_value_of_a_class_is_its_score():
    assert (value(Class(1)), gradient(Class(1))) == (2, [0, 1, 0, 0])


def test_the_value_of_a_class_on_a_map_is_its_mean():
    assert value(Class(2), DENSE) == pytest.approx(DENSE[2].mean())


def test_the_value_in_a_region_is_the_mean_there():
    assert value(At(Class(2), (0, 0, 1, 1)), DENSE) == pytest.approx(DENSE[2, 0, 1:].mean())


def test_versus_is_a_difference_of_scores():
    assert value(Sum(((1, 1.0), (2, -1.0)))) == 3
    assert gradient(Sum(((1, 1.0), (2, -1.0)))) == [0, 1, -1, 0]


def test_a_counterfactual_is_the_negative_question():
    assert (value(Against(Class(1))), gradient(Against(Class(1)))) == (-2, [0, -1, 0, 0])
    assert seed(Against(Class(1))).class_index == 1


def test_the_probability_behind_a_softmax():
    chances = np.exp(SCORES) / np.exp(SCORES).sum()
    assert value(Probability(Class(1))) == pytest.approx(chances[1])
    expected = chances[1] * (np.eye(4)[1] - chances)
    assert gradient(Probability(Class(1))) == pytest.approx(expected)


def test_the_probability_behind_a_sigmoid():
    assert value(Probability(Class(1)), link="sigmoid") == pytest.approx(1 / (1 + np.exp(-2)))
    found = gradient(Probability(Class(1)), link="sigmoid")
    assert found == pytest.approx([0, 0.1049936, 0, 0])


def test_a_counterfactual_probability_keeps_its_sign_in_either_order():
    chance = value(Probability(Class(1)))
    assert value(Against(Probability(Class(1)))) == pytest.approx(-chance)
    assert value(Probability(Against(Class(1)))) == pytest.approx(-chance)


def test_a_counterfactual_in_a_region_in_either_order():
    first = At(Against(Class(1)), (0, 0, 1, 1))
    second = Against(At(Class(1), (0, 0, 1, 1)))
    assert value(first, DENSE) == value(second, DENSE) == pytest.approx(-DENSE[1, 0, 1:].mean())
    assert gradient(first, DENSE) == gradient(second, DENSE)


def test_the_best_in_a_region_are_those_of_the_region():
    scores = np.zeros((3, 2, 3))
    scores[0] = 5
    scores[2, 0, 1:] = 9
    assert seed(At(Top(1), (0, 0, 1, 1)), scores).class_index == 2
    assert seed(Top(1), scores).class_index == 0


def test_the_best_classes_come_one_by_one_the_first_of_equals_first():
    found = resolve([Top(3)], context([1, 7, 7, 5]))
    assert [one.class_index for one in found] == [1, 2, 3]


def test_more_best_classes_than_there_are_is_all_of_them():
    assert len(resolve([Top(9)], context())) == 4


def test_weighted_classes_have_their_probabilities_as_factors():
    chances = np.exp(SCORES) / np.exp(SCORES).sum()
    expected = [0, chances[1], 0, chances[3]]
    assert gradient(Weighted(2)) == pytest.approx(expected)
    assert value(Weighted(2)) == pytest.approx(2 * chances[1] + chances[3])
    assert gradient(Weighted(2), link="none") == pytest.approx(expected)


def test_likeness_is_the_dot_product_or_the_cosine():
    assert value(Like(REFERENCE)) == pytest.approx(0.5 - 4 - 0.5 + 3)
    expected = -1 / (np.linalg.norm(SCORES) * np.linalg.norm(REFERENCE))
    assert value(Like(REFERENCE, True)) == pytest.approx(expected)
    assert value(Like(SCORES, True)) == pytest.approx(1)
    assert gradient(Like(SCORES, True)) == pytest.approx([0] * 4, abs=1e-7)


def test_likeness_to_nothing_is_nothing():
    assert value(Like(np.zeros(4), True)) == 0
    assert value(Like(REFERENCE, True), np.zeros(4)) == 0


@pytest.mark.parametrize("question, text", [
    (Class(1), "1 dog"), (Sum(((0, 1.0), (2, 1.0))), "0 cat + 2 cow"),
    (Sum(((0, 1.0), (1, 1.0), (3, -1.0))), "0 cat + 1 dog versus 3 owl"),
    (Against(Class(3)), "against 3 owl"), (Probability(Class(3)), "probability of 3 owl"),
    (Weighted(2), "top 2 weighted"), (Like(REFERENCE), "dot product with the reference"),
    (Like(REFERENCE, True), "cosine with the reference")])
def test_questions_in_words(question, text):
    assert seed(question, labels=LABELS).text == text


def test_regions_in_words():
    assert seed(At(Class(1), (3, 4, 10, 20)), DENSE).text == "1 at 3,4,10,20"
    assert seed(At(Class(1), np.eye(3)), DENSE).text == "1 at the mask"


def test_what_comes_twice_is_asked_once():
    found = resolve([1, Class(1), Top(2), 3], context())
    assert [one.class_index for one in found] == [1, 3]


def test_two_masks_and_two_references_are_different_questions():
    shares = iter([BOX, BOX[:, ::-1]])
    masks = [At(Class(1), np.eye(3)), At(Class(1), 1 - np.eye(3))]
    assert len(resolve(masks, context(DENSE, cells_of=lambda region: next(shares)))) == 2
    assert len(resolve([Like(REFERENCE), Like(-REFERENCE)], context())) == 2


@pytest.mark.parametrize("question, link, problem", [
    (Class(4), "softmax", "no class 4; the net's classes are 0 to 3"),
    (-1, "softmax", "no class -1"),
    (Sum(((0, 1.0), (9, -1.0))), "softmax", "no class 9"),
    (Probability(Class(0)), "none", "does not turn its scores into probabilities"),
    (Probability(Sum(((0, 1.0), (1, 1.0)))), "softmax", "only one class has a probability"),
    (Probability(Weighted(2)), "softmax", "only one class has a probability"),
    (Probability(Like(REFERENCE)), "softmax", "only one class has a probability"),
    (At(Class(0), (0, 0, 1, 1)), "softmax", "the net gives no map of scores"),
    (Like(REFERENCE[:3]), "softmax", "another shape"),
])
def test_questions_without_an_answer_are_refused(question, link, problem):
    with pytest.raises(InputError, match=problem):
        resolve([question], context(link=link))


def test_likeness_is_not_asked_of_a_region():
    with pytest.raises(InputError, match="the whole score blob, not a region"):
        resolve([At(Like(DENSE), (0, 0, 1, 1))], context(DENSE))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_no_numbers_answer_nothing(bad):
    with pytest.raises(InputError, match="the scores hold NaN or infinity"):
        resolve([0], context([1, bad]))


def find(text):
    if text.isdigit():
        return int(text)
    if text in LABELS:
        return LABELS.index(text)
    raise InputError("no class " + text)


@pytest.mark.parametrize("text, question", [
    ("3", Class(3)), (" dog ", Class(1)), ("top:3", Top(3)), ("weighted:10", Weighted(10)),
    ("cat+2", Sum(((0, 1.0), (2, 1.0)))), ("cat + cow", Sum(((0, 1.0), (2, 1.0)))),
    ("cat versus dog", Sum(((0, 1.0), (1, -1.0)))),
    ("cat+2 versus 1 + owl", Sum(((0, 1.0), (2, 1.0), (1, -1.0), (3, -1.0)))),
    ("against dog", Against(Class(1))), ("against top:2", Against(Top(2))),
    ("against 1 versus 2", Against(Sum(((1, 1.0), (2, -1.0))))),
    ("probability of  owl", Probability(Class(3))),
    ("against probability of owl", Against(Probability(Class(3)))),
])
def test_what_a_text_says(text, question):
    assert parse(text, find) == question


@pytest.mark.parametrize("text, problem", [
    ("cat versus dog versus cow", "more than two sides"), ("cat+0", "names a class twice"),
    ("1 versus 1", "names a class twice"), ("cat+", "no class"), ("versus dog", "no class"),
    ("top:0", "whole number of at least 1, as in top:3"), ("weighted:-1", "of at least 1"),
    ("top:", "of at least 1"), ("top:2.5", "of at least 1"), ("", "no class"),
    ("against", "no class"), ("zebra", "no class zebra"),
])
def test_what_no_text_may_say(text, problem):
    with pytest.raises(InputError, match=problem):
        parse(text, find)


def test_score_vectors_are_means_over_places():
    np.testing.assert_allclose(score_vectors(DENSE[np.newaxis])[0], DENSE.mean(axis=(1, 2)),
                               rtol=1e-6)
    assert score_vectors(np.float32([3, 4])).tolist() == [[3], [4]]


def test_probabilities_of_large_scores_do_not_overflow():
    assert to_probabilities(np.float32([1000, 0]), "softmax").tolist() == [1, 0]
    with np.errstate(over="raise"):
        assert to_probabilities(np.float32([1000, -1000]), "sigmoid").tolist() == [1, 0]
    assert to_probabilities(np.float32([1]), "none") is None


def test_a_single_output_is_asked_up_or_down():
    """A regression has one score, which need not stand in a row of classes."""
    one = seed(Class(0), [2.5], link="none")
    assert one.values(np.float32([2.5, -4])).tolist() == [2.5, -4]
    assert one.gradients(np.float32([2.5, -4])).tolist() == [1, 1]
    assert gradient(Against(Class(0)), [2.5], link="none") == [-1]


@pytest.mark.parametrize("count", [0, -1, 2.0, True, "3", None])
def test_a_count_is_a_whole_number_of_at_least_one(count):
    for question in (Top, Weighted):
        with pytest.raises(QuestionError, match="needs a whole number of at least 1, not"):
            question(count)


@pytest.mark.parametrize("question", [Class(1.0), Class(True), Sum(((0.5, 1.0),)), Class("1")])
def test_an_index_is_a_whole_number(question):
    with pytest.raises(QuestionError, match="needs the number of a class, not"):
        resolve([question], context())


@pytest.mark.parametrize("value", [1.0, True, None, "dog", np.float32(1), np.bool_(True)])
def test_what_is_no_question_is_named_with_its_type(value):
    with pytest.raises(QuestionError, match=f"not .* .{type(value).__name__}."):
        resolve([value], context())


def test_a_numpy_integer_is_a_class_and_a_list_of_four_a_region():
    assert seed(np.int32(2)).class_index == 2
    assert At(Class(1), [3, 4, 10, 20]).region == (3, 4, 10, 20)


@pytest.mark.parametrize("weights", [(), 3, ((3,),), (3, 1), ((3, float("nan")),), ((3, "x"),)])
def test_a_sum_without_a_factor_for_each_class_is_refused(weights):
    with pytest.raises(QuestionError, match="at least one class with its factor, as in Sum"):
        Sum(weights)


def test_questions_are_values_but_those_that_hold_arrays_are_themselves():
    assert Probability(Class(1)) == Probability(Class(1)) and hash(Top(2)) == hash(Top(2))
    assert Like(REFERENCE) != Like(REFERENCE)
