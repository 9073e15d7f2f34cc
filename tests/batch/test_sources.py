"""What a user may name as images: each source as its items."""

import io
import json
import os
import re
import tarfile

import cv2
import numpy as np
import pytest
from tables import picture, pictures

from caffe_gradcam.batch.sources import item, open_source, reading
from caffe_gradcam.batch.storage import open_folder
from prototxt_tools.errors import InputError
from prototxt_tools.net import schema


def items(source, **options):
    return list(open_source(str(source), **options))


def ids(source, **options):
    return [entry.id for entry in items(source, **options)]


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def test_an_image_is_a_source_of_one_item_even_where_it_is_missing(tmp_path):
    touch(tmp_path, "a.jpg")
    for name in ("a.jpg", "missing.png"):
        entry, = items(tmp_path / name)
        assert (entry.path, entry.true_label) == (str(tmp_path / name), None)
    with pytest.raises(InputError, match="missing.png: no such file"):
        reading.read_image(entry)


def test_an_image_is_known_by_its_contents_where_its_name_says_nothing(tmp_path):
    for name, data in (("jpeg", encoded(3, ".jpg")), ("scan.dat", encoded(3, ".png")),
                       ("bitmap", encoded(3, ".bmp")), ("pixmap", b"P6\n# made\n1 1\n255\n\1\2\3")):
        (tmp_path / name).write_bytes(data)
        entry, = items(tmp_path / name)
        assert entry.path == str(tmp_path / name)


def test_a_folder_is_the_images_below_it_in_order_but_hidden_ones(tmp_path):
    touch(tmp_path, "b.jpg", "a/2.PNG", "a/10.txt", "a/b/c", ".hidden.jpg", "a/.git/x.jpg")
    (tmp_path / "a" / "without-extension").write_bytes(encoded(9))
    assert ids(tmp_path) == ["a/2.PNG", "a/without-extension", "b.jpg"]
    assert items(tmp_path)[0].path == str(tmp_path / "a" / "2.PNG")


def test_a_folder_without_images_is_refused(tmp_path):
    touch(tmp_path, "notes.txt")
    with pytest.raises(InputError, match="there are no images in this folder"):
        items(tmp_path)


def test_links_to_folders_are_followed_but_not_for_ever(tmp_path):
    touch(tmp_path, "a/1.jpg")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert ids(tmp_path) == ["a/1.jpg", "b/1.jpg"]


def test_folders_that_all_link_to_each_other_are_listed_once_each(tmp_path):
    folders = [tmp_path / f"f{number:02d}" for number in range(12)]
    for folder in folders:
        folder.mkdir()
        (folder / "image.png").write_bytes(b"")
        for other in folders:
            (folder / ("to-" + other.name)).symlink_to(other)
    assert len(list(open_source(str(tmp_path)))) <= 2 * len(folders)


NAMES = ["tabby, tabby cat", "tiger cat", "kit fox"]


def test_folders_that_are_all_named_after_classes_give_the_true_labels(tmp_path):
    touch(tmp_path, "Tiger_Cat/x.jpg", "tabby/1.jpg", "tabby/more/2.jpg", "tabby cat/3.jpg")
    assert [(entry.id, entry.true_label) for entry in items(tmp_path, class_names=NAMES)] == [
        ("Tiger_Cat/x.jpg", 1), ("tabby/1.jpg", 0), ("tabby/more/2.jpg", 0), ("tabby cat/3.jpg", 0)
    ]


@pytest.mark.parametrize("other", ["holiday/4.jpg", "cat/4.jpg"])
def test_a_folder_that_is_not_named_after_one_class_leaves_all_without_labels(tmp_path, other):
    touch(tmp_path, "tabby/1.jpg", other)
    assert [entry.true_label for entry in items(tmp_path, class_names=NAMES)] == [None, None]
    assert [entry.true_label for entry in items(tmp_path)] == [None, None]


