"""What goes wrong in the middle: nets that die or hang, decoders, disks."""

import os
import shutil
import subprocess
import threading
import time

import pytest
from faulty import ABORTS, BREAKS, HANGS, LARGE, ORPHAN_SECONDS, ORPHANS, REFUSED, STICKS
from processes import command_line, family, kill, wait_for
from tables import column, explain, picture, pictures, table

from caffe_gradcam.batch import storage
from caffe_gradcam.batch.output import lock
from caffe_gradcam.batch.sources import reading
from prototxt_tools.errors import InputError


def test_only_the_picture_that_a_net_dies_of_fails(model, tmp_path):
    source = pictures(tmp_path / "in", 12)
    picture(source / "0005.png", red=ABORTS)
    summary = explain(model, source, tmp_path / "out", part_size=12)
    assert summary.counts == {"ok": 11, "empty": 0, "unreadable": 0, "failed": 1}
    row, = [row for row in table(tmp_path / "out") if row["status"] == "failed"]
    assert (row["item"], row["error"]) == (5, "Caffe stopped: Check failed: red != 200")
    assert len(row["sha256"]) == 64


def test_only_the_picture_that_a_net_hangs_at_fails(model, tmp_path):
    source = pictures(tmp_path / "in", 2)
    picture(source / "0000.png", red=HANGS)
    explain(model, source, tmp_path / "out", timeout=0.5, batch=1)
    assert column(tmp_path / "out", "status") == ["failed", "ok"]
    assert "no answer within 0.5 s" in table(tmp_path / "out")[0]["error"]


def test_a_net_that_dies_and_leaves_a_process_with_its_pipe_is_replaced(model, tmp_path):
    source = pictures(tmp_path / "in", 2)
    picture(source / "0000.png", red=ORPHANS)
    begin = time.monotonic()
    explain(model, source, tmp_path / "out", batch=1)
    assert time.monotonic() - begin < ORPHAN_SECONDS
    assert column(tmp_path / "out", "status") == ["failed", "ok"]
    assert "killed by signal 6" in table(tmp_path / "out")[0]["error"]


def test_pictures_that_a_net_refuses_fail_one_by_one_in_one_process(model, tmp_path):
    source = pictures(tmp_path / "in", 8)
    picture(source / "0001.png", red=REFUSED)
    picture(source / "0006.png", red=BREAKS)
    explain(model, source, tmp_path / "out")
    errors = column(tmp_path / "out", "error")
    assert errors[1] == "the engine refuses this batch"
    assert errors[6] == "ZeroDivisionError: a bug"
    assert [one for one in errors if one] == [errors[1], errors[6]]


def test_a_net_that_can_run_nothing_more_is_replaced(model, tmp_path):
    source = pictures(tmp_path / "in", 12)
    picture(source / "0005.png", red=STICKS)
    summary = explain(model, source, tmp_path / "out", part_size=12)
    assert summary.counts == {"ok": 11, "empty": 0, "unreadable": 0, "failed": 1}
    row, = [row for row in table(tmp_path / "out") if row["status"] == "failed"]
    assert (row["item"], row["error"]) == (5, "the engine can run nothing more in this process")


@pytest.mark.filterwarnings("ignore:a batch of")
def test_a_batch_that_is_too_large_for_the_memory_is_halved(model, tmp_path):
    source = pictures(tmp_path / "in", 4)
    for index in range(4):
        picture(source / f"{index:04d}.png", red=LARGE)
    assert explain(model, source, tmp_path / "out").counts["ok"] == 4
    for note in column(tmp_path / "out", "note"):
        assert note.startswith("a batch of 4 does not fit the memory")


def test_a_net_that_does_not_open_stops_the_run_in_one_sentence(model, tmp_path):
    source = pictures(tmp_path / "in", 4)
    with pytest.raises(InputError, match="no method 'grad-kam'"):
        explain(model, source, tmp_path / "out", methods=["grad-kam"])


