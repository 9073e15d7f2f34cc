"""LMDBs of Caffe's own convert_imageset, held against what Caffe's own Data layer reads of them."""

import shutil
import subprocess

import numpy as np
import pytest
from tables import picture

from caffe_gradcam.batch import sources
from caffe_gradcam.batch.sources import reading

NET = """
layer {{ name: "data" type: "Data" top: "data" top: "label"
        data_param {{ source: "{}" backend: LMDB batch_size: 1 }} }}
"""
COUNT = 5


@pytest.fixture
def images(tmp_path):
    """A folder of pictures and a list with labels, as convert_imageset wants them."""
    rng = np.random.RandomState(2)
    lines = []
    for index in range(COUNT):
        place = tmp_path / "in" / "{}.{}".format(index, "png" if index % 2 else "jpg")
        picture(place, *rng.randint(0, 200, 3).tolist(), size=(12 + index, 20 - index))
        lines.append(f"{place.name} {10 * index}\n")
    (tmp_path / "list.txt").write_text("".join(lines))
    return tmp_path


@pytest.mark.parametrize("options", [
    ["-resize_height", "9", "-resize_width", "7"],
    ["-resize_height", "9", "-resize_width", "7", "-gray"],
    ["-encoded", "-encode_type", "png"],
    ["-encoded", "-encode_type", "jpg", "-resize_height", "16", "-resize_width", "16"],
    ["-encoded"],
    ["-encoded", "-gray", "-encode_type", "png"],
], ids=["raw", "raw-grey", "png", "jpg", "as-they-are", "png-grey"])
def test_pixels_and_labels_are_those_of_caffes_data_layer(caffe, images, options):
    pytest.importorskip("lmdb", reason="lmdb is not installed here")
    tool = shutil.which("convert_imageset")
    if tool is None:
        pytest.skip("Caffe's convert_imageset is not installed here; the image has it")
    place = images / "db"
    subprocess.check_call([tool] + options + [
        str(images / "in") + "/", str(images / "list.txt"), str(place)],
        stderr=subprocess.DEVNULL)
    ours = [(reading.decode(entry, fetched), fetched.true_label)
            for entry in sources.open_source(str(place)) for fetched in [reading.fetch(entry)]]
    (images / "net.prototxt").write_text(NET.format(place))
    net = caffe.Net(str(images / "net.prototxt"), caffe.TEST)
    assert len(ours) == COUNT
    for pixels, label in ours:
        net.forward()
        theirs = net.blobs["data"].data[0]
        assert label == net.blobs["label"].data.ravel()[0]
        expected = np.broadcast_to(theirs.transpose(1, 2, 0), pixels.shape)
        np.testing.assert_array_equal(pixels, expected)
