"""Whatever Python code gives as images: understood, or refused with the way to convert it."""

import collections
import io

import cv2
import numpy as np
import pytest
import tiff_files

from caffe_gradcam.model import arrays
from prototxt_tools.errors import ImageError, InputError

SCENE = np.random.RandomState(0).randint(0, 256, (6, 9, 3)).astype(np.uint8)
SCENE[0, 0], SCENE[0, 1] = 0, 255
RGB = np.ascontiguousarray(SCENE[:, :, ::-1])
OTHER = 255 - SCENE


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "scene.png"
    file.write_bytes(cv2.imencode(".png", SCENE)[1].tobytes())
    return file


def all_of(value, **options):
    return list(arrays.as_images(value, **options))


def is_scene(value, **options):
    """Whether a value is understood as the scene, and nothing else."""
    images = all_of(value, **options)
    return len(images) == 1 and images[0].dtype == np.uint8 and np.array_equal(images[0], SCENE)


def refusal(value, **options):
    with pytest.raises(ImageError) as caught:
        all_of(value, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_files_are_read(path):
    assert is_scene(path) and is_scene(str(path))
    assert is_scene(path.read_bytes()) and is_scene(bytearray(path.read_bytes()))
    with open(str(path), "rb") as file:
        assert is_scene(file)
    assert is_scene(io.BytesIO(path.read_bytes()))


def test_each_page_of_a_file_is_an_image_and_that_is_told(tmp_path, caplog):
    pages = [np.full((6, 8, 3), 1000 * page, np.uint16) for page in range(3)]
    path = str(tmp_path / "pages.tif")
    tiff_files.write(path, pages)
    images = all_of(path, value_range=(0, 2000))
    assert [int(image[0, 0, 0]) for image in images] == [0, 128, 255]
    assert "has 3 pages; each is an image of its own" in caplog.text
    assert "a stack of 3 images, where one is needed" in str(pytest.raises(
        ImageError, arrays.as_image, path, value_range=(0, 2000)).value)


def test_an_array_is_blue_first():
    assert is_scene(SCENE)
    assert arrays.as_image(SCENE) is SCENE


def test_color_says_what_else_it_is():
    assert is_scene(RGB, color="RGB")
    with pytest.raises(InputError, match="there is no color 'rgb'; known: BGR, RGB"):
        all_of(RGB, color="rgb")


@pytest.mark.parametrize("grey", [SCENE[:, :, 0], SCENE[:, :, :1]])
def test_grey_arrays_have_three_equal_channels(grey):
    image, = all_of(grey)
    assert np.array_equal(image, np.dstack([SCENE[:, :, 0]] * 3))


@pytest.mark.parametrize("alpha", [0, 255])
def test_alpha_is_dropped_as_in_files(alpha, tmp_path):
    with_alpha = np.dstack([SCENE, np.full(SCENE.shape[:2], alpha, np.uint8)])
    file = tmp_path / "alpha.png"
    file.write_bytes(cv2.imencode(".png", with_alpha)[1].tobytes())
    assert is_scene(with_alpha) and is_scene(file)
    assert is_scene(with_alpha[:, :, [2, 1, 0, 3]], color="RGB")


def test_a_stack_is_several_images():
    first, second = all_of(np.stack([SCENE, OTHER]))
    assert np.array_equal(first, SCENE) and np.array_equal(second, OTHER)
    assert len(all_of([np.stack([SCENE, OTHER]), SCENE])) == 3
    with pytest.raises(ImageError, match="a stack of 2 images, where one is needed"):
        arrays.as_image(np.stack([SCENE, OTHER]))


def test_iterables_are_read_one_at_a_time(path):
    asked = []

    def paths():
        for number in range(3):
            asked.append(number)
            yield path

    images = arrays.as_images(paths())
    assert asked == []
    assert np.array_equal(next(images), SCENE) and asked == [0]
    assert len(list(images)) == 2
    assert len(all_of([path, SCENE, path.read_bytes()])) == 3
    assert len(all_of((SCENE, SCENE))) == len(all_of(np.array([str(path)] * 2))) == 2


def test_a_pil_image_is_read_as_its_file(path, tmp_path):
    pil = pytest.importorskip("PIL.Image")
    assert is_scene(pil.open(str(path)))
    assert is_scene(pil.fromarray(RGB)) and is_scene([pil.fromarray(RGB)])
    assert is_scene(pil.fromarray(np.dstack([RGB, RGB[:, :, :1]])))
    grey, = all_of(pil.fromarray(SCENE[:, :, 0]))
    assert np.array_equal(grey, np.dstack([SCENE[:, :, 0]] * 3))
    turned = tmp_path / "turned.jpg"
    exif = pil.Exif()
    exif[0x112] = 6
    pil.fromarray(RGB).save(str(turned), quality=100, subsampling=0, exif=exif.tobytes())
    image, = all_of(pil.open(str(turned)))
    assert image.shape == (9, 6, 3) == all_of(turned)[0].shape
    assert np.abs(image.astype(int) - all_of(turned)[0]).max() <= 2


def test_a_palette_is_looked_up(tmp_path):
    pil = pytest.importorskip("PIL.Image")
    file = tmp_path / "palette.png"
    pil.fromarray(RGB).convert("P").save(str(file))
    assert np.array_equal(all_of(pil.open(str(file)))[0], all_of(file)[0])


def test_sixteen_bits_of_pil_are_read_as_the_files(tmp_path):
    pil = pytest.importorskip("PIL.Image")
    file = tmp_path / "deep.png"
    deep = (SCENE[:, :, 0].astype(np.uint16) * 257)
    file.write_bytes(cv2.imencode(".png", deep)[1].tobytes())
    image = pil.open(str(file))
    if image.mode.startswith("I;16"):
        assert np.array_equal(all_of(image)[0], np.dstack([SCENE[:, :, 0]] * 3))
    with pytest.raises(ImageError, match="mode F with values from 0 to 1; scale them"):
        all_of(pil.fromarray(np.eye(3, dtype=np.float32)))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "La", "P", "PA", "CMYK", "HSV", "RGBA", "RGBa"])
