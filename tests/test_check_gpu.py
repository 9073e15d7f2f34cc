"""scripts/check-gpu in dry runs on the CPU: what it runs and writes, and what it never claims."""

import json
import os
import pathlib
import resource
import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip("torch", reason="torch is not installed here")
if sys.version_info < (3, 10):
    pytest.skip("scripts/check-gpu needs Python 3.10", allow_module_level=True)

ROOT = pathlib.Path(__file__).resolve().parents[1]
SCRIPT = [sys.executable, str(ROOT / "scripts" / "check-gpu")]
FILES = ["gpu.json", "gpu.md", "log"]
NO_GPU = "no GPU measurement"
# Skipped in every dry run, and why.
SKIPPED = {
    "precision-tf32": "the CPU does not compute in this precision",
    "precision-fp16": "the CPU does not compute in this precision",
    "parity-squeezenet": "there are no learned weights: --models names no folder that holds "
                         "squeezenet_v1.1",
    "memory": "the shortage was simulated, since a dry run has no card to fill",
}
# Where packages, or the processor's arithmetic in bf16, are missing.
MAY_BE_SKIPPED = ("library", "precision-bf16", "decoding", "caffe-layers",
                  "caffe-parity-googlenet", "caffe-speed-googlenet")


def run(*arguments, **options):
    return subprocess.run(SCRIPT + [str(word) for word in arguments], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, universal_newlines=True, **options)


def content(folder):
    return json.loads((folder / "gpu.json").read_text())


@pytest.fixture(scope="module")
def dry_run(tmp_path_factory):
    """Folder, result and processor seconds of one dry run of everything."""
    folder = tmp_path_factory.mktemp("dry")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = run("--dry-run", "--minutes", 15, "-o", folder / "out", cwd=str(folder))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return folder / "out", result, seconds


def test_a_dry_run_passes_within_two_minutes_of_two_cores(dry_run):
    folder, result, seconds = dry_run
    assert result.returncode == 0, result.stdout + result.stderr
    assert content(folder)["complete"] and content(folder)["not_run"] == []
    assert seconds < 240


def test_every_check_has_passed_or_says_why_it_was_skipped(dry_run):
    checks = {check["name"]: check for check in content(dry_run[0])["checks"]}
    assert len(checks) == 30
    for name, check in checks.items():
        if check["status"] == "passed":
            assert name not in SKIPPED and not check["reason"]
            assert check["numbers"] or check["tables"], name
        else:
            assert check["status"] == "skipped", check
            assert name in MAY_BE_SKIPPED or check["reason"] == SKIPPED[name]
            assert check["reason"]


def test_a_dry_run_never_looks_like_a_measurement_of_a_card(dry_run):
    folder = dry_run[0]
    report, text = content(folder), (folder / "gpu.md").read_text()
    assert report["dry_run"] is True and report["card"] == "none (dry run on the CPU)"
    assert not any(report.get(name) for name in ("driver", "cuda", "cudnn", "clocks"))
    titles = [table["title"] for check in report["checks"] for table in check["tables"]]
    assert titles and all(NO_GPU in title for title in titles)
    assert all(NO_GPU in line for line in text.splitlines() if line.startswith("### "))
    assert text.startswith("## none (dry run on the CPU)\n\nThis was a dry run on the CPU")