def test_a_pattern_is_the_images_that_it_matches(tmp_path):
    touch(tmp_path, "a1.jpg", "a2.png", "a3.txt", "b.jpg", "deep/a4.jpg", "deep/er/a5.jpg")
    names = [os.path.relpath(entry.path, str(tmp_path)) for entry in items(tmp_path / "a*")]
    assert names == ["a1.jpg", "a2.png"]
    names = [os.path.relpath(entry.path, str(tmp_path)) for entry in items(tmp_path / "**/a*.jpg")]
    assert names == ["a1.jpg", "deep/a4.jpg", "deep/er/a5.jpg"]
    with pytest.raises(InputError, match=r"c\*.jpg: no image matches this pattern"):
        items(tmp_path / "c*.jpg")


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path):
    touch(tmp_path, "a[1].jpg", "a1.jpg")
    entry, = items(tmp_path / "a[1].jpg")
    assert entry.path.endswith("a[1].jpg")


def test_a_list_in_caffes_form_has_labels_and_paths_with_blanks(tmp_path):
    (tmp_path / "val.txt").write_bytes(b"a b.jpg 12\r\nc/d.jpg\t3\n\n/e.jpg\n\xff.jpg 0\n")
    entries = items(tmp_path / "val.txt")
    assert [(entry.id, entry.true_label) for entry in entries[:3]] == [
        ("a b.jpg", 12), ("c/d.jpg", 3), ("/e.jpg", None)]
    assert entries[0].path == str(tmp_path / "a b.jpg") and entries[2].path == "/e.jpg"
    assert os.fsencode(entries[3].path) == os.fsencode(str(tmp_path)) + b"/\xff.jpg"
    assert items(tmp_path / "val.txt", root="/data")[0].path == "/data/a b.jpg"


def test_standard_input_is_one_path_a_line():
    entries = items("-", stdin=io.BytesIO(b"a b.jpg\nc 3\n\n\xe9.jpg\n"))
    assert [entry.path for entry in entries] == ["a b.jpg", "c 3", os.fsdecode(b"\xe9.jpg")]


@pytest.mark.parametrize("name, data, message", [
    ("clip.avi", b"RIFF\0\0\0\0AVI LIST" + bytes(90), "an AVI video, .* extract its frames"),
    ("clip.mp4", b"\0\0\0\x20ftypisom" + bytes(90), "an MP4 or QuickTime video"),
    ("clip.mkv", b"\x1a\x45\xdf\xa3" + bytes(90), "a Matroska or WebM video"),
    ("all.zip", b"PK\x03\x04" + bytes(90), "a zip archive, .*; unpack it"),
    ("all.rar", b"Rar!\x1a\x07\0" + bytes(90), "a RAR archive"),
    ("all.7z", b"7z\xbc\xaf\x27\x1c" + bytes(90), "a 7z archive"),
    ("all.tar.gz", b"\x1f\x8b" + bytes(90), "gzip data"),
    ("all.tar.xz", b"\xfd7zXZ\0" + bytes(90), "xz data"),
    ("net.caffemodel", b"\x0a\x07CaffeNet", "a weights file"),
    ("deploy.prototxt", b'name: "net"\n', "a prototxt"),
    ("page.html", b"<!DOCTYPE html><html>", "a web page; download|a web page, .* download"),
    ("labels.json", b"{}", "JSON, .* \\.jsonl"),
    ("noise", b"\1\2\0\3", "binary data of an unknown kind"),
    ("list.txt", "a.jpg 1".encode("utf-16"), "text in UTF-16, .* save it as UTF-8"),
])
def test_a_file_that_is_something_else_is_called_what_it_is(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=name + ": .*(" + message + ")"):
        items(tmp_path / name)


def test_a_leveldb_is_called_what_it_is(tmp_path):
    touch(tmp_path, "CURRENT", "MANIFEST-000002", "000003.ldb")
    with pytest.raises(InputError, match="a LevelDB; convert it to LMDB"):
        items(tmp_path)


TABLE = [{"path": "a.jpg", "id": "first", "true_label": 3, "class": "tabby", "box": "1,2,3,4"},
         {"path": "/b.jpg", "true_label": "cat", "question": "1 versus 2"}]
