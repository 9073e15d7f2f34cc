"""scripts/batch-slurm, with a stand-in for SLURM's srun."""

import os
import shlex
import subprocess

import pytest
from processes import HERE, program
from tables import column, pictures

SCRIPT = HERE.parents[1] / "scripts" / "batch-slurm"


@pytest.fixture
def submit(tmp_path, model):
    """A function that runs one job of an array of two, with srun and the command on PATH."""
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, words in (("srun", []), ("caffe-gradcam", program())):
        text = "#!/bin/sh\nexec {} \"$@\"\n".format(" ".join(map(shlex.quote, words)))
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)
    source = pictures(tmp_path / "in", 12)

    def run(task, cores):
        return subprocess.run(
            ["bash", str(SCRIPT), model, str(source), str(tmp_path / "out"), "--engine", "torch",
             "--part-size", "3"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True,
            env=dict(os.environ, PATH="{}:{}".format(commands, os.environ["PATH"]),
                     CUDA_VISIBLE_DEVICES="", SLURM_ARRAY_TASK_ID=str(task),
                     SLURM_ARRAY_TASK_COUNT="2", SLURM_CPUS_PER_TASK=str(cores)))

    return run


@pytest.mark.parametrize("cores", [1, 3])
def test_the_jobs_of_an_array_make_one_table(submit, tmp_path, cores):
    for task, items in ((2, [6, 7, 8, 9, 10, 11]), (1, list(range(12)))):
        result = submit(task, cores)
        assert result.returncode == 0, result.stdout
        assert column(tmp_path / "out", "item") == items
