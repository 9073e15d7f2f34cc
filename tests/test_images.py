"""Reading and writing image files."""

import os
import struct
import zlib

import cv2
import numpy as np
import pytest

from caffe_gradcam.model import images
from prototxt_tools.errors import InputError

BLUE, GREEN, RED = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def encoded(image, extension=".png"):
    # Without compression: OpenCV 4.5 writes floats with loss otherwise.
    compression = getattr(cv2, "IMWRITE_TIFF_COMPRESSION", 259)
    options = [compression, 1] if extension == ".tif" else []
    return cv2.imencode(extension, image, options)[1].tobytes()


def stored(folder, data, name="image"):
    path = folder / name
    path.write_bytes(data)
    return path


def scene(height=48, width=64):
    coarse = np.random.RandomState(0).randint(0, 255, (6, 8, 3)).astype(np.uint8)
    return cv2.resize(coarse, (width, height))


def with_exif(jpeg, orientation):
    tiff = b"II*\0" + struct.pack("<IH", 8, 1)
    tiff += struct.pack("<HHIHH", 0x112, 3, 1, orientation, 0) + struct.pack("<I", 0)
    segment = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + jpeg[2:]


def refusal(path):
    with pytest.raises(InputError) as caught:
        images.read(path)
    message = str(caught.value)
    assert message.startswith(str(path)) and "\n" not in message
    return message


def test_an_image_is_read_blue_first(tmp_path):
    image = np.array([[BLUE, GREEN, RED]], np.uint8)
    assert images.read(stored(tmp_path, encoded(image))).tolist() == image.tolist()


def test_names_may_hold_any_letters(tmp_path):
    path = stored(tmp_path, encoded(scene()), u"K\u00e4tzchen \u732b.png")
    assert np.array_equal(images.read(path), scene())


def test_grey_becomes_three_equal_channels(tmp_path):
    grey = scene()[:, :, 0]
    assert np.array_equal(images.read(stored(tmp_path, encoded(grey))), np.dstack([grey] * 3))


def test_alpha_is_dropped_as_caffe_drops_it(tmp_path):
    rgba = np.dstack([scene(), np.zeros((48, 64), np.uint8)])
    assert np.array_equal(images.read(stored(tmp_path, encoded(rgba))), scene())


@pytest.mark.parametrize("extension", [".png", ".tif"])
def test_sixteen_bits_are_scaled_and_rounded_never_cut(tmp_path, extension):
    deep = np.array([[0, 128, 129, 257 * 100, 32768, 65535]], np.uint16)
    path = stored(tmp_path, encoded(np.dstack([deep] * 3), extension))
    assert images.read(path)[0, :, 1].tolist() == [0, 0, 1, 100, 128, 255]


def test_sixteen_bit_grey_and_alpha(tmp_path):
    deep = scene()[:, :, 0].astype(np.uint16) * 257
    grey = images.read(stored(tmp_path, encoded(deep)))
    assert np.array_equal(grey, np.dstack([scene()[:, :, 0]] * 3))
    rgba = np.dstack([scene().astype(np.uint16) * 257, deep])
    assert np.array_equal(images.read(stored(tmp_path, encoded(rgba))), scene())


def float_tiff(picture):
    """A picture in a TIFF of floats; skips where OpenCV writes them with loss, as 3.4.3 does."""
    data = encoded(picture.astype(np.float32), ".tif")
    if not np.array_equal(cv2.imdecode(np.frombuffer(data, np.uint8), -1),
                          picture.astype(np.float32)):
        pytest.skip("this OpenCV writes floats with loss")
    return data


def test_float_pixels_from_0_to_1_are_refused_with_the_way_to_scale_them(tmp_path):
    path = stored(tmp_path, float_tiff(scene() / 255))
    assert "float32 values from" in refusal(path)
    assert "give --value-range LOW,HIGH, for example 0,1" in refusal(path)
    np.testing.assert_array_equal(images.read(path, (0, 1)), scene())


