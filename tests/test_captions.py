"""Captions: sentences about images, explained word by word."""

import json

import numpy as np
import pytest
from definitions import random_weights
from opened import open_net

from caffe_gradcam import Model
from caffe_gradcam.asking.asker import Asking
from caffe_gradcam.commands.cli import main
from caffe_gradcam.engines import Running
from caffe_gradcam.explaining.asked_batches import checked
from caffe_gradcam.explaining.captions import Captioner
from caffe_gradcam.explaining.recipe import ModelChoice, Recipe
from caffe_gradcam.explaining.settings import Explaining
from caffe_gradcam.model.model import LoadedModel
from prototxt_tools import weights
from prototxt_tools.errors import ImageError, ModelError, QuestionError

INPUT = '''
layer { name: "data" type: "Input" top: "data"
        input_param { shape { dim: 1 dim: 3 dim: 12 dim: 12 } } }
'''
IMAGE = '''
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
        convolution_param { num_output: 5 kernel_size: 3 stride: 2 } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "fc8" type: "InnerProduct" bottom: "conv1" top: "fc8"
        inner_product_param { num_output: 6 } }
'''
WORDS = '''
layer { name: "words" type: "Input" top: "cont_sentence" top: "input_sentence"
        input_param { shape { dim: 6 dim: 1 } } }
'''
FEATURES = '''
layer { name: "features" type: "Input" top: "image_features"
        input_param { shape { dim: 1 dim: %d } } }
'''
LANGUAGE = '''
layer { name: "embedding" type: "Embed" bottom: "input_sentence" top: "embedded"
        embed_param { bias_term: false input_dim: 8 num_output: 4 } }
layer { name: "lstm1" type: "LSTM" bottom: "embedded" bottom: "cont_sentence" bottom: "%s"
        top: "lstm1" recurrent_param { num_output: 7 } }
layer { name: "predict" type: "InnerProduct" bottom: "lstm1" top: "predict"
        inner_product_param { num_output: 8 axis: 2 } }
layer { name: "probs" type: "Softmax" bottom: "predict" top: "probs" softmax_param { axis: 2 } }
'''
ONE = INPUT + WORDS + IMAGE + LANGUAGE % "fc8"
VOCABULARY = "a\ndog\ncat\non\nthe\ncouch\nof\n"
FRONT = """---
caffemodel: net.caffemodel
gradcam:
  inputs: {scale: 0.05}
  caption:
"""
PIXELS = np.random.RandomState(3).randint(0, 255, (12, 12, 3)).astype(np.uint8)
SENTENCE = "a dog on the couch"
NUMBERS = [1, 2, 4, 5, 6]
TORCH = Running("torch")


def write(folder, prototxt, caption, front=FRONT, **language):
    """A model folder; `language` may hold the text of a net of its own."""
    random = random_weights(ONE)
    weights.save(str(folder / "net.caffemodel"), {name: [3 * blob for blob in blobs]
                                                  for name, blobs in random.items()})
    (folder / "deploy.prototxt").write_text(prototxt)
    (folder / "words.txt").write_text(VOCABULARY)
    for name, text in language.items():
        (folder / f"{name}.prototxt").write_text(text)
    lines = "".join(f"    {line}\n" for line in caption.splitlines())
    (folder / "readme.md").write_text(f"{front}{lines}---\n")
    return folder


@pytest.fixture
def chain(tmp_path):
    """The folder of an image net and a language net."""
    return write(tmp_path, INPUT + IMAGE, "net: language.prototxt\nweights: net.caffemodel\n"
                 "words: words.txt", language=WORDS + FEATURES % 6 + LANGUAGE % "image_features")


@pytest.fixture
def whole(tmp_path_factory):
    """The folder of one net that is both."""
    return write(tmp_path_factory.mktemp("whole"), ONE, "words: words.txt")


def caption(folder, running=TORCH, methods=("grad-cam",), **settings):
    explaining = Explaining(methods)
    with Captioner(LoadedModel.load(str(folder)), explaining, running) as captioner:
        return captioner.caption(PIXELS, **settings)


def value_of(folder, diff):
    """Activations, and gradients at conv1 of a sum over the scores, in one net."""
    model = LoadedModel.load(str(folder))
    words = np.zeros((6, 1), np.float32)
    words[1:6, 0] = NUMBERS
    markers = np.ones((6, 1), np.float32)
    markers[0] = 0
    inputs = {"data": PIXELS.transpose(2, 0, 1)[None] * np.float32(0.05),
              "cont_sentence": markers, "input_sentence": words}
    net = open_net("torch", ONE, model.weights, ["predict"], ["conv1"])
    with net as engine:
        blobs = engine.forward(inputs, ["predict", "conv1"])
        return blobs, engine.backward("predict", diff(blobs["predict"]), ["conv1"])["conv1"]


