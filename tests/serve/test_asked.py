"""What a request may hold."""

import base64

import pytest

from caffe_gradcam.serve.asked import Asked
from prototxt_tools.errors import QuestionError

IMAGE = base64.b64encode(b"an image").decode()


def test_a_request_has_defaults():
    asked = Asked.of({"image": IMAGE})
    assert (asked.image, asked.classes, asked.methods) == (b"an image", ("top:1",), ("grad-cam",))
    assert (asked.layers, asked.crop, asked.at, asked.samples) == ((), None, None, None)


def test_one_text_is_a_list_of_one():
    asked = Asked.of({"image": IMAGE, "classes": "tabby", "methods": [], "layers": ["a", "b"]})
    assert (asked.classes, asked.methods, asked.layers) == (("tabby",), ("grad-cam",), ("a", "b"))


@pytest.mark.parametrize("fields, message", [
    ({"image": None}, "image must be"), ({"image": "*"}, "not base64"), ({"image": 5}, "must be"),
    ({"classes": 5}, "classes must be"), ({"classes": [5]}, "classes must be"),
    ({"classes": ["a"] * 9}, "8 texts"), ({"layers": ["a" * 501]}, "500 letters"),
    ({"crop": [1, 2, 3]}, "crop must be"), ({"crop": [0, 0, 0, 5]}, "crop must be"),
    ({"crop": [0, -1, 5, 5]}, "crop must be"), ({"at": [True, 0, 1, 1]}, "at must be"),
    ({"at": [0, 0, 1 << 30, 1]}, "at must be"), ({"crop": [0.5, 0, 1, 1]}, "crop must be"),
    ({"samples": 0}, "samples must be"), ({"samples": 10 ** 9}, "from 1 to 512"),
    ({"weights": "/etc/passwd"}, "there is no field 'weights'")])
def test_anything_else_is_refused(fields, message):
    with pytest.raises(QuestionError, match=message):
        Asked.of({"image": IMAGE, **fields})


@pytest.mark.parametrize("value", [None, [], "text", 5])
def test_a_request_is_an_object(value):
    with pytest.raises(QuestionError, match="must be a JSON object"):
        Asked.of(value)


def test_the_command_line_is_safe_to_paste():
    asked = Asked.of({"image": IMAGE, "name": "a b'; rm -rf ~.png", "classes": ["$(x)"],
                      "methods": "layer-cam", "layers": "conv5", "crop": [1, 2, 3, 4],
                      "samples": 9})
    assert asked.command("my model") == (
        "caffe-gradcam explain 'my model' 'a b'\"'\"'; rm -rf ~.png' -o figures --class '$(x)' "
        "--method layer-cam --layer conv5 --crop 1,2,3,4 --samples 9")
