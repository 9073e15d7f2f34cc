"""models/digits-caption and models/digits-question, their scenes and their files."""

import hashlib
import itertools
import json

import cv2
import numpy as np
import pytest

from caffe_gradcam.engines import Running
from caffe_gradcam.explaining.captions import Captioner
from caffe_gradcam.explaining.explainer import Explainer
from caffe_gradcam.explaining.settings import Explaining
from caffe_gradcam.model.folder import read_front_matter
from caffe_gradcam.model.model import LoadedModel
from prototxt_tools.net.net import Net
from prototxt_tools.text.document import Document

NAMES = ["digits-caption", "digits-question"]
SEEDS = {"digits-caption": 7, "digits-question": 8}
TRAINED = ("Convolution", "ReLU", "Pooling", "InnerProduct", "Embed", "LSTM", "Concat", "Eltwise",
           "Scale", "TanH", "Tile", "Slice")


def described(folder):
    path, = (folder / "scenes").glob("*.json")
    return json.loads(path.read_text())


def image_of(folder, name):
    return cv2.imread(str(folder / "scenes" / name))


def peak(explanation):
    y, x = np.unravel_index(explanation.heatmap.argmax(), explanation.heatmap.shape)
    return x, y


def is_in(point, box):
    x, y, width, height = box
    return x <= point[0] < x + width and y <= point[1] < y + height


@pytest.fixture(params=NAMES)
def folder(request, models):
    return models / request.param


def test_the_weights_are_small_and_the_ones_that_the_readme_names(folder):
    front = read_front_matter(str(folder))
    weights = (folder / front["caffemodel"]).read_bytes()
    assert hashlib.sha1(weights).hexdigest() == front["sha1"]
    assert sum(path.stat().st_size for path in folder.glob("*.caffemodel")) < 1000 * 1000


def test_the_sample_scenes_are_the_generators_own(folder):
    pytest.importorskip("sklearn", reason="the digits come from scikit-learn")
    import digit_scenes
    import digit_sentences

    held_out = digit_scenes.load_digits()[1]
    samples = described(folder)
    rng = np.random.RandomState(SEEDS[folder.name])
    for scene in itertools.islice(digit_sentences.draw(held_out, rng), len(samples)):
        name = "-".join(str(label) for label, _ in scene.digits) + ".png"
        image = cv2.imread(str(folder / "scenes" / name), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(image, scene.image)
        assert [(digit["class"], tuple(digit["box"]))
                for digit in samples[name]["digits"]] == scene.digits


def test_the_layers_that_are_trained_are_those_that_are_deployed(folder):
    deployed = {}
    for name in ("deploy.prototxt", "language.prototxt"):
        if (folder / name).exists():
            deployed.update(layers_of(folder / name))
    trained = layers_of(folder / "train.prototxt")
    assert len(trained) > 8
    for name, layer in trained.items():
        assert deployed.get(name) == layer or name in ("loss", "presence", "everywhere"), name


def layers_of(path):
    return {layer.name: (layer.type, layer.tops, layer.message.inner_product_param.num_output,
                         layer.message.recurrent_param.num_output,
                         layer.message.convolution_param.num_output)
            for layer in Net.parse(Document.load(str(path))).layers if layer.type in TRAINED}


def test_relations_are_told_from_the_middles_of_boxes():
    import digit_sentences

    assert digit_sentences.relation((0, 0, 10, 10), (20, 50, 10, 10)) == "left"
    assert digit_sentences.relation((20, 0, 10, 10), (0, 50, 10, 10)) == "right"
    assert digit_sentences.relation((0, 0, 10, 10), (8, 50, 10, 10)) is None


def test_the_maps_of_most_digits_words_point_at_their_digits(torch, models):
    folder = models / "digits-caption"
    hits = []
    with Captioner(LoadedModel.load(str(folder)), running=Running("torch")) as captioner:
        for name, scene in described(folder).items():
            boxes = {digit["label"]: digit["box"] for digit in scene["digits"]}
            caption = captioner.caption(image_of(folder, name))
            hits += [is_in(peak(word.explanations[0]), boxes[word.text])
                     for word in caption.words if word.text in boxes]
    assert len(hits) >= 12
    assert np.mean(hits) > 0.8


def test_the_maps_of_most_answers_point_at_the_digits_that_were_asked_about(torch, models):
    folder = models / "digits-question"
    model = LoadedModel.load(str(folder))
    right, hits = [], []
    with Explainer.open(model, Explaining(), Running("torch")) as explainer:
        for name, scene in described(folder).items():
            boxes = {digit["label"]: digit["box"] for digit in scene["digits"]}
            for question, answer in scene["questions"].items():
                explanation = explainer.explain(
                    [{"data": image_of(folder, name), "words": question}]
                )[0].unwrap().explanations[0]
                right.append(explanation.class_name == answer)
                hits.append(is_in(peak(explanation), boxes[answer]))
    assert np.mean(right) > 0.8
    assert np.mean(hits) > 0.8


def test_real_caffe_writes_the_same_captions_with_the_same_maps(caffe, torch, models):
    folder = models / "digits-caption"
    image = image_of(folder, "5-3.png")
    captions = []
    for engine in ("caffe", "torch"):
        with Captioner(LoadedModel.load(str(folder)), running=Running(engine)) as captioner:
            captions.append(captioner.caption(image))
    real, ours = captions
    assert real.text == ours.text
    for theirs, word in zip(real.words, ours.words):
        np.testing.assert_allclose(theirs.explanations[0].cam, word.explanations[0].cam,
                                   rtol=1e-3, atol=1e-4)
