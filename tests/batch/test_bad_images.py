"""Bad images: each has its row, none stops the run, none takes a second or a gigabyte."""

import json
import os
import subprocess
import sys

import bad_images
import cv2
import numpy as np
import pytest
from tables import explain, picture, table

from caffe_gradcam.batch import storage
from caffe_gradcam.batch.sources import reading
from caffe_gradcam.batch.sources.item import Item
from caffe_gradcam.model import images
from prototxt_tools.errors import InputError

# What a decoder does with each of the files whose names come in, and what it took.
MEASURE = """
import json, os, sys, time
sys.path[:] = {path!r}
os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"] = "{pixels}"
import cv2
from caffe_gradcam.batch.sources import reading
from caffe_gradcam.batch.sources.item import Item
from caffe_gradcam.model.preprocess import Preprocessing, prepare
from prototxt_tools.errors import InputError
cv2.setNumThreads(1)
report, inputs = {{}}, {{"data": Preprocessing((8, 8), resize=(8, 8))}}

def seconds(name):
    started = time.process_time()
    item = Item.of(name, id=name)
    try:
        prepare(reading.decode(item, reading.fetch(item)), inputs)
    except InputError:
        pass
    return time.process_time() - started

for name in json.load(sys.stdin):
    took = seconds(name)
    if took > 0.5:  # processors that others keep busy are slow by half: once more
        took = min(took, seconds(name), seconds(name))
    # What getrusage says of a process goes back to the one that started it.
    with open("/proc/self/status") as file:
        most = next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))
    report[name] = took, most
json.dump(report, sys.stdout)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of bad images, and what should become of each."""
    pytest.importorskip("cv2", minversion="3.4.5",
                        reason="this OpenCV cannot be told how many pixels are too many")
    place = tmp_path_factory.mktemp("bad") / "in"
    expected = bad_images.write(place)
    assert len(expected) >= 200
    return place, expected


def test_each_bad_image_has_its_row_and_none_stops_the_run(model, folder, tmp_path):
    source, expected = folder
    explain(model, source, tmp_path / "out", batch=8, part_size=100)
    rows = table(tmp_path / "out", ["id", "status", "error", "sha256"])
    # Some are of one colour, so that no place in them speaks for anything. One has two pages.
    became = {row["id"].split("/page-")[0]: row["status"].replace("empty", "ok") for row in rows}
    assert became == expected
    assert all((row["error"] is None) == (row["status"] in ("ok", "empty")) for row in rows)
    assert all(row["sha256"] for row in rows if row["id"].startswith(("bomb", "cut", "noise"))
               and "/page-" not in row["id"])


def test_no_bad_image_takes_a_second_or_a_gigabyte(folder):
    names = sorted(os.path.join(str(folder[0]), name) for name in os.listdir(str(folder[0])))
    program = MEASURE.format(path=sys.path, pixels=reading.MOST_PIXELS)
    printed = subprocess.check_output(
        [sys.executable, "-c", program], input=json.dumps(names).encode(),
        stderr=subprocess.DEVNULL)
    report = json.loads(printed.decode())
    assert len(report) == len(names)
    slowest = max(report, key=lambda name: report[name][0])
    assert report[slowest][0] < 1, slowest
    assert max(most for _, most in report.values()) < 1 << 30


@pytest.mark.parametrize("name, message", [
    ("bomb.jpg", "larger than OPENCV_IO_MAX_IMAGE_PIXELS allows"),
    ("bomb-scans.jpg", "a JPEG of more than 100 scans"),
    ("empty.png", r"the file is empty \(0 bytes\)"),
    ("cut-30.jpg", "the image is cut short"),
    ("dangling.jpg", "no such file"),
    ("pipe.jpg", "not a regular file"),
    ("text.jpg", "not an image that OpenCV can read"),
])
def test_the_reason_is_said(folder, name, message):
    one = Item.of(str(folder[0] / name), id=name)
    with pytest.raises(InputError, match=name + ": .*" + message):
        reading.decode(one, reading.fetch(one))


def test_folders_and_files_without_permission_in_a_list_are_rows(model, tmp_path):
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "list.txt").write_text("folder.jpg\nforbidden.jpg\n")
    picture(tmp_path / "forbidden.jpg").chmod(0)
    explain(model, tmp_path / "list.txt", tmp_path / "out")
    first, second = table(tmp_path / "out", ["status", "error"])
    assert first["status"] == "unreadable" and "folder.jpg: a folder" in first["error"]
    if os.getuid():  # root may read it all the same
        assert second["error"].endswith("cannot be read: Permission denied")


def test_cmyk_and_animated_images_are_read_as_opencv_reads_them(tmp_path):
    image = pytest.importorskip("PIL.Image", reason="Pillow, which writes CMYK, is not installed")
    image.new("CMYK", (8, 6), (0, 255, 255, 0)).save(str(tmp_path / "a.jpg"), quality=95)
    red = images.read(str(tmp_path / "a.jpg"))
    assert red.shape == (6, 8, 3)
    assert red[:, :, 2].min() > 200 > 60 > red[:, :, :2].max()
    frames = [image.new("RGB", (8, 6), (shade, 0, 0)) for shade in (10, 200)]
    frames[0].save(str(tmp_path / "a.png"), save_all=True, append_images=frames[1:])
    assert images.read(str(tmp_path / "a.png"))[:, :, 2].max() == 10


def test_a_picture_that_a_resize_would_make_immense_is_refused():
    from caffe_gradcam.model.preprocess import Preprocessing, prepare

    thin = np.zeros((1, 300000, 3), np.uint8)
    with pytest.raises(InputError, match="would be 256x76800000 once it is resized"):
        prepare(thin, {"data": Preprocessing((224, 224), resize=256, crop=(224, 224))})


def test_a_large_photograph_is_resized_channel_by_channel_to_the_same_numbers(monkeypatch):
    from caffe_gradcam.model import preprocess

    photograph = np.random.RandomState(1).randint(0, 256, (61, 83, 3)).astype(np.uint8)
    wanted = {"data": preprocess.Preprocessing((32, 32), resize=(32, 32))}
    whole = preprocess.prepare(photograph, wanted).blobs["data"]
    monkeypatch.setattr(preprocess, "_LARGE", 100)
    np.testing.assert_array_equal(preprocess.prepare(photograph, wanted).blobs["data"], whole)


def test_16_bit_values_are_rounded_to_the_nearest_of_8():
    deep = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1).repeat(3, 2)
    data = cv2.imencode(".png", deep)[1].tobytes()
    expected = np.rint(deep / 257.0).astype(np.uint8)
    np.testing.assert_array_equal(images.decode(data, "deep.png"), expected)


def test_what_cannot_be_read_is_said_in_one_sentence(tmp_path):
    for path, message in ((tmp_path, "a folder, not a file"), (tmp_path / "x", "no such file")):
        with pytest.raises(InputError, match="^" + str(path) + ": " + message + "$"):
            storage.read(str(path))
