"""What a batch can be made of: each source as its items."""

import io
import json
import os
import tarfile

import cv2
import numpy as np
import pytest
from tables import picture, pictures

from caffe_gradcam.batch.sources import reading, item
from caffe_gradcam.batch import sources
from caffe_gradcam.batch.storage import open_folder
from prototxt_tools.errors import InputError
from prototxt_tools.net import schema


def items(*arguments, **options):
    return list(sources.items(*map(str, arguments), **options))


def pixels(one):
    return reading.photograph(one, reading.fetch(one))


def test_a_folder_is_all_files_below_it_in_order_but_hidden_ones(tmp_path):
    for name in ("b.jpg", "a/2.PNG", "a/10.txt", "a/b/c", ".hidden", "a/.git/x.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = items(tmp_path)
    assert [one.id for one in found] == ["a/10.txt", "a/2.PNG", "a/b/c", "b.jpg"]
    assert found[0].path == str(tmp_path / "a" / "10.txt")


def test_links_to_folders_are_followed_but_not_for_ever(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.jpg").write_bytes(b"")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert [one.id for one in items(tmp_path)] == ["a/1.jpg", "b/1.jpg"]


def test_a_list_in_caffes_form_has_labels_and_paths_with_blanks(tmp_path):
    (tmp_path / "val.txt").write_bytes(b"a b.jpg 12\r\nc/d.jpg\t3\n\n/e.jpg\n\xff.jpg 0\n")
    found = items(tmp_path / "val.txt")
    assert [(one.id, one.label) for one in found[:3]] == [
        ("a b.jpg", 12), ("c/d.jpg", 3), ("/e.jpg", None)]
    assert found[0].path == str(tmp_path / "a b.jpg") and found[2].path == "/e.jpg"
    assert os.fsencode(found[3].path) == os.fsencode(str(tmp_path)) + b"/\xff.jpg"
    assert items(tmp_path / "val.txt", root="/data")[0].path == "/data/a b.jpg"


def test_standard_input_is_one_path_a_line():
    found = list(sources.items("-", stdin=io.BytesIO(b"a b.jpg\nc 3\n\n\xe9.jpg\n")))
    assert [one.path for one in found] == ["a b.jpg", "c 3", os.fsdecode(b"\xe9.jpg")]


TABLE = [{"path": "a.jpg", "id": "first", "label": 3, "class": "tabby", "box": "1,2,3,4"},
         {"path": "/b.jpg", "label": "cat", "question": "1 versus 2"}]
EXPECTED = [("a.jpg", "first", 3, ["tabby"], [1.0, 2.0, 3.0, 4.0]),
            ("/b.jpg", "/b.jpg", "cat", ["1 versus 2"], None)]


def check_table(path):
    found = items(path)
    assert [(os.path.relpath(one.path, str(path.parent)) if one.path != "/b.jpg" else one.path,
             one.id, one.label, one.asks, one.box) for one in found] == EXPECTED


def test_csv_names_its_columns_in_the_first_line(tmp_path):
    names = ("path", "id", "label", "class", "question", "box", "other")
    lines = [",".join(names)] + [",".join(
        '"{}"'.format(row.get(name, "")) for name in names) for row in TABLE]
    (tmp_path / "t.csv").write_text("\ufeff" + "\n".join(lines), encoding="utf-8")
    check_table(tmp_path / "t.csv")


def test_jsonl_is_an_object_a_line(tmp_path):
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, TABLE)))
    check_table(tmp_path / "t.jsonl")


def test_parquet_has_the_same_columns(tmp_path):
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed here")
    import pyarrow.parquet as parquet

    rows = [dict({"id": None, "question": None, "box": None, "class": None}, **row)
            for row in TABLE]
    for row in rows:
        row["label"] = str(row["label"])
    rows[0]["box"] = [1, 2, 3, 4]
    parquet.write_table(pyarrow.Table.from_pylist(rows), str(tmp_path / "t.parquet"))
    check_table(tmp_path / "t.parquet")


def test_what_is_wrong_in_a_table_is_said_with_its_line(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"path": "a"}\n{"path": "b", "box": [1, 2, 3]}\n')
    with pytest.raises(InputError, match="t.jsonl:2: a box is x,y,width,height .* not .1, 2, 3"):
        items(tmp_path / "t.jsonl")
    (tmp_path / "t.csv").write_text("file,label\na,1\n")
    with pytest.raises(InputError, match="t.csv: its first line names no column path"):
        items(tmp_path / "t.csv")
    with pytest.raises(InputError, match="nowhere: no such folder, list or archive"):
        items(tmp_path / "nowhere")


def write_tar(path, members):
    with tarfile.open(str(path), "w") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def encoded(color, extension=".png"):
    return cv2.imencode(extension, np.full((4, 5, 3), color, np.uint8))[1].tobytes()


def test_members_of_a_tar_with_one_name_are_one_image(tmp_path):
    for number in (0, 1):
        write_tar(tmp_path / f"s-{number:02d}.tar", [
            ("a/001.jpg", encoded(40 + number)), ("a/001.cls", b"7"), ("a/001.txt", b"a caption"),
            ("a/002.json", b'{"label": "cat", "box": [0, 0, 2, 2], "other": 1}'),
            ("a/002.seg.png", b""), ("a/002.png", encoded(50 + number))])
    found = items(str(tmp_path / "s-{00..01}.tar"))
    assert [(one.id, one.label, one.box) for one in found[:2]] == [
        ("a/001", 7, None), ("a/002", "cat", [0.0, 0.0, 2.0, 2.0])]
    assert [pixels(one).mean() for one in found] == [40, 50, 41, 51]
    assert found[3].path == str(tmp_path / "s-01.tar" / "a" / "002.png")


