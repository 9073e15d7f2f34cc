"""What a newcomer relies on: the commands, the scripts and the image are as the README says."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

metadata = pytest.importorskip("importlib.metadata")  # Python 3.8

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ["build-image", "caffe-gradcam", "demo", "setup", "test"]
SHELL_FILES = ["scripts/" + name for name in SCRIPTS] + ["scripts/lib.sh", ".ci/run"]


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


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_explains_itself_and_does_nothing_else(name, tmp_path):
    script = ROOT / "scripts" / name
    result = subprocess.run(
        [str(script), "--help"], cwd=str(tmp_path), stdout=subprocess.PIPE, check=True
    )
    manual = result.stdout.decode().splitlines()
    assert manual[0].startswith("scripts/" + name)
    assert 2 <= len(manual) <= 5
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
    bases = re.findall(r"^ARG BASE=(.*)$", dockerfile, re.MULTILINE)
    assert len(bases) == 1
    assert re.match(r"^debian:bullseye-slim@sha256:[0-9a-f]{64}$", bases[0])


def test_the_image_holds_every_requirement_of_the_package():
    """The image installs with --no-deps: what setup.py wants must come from Debian's packages."""
    debian = {
        "numpy": "python3-numpy",
        "opencv-python": "python3-opencv",
        "protobuf": "python3-protobuf",
        "PyYAML": "python3-yaml",
        "tqdm": "python3-tqdm",
    }
    wanted = [
        re.match(r"[\w-]+", requirement).group(0)
        for requirement in distribution().requires
        if "extra ==" not in requirement
    ]
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8").split()
    assert wanted and all(debian[name] in dockerfile for name in wanted)
