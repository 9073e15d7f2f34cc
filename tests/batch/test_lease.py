"""Leases: the locks of an output behind a URL."""

import dataclasses
import datetime
import json
import os
import pickle
import subprocess
import sys
import threading
import time
import uuid

import pytest
from processes import HERE, wait_for
from tables import explain, pictures, plan_of, recipe

from caffe_gradcam.batch import Options, Pipeline, storage
from caffe_gradcam.batch.dependencies import resolved
from caffe_gradcam.batch.output import lease, lock, parts
from caffe_gradcam.batch.output.columns import of_rows
from caffe_gradcam.batch.output.rows import COLUMNS
from caffe_gradcam.batch.runners import ray
from caffe_gradcam.model.limits import Limits
from prototxt_tools.errors import InputError

pytest.importorskip("fsspec", reason="fsspec is not installed here")


@pytest.fixture(params=["memory", "file"])
def folder(request, tmp_path):
    if request.param == "memory":
        return storage.open_folder("memory://" + uuid.uuid4().hex)
    return storage.UrlFolder("file://" + str(tmp_path / "out"))


def leave_note(folder, first, end, age=0.0, **holder):
    """A note as another run would leave it, on a machine of its own, so many seconds ago."""
    folder.make(lease.FOLDER)
    note = dict({"host": "node7", "pid": 12, "here": "elsewhere", "since": "1",
                 "renewed": time.time()}, **holder)
    name = f"{lease.FOLDER}/parts-{first}-{end}-{uuid.uuid4().hex}.json"
    folder.write(name, json.dumps(note).encode())
    if folder.path.startswith("file://"):
        os.utime(folder.locate(name)[len("file://"):], (time.time() - age,) * 2)
    else:
        folder._fs.store[folder._inner(name)].modified -= datetime.timedelta(seconds=age)


def test_the_same_parts_are_refused_and_others_are_not(folder):
    with lock.parts(folder, range(4)):
        with lock.parts(folder, range(4, 8)):
            with pytest.raises(InputError, match=f"run, process {os.getpid()} on .*--worker"):
                with lock.parts(folder, range(3, 5)):
                    pass
    with lock.parts(folder, range(0, 8)):
        pass
    assert folder.names(lease.FOLDER) == []


def test_a_run_on_another_machine_is_named_with_what_is_left_of_its_claim(folder):
    leave_note(folder, 2, 3, age=30)
    with pytest.raises(InputError, match=r"process 12 on node7.*ends in (5\d|60) s\)"):
        with lock.parts(folder, range(0, 8)):
            pass
    assert len(folder.names(lease.FOLDER)) == 1


@pytest.mark.parametrize("shift", [-86400, -120, 120, 86400])
def test_the_clock_of_the_other_machine_does_not_matter(folder, shift):
    leave_note(folder, 0, 8, age=10, renewed=time.time() + shift)
    with pytest.raises(InputError, match=r"process 12 on node7.*ends in (7\d|80) s\)"):
        with lock.parts(folder, range(0, 8)):
            pass
    assert len(folder.names(lease.FOLDER)) == 1


def test_where_the_store_tells_no_time_the_note_to_remove_is_named(folder, monkeypatch):
    leave_note(folder, 0, 8, age=lease.STALE + 5)
    monkeypatch.setattr(storage.UrlFolder, "modified", lambda self, name: None)
    with pytest.raises(InputError, match="has died, remove .*/leases/parts-0-8-"):
        with lock.parts(folder, range(0, 8)):
            pass


def test_a_run_that_slept_past_its_lease_notices_before_it_writes(folder, monkeypatch):
    monkeypatch.setattr(lease, "RENEWED_EVERY", 0.05)
    with lock.parts(folder, range(0, 8)) as claim:
        claim.check()
        name, = folder.names(lease.FOLDER)
        folder.remove(f"{lease.FOLDER}/{name}")  # As one does who finds it too old.
        leave_note(folder, 0, 8)
        time.sleep(0.2)
        with pytest.raises(InputError, match="another one has taken its parts over"):
            pickle.loads(pickle.dumps(claim)).check()
        assert len(folder.names(lease.FOLDER)) == 1


def test_a_run_that_stands_still_between_check_and_writing_replaces_no_part(tmp_path, model):
    url = "memory://" + uuid.uuid4().hex
    explain(model, pictures(tmp_path / "in", 8), url)
    written = plan_of(url)
    name, = [name for name in written.folder.names("parts") if "000000" in name]
    before = written.folder.read(f"parts/{name}")
    with lock.parts(written.folder, range(0, 2)) as sleeper:
        note, = written.folder.names(lease.FOLDER)
        taken_over = plan_of(url)
        taken_over.claim = dataclasses.replace(sleeper, note=None)  # As if it were checked before.
        taken_over.folder.remove(f"checksums/{name}.sha256")
        with pytest.raises(InputError, match="another process has begun to write part 0"):
            parts.write(taken_over, 0, columns_of(taken_over, 1))
        written.folder.remove(f"{lease.FOLDER}/{note}")
        taken_over.claim = sleeper
        with pytest.raises(InputError, match="another one has taken its parts over"):
            parts.write(taken_over, 0, columns_of(taken_over, 1))
    assert written.folder.read(f"parts/{name}") == before
    # The same command finishes what is not finished.
    assert explain(model, tmp_path / "in", url).parts == 1


