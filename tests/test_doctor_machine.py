"""The doctor on the machine: packages, engines in processes of their own, graphics cards."""

import json
import os

import numpy as np
import pytest

from caffe_gradcam import doctor
from caffe_gradcam.commands import cli
from caffe_gradcam.doctor import machine, running
from caffe_gradcam.doctor.findings import Finding
from caffe_gradcam.doctor.machine import Card, Probe

H100 = Card("NVIDIA H100", (9, 0), "550.54")


def said(findings):
    return [f"{one.severity} {one.check}: {one.what} -> {one.remedy}" for one in findings]


def right(kind="torch", **build):
    return Probe({"off": 0.0, "description": {"version": "1"}, "build": build}, "")


def test_packages_that_are_there_are_named_with_their_version():
    outcome = machine.probe(["packages", "numpy", "yaml"])
    assert outcome.answer["numpy"] == {"version": np.__version__}
    assert said(machine.packages(outcome))[0] == f"fine package numpy: {np.__version__} -> "


def test_a_package_that_is_missing_comes_with_its_cure():
    missing = {"error": "ModuleNotFoundError: No module named 'x'"}
    found = said(machine.packages(Probe({"yaml": missing, "h5py": missing}, "")))
    assert found == [
        "error package PyYAML: ModuleNotFoundError: No module named 'x' -> pip install PyYAML",
        "note package h5py: not installed; needed for .caffemodel.h5 files -> pip install h5py"]


def test_the_packages_of_every_extra_are_looked_for():
    absent = {"error": "ModuleNotFoundError: No module named 'x'"}
    notes = machine.packages(Probe(dict.fromkeys(machine.OPTIONAL, absent), ""))
    assert [finding.remedy for finding in notes] == [
        "pip install " + name for name in (
            "requests", "h5py", "pyarrow", "lmdb", "fsspec", "matplotlib", "openvino")]


def test_opencv_without_a_screen_comes_with_its_own_cure():
    broken = {"error": "ImportError: libGL.so.1: cannot open shared object file"}
    found = machine.packages(Probe({"cv2": broken}, ""))
    assert found[0].severity == "error" and "opencv-python-headless" in found[0].remedy


def test_packages_that_end_the_process_are_an_error():
    found = machine.packages(Probe(None, "killed by signal 4"))
    assert found[0].severity == "error" and "killed by signal 4" in found[0].what


def test_torch_computes_right_in_a_process_of_its_own(torch):
    outcome = machine.probe(["engine", "torch", "cpu"])
    assert outcome.answer["off"] == 0
    assert machine.is_right(outcome)
    found = machine.judge_engine("torch", "cpu", outcome, [])
    assert said(found) == [f"fine engine torch on cpu: works: torch {torch.__version__} -> "]


def test_caffe_computes_right_in_a_process_of_its_own(caffe):
    outcome = machine.probe(["engine", "caffe", "cpu"])
    assert outcome.answer["off"] == 0
    assert machine.is_right(outcome)


def test_the_package_that_brings_caffe_is_named():
    outcome = right("caffe", package="kendryte-caffe 1.0.0.20210829", archs=[])
    assert said(machine.judge_engine("caffe", "cpu", outcome, [])) == [
        "fine engine caffe on cpu: works: caffe 1, of kendryte-caffe 1.0.0.20210829 -> "]


def test_a_caffe_for_cards_names_its_architectures_and_the_missing_card():
    outcome = right("caffe", package="pycaffe 1", archs=["sm_80", "sm_90", "compute_90"])
    assert said(machine.judge_engine("caffe", "cpu", outcome, []))[1:] == [
        "note engine caffe on cpu: this Caffe is built for NVIDIA cards, with code for sm_80, "
        "sm_90, compute_90; nvidia-smi lists no card here, so it runs on the CPU -> start the "
        "container with access to a card, or install its driver"]
    assert len(machine.judge_engine("caffe", "cpu", outcome, [H100])) == 1


def test_caffe_built_for_the_cpu_is_told(caffe):
    outcome = machine.probe(["engine", "caffe", "cuda"])
    if outcome.answer is not None:
        pytest.skip("this Caffe has a GPU")
    if "found no NVIDIA card" in outcome.words:
        pytest.skip("this Caffe is built for NVIDIA cards")
    assert said(machine.judge_engine("caffe", "cuda", outcome, [H100])) == [
        "note engine caffe on cuda: built for the CPU only -> use --device cpu, or the torch "
        "engine"]


