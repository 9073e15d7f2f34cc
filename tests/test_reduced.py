"""JPEGs that are decoded at a half, a quarter or an eighth of their size."""

import dataclasses
from pathlib import Path

import cv2
import jpeg_files
import numpy as np
import pytest

from caffe_gradcam.model import images, jpegs, reduced
from caffe_gradcam.model.preprocess import Preprocessing, prepare
from prototxt_tools.errors import Outcome

REDUCED = pytest.mark.skipif(not jpeg_files.is_reduced(), reason="this OpenCV decodes in full")
SQUARE = Preprocessing((50, 50), resize=(50, 50))


def both(data, preprocessing=SQUARE):
    """The blob and the geometry, of a JPEG in full and at reduced size."""
    inputs = {"data": preprocessing}
    in_full = prepare(images.decode(data, "x.jpg"), inputs)
    at_reduced = reduced.prepared(data, "x.jpg", inputs)
    assert at_reduced is not None
    return [(entry.blobs["data"][0], entry.geometries["data"][0])
            for entry in (in_full, at_reduced)]


@pytest.mark.parametrize("size, factor", [
    ((98, 400), 1), ((99, 400), 2), ((196, 400), 2), ((200, 400), 4), ((400, 401), 8),
    ((1000, 1000), 8)])
def test_a_picture_stays_at_least_as_large_as_what_it_is_resized_to(size, factor, monkeypatch):
    factors, decode = [1], images.decode

    def remember(data, path, **options):
        factors.append(options["factor"])
        return decode(data, path, **options)

    monkeypatch.setattr(images, "decode", remember)
    reduced.prepared(jpeg_files.encoded(jpeg_files.ramp(*size)), "x.jpg", {"data": SQUARE})
    assert factors[-1] == factor


@REDUCED
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(203, 405), (408, 410)])
def test_boxes_and_maps_refer_to_the_whole_photograph_however_it_is_turned(orientation, size):
    data = jpeg_files.turned(jpeg_files.encoded(jpeg_files.ramp(*size)), orientation)
    shown = images.decode(data, "x.jpg")
    _, (blob, geometry) = both(data, Preprocessing((40, 40), resize=50, crop=(40, 40)))
    assert geometry.image_size == shown.shape[:2]
    x0, y0, x1, y1 = geometry.rectangle
    rows, columns = (np.int64(start + (np.arange(40) + 0.5) / 40 * (stop - start))
                     for start, stop in ((y0, y1), (x0, x1)))
    # A level is two pixels here: the net sees each place where the geometry says, on average.
    shifts = (blob - shown[np.ix_(rows, columns)].transpose(2, 0, 1)).mean((1, 2))
    assert np.abs(shifts).max() < 0.3


@REDUCED
def test_the_last_row_and_column_may_reach_beyond_the_photograph():
    data = jpeg_files.encoded(jpeg_files.ramp(203, 405))
    inputs = {"data": SQUARE}
    rectangles = [reduced.prepared(jpeg_files.turned(data, orientation), "x.jpg", inputs)
                  .geometries["data"][0].rectangle for orientation in (1, 3, 6)]
    assert rectangles == [(0, 0, 408, 204), (-3, -1, 405, 203), (-1, 0, 203, 408)]


@REDUCED
def test_progressive_and_grey_jpegs_are_reduced_too():
    picture = jpeg_files.ramp(400, 400)
    grey = jpeg_files.encoded(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY))
    for data in (jpeg_files.progressive(picture), grey):
        (in_full, _), (at_reduced, _) = both(data)
        assert np.abs(in_full - at_reduced).max() < 3


def test_what_is_no_plain_jpeg_is_left_to_the_usual_decoder():
    picture = jpeg_files.ramp(400, 400)
    plain = jpeg_files.encoded(picture)
    no_orientation = jpeg_files.turned(plain, 9)
    said_twice = jpeg_files.turned(jpeg_files.turned(plain, 1), 6)
    png = cv2.imencode(".png", picture)[1].tobytes()
    for data in (jpeg_files.cmyk(picture), png, no_orientation, said_twice, plain[:10], b"",
                 plain[:2] + plain[40:60]):
        assert reduced.prepared(data, "x", {"data": SQUARE}) is None
    assert reduced.prepared(plain, "x", {"data": SQUARE}) is not None