def test_the_checks_cover_all_layer_types_methods_and_sizes(dry_run, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from gpu_checks.layers import ON_THE_HOST

    from caffe_gradcam.engines.torch import LAYERS, families  # noqa: F401
    from caffe_gradcam.explaining.methods import METHODS

    checks = {check["name"]: check for check in content(dry_run[0])["checks"]}
    assert checks["layers"]["numbers"]["types"] == len(set(LAYERS) - ON_THE_HOST)
    assert {row[0] for row in checks["methods"]["tables"][0]["rows"]} == set(METHODS)
    for net in ("resnet50", "googlenet", "vgg16", "squeezenet"):
        rows = checks["speed-" + net]["tables"][0]["rows"]
        assert {row[2] for row in rows} == {1, 2} and all(row[3] > 0 < row[4] for row in rows)
    for net in ("digits", "resnet50", "googlenet", "vgg16", "caffenet"):
        assert checks["parity-" + net]["tables"][0]["rows"][0][3] < 1e-5
    assert checks["killed"]["numbers"]["rows"] == 60
    assert checks["memory"]["numbers"]["halved"] >= 1
    assert checks["device"]["numbers"]["exit code"] == 2


def test_the_folder_holds_the_three_files_and_nothing_else_is_written(dry_run):
    folder = dry_run[0]
    assert sorted(os.listdir(str(folder))) == FILES
    assert os.listdir(str(folder.parent)) == ["out"]


def test_real_caffe_is_asked_in_a_python_of_its_own(tmp_path, caffe):
    """As that of a bundle, here this one under another name."""
    (tmp_path / "bundle" / "bin").mkdir(parents=True)
    python = tmp_path / "bundle" / "bin" / "python"
    python.write_text(f'#!/bin/sh\necho asked >>"{tmp_path}/calls"\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    result = run("--dry-run", "--only", "caffe", "--caffe", tmp_path / "bundle", "--minutes", 15,
                 "-o", tmp_path / "out")
    assert result.returncode == 0, result.stdout + result.stderr
    checks = {check["name"]: check for check in content(tmp_path / "out")["checks"]}
    assert {check["status"] for check in checks.values()} == {"passed"}
    assert checks["caffe-layers"]["numbers"]["types"] > 40
    rows = checks["caffe-parity-googlenet"]["tables"][0]["rows"]
    assert [row[1] for row in rows] == ["Caffe, twice on the CPU", "Caffe and torch on the CPU"]
    assert len((tmp_path / "calls").read_text().split()) == 5


def test_only_selects_by_name_and_by_family(tmp_path):
    result = run("--dry-run", "--only", "questions,precision", "-o", tmp_path / "out")
    assert result.returncode == 0, result.stdout + result.stderr
    assert [check["name"] for check in content(tmp_path / "out")["checks"]] == [
        "prepare", "questions", "precision-tf32", "precision-bf16", "precision-fp16"]


@pytest.mark.parametrize("arguments, message", [
    (["--only", "parity-digit"], "there is no check 'parity-digit'; did you mean parity-digits?"),
    (["--only", "xyzzy"], "there is no check 'xyzzy'; the checks are parity-squeezenet, "),
    (["--minutes", "0"], "argument --minutes: expected a number of minutes above 0, not '0'"),
    (["--models", "nowhere"], "argument --models: nowhere: no such folder"),
    (["--caffe", "nowhere"], "argument --caffe: nowhere: no such folder"),
    (["-o", "."], ". holds other already; give an empty folder with -o"),
])
def test_unusable_options_are_one_sentence(tmp_path, arguments, message):
    (tmp_path / "other").write_text("")
    result = run("--dry-run", *arguments, cwd=str(tmp_path))
    line, = result.stderr.splitlines()
    assert result.returncode == 2
    assert message in line.replace(str(tmp_path), ".") and line.startswith("check-gpu: ")
    assert os.listdir(str(tmp_path)) == ["other"]


def test_without_a_card_it_says_so_in_one_sentence(tmp_path, torch):
    if torch.cuda.is_available():
        pytest.skip("this machine has a card")
    result = run("-o", tmp_path / "out")
    assert result.returncode == 2
    line, = result.stderr.splitlines()
    assert "sees no CUDA card here; --dry-run tries the checks on the CPU" in line
    assert not (tmp_path / "out").exists()


def test_it_explains_itself_and_does_nothing_else(tmp_path):
    result = run("--help", cwd=str(tmp_path))
    assert result.returncode == 0 and result.stdout.startswith("scripts/check-gpu [--minutes 5]")
    assert os.listdir(str(tmp_path)) == []


def test_a_run_cut_short_leaves_what_it_had(tmp_path):
    process = subprocess.Popen(
        SCRIPT + ["--dry-run", "--only", "questions,killed,pipeline", "-o", str(tmp_path / "out")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    first = process.stdout.readline()
    while not first.startswith(b"passed    questions"):
        first = process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert sorted(os.listdir(str(tmp_path / "out"))) == FILES
    report = content(tmp_path / "out")
    assert "questions" in [check["name"] for check in report["checks"]]
    assert not report["complete"] and "pipeline" in report["not_run"]


FAULTS = """
import os, signal, subprocess, sys, time
from gpu_checks.report import Failed, OutOfTime, Skipped

def good(setting, report):
    report.number("answer", 42)

def raises(setting, report):
    report.number("before", 1)
    raise ValueError("a bug")

def hangs(setting, report):
    report.number("before", 1)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    report.number("pid", child.pid)
    time.sleep(600)

def dies(setting, report):
    report.number("before", 1)
    os.kill(os.getpid(), signal.SIGKILL)

def leaves(setting, report):
    report.number("before", 1)
    os._exit(0)

def measures_nothing(setting, report):
    pass

def fails(setting, report):
    raise Failed("it is wrong")

def skips(setting, report):
    raise Skipped("it cannot run here")

def runs_out(setting, report):
    raise OutOfTime("2 of 3 are missing")
"""
DRIVER = """
import sys, time
sys.path[:0] = [{root!r}, {here!r}]
from gpu_checks.results import Record
from gpu_checks.runner import Runner
from gpu_checks.setting import Check, Setting
names = {names!r}
checks = [Check(name, "faults:" + name, 1 if name == "hangs" else 60, name in ("dies", "good"))
          for name in names]
checks += [Check("late", "faults:good", 60, reason_to_skip=lambda setting: "it is too late")]
record = Record({here!r}, dict(card="none", dry_run=True), [check.name for check in checks])
setting = Setting("cpu", True, {here!r} + "/work", "")
Runner(setting, record, time.monotonic() + 100, 3, 2).run(checks)
record.finish(1.0)
"""
OUTCOMES = {
    "raises": ("failed", "ValueError: a bug"),
    "hangs": ("timed out", "stopped after 1 s"),
    "leaves": ("failed", "its process ended with status 0 and without a result"),
    "dies": ("failed", "its process was killed by signal 9"),
    "measures_nothing": ("failed", "the check ended without measuring anything"),
    "fails": ("failed", "it is wrong"),
    "skips": ("skipped", "it cannot run here"),
    "runs_out": ("timed out", "2 of 3 are missing"),
    "good": ("passed", ""),
    "late": ("skipped", "it is too late"),
}


@pytest.fixture(scope="module")
def faulty_run(tmp_path_factory):
    """Name -> result of checks that go wrong, with the log of all."""
    folder = tmp_path_factory.mktemp("faults")
    (folder / "faults.py").write_text(FAULTS)
    (folder / "driver.py").write_text(DRIVER.format(
        root=str(ROOT / "benchmarks"), here=str(folder),
        names=[name for name in OUTCOMES if name != "late"]))
    subprocess.run([sys.executable, str(folder / "driver.py")], check=True, timeout=120)
    return {check["name"]: check for check in content(folder)["checks"]}, (
        folder / "log").read_text()


@pytest.mark.parametrize("name", sorted(OUTCOMES))
def test_a_check_that_goes_wrong_leaves_the_others_results(faulty_run, name):
    check = faulty_run[0][name]
    assert (check["status"], check["reason"]) == OUTCOMES[name]


def test_a_check_that_is_cut_short_leaves_its_numbers(faulty_run):
    for name in ("raises", "hangs", "dies"):
        assert faulty_run[0][name]["numbers"]["before"] == 1
    assert "ValueError: a bug" in faulty_run[1] and "== raises ==" in faulty_run[1]


def test_what_a_stopped_check_has_started_is_stopped_too(faulty_run):
    pid, end = faulty_run[0]["hangs"]["numbers"]["pid"], time.monotonic() + 10
    while is_alive(pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert not is_alive(pid)


def is_alive(pid):
    """Whether a process still sleeps; a zombie does not."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