@pytest.mark.parametrize("code, words", [
    ("import os; os.abort()", "killed by signal 6"),
    ("raise ImportError('libcaffe.so.1: no such file')", "libcaffe.so.1: no such file"),
    ("import sys; sys.stderr.write('F0101 caffe.cpp:1] Check failed: x\\n'); import os; "
     "os.abort()", "Check failed: x"),
])
@pytest.mark.skipif(os.name == "nt", reason="wants signals")
def test_an_engine_that_dies_takes_nobody_along(code, words, tmp_path, monkeypatch):
    (tmp_path / "caffe").mkdir()
    (tmp_path / "caffe" / "__init__.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    outcome = machine.probe(["engine", "caffe", "cpu"])
    assert outcome.answer is None and words in outcome.words
    found = machine.judge_engine("caffe", "cpu", outcome, [])
    assert found[0].severity == "warning" and words in found[0].what
    assert "torch engine" in found[0].remedy


def test_an_engine_that_hangs_is_given_up(tmp_path, monkeypatch):
    (tmp_path / "caffe").mkdir()
    (tmp_path / "caffe" / "__init__.py").write_text("import time; time.sleep(60)")
    monkeypatch.syspath_prepend(str(tmp_path))
    outcome = machine.probe(["engine", "caffe", "cpu"], timeout=1)
    assert outcome == Probe(None, "no answer within 1 seconds")


def test_an_engine_that_computes_wrong_is_an_error():
    outcome = Probe(dict(right().answer, off=0.5))
    found = machine.judge_engine("torch", "cpu", outcome, [])
    assert not machine.is_right(outcome)
    assert found[0].severity == "error" and "computes wrong results" in found[0].what


def test_a_cpu_build_of_torch_beside_a_card_is_told():
    found = machine.judge_engine("torch", "cpu", right(cuda=None, cards=[]), [H100])
    assert said(found)[1] == (
        "warning engine torch on cpu: this torch is built for the CPU only, so NVIDIA H100 is not "
        "used -> install the CUDA build of torch")


@pytest.mark.parametrize("words, severity, what", [
    ("F0101 common.cpp:66] Cannot use GPU in CPU-only Caffe: check mode.", "note",
     "built for the CPU only"),
    ("Caffe found no NVIDIA card that it can use; check", "warning",
     "built for NVIDIA cards, and found none that it can use"),
    ("CUDA error: no kernel image is available for execution on the device", "warning",
     "the build has no code for this GPU"),
    ("CUDA error: out of memory", "warning", "fails in a process of its own"),
])
def test_a_card_that_an_engine_cannot_use_is_told(words, severity, what):
    found = machine.judge_engine("caffe", "cuda", Probe(None, words), [H100])
    assert len(found) == 1
    assert found[0].severity == severity and found[0].what.startswith(what)


@pytest.mark.parametrize("capability, archs, runs", [
    ((9, 0), ["sm_80", "sm_90"], True), ((8, 6), ["sm_80"], True), ((9, 0), ["sm_80"], False),
    ((12, 0), ["sm_90", "sm_90a"], False), ((12, 0), ["sm_90", "compute_90"], True),
    ((6, 1), ["sm_61"], True), ((6, 0), ["sm_61"], False), ((7, 5), ["compute_80"], False),
    ((9, 0), ["sm_90a"], True), ((10, 3), ["sm_100"], True),
])
def test_code_for_an_architecture_runs_on_cards_as_nvidia_says(capability, archs, runs):
    assert machine.fits(capability, archs) is runs


def test_a_card_that_a_build_of_torch_has_no_code_for_is_told():
    build = {"cuda": "12.1", "archs": ["sm_80", "sm_90"], "cards": [[12, 0]]}
    found = machine.judge_engine("torch", "cuda", right(**build), [H100])
    assert "compute capability 12.0, but the build has code for sm_80, sm_90 only" in found[1].what


@pytest.mark.skipif(os.name == "nt", reason="wants a shell script")
@pytest.mark.parametrize("old", [False, True])
def test_cards_are_asked_of_nvidia_smi(tmp_path, monkeypatch, old):
    tool = tmp_path / "nvidia-smi"
    line = "NVIDIA H100, 550.54" + ("" if old else ", 9.0")
    refuse = 'case "$1" in *compute_cap*) exit 2;; esac\n' if old else ""
    tool.write_text(f"#!/bin/sh\n{refuse}echo '{line}'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path) + os.pathsep + os.environ["PATH"])
    assert machine.cards() == [Card(H100.name, None if old else (9, 0), H100.driver)]


def test_a_machine_without_an_engine_can_explain_nothing(monkeypatch):
    monkeypatch.setattr(machine, "is_installed", lambda kind: False)
    monkeypatch.setattr(machine, "cards", lambda: [])
    found, working = machine.examine(run=lambda words: Probe({}, ""))
    assert working == []
    assert [one.severity for one in found if one.check == "engines"] == ["error"]
    assert doctor.exit_code(found) == 2
    assert any(line.startswith("error engines: no engine works") and line.endswith(
        "pip install torch") for line in said(found))


def test_what_works_comes_first_where_one_engine_fails(monkeypatch):
    monkeypatch.setattr(machine, "is_installed", lambda kind: True)
    monkeypatch.setattr(machine, "cards", lambda: [H100])
    answers = {"packages": Probe({}, ""), ("caffe", "cpu"): Probe(None, "broken"),
               ("caffe", "cuda"): Probe(None, "broken"), ("torch", "cpu"): right(cuda="12.1"),
               ("torch", "cuda"): right(cuda="12.1")}

    def run(words):
        return answers["packages"] if words[0] == "packages" else answers[tuple(words[1:])]

    found, working = machine.examine(run=run)
    assert working == [("torch", "cpu"), ("torch", "cuda")]
    assert doctor.exit_code(found) == 1


def test_engines_that_differ_are_an_error_and_rounding_is_not():
    own = {"score": np.float32([[1, 2]]), "gradient at conv": np.float32([[4, 0]])}
    near = {"score": np.float32([[1, 2.0002]]), "gradient at conv": np.float32([[4, 0.0001]])}
    far = dict(near, **{"gradient at conv": np.float32([[4, 1]])})
    assert said([running.compared("a against b", own, near)]) == [
        "fine a against b: they agree: the largest difference is 0.0001 of the largest value -> "]
    found = running.compared("a against b", own, far)
    assert found.severity == "error"
    assert found.what == "they differ: gradient at conv by 0.25 of its largest value"


def test_another_engine_is_asked_for_the_same_pictures(models, torch, monkeypatch):
    from caffe_gradcam.model.model import LoadedModel

    model = LoadedModel.load(str(models / "digits"))
    opened = running.opened
    with opened(model, "torch", "cpu") as engine:
        case = running.Case(model, engine, [running.made_up()], False)
        found = running.agreement(case, [("torch", "cpu")], ("torch", "cpu"))
        assert found[0].severity == "fine" and "difference is 0 " in found[0].what

        def wrong(*arguments):
            other = opened(*arguments)
            forward = other.forward
            other.forward = lambda inputs, keep: {
                name: value * np.float32(1.5) for name, value in forward(inputs, keep).items()}
            return other

        monkeypatch.setattr(running, "opened", wrong)
        found = running.agreement(case, [("torch", "cpu")], ("torch", "cpu"))
    assert found[0].severity == "error"
    assert found[0].what == "they differ: score score by 0.5 of its largest value"


@pytest.mark.parametrize("severities, code", [
    ([], 0), (["fine", "note"], 0), (["fine", "warning"], 1), (["warning", "error"], 2)])
def test_the_exit_code_is_that_of_the_worst(severities, code):
    findings = [Finding("x", severity, "y") for severity in severities]
    assert doctor.exit_code(findings) == code


@pytest.fixture
def healthy(monkeypatch, torch):
    """A machine where torch is known to work, so that no probe has to run."""
    monkeypatch.setattr(machine, "examine", lambda devices: (
        [Finding("engine torch on cpu", "fine", "works")], [("torch", "cpu")]))


def test_the_command_prints_what_it_found(healthy, models, capsys):
    scenes = sorted(str(path) for path in (models / "digits" / "scenes").glob("*.png"))
    assert cli.main(["doctor", str(models / "digits")] + scenes[:2]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "ok       engine torch on cpu: works"
    assert "ok       labels: 10 labels for as many scores" in lines


def test_the_command_speaks_json(healthy, models, capsys):
    assert cli.main(["doctor", "--json", str(models / "digits"), "--scale", "1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"check", "severity", "what", "remedy"} == set(found[0])
    assert found[-1]["what"] == "not tested, since no images were given"


def test_quiet_leaves_only_what_is_not_well(healthy, models, capsys, tmp_path):
    assert cli.main(["doctor", "-q", str(tmp_path / "deploy.prototxt")]) == 2
    (tmp_path / "deploy.prototxt").write_text("layer {")
    assert cli.main(["doctor", "-q", str(tmp_path)]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("ERROR    net: ")
    assert lines[1].strip().startswith("-> ")


def test_the_whole_doctor_runs_here(capsys):
    code = cli.main(["doctor"])
    out = capsys.readouterr().out
    assert code in (0, 1, 2)
    assert "package numpy: " + np.__version__ in out
    works = any(line.startswith("ok       engine") for line in out.splitlines())
    assert works == (code < 2)
