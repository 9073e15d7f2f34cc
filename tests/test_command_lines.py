"""What all commands of both programs have in common: help, suggestions, completion, logs."""

import logging
import os
import subprocess
import sys

import pytest

from caffe_gradcam.commands import cli as gradcam
from caffe_gradcam.commands import logs
from prototxt_tools.commands import cli as prototxt

COMMANDS = ("explain", "evaluate", "models", "doctor", "batch", "render", "report", "export",
            "serve", "compare", "survey", "evidence")


def ended(main, arguments):
    """The exit code of a command line that argparse ends."""
    with pytest.raises(SystemExit) as end:
        main(arguments)
    return end.value.code


def shown(capsys, *arguments):
    assert ended(gradcam.main, list(arguments)) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("columns", ["80", "100", "200"])
@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_fits_two_screens(command, columns, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    lines = shown(capsys, command, "--help").splitlines()
    assert len(lines) <= 100 and max(map(len, lines)) <= 100


def test_rare_options_are_in_help_all_only(capsys):
    plain, everything = (shown(capsys, "explain", option) for option in ("--help", "--help-all"))
    assert "--precision" not in plain and "integrated-gradients" not in plain
    assert "--precision" in everything and "integrated-gradients" in everything
    assert {line for line in plain.splitlines() if line.startswith("  --")} <= set(
        everything.splitlines())


@pytest.mark.parametrize("program", ["caffe_gradcam", "prototxt_tools"])
def test_help_takes_less_than_three_tenths_of_a_second(program):
    # As for users, modules are compiled once, in the first run.
    environment = {name: value for name, value in os.environ.items()
                   if name != "PYTHONDONTWRITEBYTECODE"}

    def seconds():
        before = os.times()
        subprocess.check_output([sys.executable, "-m", program, "--help"], env=environment)
        after = os.times()
        # Of the processor: other processes may keep it busy.
        return (after.children_user - before.children_user
                + after.children_system - before.children_system)

    assert min(seconds() for _ in range(5)) < 0.3


@pytest.mark.parametrize("option", ["--help", "--print-completion=bash"])
@pytest.mark.parametrize("program", ["caffe_gradcam", "prototxt_tools"])
def test_nothing_is_said_where_nobody_reads_on(program, option):
    if option != "--help":
        pytest.importorskip("shtab", reason="shtab is not installed here")
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
        result = subprocess.run([sys.executable, "-m", program, option], stdout=write_end,
                                stderr=subprocess.PIPE)
    finally:
        os.close(write_end)
    assert result.stderr == b"" and result.returncode in (0, 141)


@pytest.mark.parametrize("main, arguments, message", [
    (gradcam.main, ["explain", "m", "i.png", "-o", "o", "--colour-map", "jet"],
     "there is no option --colour-map; did you mean --colormap?"),
    (gradcam.main, ["batch", "m", "s", "-o", "o", "--parts-size=3"], "did you mean --part-size?"),
    (gradcam.main, ["explain", "m", "i.png", "-o", "o", "--zzzz"],
     "there is no option --zzzz; see --help-all"),
    (gradcam.main, ["batch", "m", "s", "another", "-o", "o"], "an argument too many: another"),
    (prototxt.main, ["cut", "x.prototxt", "--blobb", "y"], "did you mean --blob?"),
])
def test_an_unknown_option_comes_with_the_nearest(main, arguments, message, capsys):
    assert ended(main, arguments) == 2
    assert message in capsys.readouterr().err


def test_options_may_stand_between_images(tmp_path, capsys):
    arguments = ["explain", "no-such-model", "a.png", "-q", "b.png", "-o", str(tmp_path)]
    options = gradcam._parser().parse_args(arguments)
    assert options.images == ["a.png", "b.png"]


@pytest.mark.parametrize("main", [gradcam.main, prototxt.main])
@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completions_are_printed_for_a_shell(main, shell, capsys):
    pytest.importorskip("shtab", reason="completions need shtab")
    assert ended(main, ["--print-completion", shell]) == 0
    script = capsys.readouterr().out
    assert ("evaluate" if main is gradcam.main else "convert") in script


@pytest.mark.parametrize("main", [gradcam.main, prototxt.main])
def test_bash_understands_the_completions(main, capsys):
    pytest.importorskip("shtab", reason="completions need shtab")
    ended(main, ["--print-completion", "bash"])
    script = capsys.readouterr().out
    assert ("--heat-boxes" if main is gradcam.main else "--backward") in script
    subprocess.run(["bash", "-n"], input=script.encode(), check=True)


def test_without_shtab_the_message_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert ended(gradcam.main, ["--print-completion", "bash"]) == 2
    assert capsys.readouterr().err == (
        "caffe-gradcam: completions need shtab; run: pip install shtab\n")


@pytest.mark.parametrize("verbose, quiet, levels", [
    (True, False, ["debug", "info", "warning: warning"]),
    (False, False, ["info", "warning: warning"]),
    (False, True, ["warning: warning"]),
])
def test_what_libraries_log_is_shown_by_level(verbose, quiet, levels, capsys):
    logger = logging.getLogger("caffe_gradcam.model.somewhere")
    with logs.shown(verbose, quiet):
        logger.debug("debug")
        logger.info("info")
        logger.warning("warning")
    logger.info("afterwards")
    assert capsys.readouterr().err.splitlines() == [f"caffe-gradcam: {line}" for line in levels]


def test_a_device_may_be_a_number_and_explain_takes_one(tmp_path, capsys):
    from caffe_gradcam.commands import recipes

    parser = gradcam._parser()
    options = parser.parse_args(
        ["batch", "m", "s", "-o", "o", "--device", "0,1", "--device", "cpu,cpu"])
    assert recipes.devices_of(options) == ("cuda:0", "cuda:1", "cpu", "cpu")
    assert gradcam.main(["explain", "m", "i.png", "-o", "o", "--device", "0,1"]) == 2
    assert "this command runs on one device" in capsys.readouterr().err


def test_a_worker_is_one_of_several():
    options = gradcam._parser().parse_args(["batch", "m", "s", "-o", "o", "--worker", "3/100"])
    assert options.worker == (3, 100)


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "1/0", "x/y"])
def test_a_worker_that_cannot_be_is_refused(text, capsys):
    assert ended(gradcam.main, ["batch", "m", "s", "-o", "o", "--worker", text]) == 2
    assert f"expected I/N with I from 1 to N, not '{text}'" in capsys.readouterr().err