def test_pil_converts_the_modes_that_it_knows(mode):
    Image = pytest.importorskip("PIL.Image")
    source = Image.fromarray(RGB)
    steps = {"PA": "P", "La": "LA", "RGBa": "RGBA"}
    picture = source.convert(steps.get(mode, mode)).convert(mode)
    image = arrays.as_image(picture)
    assert image.shape == (6, 9, 3) and image.dtype == np.uint8
    grey = cv2.cvtColor(SCENE, cv2.COLOR_BGR2GRAY)
    if mode in ("L", "LA", "La"):
        assert np.abs(image[:, :, 0].astype(int) - grey).max() <= 1


def test_a_pil_image_without_pixels_is_refused():
    Image = pytest.importorskip("PIL.Image")
    assert refusal(Image.new("RGB", (0, 4))) == "the image: the PIL image has no pixels"


def test_a_damaged_pil_image_is_named(tmp_path):
    pil = pytest.importorskip("PIL.Image")
    file = tmp_path / "cut.png"
    noise = np.random.RandomState(1).randint(0, 256, (99, 99, 3)).astype(np.uint8)
    file.write_bytes(cv2.imencode(".png", noise)[1].tobytes()[:-999])
    assert refusal(pil.open(str(file))).startswith(f"{file}: PIL cannot read the image")


def test_tensors_with_the_channels_last_are_arrays(torch):
    assert is_scene(torch.from_numpy(SCENE))
    assert len(all_of(torch.from_numpy(np.stack([SCENE] * 2)))) == 2
    assert len(all_of([torch.from_numpy(SCENE)] * 2)) == 2