def test_float_pixels_from_0_to_255_are_read(tmp_path):
    path = stored(tmp_path, float_tiff(scene()))
    np.testing.assert_array_equal(images.read(path), scene())


def test_12_bit_values_in_a_16_bit_image_keep_all_levels_and_are_told(tmp_path, caplog):
    ramp = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    path = stored(tmp_path, encoded(ramp, ".png"))
    read = images.read(path)[:, :, 0]
    assert len(np.unique(read)) == 256 and (read.min(), read.max()) == (0, 255)
    assert "16-bit values up to 4095 only, taken as 12 bits (0 to 4095)" in caplog.text
    caplog.clear()
    np.testing.assert_array_equal(images.read(path, (0, 4095))[:, :, 0], read)
    assert images.read(path, (0, 65535)).max() == 16 and caplog.text == ""


def test_values_outside_the_range_that_is_given_are_refused(tmp_path):
    path = stored(tmp_path, encoded(np.full((4, 4), 5000, np.uint16), ".png"))
    with pytest.raises(InputError, match="5000 are outside the range of 0 to 4095"):
        images.read(path, (0, 4095))


@pytest.mark.parametrize("array, value_range", [
    (scene(), None), (scene().astype(np.float32), None), (scene().astype(np.int64), None),
    (scene() / 255, (0, 1)), (scene().astype(np.uint16) * 257, None),
    (scene().astype(np.float32) - 100, (-100, 155)),
])
def test_arrays_in_npy_files_are_read_by_the_same_rule(tmp_path, array, value_range):
    path = str(tmp_path / "image.npy")
    np.save(path, array)
    np.testing.assert_array_equal(images.read(path, value_range), scene())


@pytest.mark.parametrize("array, words", [
    (np.zeros((3, 4, 5)), "an array of 3 x 4 x 5"), (np.array([None]), "of Python objects"),
    (np.full((4, 4), np.nan), "NaN or infinity"), (scene() - 300.0, "where 0 to 255 are expected"),
    (np.full((4, 4), "x", "<U1"), "holds <U1, not numbers"),
])
def test_other_arrays_in_npy_files_are_refused(tmp_path, array, words):
    path = str(tmp_path / "image.npy")
    np.save(path, array)
    assert words in refusal(path)


@pytest.mark.parametrize("extension", [".png", ".jpg", ".bmp", ".tif"])
def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(
        tmp_path, monkeypatch, extension):
    path = stored(tmp_path, encoded(scene(), extension))
    height, width = scene().shape[:2]
    monkeypatch.setenv("OPENCV_IO_MAX_IMAGE_PIXELS", str(height * width - 1))
    message = refusal(path)
    assert f"{width}x{height} pixels" in message and "--max-pixels allows more" in message


def test_only_regular_files_are_read(tmp_path):
    os.mkfifo(str(tmp_path / "pipe.png"))
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    assert "a pipe, not a regular file" in refusal(str(tmp_path / "pipe.png"))
    assert "a device, not a regular file" in refusal(str(tmp_path / "zero.png"))


def test_exif_orientation_is_applied(tmp_path):
    image = np.full((16, 32, 3), 20, np.uint8)
    image[:, :8] = 230  # bright on the left: on top, once turned clockwise by orientation 6
    turned = images.read(stored(tmp_path, with_exif(encoded(image, ".jpg"), 6)))
    assert turned.shape == (32, 16, 3)
    assert turned[2].mean() > 200 and turned[-3].mean() < 50


def test_a_missing_file_is_refused(tmp_path):
    assert "no such file" in refusal(tmp_path / "absent.jpg")


def test_a_folder_is_refused(tmp_path):
    assert "a folder" in refusal(tmp_path)


def test_an_unreadable_file_is_refused_with_the_systems_reason(tmp_path):
    path = stored(tmp_path, encoded(scene()))
    assert "cannot be read: Not a directory" in refusal(path / "inside.png")


