"""Readers of labels, lists, archives, batches: each reads a file or refuses it, whatever it is."""

import functools
import io
import itertools
import json
import os
import pathlib
import tarfile
import zipfile

import numpy as np
import pytest
from harness import EXAMPLES, fuzzed, read
from hypothesis import example, given, settings
from lmdb_reader import lmdb_file, lmdb_images
from mutations import damaged

from caffe_gradcam.batch import sources
from caffe_gradcam.batch.output import plan as plan_module
from caffe_gradcam.batch.output import status
from caffe_gradcam.batch.output.plan import MANIFEST, Content, Plan
from caffe_gradcam.batch.sources import item as item_lists
from caffe_gradcam.batch.sources import reading
from caffe_gradcam.batch.sources.item import Item
from caffe_gradcam.batch.storage import open_folder
from caffe_gradcam.explaining.recipe import Recipe
from caffe_gradcam.measuring import annotations
from caffe_gradcam.model import archives, folder, label_files, readme, training
from prototxt_tools.errors import InputError

ROOT = pathlib.Path(__file__).resolve().parents[2]


# What stands beside a model

def _front_matter(path):
    readme.read(folder.read_front_matter(os.path.dirname(path)), path)


@fuzzed
@given(damaged(
    (ROOT / "models" / "digits" / "readme.md").read_bytes()[:600],
    (ROOT / "models" / "squeezenet-v1.1" / "readme.md").read_bytes()[:1500],
    b"---\nname: a\ngradcam:\n  inputs:\n    data: {mean: [1, 2, 3], resize: 256, crop: 10x10}\n"
    b"  labels: [cat, dog]\n---\n"))
def test_front_matter(scratch, data):
    read(_front_matter, scratch("model/readme.md", data))


@fuzzed
@given(damaged(
    b"cat\ndog\n", b"n02119789 kit fox, Vulpes macrotis\nn02100735 English setter\n",
    b"0,cat\n1,dog\n", b"id,name\n0,cat\n1,dog\n", b'{"0": "cat", "1": ["n1", "dog"]}',
    b'["cat", "dog"]', b'item { name: "a" label: 1 display_name: "b" }\n', b"/a/abbey 0\n",
    "\ufeffcat\ndog".encode("utf-16")))
def test_labels(scratch, data):
    read(label_files.load, scratch("labels.txt", data))


TRAINING = (
    b'layer { name: "d" type: "Data" top: "data" top: "label" include { phase: TRAIN }\n'
    b'transform_param { crop_size: 56 mean_value: 104 mean_value: 117 scale: 0.5 }\n'
    b'data_param { source: "db" batch_size: 32 } }\n'
    b'layer { name: "i" type: "ImageData" top: "data" include { phase: TEST }\n'
    b'transform_param { mean_file: "/data/mean.binaryproto" }\n'
    b'image_data_param { source: "list" new_height: 64 new_width: 64 is_color: false } }\n')
INFO = (b'{"image resize mode": "squash", "image dimensions": [64, 64, 3], "snapshot file": "a",\n'
        b'"mean image file": "mean.binaryproto", "labels file": "labels.txt"}')


@fuzzed
@given(damaged(TRAINING))
def test_training_net(scratch, data):
    path = scratch("training/train_val.prototxt", data)
    read(lambda path: training.find_transform(os.path.dirname(path), path), path)


@fuzzed
@given(damaged(INFO))
def test_info_of_digits(scratch, data):
    read(lambda path: training.read_info(os.path.dirname(path)), scratch("digits/info.json", data))


# Sources of images

def _items(path):
    for item in sources.open_source(path):
        assert isinstance(item, Item)
        item_lists.load(item_lists.dump([item]), "list")


LISTS = {
    "list.txt": [b"a.png\nb/c.jpg 3\n'd e.png' 4\n", b"a.png cat\r\n"],
    "list.csv": [b'path,label,box\na.png,3,"1,2,3,4"\nb.png,cat,\n', b"path\na.png\n"],
    "list.tsv": [b"path\tquestion\na.png\tcat - dog\n"],
    "list.jsonl": [b'{"path": "a.png", "label": 3, "box": [1, 2, 3, 4]}\n{"path": "b", "class": 1}',
                   b'{"path": "a.png", "label": "cat", "id": 7, "box": "1 2 3 4"}\n'],
}


@pytest.mark.parametrize("name", sorted(LISTS))
def test_list(scratch, name):
    @fuzzed
    @given(damaged(*LISTS[name]))
    def check(data):
        read(_items, scratch(name, data))

    check()


@functools.lru_cache(maxsize=None)
def _parquet():
    arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed here")
    import pyarrow.parquet

    file = io.BytesIO()
    table = arrow.table({"path": ["a.png", "b.png"], "label": [3, 4]})
    pyarrow.parquet.write_table(table, file)
    return file.getvalue()


def test_parquet(scratch):
    @fuzzed
    @given(damaged(_parquet()))
    def check(data):
        read(_items, scratch("list.parquet", data))

    check()


