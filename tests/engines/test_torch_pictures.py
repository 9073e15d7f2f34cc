"""JPEGs that are decoded and prepared where the net runs; here that is the CPU.

The device is all that differs on a card. torchvision decodes where it is installed; a stand-in
shows everywhere what happens to the pictures.
"""

import sys
from pathlib import Path

import cv2
import jpeg_files
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed here")

from caffe_gradcam.asking.questions import Class, Top  # noqa: E402
from caffe_gradcam.engines.on_device import OnDevice  # noqa: E402
from caffe_gradcam.engines.running import Running  # noqa: E402
from caffe_gradcam.engines.torch import pictures  # noqa: E402
from caffe_gradcam.engines.torch.sending import Sender  # noqa: E402
from caffe_gradcam.explaining.batches import BatchExplainer, ImagesOfBatch  # noqa: E402
from caffe_gradcam.explaining.columns import geometry_row  # noqa: E402
from caffe_gradcam.explaining.explainer import Explainer  # noqa: E402
from caffe_gradcam.model import images  # noqa: E402
from caffe_gradcam.model.model import LoadedModel  # noqa: E402
from caffe_gradcam.model.preprocess import Preprocessing, to_blobs  # noqa: E402
from prototxt_tools.errors import (  # noqa: E402
    EngineError,
    EngineMissing,
    ImageError,
    Outcome,
)

SENDER = Sender(torch.device("cpu"))
SQUARE = Preprocessing((50, 50), resize=(50, 50))
PHOTOGRAPH = jpeg_files.ramp(120, 160)


def by_opencv(files, device):
    """Stands in for torchvision; what it cannot decode it refuses as torchvision does."""
    decoded = [cv2.imdecode(file.numpy(), cv2.IMREAD_COLOR) if file.numpy()[-1] == 0xD9 else None
               for file in files]
    if any(picture is None for picture in decoded):
        raise RuntimeError("image not found")
    return [torch.from_numpy(np.ascontiguousarray(picture[..., ::-1].transpose(2, 0, 1)))
            .to(device) for picture in decoded]


@pytest.fixture(params=["stand-in", "torchvision"])
def decoder(request, monkeypatch):
    """What decodes."""
    if request.param == "stand-in":
        monkeypatch.setattr(pictures, "decoded", by_opencv)
    else:
        try:
            pytest.importorskip("torchvision.io", reason="torchvision is not installed here")
        except RuntimeError:
            pytest.skip("torchvision is not the one for this torch")
    return request.param


def read(files, preprocessing=SQUARE):
    """The blob of JPEGs, or of prepared images where a file is an array."""
    reader = pictures.Pictures(SENDER, preprocessing)
    channels = 1 if preprocessing.channel_order == "GRAY" else 3
    places = np.zeros((len(files), channels) + preprocessing.size, np.float32)
    sizes = np.zeros(len(files), np.int32)
    for index, file in enumerate(files):
        if isinstance(file, bytes):
            sizes[index] = len(file)
            places[index].reshape(-1).view(np.uint8)[:len(file)] = np.frombuffer(file, np.uint8)
        else:
            places[index] = file
    return reader.read(places, sizes).array()


def expected(file, preprocessing=SQUARE):
    return to_blobs(images.decode(file, "x.jpg"), preprocessing)[0][0]