def test_a_tar_that_is_none_is_refused(tmp_path):
    (tmp_path / "a.tar").write_bytes(b"\x1f\x8b" + bytes(600))
    with pytest.raises(InputError, match="a.tar: no tar that can be read"):
        items(tmp_path / "a.tar")


def datum(**fields):
    message = schema.new("Datum")
    for name, value in fields.items():
        if name == "float_data":
            message.float_data.extend(value)
        else:
            setattr(message, name, value)
    return message.SerializeToString()


def write_lmdb(path, values):
    lmdb = pytest.importorskip("lmdb", reason="lmdb is not installed here")
    with lmdb.open(str(path), map_size=1 << 24) as environment, environment.begin(write=True) as t:
        for key, value in values.items():
            t.put(key, value)


def test_an_lmdb_of_datums_gives_the_pixels_and_labels_that_caffe_sees(tmp_path):
    rng = np.random.RandomState(3)
    raw = rng.randint(0, 256, (3, 4, 5)).astype(np.uint8)
    grey = rng.randint(0, 256, (1, 4, 5)).astype(np.uint8)
    write_lmdb(tmp_path / "db", {
        b"0_raw": datum(channels=3, height=4, width=5, data=raw.tobytes(), label=7),
        b"1_grey": datum(channels=1, height=4, width=5, data=grey.tobytes(), label=0),
        b"2_float": datum(channels=3, height=4, width=5, float_data=raw.ravel().tolist()),
        b"3_encoded": datum(channels=3, height=4, width=5, data=encoded(9), encoded=True, label=1),
        b"4\xff": datum(channels=3, height=4, width=5, data=b"123"),
        b"5_half": datum(channels=3, height=4, width=5, float_data=[0.5] * 60),
        b"6": b"\xff\xff\xff",
    })
    found = items(tmp_path / "db")
    np.testing.assert_array_equal(pixels(found[0]), raw.transpose(1, 2, 0))
    np.testing.assert_array_equal(pixels(found[1]), np.stack([grey[0]] * 3, axis=2))
    np.testing.assert_array_equal(pixels(found[2]), raw.transpose(1, 2, 0))
    assert pixels(found[3]).tolist() == np.full((4, 5, 3), 9).tolist()
    assert [reading.fetch(one).label for one in found[:4]] == [7, 0, None, 1]
    assert found[4].id == "4\\xff"
    for one, message in ((found[4], "a Datum of 3x4x5 with 3 values is no picture"),
                         (found[5], "its float_data are no pixels"),
                         (found[6], "not a Datum of Caffe")):
        with pytest.raises(InputError, match=message):
            pixels(one)


def test_the_orientation_of_an_encoded_datum_is_left_as_caffe_leaves_it(tmp_path):
    # An EXIF block that says: turn by a quarter.
    exif = (b"\xff\xe1\x00\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0"
            b"\0\0\0\0")
    plain = encoded(9, ".jpg")
    turned = plain[:2] + exif + plain[2:]
    (tmp_path / "a.jpg").write_bytes(turned)
    assert pixels(item.Item.of(str(tmp_path / "a.jpg"), id="a")).shape == (5, 4, 3)
    write_lmdb(tmp_path / "db", {b"0": datum(channels=3, height=4, width=5, data=turned,
                                             encoded=True)})
    assert pixels(items(tmp_path / "db")[0]).shape == (4, 5, 3)


def test_sources_and_outputs_may_be_urls(model, tmp_path):
    fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed here")
    from tables import column, explain

    pictures(tmp_path / "in", 8)
    explain(model, "file://" + str(tmp_path / "in"), "file://" + str(tmp_path / "out"))
    assert column(tmp_path / "out", "status") == ["ok"] * 8
    assert column(tmp_path / "out", "id")[0] == "0000.png"
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/in/val.txt", b"a.png 1\nb.png 0\n")
    (picture(tmp_path / "a.png"), picture(tmp_path / "b.png"))
    (tmp_path / "val.txt").write_text("a.png 1\nb.png 0\n")
    explain(model, tmp_path / "val.txt", "memory://out")
    assert column("memory://out", "label") == [1, 0]
    assert sorted(memory.ls("/out", detail=False)) == ["/out/items", "/out/leases",
                                                       "/out/manifest.json", "/out/parts"]
    assert memory.ls("/out/leases") == []
    assert [one.id for one in sources.items("memory://in/val.txt")] == ["a.png", "b.png"]
    assert explain(model, tmp_path / "val.txt", "memory://out").parts == 0


def test_items_survive_their_list_in_the_output(tmp_path):
    folder = open_folder(str(tmp_path))
    ones = [item.Item(0, "a", os.fsdecode(b"/\xff.jpg"), label="ö", asks=["top:2"],
                      box=[1.0, 2.0, 3.0, 4.0]),
            item.Item(1, "k", "db/k", archive="db", where="6b")]
    folder.write("list", item.dump(ones))
    assert item.load(folder.read("list"), "list") == ones
