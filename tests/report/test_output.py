"""What a report reads of an output, whatever state it is in."""

import json

import cv2
import numpy as np
import pytest
from outputs import NAMES, explanation, items, pets, rows_of, write

from caffe_gradcam.report.manifest_sections import sections
from caffe_gradcam.report.output import Output
from caffe_gradcam.report.summary import Proportion, Summary
from prototxt_tools.errors import InputError


def read(folder, **options):
    """All entries with pictures, and what the output lacks."""
    output = Output(str(folder), **options)
    return list(output.entries(64)), output.problems


def test_an_entry_has_a_picture_and_its_maps(tmp_path):
    entries, problems = read(pets(tmp_path))
    first = entries[0]
    assert problems == []
    assert (first.number, first.status, first.true_label, first.predicted) == (0, "ok", 0, 0)
    assert first.size == (60, 80) and first.certainty == pytest.approx(0.9)
    assert [shown.question for shown in first.maps] == ["0 cat", "1 dog"]
    assert first.maps[0].heat.max() == 255 and first.maps[0].cam.shape == (6, 8)
    assert cv2.imdecode(np.frombuffer(first.picture, np.uint8), 1).shape == (48, 64, 3)


def test_an_unreadable_image_has_its_reason(tmp_path):
    entry = read(pets(tmp_path))[0][3]
    assert (entry.status, entry.error, entry.maps) == ("unreadable", "not an image", [])


def test_entries_without_pictures_have_the_same_numbers(tmp_path):
    output = Output(str(pets(tmp_path)))
    quick = Summary.of(output.entries())
    assert quick.accuracy == Summary.of(output.entries(64)).accuracy == Proportion(2, 3)
    assert output.size() == 4


def test_boxes_give_the_share_of_heat_outside(tmp_path):
    (tmp_path / "boxes.json").write_text(json.dumps({"0000.png": [
        {"class": "cat", "box": [0, 0, 40, 40]}, {"class": 1, "box": [70, 50, 10, 10]}]}))
    entry = read(pets(tmp_path), boxes=str(tmp_path / "boxes.json"))[0][0]
    assert entry.maps[0].outside < 0.1 and entry.maps[1].outside > 0.9
    assert len(entry.boxes) == 2


def test_facts_tell_where_a_value_comes_from(tmp_path):
    facts = {section.heading: section.facts
             for section in sections(Output(str(pets(tmp_path))).manifest)}
    mean, = facts["Preprocessing of data"]
    assert (mean.name, mean.value, mean.source) == ("mean", "104", "readme.md")
    assert "Versions in the last run" in facts and facts["Runs"][0].source == "1.5 s on cpu"


def test_a_picture_that_is_gone_is_named(tmp_path):
    folder = pets(tmp_path)
    for number in (0, 1):
        (tmp_path / "pictures" / f"{number:04d}.png").unlink()
    entries, problems = read(folder)
    assert entries[0].picture is None and "no such file" in entries[0].missing
    assert entries[0].maps[0].heat.max() == 255
    sentence, = problems
    assert "0000.png: no such file; its picture is not shown (and 1 more" in sentence


def test_a_picture_that_has_changed_is_not_shown(tmp_path):
    folder = pets(tmp_path)
    assert cv2.imwrite(str(tmp_path / "pictures" / "0000.png"), np.zeros((60, 80, 3), np.uint8))
    entries, problems = read(folder)
    assert entries[0].picture is None
    assert "has changed since it was explained" in problems[0]


def test_parts_that_are_not_finished_are_named(tmp_path):
    entries, problems = read(pets(tmp_path, part_size=2, finished=1))
    assert [entry.number for entry in entries] == [0, 1]
    assert problems == ["1 of 2 parts are not finished; their images are not in this report"]


def test_a_damaged_part_is_left_out(tmp_path):
    folder = pets(tmp_path, part_size=2)
    path = folder / "parts" / "part-000000.jsonl"
    path.write_bytes(path.read_bytes().replace(b"cat", b"cow"))
    entries, problems = read(folder)
    assert [entry.number for entry in entries] == [2, 3]
    assert "this file is damaged" in problems[0] and "not in this report" in problems[0]


def test_a_damaged_list_of_items_costs_no_picture(tmp_path):
    folder = pets(tmp_path)
    (folder / "items" / "items-000000.jsonl").write_text("nonsense")
    entries, problems = read(folder)
    assert entries[0].picture is not None
    assert "images are looked for at the paths in the rows" in problems[0]


@pytest.mark.parametrize("change, message", [
    ({"format": 99}, "not a manifest of this version"),
    ({"source": "elsewhere"}, "this manifest is damaged"),
    ({"part_sizes": None}, "this manifest is damaged"),
])
def test_another_manifest_is_read_as_far_as_possible(tmp_path, change, message):
    folder = pets(tmp_path)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(dict(manifest, **change)))
    entries, problems = read(folder)
    assert message in problems[0]
    assert [entry.status for entry in entries] == ["ok", "ok", "ok", "unreadable"]
    assert entries[0].predicted == 0 and entries[0].maps[0].question == "0 cat"


def test_without_a_manifest_the_parts_are_read(tmp_path):
    folder = pets(tmp_path)
    (folder / "manifest.json").unlink()
    output = Output(str(folder))
    assert len(list(output.entries(64))) == 4 and sections(output.manifest) == []
    assert output.class_names == {0: "cat", 1: "dog", 2: "owl"}


def test_a_folder_of_anything_else_is_refused(tmp_path):
    with pytest.raises(InputError, match="not the output of a batch"):
        Output(str(tmp_path))


def test_columns_of_other_versions_are_missing_values(tmp_path):
    folder = pets(tmp_path)
    (folder / "manifest.json").write_text('{"format": 1}')
    (folder / "parts" / "part-000000.jsonl").write_text(
        '{"item": 7, "path": "a.png", "status": "ok", "question": "1 dog", "score": "high"}\n'
        '[1]\n{"item": 8}\n{"item": "x", "status": null, "class": true, "question": 5}\n')
    entries, _ = read(folder)
    assert [entry.number for entry in entries] == [7, 8, 0]
    assert entries[0].maps[0].score is None and entries[0].maps[0].heat is None


@pytest.mark.parametrize("fields", [
    {"cam_shape": [1 << 20, 1 << 20]}, {"cam_shape": [2, 3, 8]}, {"cam_shape": [-6, -8]},
    {"image_size": [0, 0]}, {"image_size": [1 << 40, 1]}, {"cam_scale": float("nan")},
    {"cam": b"\0\0"}, {"rectangle": [1.0]}, {"placement": [float("nan")]},
])
def test_a_hostile_map_is_left_out(tmp_path, fields):
    several = items(tmp_path / "pictures", 2)
    rows = [rows_of(item) for item in several]
    rows[0][0].update(fields)
    entries, problems = read(write(tmp_path / "out", several, rows))
    assert [entry.maps[0].heat is None for entry in entries] == [True, False]
    assert "a map cannot be read" in problems[0] or "its picture is not shown" in problems[0]


def test_class_names_come_from_rows_where_the_manifest_has_none(tmp_path):
    output = Output(str(pets(tmp_path, class_names=None)))
    assert output.class_names == dict(enumerate(NAMES))


def test_an_empty_map_has_no_heat(tmp_path):
    several = items(tmp_path / "pictures", 1)
    flat = explanation(0)
    flat.cam[:] = -1
    entries, _ = read(write(tmp_path / "out", several, [rows_of(several[0], explanations=[flat])]))
    assert entries[0].status == "empty" and not entries[0].maps[0].heat.any()