def test_tensors_with_the_channels_first_are_not_guessed_at(torch):
    channels_first = torch.from_numpy(RGB).permute(2, 0, 1)
    assert refusal(channels_first) == (
        "the image: a tensor of uint8, 3 x 6 x 9, seems to have its channels first; put them last "
        "with image.permute(1, 2, 0), and pass color='RGB' if they are red, green and blue")
    assert is_scene(channels_first.permute(1, 2, 0), color="RGB")
    assert "permute(0, 2, 3, 1)" in refusal(channels_first[None])
    assert "values from 0 to 1;" in refusal(torch.eye(4))


@pytest.mark.parametrize("row", [
    lambda value: {"image": value, "label": 3},
    lambda value: {"image": {"bytes": value, "path": None}},
    lambda value: {"__key__": "0001", "png": value, "cls": 3},
    lambda value: collections.namedtuple("Row", "image label")(value, 3),
])
def test_rows_hold_an_image(row, path):
    assert is_scene(row(path.read_bytes()))
    assert len(all_of([row(path.read_bytes())] * 2)) == 2


@pytest.mark.parametrize("convert, words", [
    (lambda tensor: tensor.float() / 255, "(image * 255).round().to(torch.uint8)"),
    (lambda tensor: tensor.bfloat16(), "a tensor of bfloat16, 6 x 9 x 3, with values from 0 to"),
    (lambda tensor: tensor > 99, "convert with image.to(torch.uint8) * 255"),
    (lambda tensor: tensor.to_sparse(), "this Tensor cannot be converted to a NumPy array"),
    (lambda tensor: tensor.to("meta"), "this Tensor cannot be converted to a NumPy array"),
])
def test_other_tensors_are_refused_with_the_way_to_convert_them(torch, convert, words):
    assert words in refusal(convert(torch.from_numpy(SCENE)))


def test_rows_name_a_file_where_they_hold_no_bytes(path):
    assert is_scene({"image": {"bytes": None, "path": str(path)}})


def test_a_row_without_an_image_is_refused():
    assert refusal([{"label": 3}]) == (
        "image 1: a row without an image; its keys are label, and the image must be under the "
        "key 'image'")


@pytest.mark.parametrize("inputs, keys, words", [
    (["left", "right"], ["left", "rigth"], "there is no input 'rigth'; did you mean right?"),
    (["left", "right"], ["left", "depth"], "there is no input 'depth'; known: left, right"),
    (["image", "mask"], ["image", "maks"], "there is no input 'maks'; did you mean mask?"),
    (["data"], ["dta"], "there is no input 'dta'; did you mean data?"),
])
def test_a_mistyped_input_is_named_with_the_input_it_may_mean(inputs, keys, words):
    assert refusal([dict.fromkeys(keys, SCENE)], inputs=inputs) == f"image 1: {words}"


def test_data_frames_are_read_by_their_rows(path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"image": [str(path)] * 2, "label": [3, 5]})
    assert len(all_of(frame)) == 2
    assert len(all_of(frame["image"])) == 2
    assert is_scene(frame.iloc[0])
    assert is_scene(next(frame.iterrows())[1])
    assert is_scene([next(frame.itertuples())])


def test_several_inputs_are_a_dict():
    image, = all_of({"left": SCENE, "right": RGB[:, :, ::-1]}, inputs=["left", "right"])
    assert sorted(image) == ["left", "right"]
    assert np.array_equal(image["left"], SCENE) and np.array_equal(image["right"], SCENE)
    assert sorted(all_of([{"a": SCENE, "b": SCENE, "label": 1}], inputs=["a", "b"])[0]) == [
        "a", "b"]


