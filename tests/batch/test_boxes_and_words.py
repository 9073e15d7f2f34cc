"""Rows of the boxes that a detector finds, and of the words that a net writes of images."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from processes import are_gone, family, kill, wait_for
from tables import plan_of, table

from caffe_gradcam import Model, explain_batch
from caffe_gradcam.asking.asker import Asking
from caffe_gradcam.batch import Pipeline
from caffe_gradcam.batch.dependencies import rows_depend_on
from caffe_gradcam.batch.output.blocks import Block, to_columns
from caffe_gradcam.batch.output.columns import to_rows
from caffe_gradcam.batch.output.rows import to_explanation
from caffe_gradcam.batch.sources.item import Item
from caffe_gradcam.batch.sources.item_blocks import ItemBlock
from caffe_gradcam.commands.cli import main
from caffe_gradcam.engines.running import Running
from caffe_gradcam.explaining.asked_batches import asked_batches, checked
from caffe_gradcam.explaining.batches import ImagesOfBatch
from caffe_gradcam.explaining.recipe import ModelChoice, Recipe
from caffe_gradcam.model import images
from caffe_gradcam.model.preprocess import prepare

MODELS = os.path.join(os.path.dirname(__file__), "..", "..", "models")
DETECTOR, CAPTION, QUESTION = (
    os.path.join(MODELS, f"digits-{name}") for name in ("detector", "caption", "question"))
OPTIONS = ("-q", "--engine", "torch", "--threads", "1", "--decoders", "1", "--batch", "2")


def scene(model, name):
    return os.path.join(model, "scenes", name)


@pytest.fixture
def folder(tmp_path):
    """A scene, an empty sheet of paper, a file that is no image, and another scene."""
    import cv2

    folder = tmp_path / "in"
    folder.mkdir()
    for source, name in (("6-5.png", "a.png"), ("7-7-8.png", "d.png")):
        with open(scene(DETECTOR, source), "rb") as file:
            (folder / name).write_bytes(file.read())
    cv2.imwrite(str(folder / "b.png"), np.full((96, 96), 255, np.uint8))
    (folder / "c.png").write_bytes(b"not an image")
    return folder


def command(model, source, output, *options):
    return ["batch", model, str(source), "-o", str(output), "--part-size", "2", *OPTIONS, *options]


def test_there_is_a_row_for_each_box(folder, tmp_path, torch, capsys):
    arguments = command(DETECTOR, folder, tmp_path / "out", "--detections", "--min-score", "0.9",
                        "--overlays", "all")
    assert main(arguments) == 1  # one file is not an image
    rows = table(tmp_path / "out")
    assert [(row["item"], row["status"], row["class_name"]) for row in rows] == [
        (0, "ok", "six"), (0, "ok", "five"), (1, "empty", None), (2, "unreadable", None),
        (3, "ok", "eight"), (3, "ok", "seven"), (3, "ok", "seven")]
    assert rows[2]["note"] == "there is no box with a score of 0.9 or more"
    assert rows[2]["error"] is None and "not an image" in rows[3]["error"]
    boxes, = Model.load(DETECTOR).detect(str(folder / "a.png"), 0.9, running=Running("torch"))
    for row, explanation in zip(rows, boxes):
        assert row["detected_box"] == pytest.approx(explanation.box, abs=1e-3)
        assert row["probability"] == pytest.approx(explanation.probability, abs=1e-6)
        assert row["score"] == pytest.approx(explanation.score, abs=1e-4)
        assert ("prior", row["prior"]) == explanation.position[0] and row["method"] == "odam"
        again = to_explanation(row)
        assert again.box == pytest.approx(explanation.box, abs=1e-3)
        assert np.abs(again.heatmap - explanation.heatmap).max() < 2e-3
    assert {row["predicted"] for row in rows[:2]} == {rows[0]["class"]}
    drawn = [path.name for path in (tmp_path / "out" / "overlays").rglob("*.png")]
    assert len(drawn) == 5 and any("seven-at_box_3" in name for name in drawn)
    assert main(["batch", "verify", str(tmp_path / "out")]) == 0
    _check_report(tmp_path)
    for part in (tmp_path / "out" / "parts").glob("part-000001.*"):
        part.unlink()  # As if the run had been killed before it.
    assert main(arguments) == 1
    assert table(tmp_path / "out") == rows


def _check_report(tmp_path):
    assert main(["report", str(tmp_path / "out"), "-o", str(tmp_path / "page.html"), "-q",
                 "--csv", str(tmp_path / "rows.csv")]) == 0
    lines = (tmp_path / "rows.csv").read_text().splitlines()
    names = lines[0].split(",")
    first, empty = (dict(zip(names, lines[number].split(","))) for number in (1, 3))
    assert (first["class_name"], first["prior"], round(float(first["x"]), 3)) == (
        "six", "185", 0.475)
    assert empty["note"] == "there is no box with a score of 0.9 or more"


def rows_of(recipe, arrays, own):
    """The rows of a batch of one array or dict each, explained in this process."""
    model = recipe.model.load()
    batches, inputs = asked_batches(recipe), checked(recipe, model)
    prepared = [prepare(array, inputs.inputs, inputs.arrays) for array in arrays]
    blobs = {name: np.stack([image.blobs[name] for image in prepared]) for name in inputs.inputs}
    answer = batches.begin(ImagesOfBatch(blobs, {}, dict(enumerate(prepared))), own).result()
    items = ItemBlock(given=[dataclasses.replace(Item.of("a"), number=number)
                             for number in range(len(arrays))])
    errors = {position: ("failed", str(error)) for position, error in answer.errors.items()}
    return to_rows(to_columns(items.columns(), [Block(
        items, np.zeros(len(arrays), "S64"), [None] * len(arrays), errors, answer.predicted,
        answer.groups)]))


def recipe_of(model, asking, **overrides):
    return Recipe(ModelChoice(model, None, overrides), asking, running=Running("torch"))


def test_there_is_a_row_for_each_word_and_one_for_the_sentence(torch):
    pixels = images.read(scene(CAPTION, "3-2.png"))
    rows = rows_of(recipe_of(CAPTION, Asking(caption=True, beam=2)), [pixels] * 3,
                   {1: (("a two",), None), 2: (("cat",), None)})
    with Model.load(CAPTION) as model:
        own, given = (model.caption(pixels, running=Running("torch"), **options)
                      for options in ({"beam": 2}, {"sentence": "a two"}))
    of_image = [[row for row in rows if row["item"] == number] for number in range(3)]
    for entries, caption in zip(of_image, (own, given)):
        assert [entry["class_name"] for entry in entries] == [
            word.text for word in caption.words] + [None]
        assert [entry["step"] for entry in entries[:-1]] == list(range(len(caption.words)))
        assert {entry["sentence"] for entry in entries} == {caption.text}
        assert [entry["probability"] for entry in entries] == pytest.approx(
            [word.probability for word in caption.words] + [caption.probability], rel=1e-3)
        assert entries[-1]["question"] == "the whole sentence"
    failed, = of_image[2]
    assert failed["status"] == "failed" and "'cat'" in failed["error"]


def test_captions_that_are_killed_go_on_to_the_same_rows(torch, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("3-2", "5-2", "8-0-6", "9-3-8"):
        shutil.copy(scene(CAPTION, f"{name}.png"), str(tmp_path / "in"))
    (tmp_path / "in" / "7.png").write_bytes(b"not an image")
    options = ("--caption", "--beam", "5", "--part-size", "1", "--batch", "1")
    reference, output = (command(CAPTION, tmp_path / "in", tmp_path / name, *options)
                         for name in ("reference", "out"))
    assert main(reference) == 1
    process = subprocess.Popen([
        sys.executable, "-c", "import sys; from caffe_gradcam.commands.cli import main; "
        "sys.exit(main(sys.argv[1:]))", *output])
    # A part is finished when the next one appears.
    wait_for(lambda: len(list((tmp_path / "out").glob("parts/part-*"))) > 1, 300)
    members = family(process.pid)
    kill(process.pid)
    process.wait(60)
    assert are_gone(members)
    before = finished(tmp_path / "out")
    assert 0 < len(before) < 5
    assert main(output) == 1
    rows = table(tmp_path / "out")
    assert rows == table(tmp_path / "reference")
    assert {row["item"] for row in rows} == set(range(5))
    after = finished(tmp_path / "out")
    assert {number: after[number] for number in before} == before and len(after) == 5


def finished(folder):
    """Number of each finished part -> when its file was written."""
    return {number: next((folder / "parts").glob(f"part-{number:06d}.*")).stat().st_mtime_ns
            for number in plan_of(folder).done()}


def test_rows_hold_how_much_each_word_of_a_question_mattered(torch):
    text, pixels = "what is left of the two?", images.read(scene(QUESTION, "6-5-2.png"))
    row, = rows_of(recipe_of(QUESTION, Asking(), text=text), [pixels], {})
    with Model.load(QUESTION) as model:
        explanation, = model.explain({"data": pixels, "words": text}, engine="torch")
    assert row["words"] == [word.text for word in explanation.words]
    assert row["word_relevances"] == pytest.approx(
        [word.relevance for word in explanation.words], abs=1e-4)
    assert [word.text for word in to_explanation(row).words] == row["words"]


@pytest.mark.parametrize("model, asking, text", [
    (DETECTOR, {"detections": True, "classes": "3"}, "every box is explained for its own class"),
    (DETECTOR, {"detections": True, "prior": 0}, "every box is explained for its own class"),
    (DETECTOR, {"detections": True, "min_score": 2}, "must be between 0 and 1"),
    (QUESTION, {"detections": True}, "the net lists no boxes"),
    (DETECTOR, {"detections": True, "method": "score-cam"}, "does not explain boxes"),
    (DETECTOR, {"caption": True}, "the net reads no words"),
    (QUESTION, {"text": "what is left of the fox?"}, "does not know the word 'fox'"),
    (CAPTION, {"sentence": "a cat"}, "does not know the word 'cat'"),
    (CAPTION, {"caption": True, "step": 0}, "explained word by word"),
    (CAPTION, {"caption": True, "method": "score-cam"}, "captions are explained by methods"),
])
def test_what_cannot_be_asked_is_refused_before_a_net_opens(model, asking, text):
    with pytest.raises(Exception, match=text) as caught:
        explain_batch([np.zeros((96, 96, 3), np.uint8)], model, engine="torch", **asking)
    assert str(caught.value).count("\n") == 0


def test_a_configuration_that_asks_for_boxes_explains_them_by_odam():
    recipe = Recipe.from_dict({"model": {"path": DETECTOR}, "asking": {"detections": True}})
    assert recipe.explaining.methods == ("odam",)
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


def test_rows_depend_on_the_files_of_the_language_net(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(CAPTION, str(folder))
    recipe = recipe_of(str(folder), Asking(caption=True))
    before = rows_depend_on(recipe, recipe.model.load(), None, Pipeline())
    words = (folder / "words.txt").read_text().splitlines()
    (folder / "words.txt").write_text("\n".join(["end", "one", *words[2:]]) + "\n")
    after = rows_depend_on(recipe, recipe.model.load(), None, Pipeline())
    assert before["caption"]["net"] == after["caption"]["net"]
    assert before["caption"]["words"] != after["caption"]["words"]
