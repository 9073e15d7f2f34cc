"""All methods on nets: what must not matter, and what both engines make of them."""

import numpy as np
import pytest
from definitions import Builder
from explaining import (
    SAMPLES,
    difference,
    explain,
    load,
    named,
    open_explainer,
    photographs,
    pooled_scores,
    rectified,
    traps,
)

from caffe_gradcam.asking.questions import Against, Class, Probability, Sum, Top
from caffe_gradcam.explaining.methods import METHODS
from caffe_gradcam.model import images
from caffe_gradcam.model.model import LoadedModel

EVERY = list(METHODS)
ASKED = [[Class(1)], [Probability(Class(3)), Class(0)], [Sum(((0, 1.0), (2, -1.0)))]]


@pytest.fixture
def model(tmp_path):
    return load(tmp_path / "traps", traps())


def compare(found, expected, limit=1e-4):
    assert list(found) == list(expected)
    for name, one in expected.items():
        assert difference(found[name].cam, one.cam) < limit, name
        assert found[name].score == pytest.approx(one.score, rel=1e-5)


def test_a_batch_gives_what_single_images_give_with_every_method(model, kind):
    pictures = photographs()
    with open_explainer(model, kind, EVERY, samples=SAMPLES) as explainer:
        together = named(explainer.explain(pictures, [Top(2)]))
        for picture, found in zip(pictures, together):
            alone, = named(explainer.explain([picture], [Top(2)]))
            assert len(found) == 2 * len(METHODS)
            compare(found, alone)


def test_questions_of_each_photograph_give_what_they_give_alone(model, kind):
    pictures = photographs()
    with open_explainer(model, kind, EVERY, samples=SAMPLES) as explainer:
        together = named(explainer.explain(pictures, ASKED))
        for picture, asked, found in zip(pictures, ASKED, together):
            assert len(found) == len(METHODS) * len(asked)
            for one in asked:
                alone, = named(explainer.explain([picture], [one]))
                compare({name: found[name] for name in alone}, alone)


def test_the_order_of_methods_and_questions_does_not_matter(model, kind):
    first = explain(model, kind, photographs(2), EVERY, [0, 1, Against(Class(2))])
    second = explain(model, kind, photographs(2), EVERY[::-1], [Against(Class(2)), 1, 0])
    for found, expected in zip(second, first):
        assert list(found) != list(expected)
        compare({name: found[name] for name in expected}, expected)


def test_alone_a_method_gives_what_it_gives_among_the_others(model, kind):
    together, = explain(model, kind, photographs(1), EVERY, [1])
    for name in ("grad-cam", "saliency", "guided-grad-cam", "fullgrad", "ablation-cam", "cam"):
        alone, = explain(model, kind, photographs(1), [name], [1])
        compare(alone, {key: together[key] for key in alone})


def test_behind_batch_norm_one_image_gets_the_gradients_it_gets_in_a_batch(kind, tmp_path):
    """torch's own batch_norm mixes cells up where layouts of value and gradient differ."""
    b = Builder("normalised", (1, 3, 16, 20))
    x = b.batch_norm(b.conv("conv", "data", 4, 3, pad=1), False, "norm")
    b.fc("score", x, 3)
    model = load(tmp_path / "normalised", b.text(), layers="conv")
    alone, = explain(model, kind, photographs(1), ["layer-cam"], [1])
    compare(alone, explain(model, kind, photographs(2), ["layer-cam"], [1])[0])


# A softmax over channels, and the closed form's 2 + S g, know how large the scores are.
OF_SCALE = ("grad-cam++", "smooth-grad-cam++", "score-cam", "ss-cam")


def test_the_scale_of_the_seed_changes_nothing_in_the_heatmap(model, kind):
    methods = [name for name in EVERY if name not in OF_SCALE]
    asked = [Sum(((0, factor), (1, -factor))) for factor in (1.0, 1000.0, 1e-4)]
    once, *scaled = [explain(model, kind, photographs(1), methods, [one])[0] for one in asked]
    for other in scaled:
        for name, one in once.items():
            assert np.abs(one.heatmap - other[name].heatmap).max() < 2e-4, name
            assert one.heatmap.max() == (1 if one.status == "ok" else 0)


def test_the_seeds_scale_is_taken_out_of_grad_cam_plus_plus_where_gradients_are_small(model, kind):
    asked = [Sum(((0, 1.0), (1, -1.0))), Sum(((0, 1e-4), (1, -1e-4)))]
    small = [explain(model, kind, photographs(1), ["grad-cam++"], [one])[0] for one in asked]
    heats = [next(iter(one.values())).heatmap for one in small]
    assert 1e-3 < np.abs(heats[0] - heats[1]).max() < 0.5


@pytest.mark.parametrize("net", [traps, rectified, pooled_scores])
def test_both_engines_agree_on_every_method(caffe, torch, tmp_path, net):
    model = load(tmp_path / "net", net())
    methods = [name for name in EVERY if name != "cam" or net is not rectified]
    of_caffe, of_torch = [explain(model, kind, photographs(2), methods, [Top(1), Against(Class(2))])
                          for kind in ("caffe", "torch")]
    for found, expected in zip(of_torch, of_caffe):
        compare(found, expected, 1e-3)


@pytest.mark.parametrize("methods", [EVERY[:9], EVERY[9:15], EVERY[15:]])
def test_both_engines_agree_on_the_digits(caffe, torch, models, methods):
    model = LoadedModel.load(models / "digits")
    scene = images.read(sorted((models / "digits" / "scenes").glob("*.png"))[0])
    of_caffe, of_torch = [explain(model, kind, [scene], methods) for kind in ("caffe", "torch")]
    for found, expected in zip(of_torch, of_caffe):
        compare(found, expected, 1e-3)
