"""Python 3.6 is the floor of everything but the torch engine; NVIDIA's image of Caffe has it."""

import pathlib
import subprocess
import sys

import pytest

pytest.importorskip("vermin", reason="vermin is not installed here")

ROOT = pathlib.Path(__file__).resolve().parents[1]
CODE = ["prototxt_tools", "caffe_gradcam", "images", "setup.py", "tests"]
# Newer than the floor, and asked for with hasattr or importorskip where they are used.
GUARDED = ["importlib.metadata", "mmap.MADV_DONTNEED", "os.memfd_create", "signal.raise_signal"]
NEWER = [r"engines/torch/", r"tests/engines/test_torch_"]


def vermin(*paths):
    """What vermin says that Python 3.6 cannot read or has not."""
    command = [sys.executable, "-c", "import vermin; vermin.main()", "--target=3.6-",
               "--violations", "--no-tips", "--quiet"]
    for name in GUARDED:
        command += ["--exclude", name]
    for pattern in NEWER:
        command += ["--exclude-regex", pattern]
    result = subprocess.run(command + [str(path) for path in paths], cwd=str(ROOT),
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return result.returncode, result.stdout.decode()


def test_python_3_6_can_run_everything_but_the_torch_engine():
    code, said = vermin(*CODE)
    assert code == 0, said


def test_the_guard_sees_what_is_newer(tmp_path):
    newer = ["if (n := 1): pass", "def f(a, /): pass", "from __future__ import annotations",
             "import dataclasses", "print(f'{1=}')"]
    (tmp_path / "newer.py").write_text("\n".join(newer) + "\n")
    code, said = vermin(tmp_path)
    assert code != 0
    for name in ("named expressions", "positional-only", "annotations", "dataclasses", "f-strings"):
        assert name in said
