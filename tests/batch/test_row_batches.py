"""explain_batch: rows of a data flow in, rows of explanations out."""

import pathlib

import cv2
import jpeg_files
import numpy as np
import pytest
from tables import picture

from caffe_gradcam.batch import explain_batch, row_batches
from caffe_gradcam.batch.output.rows import COLUMNS
from prototxt_tools.errors import InputError, QuestionError


@pytest.fixture
def explain(model, tmp_path, monkeypatch):
    """explain_batch with the fake engine, in a folder with a bluer and a greener image."""
    monkeypatch.chdir(str(tmp_path))
    picture(tmp_path / "blue.png", 100, 80)
    picture(tmp_path / "green.png", 80, 101)
    yield lambda rows, **keywords: explain_batch(
        rows, model, engine="torch", batch=4, **keywords)
    row_batches._kept.close()


def test_rows_name_paths_true_labels_and_questions(explain):
    rows = explain([{"path": "blue.png", "true_label": "blue"},
                    {"path": "none.png", "class": "green"},
                    {"path": "green.png", "class": "top:2", "label": 2}])
    assert [(row["item"], row["status"], row["true_label"], row["class"]) for row in rows] == [
        (0, "ok", 0, 0), (1, "unreadable", None, None), (2, "ok", 2, 1), (2, "ok", 2, 0)]
    assert all(list(row) == list(COLUMNS) for row in rows)


def test_the_net_stays_open_for_calls_with_the_same_keywords(explain):
    explain(["blue.png"])
    lane = row_batches._kept.lane
    explain(["green.png"])
    assert row_batches._kept.lane is lane
    assert [row["class"] for row in explain(["blue.png"], classes="green")] == [1]
    assert row_batches._kept.lane is not lane


def test_images_may_be_anything_that_holds_one(explain):
    image = cv2.imread("blue.png")
    encoded = pathlib.Path("blue.png").read_bytes()
    pil = pytest.importorskip("PIL.Image", reason="Pillow is not installed here").open("blue.png")
    expected, *rows = explain([
        "blue.png", pathlib.Path("blue.png"), encoded, image, pil, {"image": image},
        {"image": encoded}, {"image": pil}, {"bytes": encoded}, {"jpg": encoded},
        {"image": {"bytes": encoded, "path": "a/blue.png"}}])
    assert [row["cam"] for row in rows] == [expected["cam"]] * 10
    assert [row["score"] for row in rows] == [expected["score"]] * 10
    assert (rows[1]["path"], rows[-1]["path"]) == ("row 2", "a/blue.png")
    assert rows[1]["sha256"] == expected["sha256"]


def test_an_image_that_could_mean_two_things_is_a_row_that_tells_why(explain):
    floats = cv2.imread("blue.png").astype(np.float32) / 255
    rows = explain([{"image": floats, "id": "x"}, "blue.png", {"image": b"no image"}])
    assert [row["status"] for row in rows] == ["unreadable", "ok", "unreadable"]
    assert "row 0: " in rows[0]["error"] and "float32" in rows[0]["error"]
    assert "row 2: not an image" in rows[2]["error"]


def test_rgb_arrays_are_the_same_images_as_their_files(explain):
    image = cv2.imread("blue.png")
    file, array = explain(["blue.png", image[..., ::-1]], color="RGB")
    assert array["score"] == file["score"] and array["cam"] == file["cam"]


def test_the_answer_has_the_form_of_the_rows(explain):
    expected, = explain([{"path": "blue.png"}])
    columns = explain({"path": np.array(["blue.png"], object)})
    assert columns["class"].tolist() == [0] and columns["cam"][0] == expected["cam"]
    stack = explain({"image": np.stack([cv2.imread("blue.png")] * 2)})
    assert stack["cam"].tolist() == [expected["cam"]] * 2
    pandas = pytest.importorskip("pandas", reason="pandas is not installed here")
    frame = explain(pandas.DataFrame({"path": ["blue.png"], "true_label": [np.nan]}))
    assert list(frame.columns) == list(COLUMNS) and frame["cam"][0] == expected["cam"]
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed here")
    table = explain(pyarrow.table({"path": ["blue.png"]}))
    assert table.column("cam").to_pylist() == [expected["cam"]]


@pytest.mark.parametrize("rows, message", [
    ("blue.png", "rows must be several: put a single image into a list"),
    (np.zeros((4, 5, 3), np.uint8), "rows must be several"),
    ({"path": "blue.png"}, "column 'path' must be several"),
    ({"image": np.zeros((4, 5, 3), np.uint8)}, "column 'image' must be several"),
    ({"path": ["a.png"], "class": ["1", "2"]}, "columns of the rows have different lengths"),
    ([{"id": "a"}], "row 0: there is no path"),
    ([{"path": "a.png", "box": "1,2"}], "row 0: a box is x,y,width,height"),
])
def test_rows_that_cannot_be_understood_are_refused(explain, rows, message):
    with pytest.raises(InputError, match=message):
        explain(rows)


@pytest.mark.skipif(not jpeg_files.is_reduced(), reason="this OpenCV decodes in full")
def test_large_jpegs_are_decoded_at_a_reduced_size_where_the_call_says_so(explain, tmp_path):
    (tmp_path / "large.jpg").write_bytes(
        jpeg_files.encoded(np.uint8(0.5 * jpeg_files.ramp(60, 81))))
    in_full, again = (explain(["large.jpg"], decode=decode)[0] for decode in ("cpu", "auto"))
    reduced, = explain(["large.jpg"], decode="reduced")
    assert in_full["cam"] == again["cam"] != reduced["cam"]
    assert in_full["image_size"] == reduced["image_size"] == [60, 81]


def test_an_unknown_keyword_and_an_unknown_class_are_refused(explain):
    with pytest.raises(QuestionError, match="no keyword 'methods'; did you mean 'method'"):
        explain(["blue.png"], methods="grad-cam")
    with pytest.raises(QuestionError, match="red"):
        explain(["blue.png"], classes=["red"])
    with pytest.raises(QuestionError, match="grad-kam"):
        explain(["blue.png"], method="grad-kam")
    with pytest.raises(QuestionError, match="no way to decode 'gpu'"):
        explain(["blue.png"], decode="gpu")
    with pytest.raises(QuestionError, match="--decode cuda: the net runs on the CPU"):
        explain(["blue.png"], decode="cuda")