EXPECTED = [("a.jpg", "first", 3, ("tabby",), (1.0, 2.0, 3.0, 4.0)),
            ("/b.jpg", "/b.jpg", "cat", ("1 versus 2",), None)]


def check_table(path):
    assert [(os.path.relpath(entry.path, str(path.parent)) if entry.path != "/b.jpg"
             else entry.path, entry.id, entry.true_label, entry.questions, entry.box)
            for entry in items(path)] == EXPECTED


def test_csv_names_its_columns_in_the_first_line(tmp_path):
    names = ("path", "id", "true_label", "class", "question", "box", "other")
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
        row["true_label"] = str(row["true_label"])
    rows[0]["box"] = [1, 2, 3, 4]
    parquet.write_table(pyarrow.Table.from_pylist(rows), str(tmp_path / "t.parquet"))
    check_table(tmp_path / "t.parquet")


def test_the_column_label_of_other_peoples_tables_is_the_true_label(tmp_path):
    (tmp_path / "t.csv").write_text("path,label\na.jpg,7\n")
    assert items(tmp_path / "t.csv")[0].true_label == 7


@pytest.mark.parametrize("line, message", [
    ('{"path": "b", "box": [1, 2, 3]}', "a box is x,y,width,height .* not .1, 2, 3"),
    ('{"path": "b", "box": [1, 2, 3, 1e999]}', "a box is x,y,width,height"),
    ('{"path": "b", "true_label": 4294967296}', "a class number or a class name, not 4294967296"),
    ('{"path": "b", "true_label": 2.5}', "a class number or a class name, not 2.5"),
    ('{"path": "b", "true_label": [1]}', "a class number or a class name"),
    ('{"id": "b"}', "there is no path"),
    ("[1]", "not a JSON object"),
    ("[" * 100000, "not a JSON object"),
])
def test_what_is_wrong_in_a_table_is_reported_with_its_line(tmp_path, line, message):
    (tmp_path / "t.jsonl").write_text('{"path": "a"}\n' + line + "\n")
    first, second = items(tmp_path / "t.jsonl")
    assert first.error is None
    assert re.search("t.jsonl:2: .*" + message, second.error)
    with pytest.raises(InputError, match="t.jsonl:2: .*" + message):
        reading.read_image(second)


def test_a_csv_without_a_column_path_and_a_missing_source_are_refused(tmp_path):
    (tmp_path / "t.csv").write_text("file,label\na,1\n")
    with pytest.raises(InputError, match="t.csv: the first line names no column path"):
        items(tmp_path / "t.csv")
    with pytest.raises(InputError, match="nowhere: no such image, folder, list or archive"):
        items(tmp_path / "nowhere")


def test_a_label_that_no_class_can_have_is_reported_in_lists(tmp_path):
    (tmp_path / "val.txt").write_text("a.jpg 1\nb.jpg 4294967296\n")
    first, second = items(tmp_path / "val.txt")
    assert (first.true_label, first.error) == (1, None)
    assert "val.txt, entry 2: a true label is a class number" in second.error
    assert second.true_label is None


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
    entries = items(str(tmp_path / "s-{00..01}.tar"))
    assert [(entry.id, entry.true_label, entry.box) for entry in entries[:2]] == [
        ("a/001", 7, None), ("a/002", "cat", (0.0, 0.0, 2.0, 2.0))]
    assert [reading.read_image(entry).mean() for entry in entries] == [40, 50, 41, 51]
    assert entries[3].path == str(tmp_path / "s-01.tar" / "a" / "002.png")


def test_a_tar_is_known_by_its_contents(tmp_path):
    write_tar(tmp_path / "images", [("1.png", encoded(40))])
    assert ids(tmp_path / "images") == ["1"]


def test_a_tar_that_is_none_is_refused(tmp_path):
    (tmp_path / "a.tar").write_bytes(b"\x1f\x8b" + bytes(600))
    with pytest.raises(InputError, match="a.tar: this tar cannot be read"):
        items(tmp_path / "a.tar")


def test_a_negative_size_in_a_tar_does_not_loop(tmp_path):
    info = tarfile.TarInfo("a.png")
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 11 + b"\0"  # base 256: -256
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    (tmp_path / "a.tar").write_bytes(bytes(header) + bytes(10240))
    with pytest.raises(InputError, match="a.tar: "):
        items(tmp_path / "a.tar")