def test_the_map_of_a_word_is_grad_cam_of_its_score_through_both_nets(torch, chain):
    words = caption(chain, sentence=SENTENCE).words
    for step, number in enumerate(NUMBERS):
        def diff(scores, at=(step, 0, number)):
            seed = np.zeros_like(scores)
            seed[at] = 1
            return seed

        blobs, gradients = value_of(chain, diff)
        expected = (gradients[0].mean((1, 2))[:, None, None] * blobs["conv1"][0]).sum(0)
        explanation = words[step].explanations[0]
        np.testing.assert_allclose(explanation.cam, expected, rtol=1e-4, atol=1e-6)
        assert explanation.score == pytest.approx(float(blobs["predict"][step, 0, number]), 1e-4)


def test_the_map_of_the_sentence_is_grad_cam_of_its_log_probability(torch, chain):
    def diff(scores):
        powers = np.exp(scores - scores.max(2, keepdims=True))
        slopes = -powers / powers.sum(2, keepdims=True)
        for step, number in enumerate(NUMBERS):
            slopes[step, 0, number] += 1
        slopes[len(NUMBERS):] = 0
        return slopes

    blobs, gradients = value_of(chain, diff)
    expected = (gradients[0].mean((1, 2))[:, None, None] * blobs["conv1"][0]).sum(0)
    result = caption(chain, sentence=SENTENCE)
    np.testing.assert_allclose(result.explanations[0].cam, expected, rtol=1e-4, atol=1e-6)
    assert result.probability == pytest.approx(np.prod([w.probability for w in result.words]))


def test_one_net_that_is_both_gives_what_two_nets_give(torch, chain, whole):
    ours, theirs = (caption(folder, sentence=SENTENCE) for folder in (chain, whole))
    assert [word.text for word in ours.words] == SENTENCE.split()
    for first, second in zip(ours.words, theirs.words):
        assert first.probability == pytest.approx(second.probability)
        np.testing.assert_allclose(first.explanations[0].cam, second.explanations[0].cam,
                                   rtol=1e-5, atol=1e-7)


def test_the_nets_own_sentence_takes_the_likeliest_word_at_each_step(torch, chain):
    result = caption(chain)
    again = caption(chain, sentence=result.text)
    assert [word.number for word in again.words] == [word.number for word in result.words]
    for word in result.words:
        assert word.probability > 1 / 8


def test_a_wide_beam_finds_the_likeliest_sentence_of_all(torch, chain):
    narrow, wide = (caption(chain, beam=beam) for beam in (1, 64))
    assert wide.log_probability >= narrow.log_probability - 1e-6


def test_real_caffe_gives_the_same_captions_and_maps(caffe, torch, chain):
    real, ours = (caption(chain, Running(engine), sentence=SENTENCE)
                  for engine in ("caffe", "torch"))
    for first, second in zip(real.words, ours.words):
        assert first.score == pytest.approx(second.score, rel=1e-4)
        np.testing.assert_allclose(first.explanations[0].cam, second.explanations[0].cam,
                                   rtol=1e-3, atol=1e-6)


def test_all_methods_that_need_gradients_only_work(torch, chain):
    methods = ("grad-cam", "grad-cam++", "hirescam", "layer-cam")
    word = caption(chain, methods=methods, sentence="a").words[0]
    assert [explanation.method for explanation in word.explanations] == list(methods)


@pytest.mark.parametrize("settings, message", [
    ({"sentence": "a dgo"}, "does not know the word 'dgo'; near: dog"),
    ({"sentence": "a a a a a a a"}, "7 words, and the net writes at most 6"),
    ({"sentence": "a", "methods": ("score-cam",)}, "by methods that need gradients only"),
    ({"sentence": "a", "methods": ("d-rise",)}, "by methods that need gradients only"),
])
def test_what_cannot_be_explained_is_refused_in_a_sentence(torch, chain, settings, message):
    with pytest.raises(QuestionError, match=message) as caught:
        caption(chain, **settings)
    assert "\n" not in str(caught.value)


def test_a_language_net_that_takes_other_features_is_refused(tmp_path):
    folder = write(tmp_path, INPUT + IMAGE,
                   "net: language.prototxt\nweights: net.caffemodel",
                   language=WORDS + FEATURES % 9 + LANGUAGE % "image_features")
    with pytest.raises(ModelError, match="input image_features takes 9 for each image, and blob "
                                         "fc8 of the image net is 6"):
        caption(folder)


@pytest.mark.parametrize("entry, message", [
    ("net: language.prototxt", "needs both net and weights"),
    ("wrods: words.txt", "unknown key gradcam.caption.wrods; did you mean words"),
    ("words: /etc/passwd", "must name a file in the model's folder"),
    ("words: missing.txt", "there is no file .*missing.txt"),
    ("words: words.txt\nfeatures: fc9\nnet: language.prototxt\nweights: net.caffemodel",
     "the image net has no blob 'fc9'"),
])
def test_a_readme_that_declares_no_such_chain_is_refused(tmp_path, entry, message):
    folder = write(tmp_path, INPUT + IMAGE, entry,
                   language=WORDS + FEATURES % 6 + LANGUAGE % "image_features")
    with pytest.raises(ModelError, match=message):
        caption(folder)


