"""How a batch decodes JPEGs: what it chooses, stores and keeps to."""

import cv2
import jpeg_files
import numpy as np
import pytest
from tables import explain, plan_of, table

from caffe_gradcam.batch.options import Pipeline
from caffe_gradcam.batch.pipeline import decoding, sizes
from caffe_gradcam.batch.pipeline.batch_memory import BatchMemory, Layout
from caffe_gradcam.batch.pipeline.decoder import Desk, ModelInputs, Preparation, prepare
from caffe_gradcam.batch.sources.item import Item
from caffe_gradcam.batch.sources.item_blocks import ItemBlock
from caffe_gradcam.engines import opening
from caffe_gradcam.model.model import LoadedModel
from prototxt_tools.errors import InputError, QuestionError


@pytest.fixture
def photographs(tmp_path):
    """Large JPEGs and a PNG."""
    folder = tmp_path / "in"
    folder.mkdir()
    for index, size in enumerate([(60, 81), (203, 90), (8, 8)]):
        file = jpeg_files.encoded(np.uint8(0.5 * jpeg_files.ramp(*size)))
        (folder / f"{index}.jpg").write_bytes(file)
    assert cv2.imwrite(str(folder / "3.png"), np.uint8(0.5 * jpeg_files.ramp(60, 80)))
    return folder


@pytest.mark.skipif(not jpeg_files.is_reduced(), reason="this OpenCV decodes in full")
def test_rows_of_reduced_jpegs_refer_to_the_whole_photographs(model, photographs, tmp_path):
    explain(model, photographs, tmp_path / "full")
    explain(model, photographs, tmp_path / "out", decode="reduced")
    full, rows = table(tmp_path / "full"), table(tmp_path / "out")
    assert [row["image_size"] for row in rows] == [row["image_size"] for row in full] == [
        [60, 81], [203, 90], [8, 8], [60, 80]]
    assert [row["cam"] == other["cam"] for row, other in zip(rows, full)] == [
        False, False, True, True]
    assert [row["rectangle"] for row in rows[:2]] == [[0, 0, 88, 64], [0, 0, 96, 208]]


def test_a_run_keeps_to_what_its_output_was_started_with(model, photographs, tmp_path):
    explain(model, photographs, tmp_path / "out", decode="reduced", part_size=2)
    reference = table(tmp_path / "out")
    (tmp_path / "out" / "parts").joinpath(
        *[path.name for path in (tmp_path / "out" / "parts").iterdir()][:1]).unlink()
    explain(model, photographs, tmp_path / "out", decode="auto", part_size=2)
    assert plan_of(tmp_path / "out").manifest["rows_depend_on"]["decode"] == "reduced"
    assert table(tmp_path / "out") == reference
    with pytest.raises(InputError, match="was started with decode reduced, not cpu"):
        explain(model, photographs, tmp_path / "out", decode="cpu", part_size=2)


@pytest.fixture
def choose(model, monkeypatch):
    """A function that says what is chosen for an engine, devices and the given preprocessing."""
    monkeypatch.setattr(sizes, "cores", lambda: 16)

    def choose(decode, engine="torch", devices=("cuda:0",), **overrides):
        loaded = LoadedModel.load(str(model), **overrides)
        return decoding.chosen(Pipeline(devices=devices, decode=decode), engine, loaded)

    return choose


def test_without_a_choice_the_card_decodes_where_it_can(choose):
    assert choose("auto") == choose("auto", devices=("cuda:0", "cuda:1")) == "cuda"
    assert choose("auto", devices=("cpu",)) == choose("auto", "caffe") == "cpu"
    assert choose("auto", resize="letterbox") == choose("auto", crops=10, crop=(8, 8)) == "cpu"
    assert choose("reduced") == "reduced" and choose("cpu") == "cpu"


