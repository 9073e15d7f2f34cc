"""An image as it is shipped: the same numbers, no rights, no network, the same bytes again."""

import json
import os
import pathlib
import re
import stat

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden"
EPOCH = int(re.search(r"^ARG SOURCE_DATE_EPOCH=(\d+)$", (ROOT / "Dockerfile").read_text(),
                      re.MULTILINE).group(1))


# The files of Caffe's wheel, in the image cuda, that hold or describe what nvcc compiled.
COMPILED = re.compile(r"/dist-packages/(caffe/_caffe\.so|pycaffe\.libs/libcaffe-\w+\.so\.1\.0\.0"
                      r"|pycaffe-.*\.dist-info/(RECORD|sboms/auditwheel\.cdx\.json))$")


def files(root):
    """Path inside the image -> what lstat says, for everything in it."""
    found = {}
    for folder, folders, names in os.walk(str(root)):
        for name in folders + names:
            path = os.path.join(folder, name)
            found[os.path.relpath(path, str(root))] = os.lstat(path)
    return found


def difference(one, other):
    """Paths that are in one image alone, or differ in kind, mode, owner, time or content."""
    first, second = files(one), files(other)
    for path in sorted(set(first) | set(second)):
        if path not in first or path not in second:
            yield "only in one: " + path
        elif any(getattr(first[path], key) != getattr(second[path], key)
                 for key in ("st_mode", "st_uid", "st_gid", "st_mtime")):
            yield "mode, owner or time: " + path
        elif stat.S_ISREG(first[path].st_mode) and (
                (one / path).read_bytes() != (other / path).read_bytes()):
            yield "content: " + path


def test_the_second_build_equals_the_first(image, again, target):
    differences = list(difference(image.root, again.root))
    if target == "cuda":  # See test_cuda.py.
        differences = [line for line in differences if not COMPILED.search(line)]
    else:
        assert again.identity == image.identity
    assert differences[:20] == []


def test_no_file_is_younger_than_the_sources(image):
    late = [path for path, status in files(image.root).items() if status.st_mtime > EPOCH]
    assert late == []


def test_nothing_gives_its_user_more_rights(image):
    found = files(image.root)
    privileged = [path for path, status in found.items() if stat.S_ISREG(status.st_mode)
                  and status.st_mode & (stat.S_ISUID | stat.S_ISGID)]
    assert privileged == []
    writable = {path for path, status in found.items()
                if not stat.S_ISLNK(status.st_mode) and status.st_mode & stat.S_IWOTH}
    assert writable == {"tmp", "var/tmp", "run/lock"}


def close(values, golden):
    error = np.abs(values - golden).max() / np.abs(golden).max()
    return error < 1e-3


def check(result, paths, golden, name, label):
    """One explanation against the numbers of plain pycaffe."""
    assert result.returncode == 0, result.stderr.decode()
    path, = paths
    arrays = np.load(str(path))
    assert close(arrays["scores"], golden["scores:" + name])
    assert close(arrays["cam"], golden[f"cam:{name}:{label}"])


@pytest.mark.parametrize("name, label", [
    ("cat.jpg", 281), ("cat_dog.png", 243), ("fish-bike.jpg", 281),
])
def test_squeezenet_gives_the_numbers_of_plain_pycaffe(run, shared, tmp_path, name, label):
    result = run("caffe-gradcam", "explain", "/media/models/squeezenet_v1.1",
                 "/media/images/" + name, "-o", "/mnt/out", "--engine", "caffe", "--npz",
                 "--class", str(label), reading=shared)
    check(result, tmp_path.glob("out/*.npz"), np.load(str(GOLDEN / "squeezenet.npz")), name, label)


@pytest.mark.parametrize("name", ["2-7", "3-4", "3-5", "6-1", "8-9", "9-0"])
def test_our_own_model_gives_the_numbers_of_plain_pycaffe(run, tmp_path, name):
    golden = np.load(str(GOLDEN / "digits.npz"))
    label = int(golden["scores:" + name].argmax())
    result = run("caffe-gradcam", "explain", "/opt/caffe-gradcam/models/digits",
                 f"/opt/caffe-gradcam/models/digits/scenes/{name}.png",
                 "-o", "/mnt/out", "--engine", "caffe", "--npz")
    check(result, tmp_path.glob("out/*.npz"), golden, name, label)


def test_it_runs_as_nobody_with_no_place_to_write_and_no_network(run):
    result = run("sh", "-c", "id -u; touch /opt/x; touch /tmp/x; whoami || echo nobody; "
                             "python3 -c 'import socket; print(socket.if_nameindex())'")
    assert result.stdout.decode().split("\n")[:3] == ["31415", "nobody", "[(1, 'lo')]"]
    assert "touch: cannot touch '/opt/x': Read-only file system" in result.stderr.decode()
    assert "touch: cannot touch '/tmp/x': Read-only file system" in result.stderr.decode()


def test_every_library_the_command_uses_is_there(run):
    libraries = ["caffe", "cv2", "google.protobuf", "h5py", "matplotlib.pyplot", "numpy",
                 "requests", "tqdm", "yaml"]
    result = run("env", "MPLCONFIGDIR=/mnt", "python3", "-c", "import " + ", ".join(libraries))
    assert result.returncode == 0, result.stderr.decode()


def test_python_files_are_compiled_and_nothing_is_left_to_compile(image):
    sources = list(image.root.glob("usr/local/lib/python3.11/dist-packages/caffe*/**/*.py"))
    assert len(sources) > 100
    for source in sources:
        compiled = source.parent / "__pycache__" / (source.stem + ".cpython-311.pyc")
        # The flags of PEP 552: the source's hash, and never compared.
        assert compiled.read_bytes()[4:8] == b"\x01\0\0\0", compiled


def test_the_bill_of_materials_names_what_is_inside(image, target):
    path = ROOT / "docs" / "sbom" / (target + ".json")
    bill = json.loads(path.read_text(encoding="utf-8"))
    listed = {(part["name"], part["version"]) for part in bill["components"]
              if part["purl"].startswith("pkg:deb/")}
    status = (image.root / "var" / "lib" / "dpkg" / "status").read_text(encoding="utf-8")
    entries = [dict(re.findall(r"^(Package|Status|Version): (.*)$", entry, re.MULTILINE))
               for entry in status.split("\n\n") if entry.strip()]
    installed = {(entry["Package"], entry["Version"]) for entry in entries
                 if entry["Status"] == "install ok installed"}
    assert listed == installed


def test_the_bill_of_materials_names_the_libraries_inside_the_wheel_of_caffe(image, target):
    path = ROOT / "docs" / "sbom" / (target + ".json")
    wheel, = [part for part in json.loads(path.read_text(encoding="utf-8"))["components"]
              if part["name"] == "pycaffe"]
    libraries = {part["name"]: part for part in wheel["components"]}
    nvidia = {"libcublas11", "libcublaslt11", "libcudart11.0", "libcurand10"}
    assert {"libopenblas0-pthread", "libprotobuf32", "libhdf5-103-1"} <= set(libraries)
    assert nvidia & set(libraries) == (nvidia if target == "cuda" else set())
    assert all(part["version"] for part in libraries.values())
    assert all(libraries[name]["licenses"] for name in nvidia & set(libraries))
