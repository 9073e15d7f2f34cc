"""On scenes of two digits the map of each class peaks on its own digit."""

import digit_scenes
import numpy as np
import pytest
from explaining import open_explainer

from caffe_gradcam.model.model import LoadedModel

SCENES = 200


@pytest.fixture(params=["caffe", "torch"])
def kind(request):
    """Each engine, where its library is."""
    request.getfixturevalue(request.param)
    return request.param


@pytest.mark.slow
def test_the_peak_falls_on_the_digit_that_was_asked_for(kind, models, record_property):
    pytest.importorskip("sklearn", reason="the digits come from scikit-learn")
    hits, chance = [], []
    with open_explainer(LoadedModel.load(models / "digits"), kind) as explainer:
        for scene in digit_scenes.evaluation_scenes(SCENES):
            photograph = np.repeat(scene.image[:, :, np.newaxis], 3, axis=2)
            classes = [label for label, _ in scene.digits]
            result = explainer.explain([photograph], classes)[0].unwrap()
            for explanation, (label, box) in zip(result.explanations, scene.digits):
                assert explanation.class_index == label
                hits.append(peak_in(explanation.heatmap, box))
                chance.append(box[2] * box[3] / scene.image.size)
    rate = np.mean(hits)
    record_property("pointing", f"{rate:.3f} at a chance of {np.mean(chance):.3f}")
    assert len(hits) == 2 * SCENES
    assert np.mean(chance) < 0.1
    assert rate >= 0.9


def peak_in(heatmap, box):
    """Whether the hottest pixel lies in a box (x, y, width, height)."""
    row, column = np.unravel_index(heatmap.argmax(), heatmap.shape)
    x, y, width, height = box
    return x <= column < x + width and y <= row < y + height