def test_beside_plenty_of_cores_the_card_need_not_decode(choose, monkeypatch):
    monkeypatch.setattr(sizes, "cores", lambda: 64)
    assert choose("auto") == choose("auto", devices=("cuda:0", "cuda:1")) == "cpu"
    assert choose("auto", devices=tuple(f"cuda:{index}" for index in range(4))) == "cuda"
    assert choose("cuda") == "cuda"


@pytest.mark.parametrize("values, reason", [
    ({"engine": "caffe"}, "the caffe engine cannot decode JPEGs"),
    ({"devices": ("cuda:0", "cpu")}, "the net runs on the CPU"),
    ({"resize": "letterbox"}, "input 'data' takes a letterbox"),
    ({"crops": 10, "crop": (8, 8), "resize": (9, 9)}, "input 'data' takes 10 crops")])
def test_a_card_that_cannot_decode_is_refused_with_the_reason(choose, values, reason):
    with pytest.raises(QuestionError, match="--decode cuda: " + reason):
        choose("cuda", **values)


def test_a_missing_torchvision_is_named(choose, monkeypatch):
    monkeypatch.setattr(opening, "is_installed", lambda library: False)
    assert choose("auto") == "cpu"
    with pytest.raises(QuestionError, match="pip install 'caffe-gradcam.jpeg.'; use --decode cpu"):
        choose("cuda")


@pytest.fixture
def jpegs(tmp_path):
    """Files that a card decodes, then those that are left to OpenCV, by name."""
    folder = tmp_path / "jpegs"
    folder.mkdir()
    small = np.uint8(0.5 * jpeg_files.ramp(12, 16))
    files = [jpeg_files.encoded(small, cv2.IMWRITE_JPEG_OPTIMIZE, 1),
             jpeg_files.encoded(small[..., 0], cv2.IMWRITE_JPEG_OPTIMIZE, 1)]
    left = [jpeg_files.turned(files[0], 6), jpeg_files.progressive(small),
            jpeg_files.encoded(np.uint8(0.5 * jpeg_files.ramp(90, 90))),
            cv2.imencode(".png", small)[1].tobytes()]
    for index, data in enumerate(files + left):
        (folder / f"{index}").write_bytes(data)
    return folder


def test_for_a_card_simple_jpegs_stay_as_they_are_and_others_are_decoded(model, jpegs):
    loaded = LoadedModel.load(str(model))
    memory = BatchMemory(Layout.of(loaded, 8), 1)
    paths = sorted(jpegs.iterdir())
    desk = Desk(memory, ModelInputs.of(loaded), np.zeros(1, np.int64), "cuda")
    items = ItemBlock(given=[Item.of(str(path)) for path in paths])
    decoded = prepare(desk, Preparation(items, 0, 0, False, {}))
    assert not decoded.errors
    assert [bool(size) for size in decoded.sizes] == [True, True, False, False, False, False]
    for path, size, place in zip(paths, decoded.sizes[:2], memory.images(0)["data"]):
        assert place.reshape(-1).view(np.uint8)[:size].tobytes() == path.read_bytes()
    memory.close()


def test_rows_of_jpegs_that_the_card_decodes_are_those_of_the_others(model, jpegs, tmp_path):
    (jpegs / "6").write_bytes((jpegs / "0").read_bytes()[:-2])
    explain(model, jpegs, tmp_path / "reference", decode="cpu", devices=("cuda:0",))
    explain(model, jpegs, tmp_path / "out", decode="cuda", devices=("cuda:0",))
    rows, reference = table(tmp_path / "out"), table(tmp_path / "reference")
    assert [row["status"] for row in rows] == 6 * ["ok"] + ["unreadable"]
    assert rows == reference
    assert plan_of(tmp_path / "out").manifest["rows_depend_on"]["decode"] == "cuda"
    with pytest.raises(QuestionError, match="--decode cuda: the net runs on the CPU"):
        explain(model, jpegs, tmp_path / "out", devices=("cpu",))
