"""Labels: a class gets its own name, a number, or a refusal; never another's name."""

import json

import pytest

from caffe_gradcam.model import label_files, labels
from caffe_gradcam.model.model import LoadedModel
from prototxt_tools.errors import ModelError, QuestionError

NET = """
layer { name: "data" type: "Input" top: "data"
        input_param { shape { dim: 1 dim: 3 dim: 8 dim: 6 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
        convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "fc" type: "InnerProduct" bottom: "conv" top: "fc"
        inner_product_param { num_output: 3 } }
"""
ANIMALS = ["cat", "dog", "bird"]
LABEL_MAP = """item {
 name: "b"
 label: 1
 display_name: "dog"
}
item { name: "bird" label: 2 }
# The background of SSD.
item { name: "a" label: 0 display_name: "cat" }
"""


def written(tmp_path, content, name="labels.txt"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return path


@pytest.mark.parametrize("content", [
    "cat\ndog\nbird\n",
    b"\xef\xbb\xbfcat\r\ndog\r\nbird\r\n\r\n",
    "\ufeffcat\ndog\nbird\n".encode("utf-16-le"),
    "0 cat\n1 dog\n2 bird\n",
    "2 bird\n0 cat\n1 dog\n",
    "1 cat\n2 dog\n3 bird\n",
    "3: bird\n1: cat\n2: dog\n",
    "0,cat\n1,dog\n2,bird\n",
    "0\tcat\n\n2\tbird\n1\tdog\n",
    "{0: 'cat',\n 2: \"bird\",\n 1: u'dog'}\n",
    "{0: 'cat', 2: 'bird', 1: 'dog'}",
    "['cat', 'dog', 'bird']",
    "/c/cat 0\n/b/bird 2\n/d/dog 1\n",
    "cat 0\ndog 1\nbird 2\n",
    "n02119789 cat\nn02100735 dog\nn02096294 bird\n",
    "0 n02119789 cat\n1 n02100735 dog\n2 n02096294 bird\n",
    '["cat", "dog", "bird"]',
    '{"2": "bird", "0": "cat", "1": "dog"}',
    '{"bird": 2, "cat": 0, "dog": 1}',
    '{"0": ["n02119789", "cat"], "1": ["n02100735", "dog"], "2": ["n02096294", "bird"]}',
    '[{"id": 3, "name": "bird"}, {"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]',
    LABEL_MAP,
    LABEL_MAP.replace("label:", "id:"),
])
def test_each_form_gives_every_class_its_name(tmp_path, content):
    assert label_files.load(written(tmp_path, content)) == ANIMALS


@pytest.mark.parametrize("content", [
    "0,cat\n1,dog\n2,bird\n", "id,name\n2,bird\n0,cat\n1,dog\n", "cat,0\ndog,1\nbird,2\n",
    'class,wnid,display_name\n1,n1,dog\n0,n2,cat\n2,n3,bird\n', "cat\ndog\nbird\n",
])
def test_tables_give_names_by_their_column_of_numbers(tmp_path, content):
    assert label_files.load(written(tmp_path, content, "labels.csv")) == ANIMALS


@pytest.mark.parametrize("names", [
    ["0", "1", "2"], ["Acura RL Sedan 2012", "Audi S4 Sedan 2012"], ["tench, Tinca tinca", "a+b"],
    ["top:1", "281 versus"], ["man at work", "look versus see, at noon"], ["3 wheeler", "car"],
])
def test_names_that_only_look_like_something_else_stay_as_they_are(tmp_path, names):
    assert label_files.load(written(tmp_path, "\n".join(names))) == names
    assert label_files.load(written(tmp_path, json.dumps(names), "l.json")) == names


@pytest.mark.parametrize("content, words", [
    ("\u732b\n\u72d7\n".encode("gbk"), "labels.txt:2: not UTF-8; convert the file"),
    (b"caf\xe9\n", "-f LATIN1"),
    ("", "holds no labels"),
    ("img/a.jpg 0\nimg/b.jpg 1\n", "a list of images with their labels, not of class names"),
    ("0 cat\n2 dog\n", "has no number 1"),
    ("2 cat\n3 dog\n", "has no number 1"),
    ("0 cat\n0 dog\n", "gives class 0 two names, 'cat' and 'dog'"),
    ("/a/abbey 0\n/b/bar 7\n", "has no number 1"),
    ('{"0": 1, "1": 0}', "maps numbers to numbers"),
    ('{"0": {"name": "cat"}}', "is neither the number of a class"),
    ('[["cat"], ["dog"]]', "is neither a name nor an object with id and name"),
    ("item { name: 'cat' }", "an item of a label map needs a label and a name"),
    ("item { name: 'cat' label: 99999999999 }", "is not the number of a class"),
])
def test_what_leaves_doubt_is_refused(tmp_path, content, words):
    with pytest.raises(ModelError) as caught:
        label_files.load(written(tmp_path, content))
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_only_regular_files_of_a_bounded_size_are_read(tmp_path):
    import os

    pipe = tmp_path / "pipe.txt"
    os.mkfifo(str(pipe))
    (tmp_path / "zero.txt").symlink_to("/dev/zero")
    with open(str(tmp_path / "huge.txt"), "wb") as file:
        file.truncate(1 << 30)
    for name, words in [("pipe.txt", "a pipe, not a regular file"),
                        ("zero.txt", "a device, not a regular file"),
                        ("huge.txt", "1073741824 bytes, more than"), (".", "a folder, not a file")]:
        with pytest.raises(ModelError, match=words):
            label_files.load(tmp_path / name)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "deploy.prototxt").write_text(NET)
    (tmp_path / "w.caffemodel").write_bytes(b"")
    return tmp_path


