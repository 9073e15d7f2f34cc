"""The image cuda on a machine without a card: what it is built for, and what it says."""

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
