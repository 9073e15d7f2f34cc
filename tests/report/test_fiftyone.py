"""Datasets in FiftyOne's own JSON form."""

import json
import os
import pathlib
import subprocess
import sys

import cv2
import pytest
from outputs import pets

from caffe_gradcam.commands import cli

PYTHON = os.environ.get("FIFTYONE_PYTHON", sys.executable)
READER = pathlib.Path(__file__).with_name("read_by_fiftyone.py")


@pytest.fixture
def dataset(tmp_path):
    """The folder of the dataset of four pets, of which one is unreadable."""
    assert cli.main(["report", str(pets(tmp_path)), "--fiftyone", str(tmp_path / "d"), "-q"]) == 0
    return tmp_path / "d"


@pytest.fixture
def samples(dataset):
    return json.loads((dataset / "samples.json").read_text())["samples"]


def test_fields_are_inferred_since_the_metadata_have_no_version(dataset):
    metadata = json.loads((dataset / "metadata.json").read_text())
    assert metadata["media_type"] == "image"
    assert not {"version", "sample_fields"} & set(metadata)


def test_a_sample_has_its_classes_and_a_wrong_one_a_tag(samples):
    assert len(samples) == 3
    assert samples[2]["ground_truth"] == {"_cls": "Classification", "tags": [], "label": "owl"}
    assert samples[2]["prediction"] == {
        "_cls": "Classification", "tags": [], "label": "dog", "confidence": 0.6}
    assert [sample["tags"] for sample in samples] == [[], [], ["wrong"]]
    assert all(os.path.isfile(sample["filepath"]) for sample in samples)


def test_boxes_are_shares_of_the_image(samples):
    assert samples[0]["heat"]["_cls"] == "Detections"
    cat, dog = samples[0]["heat"]["detections"]
    assert (cat["label"], dog["label"]) == ("cat", "dog")
    assert cat["bounding_box"][:2] == [0, 0] and cat["confidence"] == 0.9
    assert cat["bounding_box"][2:] == pytest.approx([0.31, 0.42], abs=0.05)


def test_heatmaps_lie_where_fiftyone_looks_for_them(dataset, samples):
    heatmap = samples[0]["heatmap"]
    assert (heatmap["_cls"], heatmap["range"]) == ("Heatmap", [0, 255])
    assert heatmap["map_path"] == "fields/heatmap/000000.png"
    levels = cv2.imread(str(dataset / heatmap["map_path"]), -1)
    assert levels.shape == (60, 80) and levels.max() == 255


def test_fiftyone_reads_the_samples(dataset, tmp_path):
    if subprocess.run([PYTHON, "-c", "import fiftyone"], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("FiftyOne is not installed here, nor named by FIFTYONE_PYTHON")
    result = subprocess.run([PYTHON, str(READER), str(dataset)], check=True,
                            stdout=subprocess.PIPE)
    first, _, third = json.loads(result.stdout.decode().splitlines()[-1])
    assert first["filepath"] == str(tmp_path / "pictures" / "0000.png")
    assert (first["prediction"], first["truth"], first["tags"]) == (["cat", 0.9], "cat", [])
    assert (third["prediction"], third["truth"], third["tags"]) == (["dog", 0.6], "owl", ["wrong"])
    assert [label for label, _ in first["heat"]] == ["cat", "dog"]
    assert (first["heatmap"], first["hottest"]) == ([60, 80], 255)
