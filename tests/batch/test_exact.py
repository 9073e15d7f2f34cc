"""A run that was killed and continued gives what an undisturbed one gives, to the last bit."""

import os
import pathlib
import random
import shutil
import subprocess
import sys
import time

import pytest
from processes import family, kill, wait_for
from tables import plan_of, table

DIGITS = pathlib.Path(__file__).resolve().parents[2] / "models" / "digits"
# 5,000 images and 25 kills by hand; few here, since each start takes seconds.
IMAGES = int(os.environ.get("BATCH_IMAGES", "18"))
KILLS = int(os.environ.get("BATCH_KILLS", "1"))
LONGEST = 240 + IMAGES


@pytest.fixture
def source(tmp_path):
    """A list of images, of which one is missing."""
    pytest.importorskip("torch", reason="torch is not installed here")
    scenes = sorted((DIGITS / "scenes").glob("*.png"))
    names = [str(scenes[index % len(scenes)]) for index in range(IMAGES)]
    names[5] = "missing.png"
    path = tmp_path / "list.txt"
    path.write_text("\n".join(names) + "\n")
    return path


def start(source, output):
    return subprocess.Popen(
        [sys.executable, "-m", "caffe_gradcam", "batch", str(DIGITS), str(source), "-o",
         str(output), "-q", "--engine", "torch", "--batch", "4", "--part-size", "8",
         "--decoders", "1"], env=dict(os.environ, OMP_NUM_THREADS="1"))


def finish(source, output):
    assert start(source, output).wait(timeout=LONGEST) == 1  # one image is missing


def test_killed_or_not_every_bit_is_the_same(source, tmp_path):
    finish(source, tmp_path / "reference")
    parts, rng = tmp_path / "out" / "parts", random.Random(KILLS)

    def count():
        return len(list(parts.glob("part-*"))) if parts.exists() else 0

    process, total = start(source, tmp_path / "out"), -(-IMAGES // 8)
    for number in range(1, KILLS + 1):
        wait_for(lambda run=process, least=total * number // (KILLS + 2):
                 count() >= max(1, least) or run.poll() is not None, LONGEST)
        time.sleep(rng.uniform(0, 0.5) if KILLS > 1 else 0)
        # The run itself, its net or a decoder.
        victim = rng.choice(family(process.pid)) if KILLS > 1 else process.pid
        kill(victim)
        if victim == process.pid:
            process.wait()
        # A net that is killed three times while it starts ends the run too.
        if process.poll() is not None:
            process = start(source, tmp_path / "out")
    kill(process.pid)
    process.wait()
    finish(source, tmp_path / "out")
    assert table(tmp_path / "out") == table(tmp_path / "reference")


def test_each_part_alone_is_what_it_was(source, tmp_path):
    finish(source, tmp_path / "reference")
    shutil.copytree(str(tmp_path / "reference"), str(tmp_path / "out"))
    for number in sorted(plan_of(tmp_path / "out").done())[1:]:
        for path in (tmp_path / "out" / "parts").glob(f"part-{number:06d}.*"):
            path.unlink()
    finish(source, tmp_path / "out")
    assert table(tmp_path / "out") == table(tmp_path / "reference")
