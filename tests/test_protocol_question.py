"""What TorchRay's pointing game asks: a class where a map of scores is high for it."""

import numpy as np
import pytest

from caffe_gradcam.asking.grammar import parse
from caffe_gradcam.asking.questions import AtPeak, Class, Context, Sum, resolve
from caffe_gradcam.model.labels import find
from prototxt_tools.errors import QuestionError

SCORES = np.random.RandomState(3).randn(4, 2, 3).astype(np.float32)


def seed(question, scores=SCORES):
    return resolve([question], Context(scores, "none", lambda index: None, lambda region: None))[0]


def test_its_gradient_is_the_softmax_of_the_scores_over_the_positions():
    gradient = seed(AtPeak(Class(2))).gradients(SCORES[np.newaxis])[0]
    powers = np.exp(SCORES[2])
    np.testing.assert_allclose(gradient[2], powers / powers.sum(), rtol=1e-6)
    assert not gradient[[0, 1, 3]].any()


def test_it_is_the_gradient_of_the_log_of_the_sum_of_the_exponentials():
    torch = pytest.importorskip("torch")
    scores = torch.tensor(SCORES, requires_grad=True)
    scores[1].reshape(-1).logsumexp(0).backward()
    np.testing.assert_allclose(seed(AtPeak(1)).gradients(SCORES[np.newaxis])[0],
                               scores.grad.numpy(), rtol=1e-5, atol=1e-7)


def test_of_one_score_per_class_it_is_the_class_itself():
    assert seed(AtPeak(2), SCORES[:, 0, 0]).text == "2"
    assert seed(AtPeak(2)).text == "2 at its peak"


def test_it_is_asked_in_words():
    names = ["cat", "dog at its peak", "owl"]
    assert parse("cat at its peak", lambda text: find(text, names, 3), names) == AtPeak(Class(0))
    assert parse("1 at its peak", lambda text: find(text, None, 3)) == AtPeak(Class(1))
    assert parse("dog at its peak", lambda text: find(text, names, 3), names) == Class(1)


def test_several_classes_together_have_no_peak():
    with pytest.raises(QuestionError, match="only a single class has a peak"):
        seed(AtPeak(Sum(((0, 1.0), (1, 1.0)))))