@pytest.mark.parametrize("values", [
    {"resize": None}, {"resize": "letterbox"}, {"channel_order": "BANDS"}])
def test_inputs_that_are_not_resized_to_a_size_of_their_own_get_the_whole_picture(values):
    inputs = {"data": dataclasses.replace(SQUARE, **values)}
    assert reduced.prepared(jpeg_files.encoded(jpeg_files.ramp(400, 400)), "x", inputs) is None


def test_a_net_with_two_images_gets_whole_pictures():
    inputs = {"left": SQUARE, "right": SQUARE}
    assert reduced.prepared(jpeg_files.encoded(jpeg_files.ramp(400, 400)), "x", inputs) is None


@pytest.mark.parametrize("order", "<>")
def test_the_header_tells_size_and_orientation(order):
    data = jpeg_files.turned(jpeg_files.progressive(jpeg_files.ramp(30, 50)), 6, order)
    header = jpegs.header(data)
    assert (header.size, header.shown_size, header.orientation) == ((30, 50), (50, 30), 6)
    assert header.is_plain and not header.is_sequential and header.components == 3


@pytest.mark.parametrize("seed", range(20))
def test_a_damaged_header_is_read_or_not_but_never_an_error(seed):
    rng = np.random.RandomState(seed)
    data = bytearray(jpeg_files.turned(jpeg_files.encoded(jpeg_files.ramp(30, 50)), 6))
    for _ in range(200):
        damaged = bytearray(data)
        for position in rng.randint(2, 700, 3):
            damaged[min(position, len(data) - 1)] = rng.randint(256)
        jpegs.header(bytes(damaged[:rng.randint(2, len(data))]))


# Mean and 99th percentile of the differences of pixels that the net sees, in levels of 255, and
# the rank correlation of SqueezeNet's maps.
PHOTOGRAPHS = [("retina", 1.5, 15, 0.97), ("moon", 1, 8, 0.96), ("camera", 4, 35, 0.93)]


@pytest.fixture(scope="module")
def squeezenet():
    """An explainer with SqueezeNet's published weights."""
    pytest.importorskip("torch", reason="torch is not installed here")
    from caffe_gradcam.engines.running import Running
    from caffe_gradcam.explaining.explainer import Explainer
    from caffe_gradcam.model.model import LoadedModel

    folder = Path(__file__).resolve().parents[2] / "shared" / "data" / "models"
    if not folder.is_dir():
        pytest.skip("the shared models are not here")
    model = LoadedModel.load(str(folder / "squeezenet_v1.1"))
    with Explainer.open(model, running=Running(engine="torch")) as explainer:
        yield explainer


@pytest.mark.parametrize("name, mean, most, rank", PHOTOGRAPHS)
def test_photographs_differ_by_no_more_than_is_documented(name, mean, most, rank, squeezenet):
    data = pytest.importorskip("skimage.data", reason="scikit-image is not installed here")
    stats = pytest.importorskip("scipy.stats", reason="SciPy is not installed here")
    picture = getattr(data, name)()
    if picture.ndim == 2:
        picture = np.stack([picture] * 3, axis=2)
    file = jpeg_files.encoded(np.ascontiguousarray(picture[..., ::-1]))
    inputs = squeezenet.model.inputs
    prepared = [prepare(images.decode(file, name), inputs), reduced.prepared(file, name, inputs)]
    differences = np.abs(prepared[0].blobs["data"] - prepared[1].blobs["data"])
    assert differences.mean() < mean and np.percentile(differences, 99) < most
    best = squeezenet.explain_prepared([Outcome(prepared[0])])[0].unwrap().explanations[0]
    maps = [outcome.unwrap().explanations[0].cam.ravel() for outcome in
            squeezenet.explain_prepared(list(map(Outcome, prepared)), [[best.class_index]] * 2)]
    assert stats.spearmanr(*maps)[0] > rank