def test_a_file_of_zero_bytes_is_refused(tmp_path):
    assert "0 bytes" in refusal(stored(tmp_path, b""))


@pytest.mark.parametrize("data", [b"<html>not found</html>", b"\0" * 4096, b"\xff\xd8\xff\xd9"])
def test_what_is_no_image_is_refused(tmp_path, data):
    assert "not an image that OpenCV can read" in refusal(stored(tmp_path, data))


@pytest.mark.parametrize("keep", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("extension", [".jpg", ".png"])
def test_a_truncated_file_is_refused(tmp_path, extension, keep):
    data = encoded(scene(), extension)
    assert "cut short" in refusal(stored(tmp_path, data[: int(len(data) * keep)]))


def test_a_jpeg_without_its_end_marker_is_refused(tmp_path):
    assert "cut short" in refusal(stored(tmp_path, encoded(scene(), ".jpg")[:-2]))


def test_the_end_marker_of_a_thumbnail_is_not_that_of_the_image(tmp_path):
    thumbnail = encoded(scene(12, 16), ".jpg")
    image = encoded(scene(), ".jpg")
    segment = b"\xff\xe2" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    whole = image[:2] + segment + image[2:]
    assert images.read(stored(tmp_path, whole)).shape == (48, 64, 3)
    assert "cut short" in refusal(stored(tmp_path, whole[: -len(image) // 2]))


def test_bytes_after_the_end_marker_do_no_harm(tmp_path):
    path = stored(tmp_path, encoded(scene(), ".jpg") + b"maker's notes" * 50)
    assert images.read(path).shape == (48, 64, 3)


def test_a_progressive_jpeg_has_several_scans_and_one_end(tmp_path):
    data = cv2.imencode(".jpg", scene(), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    assert data.count(b"\xff\xda") > 1
    assert images.is_complete(data) and not images.is_complete(data[:-2])


def test_a_png_of_absurd_size_is_refused(tmp_path):
    data = bytearray(encoded(scene()))
    data[16:24] = struct.pack(">II", 200000, 200000)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])) & 0xFFFFFFFF)
    refusal(stored(tmp_path, bytes(data)))


def test_a_written_image_reads_back_the_same_and_its_folder_is_made(tmp_path):
    path = tmp_path / "new" / "folder" / "out.png"
    images.write(path, scene())
    assert np.array_equal(images.read(path), scene())
    assert os.listdir(str(path.parent)) == ["out.png"]


@pytest.mark.parametrize("name", ["out", "out.txt"])
def test_an_unknown_extension_is_refused_and_nothing_is_written(tmp_path, name):
    with pytest.raises(InputError, match="use .png or .jpg"):
        images.write(tmp_path / name, scene())
    assert os.listdir(str(tmp_path)) == []


@pytest.mark.parametrize("name, longest", [("long.webp", 16383), ("long.JPG", 65500)])
def test_an_image_too_large_for_its_format_is_refused(tmp_path, name, longest):
    message = f"{longest + 1}x1 pixels is too large .* use .png"
    with pytest.raises(InputError, match=message):
        images.write(tmp_path / name, np.zeros((1, longest + 1, 3), np.uint8))
    assert os.listdir(str(tmp_path)) == []


def test_a_failed_write_leaves_nothing_behind(tmp_path):
    (tmp_path / "out.png").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        images.write(tmp_path / "out.png", scene())
    assert os.listdir(str(tmp_path)) == ["out.png"]


def test_a_tiff_of_many_bands_is_named_where_the_net_takes_colours(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    path = str(tmp_path / "bands.tif")
    tifffile.imwrite(path, np.zeros((20, 24, 6), np.uint8), photometric="minisblack",
                     planarconfig="contig")
    with pytest.raises(InputError, match="bands.tif: a TIFF of 6 bands, where the net takes pixels "
                                         "of 1 or 3 channels"):
        images.read(path)
