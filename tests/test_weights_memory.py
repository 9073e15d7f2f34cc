"""How much memory weights take, as the kernel counts it in a process of its own."""

import os
import subprocess
import sys

import numpy as np
import pytest

from prototxt_tools import weights

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
COUNT = 1 << 23
pytestmark = pytest.mark.skipif(
    not os.path.exists("/proc/self/status"), reason="measures as Linux does"
)

# Does one thing with a file of weights, and prints how far the peak of memory rose, in bytes.
MEASURE = """
import sys
import numpy as np
from prototxt_tools import weights

def peak():
    return 1024 * int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])

step, path = sys.argv[1:]
if path.endswith(".h5"):
    import h5py
saved = {"a": [np.ones((1024, 4096), np.float32)], "b": [np.ones((1024, 4096), np.float16)]}
if step != "save":
    del saved
before = peak()
if step == "save":
    weights.save(path, saved)
else:
    read = weights.load(path)
    if step == "read":
        assert sum(blob.sum(dtype=float) for [blob] in read.values()) == 1 << 23
    elif step == "describe":
        assert all(entry.mean == 1 for entry in weights.describe(read))
print(peak() - before)
"""


def rise(step, path):
    command = [sys.executable, "-c", MEASURE, step, str(path)]
    return int(subprocess.check_output(command, cwd=ROOT))


def field(number, payload):
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def varint(value):
    return (bytes([value & 127 | 128]) + varint(value >> 7)) if value > 127 else bytes([value])


def layer(form, values):
    """A layer with one blob, in V0, V1 or V2."""
    if form == "V2":
        blob = field(7, field(1, varint(values.size))) + field(5, values.tobytes())
        return field(100, field(1, b"fc") + field(7, blob))
    blob = b"\x08\x01\x10\x01\x18\x01\x20" + varint(values.size) + field(5, values.tobytes())
    if form == "V1":
        return field(2, field(4, b"fc") + field(6, blob))
    return field(2, field(1, field(1, b"fc") + field(50, blob)))


def raw(values, kind):
    """A layer as NVCaffe writes it: 0 says doubles, 2 halves."""
    blob = field(7, field(1, varint(values.size))) + b"\x50" + bytes([kind])
    return field(100, field(1, b"fc") + field(7, blob + field(12, values.tobytes())))


FILES = {
    "V0": lambda: layer("V0", np.ones(COUNT, "<f4")),
    "V1": lambda: layer("V1", np.ones(COUNT, "<f4")),
    "V2": lambda: layer("V2", np.ones(COUNT, "<f4")),
    "halves": lambda: raw(np.ones(COUNT, "<f2"), 2),
    "doubles": lambda: raw(np.ones(COUNT, "<f8"), 0),
}


@pytest.mark.parametrize("form", list(FILES))
def test_a_file_takes_at_most_a_tenth_more_memory_than_its_size(tmp_path, form):
    path = tmp_path / "large.caffemodel"
    path.write_bytes(FILES[form]())
    assert rise("open", path) < 0.1 * path.stat().st_size
    assert rise("read", path) < 1.1 * path.stat().st_size


def test_so_does_an_hdf5_file(tmp_path):
    h5py = pytest.importorskip("h5py", reason="h5py is not installed here")
    path = tmp_path / "large.caffemodel.h5"
    with h5py.File(str(path), "w") as file:
        file["data/fc/0"] = np.ones((1024, COUNT // 1024), "<f4")
    assert rise("open", path) < 0.1 * path.stat().st_size
    assert rise("read", path) < 1.1 * path.stat().st_size


def test_statistics_of_halves_take_no_copy_of_them(tmp_path):
    path = tmp_path / "large.caffemodel"
    path.write_bytes(FILES["halves"]())
    assert rise("describe", path) < 1.1 * path.stat().st_size + (8 << 20)


def test_saving_takes_no_memory_for_what_is_float32_already(tmp_path):
    path = tmp_path / "large.caffemodel"
    assert rise("save", path) < 18 << 20  # the halves alone, as float32: 16 MB
    assert [blob.dtype.str for [blob] in weights.load(path).values()] == ["<f4", "<f4"]