@pytest.mark.parametrize("content, hint", [
    ("a\nb\n", "background may be missing"), ("a\nb\nc\nd\n", "a line for the background"),
    ("a\n", "numbers"), ("1 a\n2 b\n", "numbers"),
])
def test_names_of_another_number_of_classes_are_not_shown(folder, content, hint):
    (folder / "labels.txt").write_text(content)
    model = LoadedModel.load(folder)
    assert model.class_names is None and model.class_name(0) is None
    assert "labels for 3 classes, so classes are shown as numbers" in model.warnings[0]
    assert hint in model.warnings[0]


def test_labels_given_in_python_must_fit_too(folder):
    model = LoadedModel.load(folder, labels=["a", "b"])
    assert model.class_names is None
    assert model.warnings[0].startswith("labels: 2 labels for 3 classes")


def test_names_that_prove_too_many_once_the_net_runs_are_dropped(folder):
    unknown = NET.replace('"Convolution" bottom: "data"', '"Strange" bottom: "data"')
    unknown = unknown.replace('type: "InnerProduct"', 'type: "Stranger"')
    (folder / "deploy.prototxt").write_text(unknown)
    model = LoadedModel.load(folder, labels=["a", "b"], layers="conv", score="fc")
    assert model.class_names == ("a", "b")
    ran = model.with_shapes({"conv": (1, 4, 6, 4), "fc": (1, 3)})
    assert ran.class_names is None and "2 labels for 3 classes" in ran.warnings[-1]


def test_a_name_that_two_classes_share_is_refused_with_both_numbers():
    with pytest.raises(QuestionError, match=r"several labels: 0 \(crane\), 1 \(crane\)"):
        labels.find("crane", ["crane", "crane", "bird"], 3)


def test_a_number_that_is_the_name_of_another_class_is_refused_with_both_numbers():
    names = ["1", "2", "3"]
    with pytest.raises(QuestionError, match=r"'1' is the number of class 1 \(2\) and the name of "
                                            "class 0; give #1 or #0"):
        labels.find("1", names, 3)
    assert labels.find("#1", names, 3) == 1 and labels.find("0", names, 3) == 0
    assert labels.find("7", [str(digit) for digit in range(10)], 10) == 7


@pytest.mark.parametrize("content", ["[" * 3000, "{0: " * 3000, "[" + "(1," * 30 + ")" * 30 + "]"])
def test_brackets_within_brackets_are_no_printed_list(tmp_path, content):
    assert len(label_files.load(written(tmp_path, content))) == 1


def test_yaml_is_named(tmp_path):
    with pytest.raises(ModelError, match="labels.yaml: YAML; write one class name per line"):
        label_files.load(written(tmp_path, "names:\n  0: cat\n", "labels.yaml"))