def test_a_decoder_that_is_killed_is_replaced(model, tmp_path, monkeypatch):
    source = pictures(tmp_path / "in", 60)
    killed = []

    def kill_decoders():
        for pid in family(os.getpid())[1:]:
            if "batch.pipeline.decoder:serve" in command_line(pid):
                kill(pid)
                killed.append(pid)
        return killed

    thread = threading.Thread(target=wait_for, args=(kill_decoders,))
    thread.start()
    explain(model, source, tmp_path / "out")
    thread.join()
    assert killed
    assert column(tmp_path / "out", "status") == ["ok"] * 60


def test_a_file_that_is_gone_or_garbage_when_its_turn_comes_is_one_row(model, tmp_path):
    images = pictures(tmp_path / "in", 8)
    source = tmp_path / "list.txt"
    source.write_text("".join(f"in/{path.name} 0\n" for path in sorted(images.iterdir())))
    explain(model, source, tmp_path / "out")
    for part in (tmp_path / "out" / "parts").iterdir():
        part.unlink()
    (images / "0003.png").unlink()
    (images / "0004.png").write_bytes(os.urandom(500))
    explain(model, source, tmp_path / "out")
    errors = column(tmp_path / "out", "error")
    assert errors[3].endswith("0003.png: no such file")
    assert "0004.png: not an image" in errors[4]
    assert sum(error is None for error in errors) == 6


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own with 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.call(command, stderr=subprocess.DEVNULL):
        pytest.skip("mounting a small file system needs rights that this user has not")
    yield folder
    subprocess.check_call(["umount", str(folder)])


def test_a_full_disk_stops_the_run_and_leaves_whole_parts(model, tmp_path, small_disk):
    pytest.importorskip("pyarrow", reason="the ballast is measured for parts in Parquet")
    source = pictures(tmp_path / "in", 40)
    (small_disk / "ballast").write_bytes(bytes(150000))
    with pytest.raises(InputError, match="part-0000.*cannot be written: No space left on device"):
        explain(model, source, small_disk / "out")
    before = table(small_disk / "out")
    assert 0 < len(before) < 40
    assert [one for one in os.listdir(str(small_disk / "out" / "parts")) if one[0] == "."] == []
    (small_disk / "ballast").unlink()
    assert explain(model, source, small_disk / "out").complete
    assert table(small_disk / "out")[:len(before)] == before
    assert column(small_disk / "out", "item") == list(range(40))


def test_an_output_that_disappears_stops_the_run(model, tmp_path, monkeypatch):
    source = pictures(tmp_path / "in", 24)
    create = storage.LocalFolder.create

    def vanish(self, name, data):
        if name.startswith("parts/part-000001"):
            shutil.rmtree(self.path)
        return create(self, name, data)

    monkeypatch.setattr(storage.LocalFolder, "create", vanish)
    with pytest.raises(InputError, match="part-000001.*cannot be written: No such file or dir"):
        explain(model, source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_part_is_there_whole_or_not_at_all(tmp_path, monkeypatch):
    folder = storage.open_folder(str(tmp_path))
    folder.write("a", b"old")

    def fail(handle):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(InputError, match="a: cannot be written: Input/output error"):
        folder.write("a", b"new")
    assert os.listdir(str(tmp_path)) == ["a"] and (tmp_path / "a").read_bytes() == b"old"


def test_locks_are_of_parts_and_within_a_process_too(tmp_path):
    folder = storage.open_folder(str(tmp_path))
    with lock.parts(folder, range(4)):
        with lock.parts(folder, range(4, 8)):
            with pytest.raises(InputError, match="another run is working on these parts"):
                with lock.parts(folder, range(3, 5)):
                    pass
        with pytest.raises(InputError, match="another run is working on these parts"):
            with lock.parts(folder, range(0, 1)):
                pass
    with lock.parts(folder, range(0, 8)):
        pass


def test_a_picture_too_long_to_be_one_is_not_read(tmp_path, monkeypatch):
    (tmp_path / "a.jpg").write_bytes(bytes(1000))
    with pytest.raises(InputError, match="1000 bytes, more than the 999 that are read"):
        storage.read(str(tmp_path / "a.jpg"), limit=999)
    assert reading.MOST_BYTES == 1 << 28
