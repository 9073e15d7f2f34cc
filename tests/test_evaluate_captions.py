"""Measuring the maps of a caption's words: how likely each remains after the words before it."""

import json
import os

import numpy as np
import pytest

pytest.importorskip("torch")

from caffe_gradcam.asking.asker import Asking  # noqa: E402
from caffe_gradcam.commands import benches  # noqa: E402
from caffe_gradcam.commands.cli import main  # noqa: E402
from caffe_gradcam.engines.running import Running  # noqa: E402
from caffe_gradcam.explaining.recipe import ModelChoice, Recipe  # noqa: E402
from caffe_gradcam.measuring import caption_bench  # noqa: E402
from caffe_gradcam.measuring.measurement import Settings  # noqa: E402
from caffe_gradcam.model import images  # noqa: E402
from prototxt_tools.errors import Outcome  # noqa: E402

MODEL = os.path.join(os.path.dirname(__file__), "..", "models", "digits-caption")
SCENE = os.path.join(MODEL, "scenes", "3-2.png")
# Of the digits three and two in the scene.
THREE, TWO = (38, 58, 18, 22), (72, 38, 19, 27)


@pytest.fixture(scope="module")
def captioner():
    recipe = Recipe(ModelChoice(MODEL), Asking(caption=True), running=Running("torch"))
    model = recipe.model.load()
    with benches.kind_of(recipe, model).open(recipe, model) as captioner:
        yield captioner


def measured(captioner, sentence, boxes=None, metrics=("deletion", "insertion", "pointing")):
    bench = caption_bench.CaptionBench(captioner, Settings(metrics, steps=4))
    outcome, = bench.measure(["3-2.png"], [Outcome(images.read(SCENE))],
                             [[] if sentence is None else [sentence]], [boxes or {}])
    return outcome


def test_each_word_has_its_maps_and_its_baselines(captioner):
    measurements = measured(captioner, "a three left").unwrap()
    assert [(entry.rank, entry.method, entry.layer) for entry in measurements] == [
        (step, method, layer) for step in range(3) for method, layer in (
            ("grad-cam", "evidence"), ("random", None), ("centre", None))]


def test_the_value_is_the_probability_of_the_word_after_the_words_before_it(captioner):
    first, *_ = measured(captioner, "a three left").unwrap()[3:]
    word = captioner.caption(images.read(SCENE), 1, "a three left").words[1]
    assert first.curves["deletion"][0] == pytest.approx(word.probability, rel=1e-5)
    assert first.curves["insertion"][-1] == pytest.approx(word.probability, rel=1e-5)
    grey = captioner.word_probabilities(np.zeros((1, 96, 96), np.float32),
                                        captioner.chain.vocabulary.parse("a three left"))
    assert first.curves["deletion"][-1] == pytest.approx(grey[1], rel=1e-5)


def test_the_map_of_a_digit_points_at_it_and_its_word_vanishes_with_it(captioner):
    number, = captioner.chain.vocabulary.parse("three")
    by_map, by_chance, centre = measured(captioner, "a three", {number: [THREE]}).unwrap()[3:]
    assert by_map.values["pointing"] == 1 and by_map.values["energy"] > centre.values["energy"]
    assert by_map.values["gap"] > by_chance.values["gap"]
    # The words without a box are not measured by pointing.
    assert "pointing" not in measured(captioner, "a", {number: [THREE]}).unwrap()[0].values


def test_evaluate_compares_methods_on_the_words_that_the_net_writes(tmp_path, capsys):
    boxes = tmp_path / "boxes.json"
    boxes.write_text(json.dumps({"3-2.png": [
        {"class": "three", "box": THREE}, {"class": "two", "box": TWO}]}))
    assert main(["evaluate", MODEL, SCENE, "--caption", "--boxes", str(boxes), "--engine", "torch",
                 "--method", "grad-cam", "--metrics", "deletion,pointing", "--steps", "2",
                 "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [row["method"] for row in report["rows"]] == ["grad-cam", "random", "centre"]
    assert set(report["columns"]) == {"deletion", "pointing", "energy"}
    maps = report["images"][0]["maps"]
    assert len(maps) == 3 * len("a three left of a two".split())


@pytest.mark.parametrize("options, message", [
    (("--caption", "--metrics", "sanity"), "no metric of captions 'sanity'"),
    (("--caption", "--objects", "x.json"), "--objects is for maps of classes in single images, "
     "not of captions; use --boxes"),
    (("--caption", "--metrics", "pointing"), "the metric pointing needs --boxes"),
    (("--sentence", "a cat"), "does not know the word 'cat'"),
    (("--caption", "--class", "1"), "explained word by word"),
    (("--caption", "--method", "score-cam"), "captions are explained by methods"),
])
def test_what_has_no_meaning_for_captions_is_refused(capsys, options, message):
    assert main(["evaluate", MODEL, SCENE, "--engine", "torch", *options]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