@pytest.mark.parametrize("array, words", [
    (SCENE / 255.0, "an array of float64, 6 x 9 x 3, with values from 0 to 1; images must be "
                    "uint8 values from 0 to 255: convert with (image * 255).round()"),
    ((SCENE / 255.0).astype(np.float32), "pass color='RGB'"),
    (SCENE.astype(np.float32), "float32, 6 x 9 x 3, with values from 0 to 255; images must be "
                               "uint8 values from 0 to 255: convert with image.round().astype"),
    (SCENE.astype(np.int64), "an array of int64, 6 x 9 x 3, with values from 0 to 255"),
    (SCENE.astype(np.uint16) * 257, "convert with (image // 257).astype('uint8') if they go up"),
    (SCENE / 127.5 - 1, "undo the normalisation"),
    (SCENE > 99, "convert with image.astype('uint8') * 255"),
    (SCENE.transpose(2, 0, 1), "channels first; put them last with image.transpose(1, 2, 0)"),
    (SCENE[None].transpose(0, 3, 1, 2), "image.transpose(0, 2, 3, 1)"),
    (np.zeros((5, 8, 9), np.uint8), "5 x 8 x 9, has 9 channels, where an image has 1, 3 or 4"),
    (np.zeros((6, 9, 2), np.uint8), "6 x 9 x 2, has 2 channels"),
    (np.zeros(9, np.uint8), "an array of uint8, 9, is not an image"),
    (np.zeros((0, 9, 3), np.uint8), "0 x 9 x 3, is not an image"),
    (np.uint8(3), "an array of uint8, no axes, is not an image"),
    (np.full((6, 9, 3), np.nan), "holds NaN or infinity"),
    (SCENE.astype(np.float16), "an array of float16, 6 x 9 x 3"),
])
def test_what_would_have_to_be_guessed_is_refused(array, words):
    assert words in refusal(array)
    assert refusal([SCENE, array]).startswith("image 2: ")


def test_an_error_about_an_image_has_it_as_its_subject(path):
    for value, subject in ((SCENE / 255.0, "the image"), ([SCENE, None], "image 2"),
                           ([SCENE, SCENE[:, :, :2]], "image 2"), ([{"label": 3}], "image 1")):
        with pytest.raises(ImageError) as caught:
            all_of(value)
        assert caught.value.subject == subject


@pytest.mark.parametrize("view", [
    lambda image: np.repeat(image, 2, axis=1)[:, ::2], np.asfortranarray,
    lambda image: image[::-1][::-1], lambda image: np.frombuffer(image.tobytes(), np.uint8).reshape(
        image.shape),
])
def test_the_memory_of_an_array_may_have_any_order_and_be_read_only(view):
    assert is_scene(view(SCENE))


def test_masked_values_are_not_guessed_at():
    masked = np.ma.masked_array(SCENE, SCENE > 99)
    assert "say what stands there with image.filled(VALUE)" in refusal(masked)
    assert is_scene(np.ma.masked_array(SCENE, False))


def test_a_file_that_is_open_as_text_is_refused(path):
    with open(str(path), encoding="latin-1") as file:
        assert refusal(file) == f'{path}: the file is open as text; open it with mode "rb"'
    assert "the file cannot be read: I/O operation on closed file" in refusal(file)


def test_arrow_tables_are_read_by_their_rows(path):
    arrow = pytest.importorskip("pyarrow")
    assert is_scene(arrow.table({"path": [str(path)], "label": [3]}))
    assert is_scene(arrow.table({"image": [path.read_bytes()]}).to_batches()[0])
    assert len(all_of(arrow.array([str(path)] * 2))) == 2


def test_an_array_of_paths_is_several_images(path):
    assert len(all_of(np.array([str(path)] * 2))) == 2
    assert len(all_of(np.array([SCENE, SCENE[:3]], dtype=object))) == 2


@pytest.mark.parametrize("value, words", [
    (None, "the image: cannot make an image of None"),
    (3, "the image: cannot make an image of int 3;"),
    ([SCENE, 3.5], "image 2: cannot make an image of float 3.5;"),
    (b"", "the image: the file is empty"),
    ("absent.png", "absent.png: no such file"),
    ("a\0b", "not a file name"),
])
def test_what_is_not_an_image_is_refused(value, words):
    assert words in refusal(value)