KINDS = {
    "4:2:0": jpeg_files.encoded(PHOTOGRAPH),
    "4:4:4": jpeg_files.encoded(PHOTOGRAPH, cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
                                cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
    if hasattr(cv2, "IMWRITE_JPEG_SAMPLING_FACTOR") else jpeg_files.encoded(PHOTOGRAPH),
    "grey": jpeg_files.encoded(cv2.cvtColor(PHOTOGRAPH, cv2.COLOR_BGR2GRAY)),
    "odd": jpeg_files.encoded(jpeg_files.ramp(87, 61))}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_picture_is_that_of_opencv_to_within_two_levels(decoder, kind):
    difference = np.abs(read([KINDS[kind]])[0] - expected(KINDS[kind]))
    assert difference.max() <= 2 and difference.mean() < 0.25


@pytest.mark.parametrize("values", [
    {"channel_order": "RGB"}, {"channel_order": "GRAY", "channels": 1}, {"scale": 0.017},
    {"mean": np.float32([104, 117, 123])}, {"resize": 60, "crop": (50, 50)},
    {"resize": (70, 80), "crop": (50, 50), "mean": np.full((3, 70, 80), 9, np.float32)},
    {"resize": None, "size": (120, 160)}, {"resize": "long:200", "crop": (50, 50)}])
def test_it_is_prepared_as_on_the_cpu(decoder, values):
    preprocessing = Preprocessing(**dict({"size": (50, 50), "resize": (50, 50)}, **values))
    files = [KINDS["4:2:0"], KINDS["grey"]]
    for blob, file in zip(read(files, preprocessing), files):
        np.testing.assert_allclose(blob, expected(file, preprocessing),
                                   atol=2 * preprocessing.scale)


def test_images_that_are_prepared_already_stay_among_the_others(decoder):
    prepared = np.full((3, 50, 50), 7, np.float32)
    blob = read([KINDS["odd"], prepared, KINDS["4:2:0"], KINDS["odd"]])
    assert (blob[1] == prepared).all() and (blob[0] == blob[3]).all()
    assert np.abs(blob[2] - expected(KINDS["4:2:0"])).max() <= 2


def test_what_the_device_cannot_decode_is_left_to_opencv(monkeypatch):
    monkeypatch.setattr(pictures, "decoded", by_opencv)
    with_notes = KINDS["odd"] + b"behind the end"
    blob = read([KINDS["4:2:0"], with_notes])
    assert np.abs(blob[1] - expected(with_notes)).max() < 1e-3
    with pytest.raises(ImageError, match="a JPEG of the batch"):
        read([KINDS["4:2:0"], with_notes[:40] + b"\xff\xd9behind"])


def test_a_decoder_that_gives_other_pictures_is_not_used(monkeypatch):
    monkeypatch.setattr(pictures, "decoded", lambda files, device: [
        picture.flip(0) for picture in by_opencv(files, device)])
    with pytest.raises(EngineError, match="cpu decodes a JPEG differently from OpenCV"):
        pictures.Pictures(SENDER, SQUARE)


def test_a_device_without_a_decoder_is_refused(monkeypatch):
    def refuse(files, device):
        raise RuntimeError("nvjpeg is missing\nmore")

    monkeypatch.setattr(pictures, "decoded", refuse)
    with pytest.raises(EngineError, match=r"cannot decode JPEGs \(nvjpeg is missing\); use"):
        pictures.Pictures(SENDER, SQUARE)


def test_a_missing_torchvision_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision.io", None)
    with pytest.raises(EngineMissing, match="pip install 'caffe-gradcam.jpeg.'"):
        pictures.Pictures(SENDER, SQUARE)


# Asked of the whole batch, and of each image, which takes them back from the device.
@pytest.mark.parametrize("questions", [None, [Outcome([Class(3)])] * len(KINDS)])
def test_maps_of_images_on_the_device_are_those_of_arrays(questions):
    model = LoadedModel.load(str(Path(__file__).resolve().parents[2] / "models" / "digits"))
    (name, preprocessing), = model.inputs.items()
    made = [to_blobs(images.decode(file, "x"), preprocessing) for file in KINDS.values()]
    arrays = {name: np.stack([blobs for blobs, _ in made])}
    rows = {name: np.stack([[geometry_row(geometry) for geometry in geometries]
                            for _, geometries in made])}
    on_device = OnDevice(torch.from_numpy(arrays[name][:, 0].copy()))
    with Explainer.open(model, running=Running(engine="torch")) as explainer:
        explain = BatchExplainer(explainer, [Top(2)]).explain
        plain = explain(ImagesOfBatch(arrays, rows), questions)
        sent = explain(ImagesOfBatch({name: 0 * arrays[name]}, rows, on_device=on_device),
                       questions)
    assert (sent.predicted == plain.predicted).all() and len(sent.groups) == len(plain.groups)
    for ours, theirs in zip(sent.groups, plain.groups):
        assert (ours.cams == theirs.cams).all() and (ours.scores == theirs.scores).all()