def test_an_image_of_another_size_is_named_with_the_input_and_its_size(torch, chain):
    model = Model.load(str(chain), resize="none")
    with pytest.raises(ImageError, match="an image of 20x14 does not fit input data of the net, "
                                         "which is declared as 12x12: .*fc8"):
        model.caption(np.zeros((20, 14, 3), np.uint8), running=TORCH)


@pytest.mark.parametrize("arguments, message", [
    (dict(sentence=5), "sentence must be a text, and needs no beam; it is 5"),
    (dict(sentence="a dog", beam=2), "needs no beam; it is 'a dog'"),
    (dict(sentence=""), "the sentence '' holds no word"),
    (dict(sentence="a dogg"), "the net does not know the word 'dogg'; near: dog"),
    (dict(beam=0), "beam must be a whole number of at least 1, not 0"),
    (dict(explaining="odam"), "explaining must be a caffe_gradcam.Explaining, not 'odam'"),
    (dict(running="torch"), "running must be a caffe_gradcam.Running, not 'torch'"),
    (dict(engine="torch"), "Model.caption has no keyword 'engine'"),
])
def test_what_is_wrong_with_a_call_for_a_caption_is_named(torch, chain, arguments, message):
    with pytest.raises(QuestionError, match=message):
        Model.load(str(chain)).caption(PIXELS, **dict(dict(running=TORCH), **arguments))


def test_a_caption_describes_one_image(torch, chain):
    with pytest.raises(ImageError, match="a stack of 2 images, where one is needed"):
        Model.load(str(chain)).caption(np.stack([PIXELS] * 2), running=TORCH)


def test_a_net_without_words_has_no_captions(tmp_path):
    folder = write(tmp_path, INPUT + IMAGE, "words: words.txt")
    with pytest.raises(ModelError, match="reads no words"):
        caption(folder)


def test_the_command_writes_a_strip_and_a_figure_for_each_word(torch, chain, tmp_path, capsys):
    cv2 = pytest.importorskip("cv2")
    cv2.imwrite(str(tmp_path / "im.png"), PIXELS)
    out = tmp_path / "out"
    arguments = ["explain", str(chain), str(tmp_path / "im.png"), str(tmp_path / "no.png"),
                 "-o", str(out), "--engine", "torch", "--sentence", SENTENCE, "--json"]
    assert main(arguments) == 1
    report = json.loads(capsys.readouterr().out)
    described, failed = report["images"]
    assert failed["error"].endswith("no.png: no such file")
    assert described["caption"] == SENTENCE
    assert [word["word"] for word in described["words"]] == SENTENCE.split()
    names = [path.name.split(".")[1] for path in out.iterdir()]
    assert sorted(names) == sorted(
        ["caption", "the_whole_sentence"]
        + [f"word_{step}_{word}" for step, word in enumerate(SENTENCE.split(), 1)])


def test_a_report_shows_the_sentence_and_each_word(torch, chain, tmp_path):
    cv2 = pytest.importorskip("cv2")
    pytest.importorskip("jinja2")
    cv2.imwrite(str(tmp_path / "im.png"), PIXELS)
    page = tmp_path / "page.html"
    assert main(["explain", str(chain), str(tmp_path / "im.png"), "-o", str(tmp_path / "out"),
                 "--engine", "torch", "--sentence", SENTENCE, "--report", str(page), "-q"]) == 0
    text = page.read_text(encoding="utf-8")
    data = text.split('<script type="application/json" id="data">')[1].split("</script>")[0]
    entry, = json.loads(data)["entries"]
    words = [f"word {step} {word}" for step, word in enumerate(SENTENCE.split(), 1)]
    assert [shown["question"] for shown in entry["maps"]] == ["the whole sentence"] + words
    assert {shown["sentence"] for shown in entry["maps"]} == {SENTENCE}
    assert all(shown["heat"] for shown in entry["maps"])


def test_a_batch_reads_nothing_but_images_for_captions(whole):
    recipe = Recipe(ModelChoice(str(whole)), Asking(caption=True))
    model = recipe.model.load()
    assert model.arrays and not checked(recipe, model).arrays


def test_one_net_needs_nothing_but_the_image_for_a_caption(torch, whole, tmp_path):
    cv2 = pytest.importorskip("cv2")
    cv2.imwrite(str(tmp_path / "im.png"), PIXELS)
    assert main(["explain", str(whole), str(tmp_path / "im.png"), "-o", str(tmp_path / "out"),
                 "--engine", "torch", "--caption", "-q"]) == 0
