"""What a newcomer relies on: the commands, the scripts and the image are as the README says."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

metadata = pytest.importorskip("importlib.metadata")  # Python 3.8

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ["build-caffe-wheel", "build-image", "bundle-cuda", "caffe-gradcam", "demo",
           "lock-images", "sbom", "setup", "test", "test-image", "test-install", "test-pythons"]
SHELL_FILES = ["scripts/" + name for name in SCRIPTS] + ["scripts/lib.sh", ".ci/run"]
SHELL_FILES += ["images/" + name
                for name in ("bundle", "compile-caffe", "fetch-caffe", "freeze", "install",
                             "install-wheels", "pack-caffe")]
SOURCE_LOCK = ROOT / "images" / "caffe-source.lock"
LOCKS = sorted(set((ROOT / "images").glob("*.lock")) - {SOURCE_LOCK})


def distribution():
    try:
        return metadata.distribution("caffe-gradcam")
    except metadata.PackageNotFoundError:
        pytest.skip("the project is not installed here, only its folder is on the path")


@pytest.mark.parametrize("name", ["caffe-gradcam", "prototxt-tools"])
def test_installing_gives_the_command(name):
    commands = {entry.name: entry for entry in distribution().entry_points}
    assert callable(commands[name].load())


def test_the_packages_and_the_distribution_have_one_version():
    import caffe_gradcam
    import prototxt_tools

    assert caffe_gradcam.__version__ == prototxt_tools.__version__ == distribution().version


def test_whatever_the_tests_need_is_pinned():
    pins = {line.split("==")[0] for line in
            (ROOT / "scripts" / "constraints.txt").read_text(encoding="utf-8").splitlines()}
    needed = {re.match(r"[\w-]+", requirement).group(0).lower()
              for requirement in distribution().requires
              if not re.search(r"extra ==", requirement) or re.search(
                  r"extra == .(test|torch|openvino|ray).", requirement)}
    assert "numpy" in needed and "pytest" in needed
    assert needed - pins - {"dataclasses"} == set()  # The back-port is for Python 3.6 alone.


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_explains_itself_and_does_nothing_else(name, tmp_path):
    script = ROOT / "scripts" / name
    result = subprocess.run(
        [str(script), "--help"], cwd=str(tmp_path), stdout=subprocess.PIPE, check=True
    )
    manual = result.stdout.decode().splitlines()
    assert manual[0].startswith("scripts/" + name)
    assert 2 <= len(manual) <= 6
    assert os.listdir(str(tmp_path)) == []


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_shellcheck_has_nothing_to_say():
    command = ["shellcheck", "--external-sources", "--source-path=SCRIPTDIR"]
    result = subprocess.run(command + SHELL_FILES, cwd=str(ROOT), stdout=subprocess.PIPE)
    assert result.stdout.decode() == ""


@pytest.mark.parametrize("option", ["--target", "--tag", "--nonsense"])
def test_build_image_refuses_an_option_it_cannot_use(option):
    script = str(ROOT / "scripts" / "build-image")
    result = subprocess.run([script, option], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert result.returncode != 0
    assert option in result.stderr.decode()


def test_demo_names_what_is_missing_when_a_model_has_no_scenes(tmp_path):
    script = str(ROOT / "scripts" / "demo")
    result = subprocess.run([script, str(tmp_path)], stderr=subprocess.PIPE)
    assert result.returncode == 1
    assert "has no scenes/*.png: name an image" in result.stderr.decode()


def test_the_base_image_is_pinned_by_digest():
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    (base,) = re.findall(r"^ARG \w*BASE=(.*)$", dockerfile, re.MULTILINE)
    assert re.match(r"^[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}$", base)
    stages = re.findall(r"^FROM (\S+)(?: AS (\S+))?$", dockerfile, re.MULTILINE)
    sources = {"scratch", "${BASE}", "${BUNDLE}-libraries"} | {name for _, name in stages}
    assert stages and all(source in sources for source, _ in stages)


def test_every_file_of_caffes_source_is_pinned_by_its_hash():
    lines = [line for line in SOURCE_LOCK.read_text(encoding="utf-8").splitlines()
             if not line.startswith("#")]
    assert sorted(re.sub(r".*\.(dsc|tar\.\w+)$", r"\1", line) for line in lines) == [
        "dsc", "tar.gz", "tar.xz"]
    assert all(re.match(r"^[0-9a-f]{64}  caffe_[\w.+-]+$", line) for line in lines)


def test_every_patch_of_caffe_states_its_reason():
    patches = sorted((ROOT / "images").glob("caffe-*.patch"))
    assert patches
    for patch in patches:
        reason = patch.read_text(encoding="utf-8").split("\n--- a/")[0]
        assert len(reason.split()) > 10, patch


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_every_line_of_a_lock_is_a_version_or_a_hash(path):
    text = path.read_text(encoding="utf-8").replace(" \\\n", " ")
    package = r"[\w.+-]+=[\w.+:~-]+"
    wheel = r"[\w.-]+==[\w.+]+ +--hash=sha256:[0-9a-f]{64}"
    lines = text.splitlines()
    assert lines and len({re.match(package, line) is None for line in lines}) == 1
    assert all(re.match(f"^({package}|{wheel})$", line) for line in lines)


def requested(name):
    lines = (ROOT / "images" / (name + ".in")).read_text().splitlines()
    return {line.split("=")[0] for line in lines if not line.startswith(("#", "-r"))}


@pytest.mark.parametrize("name, file", [
    ("compiler", "compiler"), ("compiler-cuda", "compiler-cuda"), ("python", "python"),
    ("pip", "pip"), ("wheel-tools", "wheel-tools"), ("caffe", "caffe"), ("test", "test"),
    ("torch-cpu", "torch"), ("torch-cuda", "torch")])
def test_a_lock_holds_everything_that_is_requested(name, file):
    locked = [line.split("=")[0]
              for line in (ROOT / "images" / (name + ".lock")).read_text().splitlines()]
    assert requested(file) and requested(file) <= set(locked)


def test_packages_come_from_the_snapshot_where_the_base_names_its_archive(tmp_path):
    """The sources that Debian's own images carry, of either format."""
    text = (ROOT / "images" / "install").read_text()
    script = text[text.index("for file in"):text.index("apt() {")]
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text(
        "# deb http://archive.example/debian/20260824T000000Z bullseye main\n"
        "deb http://mirror.example/debian bullseye main\n")
    (tmp_path / "sources.list.d" / "debian.sources").write_text(
        "Types: deb\n# http://archive.example/debian/20260824T000000Z\n"
        "URIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\n")
    subprocess.run(["sh", "-euc", script.replace("/etc/apt", str(tmp_path))], check=True,
                   env=dict(os.environ, SNAPSHOT="20261001T000000Z"))
    assert (tmp_path / "sources.list").read_text() == (
        "deb http://archive.example/debian/20261001T000000Z bullseye main\n")
    assert (tmp_path / "sources.list.d" / "debian.sources").read_text() == (
        "Types: deb\nURIs: http://archive.example/debian/20261001T000000Z\n"
        "Suites: bookworm bookworm-updates\n")


@pytest.mark.parametrize("name", ["caffe", "torch"])
def test_an_image_holds_every_requirement_of_the_package(name):
    """The images install the project with --no-deps."""
    required = {
        re.match(r"[\w-]+", requirement).group(0)
        for requirement in distribution().requires
        if "extra ==" not in requirement and "python_version" not in requirement
    }
    wheels = {line.split("=")[0] for line in
              (ROOT / "images" / (name + ".in")).read_text(encoding="utf-8").split()}
    assert {name.replace("opencv-python", "opencv-python-headless") for name in required} <= wheels
