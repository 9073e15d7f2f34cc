"""models/digits, its scenes and its files belong together."""

import hashlib
import json

import cv2
import digit_scenes
import numpy as np
import pytest

from caffe_gradcam.model.folder import read_front_matter
from prototxt_tools.net.net import Net
from prototxt_tools.text.document import Document

# Of evaluation_scenes(5), from NumPy 1.13, 1.19 and 2.4.
CHECKSUM = "f237f0ff5efb3516a9e11ea6e413557f554c537a"


@pytest.fixture(scope="module")
def digits():
    """The handwritten digits, for training and held out."""
    pytest.importorskip("sklearn", reason="the digits come from scikit-learn")
    return digit_scenes.load_digits()


@pytest.fixture
def folder(models):
    return models / "digits"


def test_a_seed_gives_the_same_scenes_with_every_numpy(digits):
    checksum = hashlib.sha1()
    for scene in digit_scenes.evaluation_scenes(5):
        checksum.update(scene.image.tobytes())
        checksum.update(repr(scene.digits).encode())
    assert checksum.hexdigest() == CHECKSUM


def test_another_seed_gives_other_scenes(digits):
    first, second = (digit_scenes.evaluation_scenes(1, seed)[0].image for seed in (1, 2))
    assert np.mean(first != second) > 0.9


def test_no_digit_is_both_trained_on_and_held_out(digits):
    training, held_out = ({image.tobytes() for image in images} for images, _ in digits)
    assert (len(digits[0][1]), len(digits[1][1])) == (1438, 359)
    assert not training & held_out


def test_evaluation_scenes_hold_two_digits_of_different_classes_apart_from_each_other(digits):
    for scene in digit_scenes.evaluation_scenes(200):
        (first, (x, y, width, height)), (second, (left, top, across, down)) = scene.digits
        assert first != second
        assert x + width <= left or left + across <= x or y + height <= top or top + down <= y


def test_a_box_holds_its_digit_and_not_much_more(digits, monkeypatch):
    monkeypatch.setattr(digit_scenes, "CLUTTER", 0)
    scenes = digit_scenes.training_scenes(digits[1], np.random.RandomState(3))
    for _ in range(100):
        scene = next(scenes)
        (_, (x, y, width, height)), = scene.digits
        rows, columns = np.nonzero(scene.image < 130)  # darker than any paper
        spare = [columns.min() - x, rows.min() - y]
        spare += [x + width - 1 - columns.max(), y + height - 1 - rows.max()]
        assert 0 <= min(spare) and max(spare) <= 3  # the ink has soft edges


def test_clutter_leaves_the_digits_alone(digits):
    ink = np.zeros((digit_scenes.SIDE, digit_scenes.SIDE))
    rng = np.random.RandomState(4)
    box = (30, 40, 20, 25)
    for _ in range(100):
        place = digit_scenes.free_place(rng, (30, 12), digit_scenes.SIDE, [box])
        digit_scenes.paste(ink, place, np.ones((30, 12)))
    assert ink.mean() > 0.5
    assert ink[40:65, 30:50].max() == 0


def test_the_weights_are_small_and_the_ones_that_the_readme_names(folder):
    front = read_front_matter(str(folder))
    weights = (folder / front["caffemodel"]).read_bytes()
    assert len(weights) < 1000 * 1000
    assert hashlib.sha1(weights).hexdigest() == front["sha1"]


def test_the_labels_are_the_scenes_classes(folder):
    assert tuple((folder / "labels.txt").read_text().split()) == digit_scenes.LABELS


def test_the_sample_scenes_are_the_generators_own_and_boxes_json_says_what_they_show(
    digits, folder
):
    described = json.loads((folder / "scenes" / "boxes.json").read_text())
    scenes = digit_scenes.evaluation_scenes(6, seed=64)
    assert len(described) == len(scenes) == len(list((folder / "scenes").glob("*.png")))
    for scene in scenes:
        name = "{}-{}.png".format(*(label for label, _ in scene.digits))
        image = cv2.imread(str(folder / "scenes" / name), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(image, scene.image)
        assert [(digit["class"], tuple(digit["box"])) for digit in described[name]] == scene.digits
        labels = [digit_scenes.LABELS[label] for label, _ in scene.digits]
        assert [digit["label"] for digit in described[name]] == labels


def test_the_net_that_is_trained_is_the_net_that_is_deployed(folder):
    trained, deployed = (
        {
            layer.name: (layer.type, layer.bottoms, layer.tops, geometry(layer))
            for layer in Net.parse(Document.load(str(folder / name))).layers
            if layer.type in ("Convolution", "ReLU", "Pooling", "Concat")
        }
        for name in ("train.prototxt", "deploy.prototxt")
    )
    assert len(deployed) == 14
    assert trained == deployed


def geometry(layer):
    """What shapes a layer's output."""
    convolution, pooling = layer.message.convolution_param, layer.message.pooling_param
    return (
        convolution.num_output,
        list(convolution.kernel_size),
        list(convolution.stride),
        list(convolution.pad),
        pooling.pool,
        pooling.kernel_size,
        pooling.stride,
        pooling.global_pooling,
    )