def write_hdf5(path, **datasets):
    library = pytest.importorskip("h5py", reason="h5py is not installed here")
    with library.File(str(path), "w") as file:
        for name, values in datasets.items():
            file.create_dataset(name, data=values)
    return path


RAW = np.random.RandomState(4).randint(0, 256, (2, 4, 5, 3)).astype(np.uint8)


@pytest.mark.parametrize("values", [RAW, RAW.transpose(0, 3, 1, 2)], ids=["NHWC", "NCHW"])
def test_an_hdf5_file_gives_the_images_of_its_dataset_and_their_labels(tmp_path, values):
    entries = items(write_hdf5(tmp_path / "a.h5", images=values, label=np.float32([[7], [2]])))
    assert [(entry.id, entry.true_label) for entry in entries] == [("images/0", 7), ("images/1", 2)]
    for entry, image in zip(entries, RAW):
        np.testing.assert_array_equal(reading.read_image(entry), image)


def test_grey_images_in_hdf5(tmp_path):
    entry = items(write_hdf5(tmp_path / "a.h5", grey=RAW[..., 0]))[1]
    np.testing.assert_array_equal(
        reading.read_image(entry), np.stack([RAW[1, ..., 0]] * 3, axis=2))


def test_a_dataset_of_several_is_named_and_may_be_rgb(tmp_path):
    path = write_hdf5(tmp_path / "a.h5", grey=RAW[..., 0], rgb=RAW)
    import h5py

    with h5py.File(str(path), "a") as file:
        file["rgb"].attrs["color"] = "RGB"
    with pytest.raises(InputError, match="several datasets hold images; name one, such as .*:grey"):
        items(path)
    with pytest.raises(InputError, match=r"no dataset 'blue'; there are grey \(2 x 4 x 5 uint8\)"):
        items(str(path) + ":blue")
    entry = items(str(path) + ":rgb")[0]
    np.testing.assert_array_equal(reading.read_image(entry), RAW[0, ..., ::-1])


def test_values_that_were_prepared_for_a_net_are_not_taken_for_images(tmp_path):
    path = write_hdf5(tmp_path / "a.h5", data=np.zeros((2, 3, 4, 5), np.float32))
    with pytest.raises(InputError, match=r"no dataset holds images, .* there are data \(2 x 3 x "
                                         r"4 x 5 float32\)\. Values that were prepared"):
        items(path)


def test_hdf5_never_reads_other_files(tmp_path):
    library = pytest.importorskip("h5py", reason="h5py is not installed here")
    (tmp_path / "secret").write_bytes(bytes(range(60)) * 2)
    write_hdf5(tmp_path / "other.h5", images=RAW)
    with library.File(str(tmp_path / "a.h5"), "w") as file:
        file.create_dataset("images", shape=(2, 4, 5, 3), dtype="u1",
                            external=[(str(tmp_path / "secret"), 0, 120)])
    with library.File(str(tmp_path / "b.h5"), "w") as file:
        file["images"] = library.ExternalLink("other.h5", "/images")
    with pytest.raises(InputError, match="images is stored in other files, which are not read"):
        items(tmp_path / "a.h5")
    with pytest.raises(InputError, match="no dataset holds images"):
        items(tmp_path / "b.h5")


