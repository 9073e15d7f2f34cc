"""Archives as sources: tar, HDF5 and LMDB, each as its items."""

import io
import tarfile

import numpy as np
import pytest
from listing import encoded, ids, items

from caffe_gradcam.batch.sources import item, reading
from prototxt_tools.errors import InputError
from prototxt_tools.net import schema


def write_tar(path, members):
    with tarfile.open(str(path), "w") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


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
    with pytest.raises(InputError, match="takes 4800000000 bytes, more than the"):
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


def test_a_damaged_group_of_hdf5_is_one_sentence(tmp_path):
    h5py = pytest.importorskip("h5py", reason="h5py is not installed here")
    path = tmp_path / "images.h5"
    with h5py.File(str(path), "w") as file:
        file["images"] = np.zeros((2, 4, 5, 3), np.uint8)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"HEAP", b"HEAL"))  # Where the names of the members are.
    with pytest.raises(InputError, match="images.h5: cannot be read, damaged or cut off: [^\n]+$"):
        items(path)
