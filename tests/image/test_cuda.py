"""The image cuda on a machine without a card: what it is built for, and what it says."""

import collections
import json
import re

import pytest

ARCHITECTURES = ["60", "70", "75", "80", "86", "89", "90"]


@pytest.fixture(autouse=True)
def only_cuda(target):
    if target != "cuda":
        pytest.skip("this is not the image cuda")


def test_every_device_file_has_code_for_every_architecture(listing):
    machine_code = re.findall(r"ELF file +\d+: (.*)\.sm_(\d+)\.cubin", listing)
    ptx = re.findall(r"PTX file +\d+: (.*)\.sm_(\d+)\.ptx", listing)
    counts = {architecture: sum(number == architecture for _, number in machine_code)
              for architecture in ARCHITECTURES}
    assert len(machine_code) == sum(counts.values())
    assert set(counts.values()) == {len(ptx)} and len(ptx) > 50
    assert {architecture for _, architecture in ptx} == {"90"}


def texts(image):
    """The texts inside libcaffe, without the numbers of processes in them, and their counts.

    nvcc tells unnamed namespaces apart by a hash of the file and, where the file defines nothing
    but templates, by the number of its process.
    """
    library, = image.root.glob("usr/local/lib/python3.11/dist-packages/pycaffe.libs/libcaffe-*")
    content = re.sub(rb"_ZN\d+(_INTERNAL_[0-9a-f]{8}_\d+_\w+_cu_[0-9a-f]{8})_\d+6thrust",
                     rb"_ZN\1thrust", library.read_bytes())
    content = re.sub(rb"libcaffe-[0-9a-f]{8}", b"libcaffe", content)
    return collections.Counter(re.findall(rb"[ -~]{8,}", content))


def test_two_builds_differ_in_the_number_of_a_process_alone(image, again, listing, listing_again):
    assert listing_again == listing
    assert texts(again) == texts(image)


def test_the_doctor_names_the_build_its_architectures_and_the_missing_card(run):
    result = run("caffe-gradcam", "doctor", "--json")
    findings = [finding for finding in json.loads(result.stdout.decode())
                if finding["check"] == "engine caffe on cpu"]
    assert ".cuda11.8" in findings[0]["what"]
    assert "code for " + ", ".join("sm_" + name for name in ARCHITECTURES) in findings[1]["what"]
    assert "compute_90" in findings[1]["what"] and "no card" in findings[1]["what"]


def test_without_a_card_the_device_cuda_is_refused_in_a_sentence(run):
    result = run("caffe-gradcam", "explain", "/opt/caffe-gradcam/models/digits",
                 "/opt/caffe-gradcam/models/digits/scenes/3-5.png", "-o", "/mnt/out",
                 "--device", "cuda")
    line = result.stderr.decode().splitlines()[-1]
    assert result.returncode == 2
    assert line.startswith("caffe-gradcam: ") and "no NVIDIA card that it can use" in line
    assert "Check failed" not in result.stderr.decode()


def test_check_gpu_is_there_and_tries_itself_on_the_cpu(run, tmp_path):
    result = run("check-gpu", "--dry-run", "--only", "caffe", "-o", "/mnt/check", "--minutes", "15")
    assert result.returncode == 0, result.stdout.decode() + result.stderr.decode()
    checks = json.loads((tmp_path / "check" / "gpu.json").read_text())["checks"]
    assert {check["status"] for check in checks} == {"passed"}
