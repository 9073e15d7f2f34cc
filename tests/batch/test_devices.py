"""Several devices, and several workers with a device each; the devices are pretended ones."""

import os
import shlex
import subprocess

import pytest
from processes import HERE, family, program, wait_for
from tables import column, explain, pictures, plan_of, table

from caffe_gradcam.processes.child import Child

SCRIPTS = HERE.parents[1] / "scripts"
DOCS = HERE.parents[1] / "docs"


@pytest.fixture
def commands(tmp_path):
    """A folder of commands for PATH, with ``caffe-gradcam`` on the fake engine."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def add(name, words):
        text = "#!/bin/sh\nexec {} \"$@\"\n".format(" ".join(map(shlex.quote, words)))
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)

    add("caffe-gradcam", program())
    add("srun", [])
    return folder


def run(words, commands, **variables):
    environment = dict(os.environ, PATH="{}:{}".format(commands, os.environ["PATH"]), **variables)
    return subprocess.run(words, env=environment, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, universal_newlines=True)


def devices_of(output):
    return [engine["device"] for entry in plan_of(output).manifest["runs"]
            for engine in entry["engines"]]


@pytest.mark.parametrize("engine", ["torch", "caffe"])
def test_one_run_has_a_process_on_each_of_its_devices(engine, model, tmp_path, monkeypatch):
    source = pictures(tmp_path / "in", 40)
    explain(model, source, tmp_path / "reference")
    devices, start = [], Child.__init__

    def remember(self, function, arguments, *others, **options):
        if function.endswith("net_process:serve"):
            running = arguments[1].running
            devices.append((running.engine, running.device))
        start(self, function, arguments, *others, **options)

    monkeypatch.setattr(Child, "__init__", remember)
    cards = ["cuda:0", "cuda:1", "cuda:2"]
    explain(model, source, tmp_path / "out", devices=cards, part_size=20, engine=engine)
    assert devices == [(engine, card) for card in cards]
    run, = plan_of(tmp_path / "out").manifest["runs"]
    assert run["devices"] == cards
    assert [row["cam"] for row in table(tmp_path / "out")] == [
        row["cam"] for row in table(tmp_path / "reference")]


def test_each_job_of_an_array_runs_on_the_gpu_that_slurm_shows_it(model, tmp_path, commands):
    source = pictures(tmp_path / "in", 12)
    for task in (1, 2):
        result = run(["bash", str(SCRIPTS / "batch-slurm"), model, str(source),
                      str(tmp_path / "out"), "--engine", "torch", "--part-size", "3"], commands,
                     CUDA_VISIBLE_DEVICES=str(task + 4), SLURM_ARRAY_TASK_ID=str(task),
                     SLURM_ARRAY_TASK_COUNT="2", SLURM_CPUS_PER_TASK="2")
        assert result.returncode == 0, result.stdout
    assert devices_of(tmp_path / "out") == ["cuda:0", "cuda:0"]
    assert column(tmp_path / "out", "item") == list(range(12))


def test_workers_on_devices_of_their_own_make_one_table(model, tmp_path, commands):
    source = pictures(tmp_path / "in", 18)
    for worker in (2, 3, 1):
        result = run(["caffe-gradcam", "batch", str(model), str(source), "-o",
                      str(tmp_path / "out"), "--engine", "torch", "--part-size", "3",
                      "--device", str(worker), "--worker", f"{worker}/3"], commands)
        assert result.returncode == 0, result.stdout
    assert devices_of(tmp_path / "out") == ["cuda:2", "cuda:3", "cuda:1"]
    assert column(tmp_path / "out", "item") == list(range(18))


@pytest.fixture
def job():
    """The Job of Kubernetes."""
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed here")
    return yaml.safe_load((SCRIPTS / "batch-k8s.yaml").read_text())


def pod(job, index, commands, **variables):
    """Run a pod's command as Kubernetes does."""
    container = job["spec"]["template"]["spec"]["containers"][0]
    environment = {entry["name"]: entry["value"] for entry in container["env"]}
    environment.update(variables, JOB_COMPLETION_INDEX=str(index))
    return run(container["command"] + container["args"], commands, **environment)


