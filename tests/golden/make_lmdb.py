"""What Debian 11's ``convert_imageset`` writes, and what Caffe's own Data layer reads of it.

Run where both are, from the root of a checkout; it writes ``lmdb.npz`` beside itself:

    python3 tests/golden/make_lmdb.py
"""

import os
import pathlib
import subprocess
import tempfile

os.environ["GLOG_minloglevel"] = "2"

import caffe
import cv2
import lmdb
import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
NET = """
layer {{ name: "data" type: "Data" top: "data" top: "label"
        data_param {{ source: "{}" backend: LMDB batch_size: 1 }} }}
"""
COUNT = 5
OPTIONS = {
    "raw": ["-resize_height", "9", "-resize_width", "7"],
    "raw-grey": ["-resize_height", "9", "-resize_width", "7", "-gray"],
    "png": ["-encoded", "-encode_type", "png"],
    "jpg": ["-encoded", "-encode_type", "jpg", "-resize_height", "16", "-resize_width", "16"],
    "as-they-are": ["-encoded"],
    "png-grey": ["-encoded", "-gray", "-encode_type", "png"],
}


def pictures(folder):
    """Write pictures into a folder, and a list of them with labels beside it."""
    rng = np.random.RandomState(2)
    lines = []
    (folder / "in").mkdir()
    for index in range(COUNT):
        path = folder / "in" / "{}.{}".format(index, "png" if index % 2 else "jpg")
        coarse = rng.randint(0, 256, (3, 4, 3)).astype(np.uint8)
        cv2.imwrite(str(path), cv2.resize(coarse, (20 - index, 12 + index)))
        lines.append(f"{path.name} {10 * index}\n")
    (folder / "list.txt").write_text("".join(lines))


def entries(folder, options):
    """Each entry's key, value, pixels (height x width x channels) and label."""
    path = folder / "db"
    subprocess.check_call(["convert_imageset"] + options + [
        str(folder / "in") + "/", str(folder / "list.txt"), str(path)])
    (folder / "net.prototxt").write_text(NET.format(path))
    with lmdb.open(str(path), readonly=True, lock=False) as database, database.begin() as reader:
        pairs = list(reader.cursor())
    net = caffe.Net(str(folder / "net.prototxt"), caffe.TEST)
    for key, value in pairs:
        net.forward()
        yield key, value, net.blobs["data"].data[0].transpose(1, 2, 0).astype(np.uint8), int(
            net.blobs["label"].data.ravel()[0])


def main():
    arrays = {}
    for name, options in OPTIONS.items():
        with tempfile.TemporaryDirectory() as folder:
            pictures(pathlib.Path(folder))
            for index, (key, value, pixels, label) in enumerate(
                    entries(pathlib.Path(folder), options)):
                place = f"{name}/{index}/"
                arrays[place + "key"] = np.frombuffer(key, np.uint8)
                arrays[place + "value"] = np.frombuffer(value, np.uint8)
                arrays[place + "pixels"], arrays[place + "label"] = pixels, label
    np.savez_compressed(str(HERE / "lmdb.npz"), **arrays)


if __name__ == "__main__":
    main()
