"""verify finds every change of an output."""

import random
import shutil
import subprocess

import pytest
from tables import explain, pictures, plan_of

from caffe_gradcam.batch.output import status
from prototxt_tools.errors import InputError

FLIPS = 40


@pytest.fixture
def output(model, tmp_path, written_as):
    """A sound output of three parts."""
    explain(model, pictures(tmp_path / "in", 14), tmp_path / "out", classes=["top:2"])
    assert is_sound(tmp_path / "out")
    return tmp_path / "out"


def is_sound(folder):
    try:
        return status.problems(plan_of(folder)) == []
    except InputError:
        return False


def test_any_flipped_bit_is_found(output):
    rng = random.Random(3)
    files = [path for path in output.rglob("*") if path.is_file() and path.name[0] != "."]
    assert len(files) >= 1 + 2 * (3 + 3)
    for path in files:
        original = path.read_bytes()
        for _ in range(FLIPS):
            data = bytearray(original)
            position, bit = rng.randrange(len(data)), rng.randrange(8)
            data[position] ^= 1 << bit
            path.write_bytes(bytes(data))
            assert not is_sound(output), (path.name, position, bit)
        path.write_bytes(original)
    assert is_sound(output)


def test_a_rewritten_column_is_found(model, tmp_path):
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed here")
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed here")
    explain(model, pictures(tmp_path / "in", 6), tmp_path / "out")
    path = str(tmp_path / "out" / "parts" / "part-000000.parquet")
    table = parquet.read_table(path)
    index = table.column_names.index("predicted")
    other = pyarrow.array([2] * table.num_rows, table.schema.field(index).type)
    parquet.write_table(table.set_column(index, table.schema.field(index), other), path)
    problem, = status.problems(plan_of(tmp_path / "out"))
    assert "part-000000.parquet: this file is damaged: its SHA-256 is not that in" in problem


def test_a_part_without_its_checksum_is_made_again(model, output, tmp_path):
    for path in (output / "checksums").glob("part-000001.*"):
        path.unlink()
    assert explain(model, tmp_path / "in", output, classes=["top:2"]).parts == 1
    assert is_sound(output)


def test_a_damaged_output_is_not_continued_but_can_be_started_over(model, output, tmp_path):
    manifest = output / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"limit": null', '"limit": 9999'))
    with pytest.raises(InputError, match="manifest.json: this manifest is damaged"):
        explain(model, tmp_path / "in", output, classes=["top:2"])
    assert explain(model, tmp_path / "in", output, classes=["top:2"], resume=False).parts == 3


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="there is no sha256sum here")
def test_the_checksums_are_those_that_sha256sum_reads(output):
    names = sorted(str(path) for path in (output / "checksums").iterdir())
    for name in names:
        subprocess.check_call(["sha256sum", "--quiet", "-c", name], cwd=str(output))