def test_the_pods_of_a_kubernetes_job_make_one_table(job, model, tmp_path, commands):
    source = pictures(tmp_path / "in", 12)
    (source / "0005.png").write_bytes(b"no image")
    (commands / "caffe-gradcam").write_text(
        (commands / "caffe-gradcam").read_text().replace('"$@"', '"$@" --engine torch '
                                                         '--part-size 3'))
    for index in (1, 0):
        result = pod(job, index, commands, WORKERS="2", MODEL=str(model), SOURCE=str(source),
                     OUT=str(tmp_path / "out"))
        assert result.returncode == 0, result.stdout  # An unreadable image is no reason to retry.
    assert devices_of(tmp_path / "out") == ["cuda:0", "cuda:0"]
    assert column(tmp_path / "out", "item") == list(range(12))


def test_a_pod_with_unusable_input_ends_the_kubernetes_job(job, tmp_path, commands):
    result = pod(job, 0, commands, MODEL=str(tmp_path / "no model"), SOURCE="x", OUT="y")
    assert result.returncode == 2
    rule, = job["spec"]["podFailurePolicy"]["rules"]
    assert rule == {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [2]}}


def test_a_kubernetes_job_has_as_many_pods_as_workers(job):
    container = job["spec"]["template"]["spec"]["containers"][0]
    workers = {entry["name"]: entry["value"] for entry in container["env"]}["WORKERS"]
    assert job["spec"]["completionMode"] == "Indexed"
    assert str(job["spec"]["completions"]) == workers


def test_sigterm_reaches_the_command_of_a_pod(job, tmp_path, commands):
    container = job["spec"]["template"]["spec"]["containers"][0]
    (commands / "caffe-gradcam").write_text(
        "#!/bin/sh\ntrap 'echo part written; exit 0' TERM\ntouch {}\n"
        "while true; do sleep 0.05; done\n".format(shlex.quote(str(tmp_path / "ready"))))
    process = subprocess.Popen(
        container["command"] + container["args"], stdout=subprocess.PIPE,
        universal_newlines=True, env=dict(
            os.environ, PATH="{}:{}".format(commands, os.environ["PATH"]),
            JOB_COMPLETION_INDEX="0"))
    wait_for((tmp_path / "ready").exists)
    process.terminate()
    assert process.communicate(timeout=30)[0] == "part written\n"
    assert process.returncode == 0
    assert not family(process.pid)[1:]


def test_the_command_lines_for_apptainer_start_the_image_as_docker_does(tmp_path, commands):
    text = (DOCS / "images.md").read_text()
    lines = [line for line in text.replace("\\\n", " ").splitlines()
             if "apptainer run" in line and "caffe-gradcam.sif" in line]
    assert lines
    # A stand-in that leaves out the options of `apptainer run` and starts the entry point.
    (commands / "apptainer").write_text(
        "#!/bin/sh\n[ \"$1\" = run ] || exit 9\nshift\n"
        "while [ \"$1\" != caffe-gradcam.sif ]; do case \"$1\" in\n"
        "    --nv|--cleanenv) shift;;\n    --bind|--pwd) [ -d \"$2\" ] || exit 8; shift 2;;\n"
        "    *) exit 7;;\nesac; done\nshift\nprintf '%s\\n' \"$@\"\n")
    (commands / "apptainer").chmod(0o755)
    for line in lines:
        result = run(["sh", "-c", line], commands, SLURM_ARRAY_TASK_ID="3",
                     SLURM_ARRAY_TASK_COUNT="16")
        words = result.stdout.splitlines()
        assert result.returncode == 0 and words[0] in ("explain", "batch"), result.stdout
        assert "3/16" in words or words[0] == "explain"
