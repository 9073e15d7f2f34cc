"""Python 3.6 is the floor of everything but the torch engine; NVIDIA's image of Caffe has it."""

import ast
import pathlib
import subprocess
import sys

import pytest

pytest.importorskip("vermin", reason="vermin is not installed here")

ROOT = pathlib.Path(__file__).resolve().parents[1]
CODE = ["prototxt_tools", "caffe_gradcam", "images", "setup.py", "tests"]
# Newer than the floor; setup.py installs a back-port on Python 3.6.
BACKPORTS = ["dataclasses"]
# Newer than the floor, and asked for with hasattr or importorskip where they are used.
GUARDED = ["importlib.metadata", "mmap.MADV_DONTNEED", "os.memfd_create", "signal.raise_signal"]
NEWER = [r"engines/torch/", r"tests/engines/test_torch_"]

# What NumPy 1.11 does not have, and what it cannot guess; the columns of PyArrow need a newer one.
NEWER_NUMPY = {"block", "flip", "float_power", "heaviside", "isin", "nanquantile",
               "put_along_axis", "quantile", "take_along_axis", "default_rng", "Generator"}
EXPLICIT_IN_NUMPY = {"full": ("dtype", 3), "pad": ("mode", 3)}


def newer_than_numpy_1_11(path):
    """What a module takes from NumPy that its floor lacks."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
                and node.value.id == "np" and node.attr in NEWER_NUMPY):
            yield f"{path}:{node.lineno}: np.{node.attr}"
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        name, count = EXPLICIT_IN_NUMPY.get(node.func.attr, ("", 0))
        is_given = len(node.args) >= count or name in [keyword.arg for keyword in node.keywords]
        if name and getattr(node.func.value, "id", "") == "np" and not is_given:
            yield f"{path}:{node.lineno}: np.{node.func.attr} without {name}"


def vermin(*paths):
    """Exit code and report of vermin: what Python 3.6 cannot parse or does not have."""
    command = [sys.executable, "-c", "import vermin; vermin.main()", "--target=3.6-",
               "--violations", "--no-tips", "--quiet"]
    for name in BACKPORTS:
        command += ["--backport", name]
    for name in GUARDED:
        command += ["--exclude", name]
    for pattern in NEWER:
        command += ["--exclude-regex", pattern]
    result = subprocess.run(command + [str(path) for path in paths], cwd=str(ROOT),
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return result.returncode, result.stdout.decode()


def test_python_3_6_can_run_everything_but_the_torch_engine():
    code, report = vermin(*CODE)
    assert code == 0, report


def test_numpy_1_11_can_run_everything_but_the_torch_engine():
    modules = [path for package in ("prototxt_tools", "caffe_gradcam")
               for path in sorted((ROOT / package).rglob("*.py")) if "torch" not in path.parts]
    assert [line for path in modules for line in newer_than_numpy_1_11(path)] == []


def test_newer_parts_of_numpy_are_reported(tmp_path):
    path = tmp_path / "newer.py"
    path.write_text("import numpy as np\nnp.isin(1, 2)\nnp.full(3, 2)\nnp.pad(1, 2)\n"
                    "np.full(3, 2, int)\nnp.pad(1, 2, mode='edge')\n")
    assert sorted(line.split(":")[1] for line in newer_than_numpy_1_11(path)) == ["2", "3", "4"]


def test_every_backport_is_installed_on_python_3_6():
    requirements = (ROOT / "setup.py").read_text(encoding="utf-8")
    for name in BACKPORTS:
        assert f"\"{name}; python_version < '3.7'\"" in requirements


def test_vermin_reports_what_is_newer(tmp_path):
    newer = ["if (n := 1): pass", "def f(a, /): pass", "from __future__ import annotations",
             "import zoneinfo", "print(f'{1=}')"]
    (tmp_path / "newer.py").write_text("\n".join(newer) + "\n")
    code, report = vermin(tmp_path)
    assert code != 0
    for name in ("named expressions", "positional-only", "annotations", "zoneinfo", "f-strings"):
        assert name in report