@functools.lru_cache(maxsize=None)
def _hdf5_images():
    h5py = pytest.importorskip("h5py", reason="h5py is not installed here")
    file = io.BytesIO()
    with h5py.File(file, "w") as opened:
        opened.create_dataset("images", data=np.zeros((3, 4, 5, 3), np.uint8), chunks=(1, 4, 5, 3),
                              compression="gzip")
        opened["label"] = np.arange(3)
    return file.getvalue()


def _images(path):
    for item in sources.open_source(path):
        try:
            reading.read_image(item)
        except InputError as error:
            assert "\n" not in str(error)


def test_hdf5_images(scratch):
    names = itertools.count()  # An HDF5 file stays open.

    @fuzzed
    @given(damaged(_hdf5_images()))
    def check(data):
        path = scratch(f"images{next(names)}.h5", data)
        read(_images, path)
        path.unlink()

    check()


BOXES = (b"path,class,x,y,width,height\na.png,3,1,2,3,4\nb.png,cat,0,0,1.5,2\n",
         b'{"a.png": [{"class": 3, "box": [1, 2, 3, 4]}]}')


@pytest.mark.parametrize("name", ["boxes.csv", "boxes.json"])
@fuzzed
@given(data=damaged(*BOXES))
def test_boxes(scratch, name, data):
    read(lambda path: annotations.read_boxes(path, lambda text: len(text)), scratch(name, data))


CONFIGURATIONS = (b"model: {path: models/digits}\nasking:\n  classes: [3, top:2]\n",
                  b'{"model": {"path": "a"}, "explaining": {"methods": ["cam"], "samples": 3}}')


@pytest.mark.parametrize("name", ["recipe.yaml", "recipe.json"])
@fuzzed
@given(data=damaged(*CONFIGURATIONS))
def test_configuration(scratch, name, data):
    read(Recipe.load, scratch(name, data))


def _tar(mode="w"):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:
        for name, data in (("a.png", b"12"), ("a.cls", b"3"), ("b.jpg", b"4"),
                           ("b.json", b'{"box": [1, 2, 3, 4]}')):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return file.getvalue()[:8192]


def _with_checksums(data):
    """A tar whose headers have the right checksums, so that readers look at what is in them."""
    blocks = [data[start:start + 512] for start in range(0, len(data), 512)]
    for index, block in enumerate(blocks):
        if block[257:262] == b"ustar" and len(block) == 512:
            checksum = sum(block[:148]) + 8 * ord(" ") + sum(block[156:])
            blocks[index] = block[:148] + b"%06o\0 " % checksum + block[156:]
    return b"".join(blocks)


@fuzzed
@given(damaged(_tar()))
def test_tar(scratch, data):
    read(_items, scratch("images.tar", data))
    read(_items, scratch("images.tar", _with_checksums(data)))


def _zip():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model/deploy.prototxt", "name: 'a'")
        archive.writestr("model/labels.txt", "cat\n" * 20)
    return file.getvalue()


@fuzzed
@given(damaged(_tar(), _tar("w:gz"), _zip()))
def test_archive_of_a_model(scratch, tmp_path_factory, data):
    target = str(tmp_path_factory.mktemp("unpacked"))
    read(lambda path: archives.unpack(path, target), scratch("model.tar.gz", data))
    read(lambda path: archives.unpack(path, target), scratch("model.tar", _with_checksums(data)))


def test_lmdb(scratch, tmp_path):
    # Each takes two processes or more, which end with the file's damage instead of this one.
    @settings(fuzzed, max_examples=max(5, EXAMPLES // 8))
    @given(damaged(lmdb_file(str(tmp_path / "db"))))
    def check(data):
        read(lmdb_images, scratch("lmdb/data.mdb", data))

    check()


# What a batch has written

def _content():
    return Content(source="list", limit=None, recipe={}, rows_depend_on={}, part_size=2)


def _plan(path):
    plan = Plan.open(open_folder(os.path.dirname(path)))
    for part in range(min(plan.parts, 3)):
        plan.items(part)
    status.problems(plan)


@fuzzed
@given(damaged(b'[0, "a", "a", null, null, 3, ["x"], [1, 2, 3, 4], []]\n'))
@example(b"[" * 3000)
def test_list_of_items(scratch, data):
    read(lambda path: item_lists.load(pathlib.Path(path).read_bytes(), path),
         scratch("items", data))


def _with_digest(data):
    """A manifest with the right SHA-256, so that readers look at what is in it."""
    try:
        return plan_module._manifest_bytes(json.loads(data.decode("utf-8")))
    except (ValueError, AttributeError, RecursionError):
        return data


def test_manifest(tmp_path):
    Plan.make(open_folder(str(tmp_path)), [Item.of("a.png"), Item.of("b.png")], _content())
    manifest = tmp_path / MANIFEST
    assert json.loads(manifest.read_text())["items"] == 2

    @fuzzed
    @given(damaged(manifest.read_bytes()))
    def check(data):
        manifest.write_bytes(data)
        read(_plan, manifest)
        manifest.write_bytes(_with_digest(data))
        read(_plan, manifest)

    check()
