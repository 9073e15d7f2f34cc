"""Nothing is lost: whatever ends a run, the same command goes on to the same table."""

import os
import random
import signal
import time

import pytest
from processes import are_gone, family, kill, start, wait_for
from tables import column, explain, pictures, plan_of, table

from prototxt_tools.errors import InputError

# 25 kills of 5,000 images in the run whose outcome docs/scale.md tells; few here, since each takes
# a second.
KILLS = int(os.environ.get("BATCH_KILLS", "3"))
IMAGES = int(os.environ.get("BATCH_IMAGES", "40"))


def test_a_finished_part_is_never_made_again(model, tmp_path):
    pictures(tmp_path / "in", 8)
    explain(model, tmp_path / "in", tmp_path / "out")
    before = {one: one.stat().st_mtime_ns for one in (tmp_path / "out" / "parts").iterdir()}
    summary = explain(model, tmp_path / "in", tmp_path / "out")
    assert (summary.parts, summary.complete) == (0, True)
    assert {one: one.stat().st_mtime_ns for one in (tmp_path / "out" / "parts").iterdir()} == before


def test_a_missing_part_alone_is_made_again_and_equals_the_first(model, tmp_path, written_as):
    pictures(tmp_path / "in", 14)
    explain(model, tmp_path / "in", tmp_path / "out")
    before = table(tmp_path / "out")
    for part in (tmp_path / "out" / "parts").glob("part-000001.*"):
        part.unlink()
    assert explain(model, tmp_path / "in", tmp_path / "out").parts == 1
    assert table(tmp_path / "out") == before


def test_killed_at_random_moments_a_run_comes_to_the_same_table(model, tmp_path):
    source = pictures(tmp_path / "in", IMAGES)
    (source / "0007.png").write_bytes(b"")
    explain(model, source, tmp_path / "reference")
    rng = random.Random(5)
    for _ in range(KILLS):
        process = start(model, source, "-o", tmp_path / "out", "-q", pause=0.05)
        time.sleep(rng.uniform(0.1, 2.0))
        members = family(process.pid)
        victim = rng.choice(members)
        kill(victim)
        if victim != process.pid:  # The run goes on without it, for a while.
            time.sleep(rng.uniform(0.1, 2.0))
            members = family(process.pid)
            kill(process.pid)
        assert are_gone(members), "a process outlived the run"
        process.communicate(timeout=60)
    process = start(model, source, "-o", tmp_path / "out", "-q")
    assert process.communicate(timeout=60 + IMAGES)[1] == ""
    assert process.returncode == 1  # one image is empty
    assert table(tmp_path / "out") == table(tmp_path / "reference")
    left = [name for name in os.listdir(str(tmp_path / "out" / "parts")) if name[0] == "."]
    assert left == []


def test_sigterm_finishes_the_part_in_hand_and_says_how_to_go_on(model, tmp_path):
    source = pictures(tmp_path / "in", 120)
    process = start(model, source, "-o", tmp_path / "out", pause=0.3)
    wait_for(lambda: os.path.isdir(str(tmp_path / "out" / "parts"))
             and os.listdir(str(tmp_path / "out" / "parts")))
    for pid in family(process.pid):  # as clusters do it
        os.kill(pid, signal.SIGTERM)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 0
    done = len(plan_of(tmp_path / "out").done())
    assert 1 <= done < 20
    assert f"stopped after {done} parts; the same command continues from there" in said
    assert explain(model, source, tmp_path / "out").parts == 20 - done
    assert column(tmp_path / "out", "item") == list(range(120))


def test_the_parts_of_all_workers_are_all_parts(model, tmp_path):
    source = pictures(tmp_path / "in", 32)
    for index in (3, 1, 2):
        summary = explain(model, source, tmp_path / "out", worker=(index, 3))
        assert summary.parts == 2 and summary.complete
    assert column(tmp_path / "out", "item") == list(range(32))
    assert plan_of(tmp_path / "out").manifest["counts"]["ok"] == 32


def test_a_run_refuses_parts_that_another_is_at_work_on(model, tmp_path):
    source, output = pictures(tmp_path / "in", 24), str(tmp_path / "out")
    process = start(model, source, "-o", output, "--worker", "1/2", pause=1.0)
    wait_for((tmp_path / "out" / ".lock-parts").exists)
    try:
        for name in (output, "file://" + output):
            for resume in (True, False):
                with pytest.raises(InputError, match="another run is working on these parts"):
                    explain(model, source, name, resume=resume)
        assert explain(model, source, output, worker=(2, 2)).parts == 2
    finally:
        members = family(process.pid)
        kill(process.pid)
        process.communicate(timeout=30)
    assert are_gone(members)
    # Its lock went with it.
    assert explain(model, source, output).complete
    assert column(tmp_path / "out", "item") == list(range(24))


def test_what_failed_is_tried_again_if_asked_for_and_the_rest_kept(model, tmp_path, written_as):
    source = pictures(tmp_path / "in", 8)
    good = (source / "0002.png").read_bytes()
    (source / "0002.png").write_bytes(good[:60])
    explain(model, source, tmp_path / "out", classes=["top:2"])
    before = table(tmp_path / "out")
    (source / "0002.png").write_bytes(good)
    assert explain(model, source, tmp_path / "out", classes=["top:2"]).parts == 0
    summary = explain(model, source, tmp_path / "out", classes=["top:2"],
                      retry_failed=True)
    assert (summary.parts, summary.counts["ok"]) == (1, 1)
    after = table(tmp_path / "out")
    assert [row["item"] for row in after] == [one for one in range(8) for _ in (0, 1)]
    assert [row for row in after if row["item"] != 2] == [
        row for row in before if row["item"] != 2]
    assert plan_of(tmp_path / "out").manifest["counts"]["unreadable"] == 0


def test_what_a_killed_process_left_is_removed(model, tmp_path):
    source = pictures(tmp_path / "in", 8)
    explain(model, source, tmp_path / "out")
    folder = tmp_path / "out" / "parts"
    (folder / ".tmp-part-000000.parquet-0123abcd").write_bytes(b"torn")
    explain(model, source, tmp_path / "out")
    assert [name for name in os.listdir(str(folder)) if name[0] == "."] == []


def test_the_list_on_standard_input_is_needed_once(model, tmp_path):
    source = pictures(tmp_path / "in", 8)
    names = "\n".join(sorted(str(one) for one in source.iterdir()))
    with open(str(tmp_path / "list"), "w+") as file:
        file.write(names)
        file.seek(0)
        process = start(model, "-", "-o", tmp_path / "out", "-q", stdin=file)
        assert process.communicate(timeout=60)[1] == ""
    for part in (tmp_path / "out" / "parts").glob("part-000000.*"):
        part.unlink()
    assert explain(model, "-", tmp_path / "out").parts == 1
    assert column(tmp_path / "out", "path") == names.split("\n")
