"""Files of boxes, and the pictures of curves."""

import json

import numpy as np
import pytest

from caffe_gradcam.measuring import annotations
from caffe_gradcam.pictures import plots
from prototxt_tools.errors import InputError

NAMES = ("cat", "dog")


def find_class(text):
    if text.isdigit():
        return int(text)
    if text not in NAMES:
        raise InputError(f"no class {text!r}")
    return NAMES.index(text)


def read(tmp_path, text, name="boxes.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return annotations.read_boxes(path, find_class)


def test_a_table_of_boxes(tmp_path):
    found = read(tmp_path, "class,path,x,y,width,height,note\n"
                           "dog,a.jpg,1,2,30,40,\n1,a.jpg,5.5,6,7,8,small\ncat,ü/b.jpg,0,0,9,9,\n")
    assert found == {"a.jpg": {1: [(1, 2, 30, 40), (5.5, 6, 7, 8)]}, "ü/b.jpg": {0: [(0, 0, 9, 9)]}}


def test_boxes_by_photograph(models):
    found = annotations.read_boxes(models / "digits" / "scenes" / "boxes.json", int)
    assert found["2-7.png"] == {2: [(71, 31, 22, 22)], 7: [(39, 53, 19, 26)]}


def test_images_are_looked_up_by_path_then_by_name(tmp_path):
    found = read(tmp_path, "path,class,x,y,width,height\nx/a.jpg,cat,1,1,1,1\na.jpg,dog,2,2,2,2\n")
    assert annotations.boxes_of("x/a.jpg", found) == {0: [(1, 1, 1, 1)]}
    assert annotations.boxes_of("elsewhere/a.jpg", found) == {1: [(2, 2, 2, 2)]}
    assert annotations.boxes_of("b.jpg", found) == {}


@pytest.mark.parametrize("text, expected", [
    ("path,class,x,y,width\n", "the column height is missing"),
    ("", "the column path is missing"),
    ("path,class,x,y,width,height\n", "holds no boxes"),
    ("path,class,x,y,width,height\na.jpg,cow,1,2,3,4\n", "boxes.csv:2: no class 'cow'"),
    ("path,class,x,y,width,height\na.jpg,cat,1,2,three,4\n",
     "boxes.csv:2: a box needs four numbers"),
    ("path,class,x,y,width,height\na.jpg,cat,1,2,0,4\n",
     "boxes.csv:2: the width and height of a box"),
    ("path,class,x,y,width,height\na.jpg,cat,1,2,inf,4\n",
     "boxes.csv:2: the width and height of a box"),
    ("path,class,x,y,width,height\na.jpg,cat,1,2\n", "boxes.csv:2: a box needs four numbers"),
])
def test_a_table_that_makes_no_sense_is_refused_by_its_line(tmp_path, text, expected):
    with pytest.raises(InputError) as caught:
        read(tmp_path, text)
    assert expected in str(caught.value)


@pytest.mark.parametrize("document, expected", [
    ("{", "not a JSON file"),
    ("[]", "must hold a JSON object"),
    ('{"a.jpg": 3}', "a.jpg: must be a list of"),
    ('{"a.jpg": [{"class": 0}]}', "a.jpg: must be a list of"),
    ('{"a.jpg": [{"class": 0, "box": [1, 2, 3]}]}', "a.jpg: a box needs four numbers"),
    ('{"a.jpg": [{"class": 0, "box": 7}]}', "a.jpg: a box needs four numbers"),
    ('{"a.jpg": [{"class": "cow", "box": [1, 2, 3, 4]}]}', "a.jpg: no class 'cow'"),
    ('{"a.jpg": [{"class": 0, "box": "1234"}]}', "a.jpg: a box needs four numbers"),
    ('{"a.jpg": [{"class": 0, "box": [true, true, true, true]}]}', "a.jpg: a box needs four"),
    ('{"a.jpg": [{"class": 0, "box": [1, 2, 3, 1' + "0" * 400 + "]}]}", "a.jpg: a box needs four"),
    ('{"a.jpg": [{"class": 0, "box": [1, 2, 3, NaN]}]}', "all four numbers finite"),
    ("[" * 100000, "boxes.json: not a JSON file"),
])
def test_json_that_makes_no_sense_is_refused_by_its_image(tmp_path, document, expected):
    with pytest.raises(InputError) as caught:
        read(tmp_path, document, "boxes.json")
    assert expected in str(caught.value)


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        annotations.read_boxes(tmp_path / "none.csv", find_class)
    (tmp_path / "boxes.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not a text file in UTF-8"):
        annotations.read_boxes(tmp_path / "boxes.csv", find_class)


def test_numbers_of_json_may_be_labels_too(tmp_path):
    things = [{"class": "dog", "box": [1, 2, 3, 4]}, {"class": 1, "box": [5] * 4}]
    found = read(tmp_path, json.dumps({"a.jpg": things}), "boxes.json")
    assert found == {"a.jpg": {1: [(1, 2, 3, 4), (5, 5, 5, 5)]}}


def colours_at(picture, part, value):
    """The pixels around a place of the frame, by part of the pixels and value from 0 to 1."""
    x = plots._LEFT + part * (plots._RIGHT - plots._LEFT)
    y = plots._BOTTOM - value * (plots._BOTTOM - plots._TOP)
    return picture[int(y) - 2:int(y) + 3, int(x) - 2:int(x) + 3].reshape(-1, 3)


def test_a_line_goes_where_its_values_are():
    picture = plots.plot("deletion", [plots.Line("grad-cam conv5", [0.9, 0.4, 0.1], 0.45),
                                      plots.Line("random", [0.6, 0.6, 0.6], 0.6, True)], "low")
    blue = list(plots._COLOURS[0])
    for part, value in ((0.13, 0.77), (0.4, 0.5), (0.8, 0.22)):
        assert blue in colours_at(picture, part, value).tolist()
        assert blue not in colours_at(picture, part, value + 0.1).tolist()
    assert list(plots._BASELINES[0]) in colours_at(picture, 0.6, 0.6).tolist()


def test_the_best_lines_and_all_baselines_are_drawn():
    lines = [plots.Line(str(index), [0, 1], index / 20.0) for index in range(12)]
    lines.append(plots.Line("random", [0, 0], 0, True))
    assert [one.name for one in plots._chosen(lines, "high")] == [
        "11", "10", "9", "8", "7", "6", "5", "4", "random"]
    assert [one.name for one in plots._chosen(lines, "low")] == [
        "0", "1", "2", "3", "4", "5", "6", "7", "random"]


def test_scores_beyond_one_widen_the_frame():
    picture = plots.plot("insertion", [plots.Line("a", [-1, 3], 1)], "high", "score of the class")
    assert list(plots._COLOURS[0]) in colours_at(picture, 0.5, 0.5).tolist()
    assert np.array_equal(picture.shape, (plots.HEIGHT, plots.WIDTH, 3))
