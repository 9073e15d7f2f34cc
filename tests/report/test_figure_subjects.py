"""Figures of misclassified images say so, and by choice what image it is."""

import json

import cv2
import pytest
from outputs import explanation, items, pets, rows_of

from caffe_gradcam.batch.options import Drawing
from caffe_gradcam.batch.pipeline.figures import Artist
from caffe_gradcam.commands import cli
from caffe_gradcam.pictures import figures
from caffe_gradcam.pictures.figures import FigureOptions, Subject


def note_of(subject, tmp_path, **options):
    item, = items(tmp_path / "pictures", 1)
    image = cv2.imread(item.path)
    figure = figures.draw_explanation(image, explanation(0))
    return figures.with_subject(figure, subject, FigureOptions(**options)).note


@pytest.mark.parametrize("subject, options, note", [
    (Subject("a/x.png", "dog", True), {}, "grad-cam at conv5; wrong answer"),
    (Subject("a/x.png", "dog"), {}, "grad-cam at conv5"),
    (Subject("a/x.png", "dog", True), {"named": True},
     "grad-cam at conv5; wrong answer; x.png; true class: dog"),
    (Subject("a/x.png"), {"named": True}, "grad-cam at conv5; x.png")])
def test_the_note_tells_of_the_image(tmp_path, subject, options, note):
    assert note_of(subject, tmp_path, **options) == note


def test_a_bare_overlay_has_no_room_for_words(tmp_path):
    item, = items(tmp_path / "pictures", 1)
    options = FigureOptions("overlay", named=True)
    overlay = figures.draw_explanation(cv2.imread(item.path), explanation(0), options)
    assert figures.with_subject(overlay, Subject("x", "dog", True), options) is overlay


def test_explain_compares_the_answer_with_the_label_of_a_table(
        tmp_path, models, torch, monkeypatch):
    scene = models / "digits" / "scenes" / "2-7.png"
    (tmp_path / "scenes.csv").write_text(f"path,true_label\n{scene},three\n")
    notes, encode = [], figures.encode
    monkeypatch.setattr(figures, "encode", lambda path, figure, text="": notes.append(
        figure.note) or encode(path, figure, text))
    assert cli.main(["explain", str(models / "digits"), str(tmp_path / "scenes.csv"), "--engine",
                     "torch", "--named", "-q", "-o", str(tmp_path / "figures")]) == 0
    assert notes == ["grad-cam at branches/concat; wrong answer; 2-7.png; true class: three"]


def test_figures_of_a_batch_know_labels_and_answers(tmp_path):
    manifest = json.loads((pets(tmp_path) / "manifest.json").read_text())
    for values in manifest["rows_depend_on"]["inputs"].values():
        values.update(size=[60, 80], channel_order="BGR")
    artist = Artist(Drawing(), manifest)
    item, = items(tmp_path / "more", 1)
    for predicted, is_wrong in ((1, True), (2, False)):
        drawn = artist.figures(item, rows_of(item, true_label=2, predicted=predicted), "figures")
        assert drawn.subject == Subject(item.path, "owl", is_wrong)