def test_hdf5_that_would_take_gigabytes_is_refused(tmp_path):
    library = pytest.importorskip("h5py", reason="h5py is not installed here")
    with library.File(str(tmp_path / "a.h5"), "w") as file:
        file.create_dataset("images", shape=(2, 40000, 40000, 3), dtype="u1",
                            chunks=(1, 40, 40, 3), compression="gzip")
    with pytest.raises(InputError, match="takes 4800000000 bytes, more than the limit"):
        items(tmp_path / "a.h5")


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
    entries = items(tmp_path / "db")
    np.testing.assert_array_equal(reading.read_image(entries[0]), raw.transpose(1, 2, 0))
    np.testing.assert_array_equal(reading.read_image(entries[1]), np.stack([grey[0]] * 3, axis=2))
    np.testing.assert_array_equal(reading.read_image(entries[2]), raw.transpose(1, 2, 0))
    assert reading.read_image(entries[3]).tolist() == np.full((4, 5, 3), 9).tolist()
    assert [reading.fetch(entry).true_label for entry in entries[:4]] == [7, 0, None, 1]
    assert entries[4].id == "4\\xff"
    for entry, message in ((entries[4], "a Datum of 3x4x5 with 3 values is not an image"),
                         (entries[5], "its float_data are not pixel values"),
                         (entries[6], "not a Datum of Caffe")):
        with pytest.raises(InputError, match=message):
            reading.read_image(entry)


def test_an_lmdb_that_is_cut_short_is_refused(tmp_path):
    write_lmdb(tmp_path / "db", {b"%03d" % number: bytes(5000) for number in range(100)})
    file = tmp_path / "db" / "data.mdb"
    with open(str(file), "r+b") as stream:
        stream.truncate(100000)
    with pytest.raises(InputError, match="data.mdb: cut short: 100000 bytes of"):
        items(tmp_path / "db")


def test_the_orientation_of_an_encoded_datum_is_left_as_caffe_leaves_it(tmp_path):
    # An EXIF block that says: turn by a quarter.
    exif = (b"\xff\xe1\x00\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0"
            b"\0\0\0\0")
    plain = encoded(9, ".jpg")
    turned = plain[:2] + exif + plain[2:]
    (tmp_path / "a.jpg").write_bytes(turned)
    assert reading.read_image(item.Item.of(str(tmp_path / "a.jpg"), id="a")).shape == (5, 4, 3)
    write_lmdb(tmp_path / "db", {b"0": datum(channels=3, height=4, width=5, data=turned,
                                             encoded=True)})
    assert reading.read_image(items(tmp_path / "db")[0]).shape == (4, 5, 3)


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
    assert column("memory://out", "true_label") == [1, 0]
    assert sorted(memory.ls("/out", detail=False)) == [
        "/out/checksums", "/out/items", "/out/leases", "/out/manifest.json", "/out/parts"]
    assert memory.ls("/out/leases") == []
    assert ids("memory://in/val.txt") == ["a.png", "b.png"]
    assert explain(model, tmp_path / "val.txt", "memory://out").parts == 0


def test_items_survive_their_list_in_the_output(tmp_path):
    folder = open_folder(str(tmp_path))
    entries = [item.Item(0, "a", os.fsdecode(b"/\xff.jpg"), true_label="ö", questions=("top:2",),
                         box=(1.0, 2.0, 3.0, 4.0)),
               item.Item(1, "k", "db/k", archive="db", position=("lmdb", "6b")),
               item.Item(2, "t", "t.tar/k", archive="t.tar", position=("tar", 512, 9))]
    folder.write("list", item.dump(entries))
    assert item.load(folder.read("list"), "list") == entries


def test_an_lmdb_that_kills_its_reader_is_refused_in_one_sentence(tmp_path):
    library = pytest.importorskip("lmdb", reason="lmdb is not installed here")
    with library.open(str(tmp_path / "db"), map_size=1 << 24) as environment:
        with environment.begin(write=True) as transaction:
            for index in range(2000):
                transaction.put(b"%08d" % index, b"x" * 20)
    path = tmp_path / "db" / "data.mdb"
    data = bytearray(path.read_bytes())
    page = 4096
    for start in range(2 * page, len(data), page):
        # The offsets of each page's nodes lead beyond the file.
        data[start + 16:start + 400] = b"\xff" * 384
    path.write_bytes(bytes(data))
    with pytest.raises(InputError, match="db: this LMDB (is damaged|cannot be read)"):
        items(tmp_path / "db")


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_an_endless_device_is_no_list(scheme):
    if scheme:
        pytest.importorskip("fsspec", reason="fsspec is not installed here")
    with pytest.raises(InputError, match="/dev/zero: (neither a file nor|line 1 is longer than)"):
        items(scheme + "/dev/zero")