def test_an_actor_of_a_run_that_was_taken_over_writes_nothing(tmp_path, model):
    explain(model, pictures(tmp_path / "in", 8), tmp_path / "out")
    plan = plan_of(tmp_path / "out")
    parts.remove_leftovers(plan, range(2))
    assert plan.done() == {0, 1}
    for name in plan.folder.names("checksums"):
        if "part-000001" in name:
            plan.folder.remove(f"checksums/{name}")
    parts.remove_leftovers(plan, range(2))
    claim = lease.Claim(str(tmp_path / "out"), f"{lease.FOLDER}/gone.json")
    options = Options(pipeline=Pipeline(batch=4, decoders=1, threads=1))
    actor = ray.PartExplainer(claim, resolved(recipe(model), "cpu"), options, Limits())
    try:
        answer = actor.explain(1)
    finally:
        actor._lane.close()
    assert "another one has taken its parts over" in str(answer.error)
    assert plan.done() == {0} and plan.folder.names("parts") == [
        name for name in plan.folder.names("parts") if "part-000000" in name]


def columns_of(plan, part):
    return of_rows(parts.read(plan, part), list(COLUMNS))


def test_what_is_created_was_not_there(folder, tmp_path):
    for place in (folder, storage.open_folder(str(tmp_path / "local"))):
        place.make()
        assert place.create("a", b"1") is True
        assert place.create("a", b"2") is False
        assert (place.read("a"), place.names("")) == (b"1", ["a"])


def test_which_stores_write_on_a_condition(tmp_path):
    assert storage.open_folder("memory://x").creates
    assert storage.open_folder(str(tmp_path)).creates
    assert not storage.UrlFolder("file://" + str(tmp_path)).creates


def test_on_a_store_without_conditional_writes_a_run_says_so(tmp_path, model, caplog, monkeypatch):
    monkeypatch.setattr(storage, "_CONDITIONAL", set())
    explain(model, pictures(tmp_path / "in", 2), "memory://" + uuid.uuid4().hex)
    assert "no conditional writes are known of this store" in caplog.text


def test_notes_of_a_run_elsewhere_go_when_another_holds_the_kernels_lock(tmp_path):
    folder = storage.open_folder(str(tmp_path))
    folder.make(lease.FOLDER)
    with lock.parts(folder, range(0, 4), elsewhere=True) as claim:
        claim.check()
        note, = folder.names(lease.FOLDER)
    assert folder.names(lease.FOLDER) == []
    folder.write(f"{lease.FOLDER}/{note}", b"{}")  # Its process was killed.
    claim.check()
    with lock.parts(folder, range(2, 3)):
        with pytest.raises(InputError, match="another one has taken its parts over"):
            claim.check()


def test_a_note_that_is_not_renewed_holds_nobody_up(folder):
    leave_note(folder, 0, 8, age=lease.STALE + 5)
    with lock.parts(folder, range(0, 8)):
        assert len(folder.names(lease.FOLDER)) == 1


@pytest.mark.parametrize("content", [b"", b"[1]", b"{}", b'{"renewed": "never"}'])
def test_what_is_no_note_holds_nobody_up(folder, content):
    folder.make(lease.FOLDER)
    folder.write(f"{lease.FOLDER}/parts-0-8-{uuid.uuid4().hex}.json", content)
    with lock.parts(folder, range(0, 8)):
        pass


def test_a_process_that_was_killed_holds_nobody_up(tmp_path):
    program = """import sys
sys.path.insert(0, {!r})
from caffe_gradcam.batch.output import lock
from caffe_gradcam.batch import storage
with lock.parts(storage.UrlFolder({!r}), range(0, 8)):
    print("held", flush=True)
    sys.stdin.read()
""".format(str(HERE.parents[1]), "file://" + str(tmp_path))
    process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    folder = storage.UrlFolder("file://" + str(tmp_path))
    with pytest.raises(InputError, match=f"process {process.pid} on"):
        with lock.parts(folder, range(7, 9)):
            pass
    process.kill()
    process.communicate()
    with lock.parts(folder, range(7, 9)):
        pass


def test_of_many_that_come_at_once_never_two_get_in(folder, monkeypatch):
    monkeypatch.setattr(lease, "_PAUSE", 0.02)
    inside, most, got_in, guard = [0], [0], [0], threading.Lock()
    gate = threading.Barrier(6)

    def come():
        gate.wait()
        for _ in range(5):
            try:
                with lock.parts(folder, range(0, 1)):
                    with guard:
                        inside[0] += 1
                        most[0] = max(most[0], inside[0])
                        got_in[0] += 1
                    time.sleep(0.005)
                    with guard:
                        inside[0] -= 1
            except InputError:
                continue

    threads = [threading.Thread(target=come) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] == 1
    assert got_in[0] >= 1


def test_the_manifests_turn_is_waited_for(folder):
    order = []

    def first():
        with lock.manifest(folder):
            order.append("in")
            held.set()
            time.sleep(1.0)
            order.append("out")

    held = threading.Event()
    thread = threading.Thread(target=first)
    thread.start()
    held.wait()
    with lock.manifest(folder):
        order.append("next")
    thread.join()
    assert order == ["in", "out", "next"]


def test_a_lease_is_renewed_as_long_as_it_is_held(folder, monkeypatch):
    monkeypatch.setattr(lease, "RENEWED_EVERY", 0.05)

    def renewed():
        name, = folder.names(lease.FOLDER)
        return json.loads(folder.read(f"{lease.FOLDER}/{name}").decode())["renewed"]

    with lock.parts(folder, range(0, 1)):
        first = renewed()
        wait_for(lambda: renewed() > first)
