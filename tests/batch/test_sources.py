"""What a user may name as images: each source as its items."""

import io
import json
import os
import re

import pytest
from listing import encoded, ids, items
from tables import picture, pictures

from caffe_gradcam.batch.sources import item, open_source, reading
from caffe_gradcam.batch.storage import open_folder
from prototxt_tools.errors import InputError


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
    ("photo.heic", b"\0\0\0\x18ftypheic" + bytes(90), "a HEIC photograph, .* convert it to"),
    ("scan.dcm", bytes(128) + b"DICM" + bytes(90), "a DICOM image"),
    ("arrays.npz", b"PK\x03\x04" + bytes(26) + b"images.npy" + bytes(90), "NumPy arrays"),
    ("rows.pkl", b"\x80\x04\x95" + bytes(90), "a Python pickle"),
    ("train.tfrecord", b"\x0a" + bytes(90), "a TFRecord file, .* a .tar or an LMDB"),
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


@pytest.mark.parametrize("name", ["list.txt", "all.tar"])
def test_only_hdf5_has_datasets(tmp_path, name):
    (tmp_path / name).write_bytes(b"a.jpg 3\n")
    with pytest.raises(InputError, match="only an HDF5 file has datasets to name, and .* is none"):
        items(f"{tmp_path / name}:images")


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


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_an_endless_device_is_no_list(scheme):
    if scheme:
        pytest.importorskip("fsspec", reason="fsspec is not installed here")
    with pytest.raises(InputError, match="/dev/zero: (neither a file nor|a device, not)"):
        items(scheme + "/dev/zero")
