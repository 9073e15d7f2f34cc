"""Archives from the net: unpacked whole, inside their folder, or not at all."""

import io
import os
import re
import tarfile
import zipfile

import pytest

from caffe_gradcam.model import archives
from prototxt_tools.errors import InputError


def tar(path, members, mode="w:gz"):
    """A tar archive of (name, bytes) or tarfile.TarInfo."""
    with tarfile.open(str(path), mode) as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
                continue
            info = tarfile.TarInfo(member[0])
            info.size = len(member[1])
            archive.addfile(info, io.BytesIO(member[1]))
    return str(path)


def zipped(path, members):
    with zipfile.ZipFile(str(path), "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return str(path)


def special(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "model").mkdir()
    return str(tmp_path / "model")


def refused(archive, folder):
    with pytest.raises(InputError) as caught:
        archives.unpack(archive, folder)
    assert os.listdir(folder) == []
    assert sorted(os.listdir(os.path.dirname(folder))) == sorted(
        {"model", os.path.basename(archive)})
    return str(caught.value)


@pytest.mark.parametrize("make, name", [(tar, "a.tar.gz"), (zipped, "a.zip")])
def test_the_folder_that_all_share_falls_away(make, name, tmp_path, folder):
    archive = make(tmp_path / name, [("net/deploy.prototxt", b"name: 'x'"), ("net/w/a", b"1")])
    assert archives.unpack(archive, folder) == ["deploy.prototxt", "w/a"]
    assert open(os.path.join(folder, "deploy.prototxt")).read() == "name: 'x'"
    assert sorted(os.listdir(folder)) == ["deploy.prototxt", "w"]


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil", "..\\evil", "C:\\evil"])
@pytest.mark.parametrize("make, ending", [(tar, "a.tar.gz"), (zipped, "a.zip")])
def test_a_path_that_leads_out_is_refused(make, ending, name, tmp_path, folder):
    archive = make(tmp_path / ending, [("good", b"1"), (name, b"2")])
    assert "leads out of the folder" in refused(archive, folder)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE,
                                  tarfile.CHRTYPE])
def test_links_and_devices_are_refused(kind, tmp_path, folder):
    archive = tar(tmp_path / "a.tar.gz", [special("x", kind, "/etc/passwd"), ("x/y", b"1")])
    assert "x is a link or a device" in refused(archive, folder)


def test_a_link_in_a_zip_is_refused(tmp_path, folder):
    info = zipfile.ZipInfo("x")
    info.external_attr = 0o120777 << 16
    archive = zipped(tmp_path / "a.zip", [(info, b"/etc/passwd")])
    assert "x is a link" in refused(archive, folder)


@pytest.mark.parametrize("make, name", [(tar, "a.tar.gz"), (zipped, "a.zip")])
def test_a_bomb_is_refused(make, name, tmp_path, folder, monkeypatch):
    monkeypatch.setattr(archives, "_SMALL", 1 << 20)
    archive = make(tmp_path / name, [("zeros", bytes(4 << 20))])
    assert os.path.getsize(archive) * archives.MOST_RATIO < 4 << 20
    assert "unpacks to far more bytes" in refused(archive, folder)


def test_more_members_than_a_model_has_are_refused(tmp_path, folder, monkeypatch):
    monkeypatch.setattr(archives, "MOST_FILES", 2)
    archive = tar(tmp_path / "a.tar", [(str(i), b"") for i in range(3)], "w")
    assert "more than 2 members" in refused(archive, folder)


def test_a_name_that_comes_twice_is_refused(tmp_path, folder):
    archive = tar(tmp_path / "a.tar", [("x", b"1"), ("./x", b"2")], "w")
    assert "holds x twice" in refused(archive, folder)


@pytest.mark.parametrize("make, name", [(tar, "a.tar.gz"), (zipped, "a.zip")])
def test_a_truncated_archive_is_refused(make, name, tmp_path, folder):
    archive = make(tmp_path / name, [("weights", os.urandom(100000)), ("b", b"1")])
    whole = open(archive, "rb").read()
    with open(archive, "wb") as file:
        file.write(whole[:len(whole) // 2])
    assert "damaged" in refused(archive, folder) or "not a tar or zip" in refused(archive, folder)


def test_what_is_no_archive_is_refused(tmp_path, folder):
    (tmp_path / "a.tar.gz").write_bytes(b"<html>")
    assert "not a tar or zip archive" in refused(str(tmp_path / "a.tar.gz"), folder)


def test_one_member_can_be_read(tmp_path):
    archive = tar(tmp_path / "a.tar.gz", [("./train.txt", b"no"), ("./words.txt", b"yes")])
    assert archives.read_member(archive, "words.txt") == b"yes"
    with pytest.raises(InputError, match="holds no other.txt"):
        archives.read_member(archive, "other.txt")


def test_files_of_the_folder_s_own_are_left_alone(tmp_path, folder):
    archive = tar(tmp_path / "a.tar", [("x/fetched.json", b"lies"), ("x/net", b"1")], "w")
    assert archives.unpack(archive, folder, without=("fetched.json",)) == ["net"]
    assert os.listdir(folder) == ["net"]


def with_sum(header):
    """A tar header with the check sum that it must have."""
    blank = header[:148] + b" " * 8 + header[156:]
    return blank[:148] + b"%06o\0 " % sum(blank) + blank[156:]


def test_a_member_of_negative_size_is_damage(tmp_path, folder):
    header = tarfile.TarInfo("deploy.prototxt").tobuf(tarfile.USTAR_FORMAT)
    negative = with_sum(header[:124] + b"\xff" * 10 + b"\xfe\x00" + header[136:])
    path = tmp_path / "a.tar"
    path.write_bytes(negative + b"\0" * 1024)
    # Older Pythons refuse the number itself, and then know no tar.
    assert re.search("damaged: a member of negative size|not a tar or zip archive",
                     refused(str(path), folder))


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2, zipfile.ZIP_DEFLATED])
def test_a_flipped_bit_in_a_zip_is_damage(tmp_path, folder, method):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(str(path), "w", method) as archive:
        archive.writestr("deploy.prototxt", os.urandom(4000))
    data = bytearray(path.read_bytes())
    data[60] ^= 0xff
    path.write_bytes(bytes(data))
    assert "a.zip: damaged" in refused(str(path), folder)


def test_a_flipped_bit_in_a_tar_is_damage(tmp_path, folder):
    path = tar(tmp_path / "a.tar.xz", [("deploy.prototxt", os.urandom(40000))], "w:xz")
    data = bytearray(open(path, "rb").read())
    data[len(data) // 2] ^= 0xff
    open(path, "wb").write(bytes(data))
    assert "a.tar.xz: damaged" in refused(path, folder)


def test_a_method_of_compression_that_python_lacks_is_named(tmp_path, folder):
    path = tmp_path / "a.zip"
    zipped(path, [("deploy.prototxt", b"name: 'x'" * 100)])
    data = path.read_bytes()
    for start in (data.index(b"PK\1\2") + 10, 8):
        data = data[:start] + b"\x61\0" + data[start + 2:]  # WavPack
    path.write_bytes(data)
    message = refused(str(path), folder)
    assert "cannot be unpacked here" in message and "unpack it by hand" in message
