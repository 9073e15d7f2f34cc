"""A net trained on shuffled labels: no method's map of a class may point at its digit.

Data randomisation, of Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018, section 3.3.
scripts/train-digits-shuffled makes the weights. Strokes of any kind are hot in some maps, so a map
is held against the digit that was not asked about as well: it must not prefer its own.
"""

import pathlib
import shutil

import digit_scenes
import numpy as np
import pytest
from explaining import open_explainer

from caffe_gradcam.explaining.methods import METHODS
from caffe_gradcam.measuring.metrics import bootstrap, pointing
from caffe_gradcam.model.model import LoadedModel

WEIGHTS = pathlib.Path(__file__).resolve().parent / "golden" / "digits-shuffled.caffemodel"
SCENES = 20  # with fewer, the bootstrap finds differences where there are none
# Those that run the net for more than one pass.
SLOW = tuple(name for name, method in METHODS.items() if method.cost == "net")
FAST = tuple(name for name in METHODS if name not in SLOW + ("random",))
SAMPLES = 4


@pytest.fixture(scope="module")
def shuffled(tmp_path_factory, models):
    """models/digits, trained on shuffled labels."""
    folder = tmp_path_factory.mktemp("shuffled") / "model"
    shutil.copytree(str(models / "digits"), str(folder))
    shutil.copy(str(WEIGHTS), str(folder / "digits.caffemodel"))
    return LoadedModel.load(folder)


def point(model, methods, count):
    """By method, how often its maps point at the digit in question, and at the other digit.

    Two lists for each method, with two maps of each scene one after the other.
    """
    pytest.importorskip("torch", reason="torch is not installed here")
    pytest.importorskip("sklearn", reason="the digits come from scikit-learn")
    scenes = digit_scenes.evaluation_scenes(count)
    images = [np.repeat(scene.image[:, :, np.newaxis], 3, axis=2) for scene in scenes]
    samples = SAMPLES if set(methods) & set(SLOW) else None
    with open_explainer(model, "torch", methods, samples=samples) as explainer:
        results = explainer.explain(images, [[label for label, _ in scene.digits]
                                             for scene in scenes])
    hits = {name: ([], []) for name in methods}
    for scene, result in zip(scenes, results):
        boxes = dict(scene.digits)
        for explanation in result.unwrap().explanations:
            other, = set(boxes) - {explanation.class_index}
            for numbers, label in zip(hits[explanation.method], (explanation.class_index, other)):
                numbers.append(float(pointing.hits(explanation.heatmap, [boxes[label]])))
    return hits


def prefers_its_own(asked, other):
    """Whether maps point at the digit in question significantly more often than at the other."""
    scenes = np.repeat(np.arange(len(asked) // 2), 2)
    return bootstrap.interval(np.subtract(asked, other), scenes).low > 0


def test_no_map_of_a_net_of_shuffled_labels_prefers_the_digit_in_question(shuffled):
    hits = point(shuffled, FAST, SCENES)
    assert {name for name in FAST if prefers_its_own(*hits[name])} == set()


@pytest.mark.slow
def test_nor_does_one_that_runs_the_net_many_times(shuffled):
    hits = point(shuffled, SLOW, SCENES)
    assert {name for name in SLOW if prefers_its_own(*hits[name])} == set()


def test_maps_of_the_net_of_true_labels_do_prefer_it(models):
    methods = ("grad-cam", "hirescam", "layer-cam", "guided-grad-cam")
    hits = point(LoadedModel.load(models / "digits"), methods, 10)
    assert {name for name in methods if prefers_its_own(*hits[name])} == set(methods)
