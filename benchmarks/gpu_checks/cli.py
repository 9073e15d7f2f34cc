"""The command ``scripts/check-gpu``."""

import argparse
import difflib
import importlib
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time
from typing import Any, Dict, List, Optional

from gpu_checks import catalogue, facts
from gpu_checks.results import FILES, Record
from gpu_checks.runner import Runner
from gpu_checks.setting import FAILED, PASSED, TIMED_OUT, Check, Setting

ROOT = pathlib.Path(__file__).resolve().parents[2]
PATHS = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]
# Checks that run at the same time, and the least number of cores for each.
LANES, CORES = 4, 4
# Seconds that a run takes after its last check.
RESERVE = 5.0

DESCRIPTION = """\
scripts/check-gpu [--minutes 5] [--only NAME,...] [--models DIR] [--caffe DIR] [-o DIR] [--dry-run]
Check that caffe-gradcam computes the same on an NVIDIA card as on the CPU, and measure its speed.
It needs a Python with torch for CUDA and the project's other packages, no further set-up and no
network. Afterwards DIR (default: gpu-check) holds gpu.json, gpu.md and log; see docs/gpu.md.
"""


class Unusable(Exception):
    """The options cannot be used; the message is one sentence."""


def main(arguments: Optional[List[str]] = None) -> int:
    """Run the command line.

    Returns
    -------
    int
        The exit code: 0 if every check that ran passed, 1 if a check failed or timed out, 2 if
        the options cannot be used or there is no card.
    """
    started = time.monotonic()
    options = _parser().parse_args(arguments)
    try:
        selected = _selected(catalogue.checks(options.dry_run), options.only)
        return _run(options, selected, started)
    except Unusable as error:
        print(f"check-gpu: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


class _Parser(argparse.ArgumentParser):
    def print_help(self, file: Any = None) -> None:
        print(DESCRIPTION, end="", file=file)

    def error(self, message: str) -> Any:
        self.exit(2, f"check-gpu: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="check-gpu")
    parser.add_argument("--minutes", type=_minutes, default=5.0)
    parser.add_argument("--only", type=lambda text: text.split(","))
    parser.add_argument("--models", type=_folder)
    parser.add_argument("--caffe", type=_folder)
    parser.add_argument("-o", dest="output", default="gpu-check")
    parser.add_argument("--dry-run", action="store_true")
    return parser


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = 0.0
    if not 0 < minutes < 1000:
        raise argparse.ArgumentTypeError(f"expected a number of minutes above 0, not {text!r}")
    return minutes


def _folder(text: str) -> str:
    if not os.path.isdir(text):
        raise argparse.ArgumentTypeError(f"{text}: no such folder")
    return os.path.abspath(text)


def _selected(checks: List[Check], only: Optional[List[str]]) -> List[Check]:
    """The checks that --only names, by name or by family; all without it."""
    if only is None:
        return checks
    names = [check.name for check in checks] + [check.family for check in checks]
    for name in only:
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            advice = (f"did you mean {near[0]}?" if near
                      else f"the checks are {', '.join(names[:len(checks)])}")
            raise Unusable(f"there is no check {name!r}; {advice}")
    return [check for check in checks if check.name in only or check.family in only]


def _run(options: argparse.Namespace, selected: List[Check], started: float) -> int:
    output = os.path.abspath(options.output)
    is_new = _make_folder(output)
    try:
        machine = facts.gather(options.dry_run)
        problem = _problem(machine, options)
        if problem:
            raise Unusable(problem)
        return _check(options, selected, machine, output, started)
    finally:
        if is_new and not os.listdir(output):
            os.rmdir(output)


def _make_folder(output: str) -> bool:
    """Make the folder for the results; whether it is new. It may hold those of an earlier run."""
    try:
        os.makedirs(output)
        return True
    except FileExistsError:
        pass
    except OSError as error:
        raise Unusable(f"{output}: cannot be made: {error.strerror}") from None
    try:
        others = sorted(set(os.listdir(output)) - set(FILES))
    except OSError as error:
        raise Unusable(f"{output}: {error.strerror}") from None
    if others:
        raise Unusable(f"{output} holds {others[0]} already; give an empty folder with -o")
    return False


def _problem(machine: Dict[str, Any], options: argparse.Namespace) -> Optional[str]:
    """Why nothing can be checked, in one sentence."""
    if machine["problem"]:
        return str(machine["problem"])
    if machine["torch"] is None and Setting("", False, "", "", caffe=options.caffe
                                            ).caffe_python is None:
        return "neither torch nor pycaffe is installed here; pip install torch"
    if not options.dry_run and not machine["cards"]:
        seer = f"torch {machine['torch']}" if machine["torch"] else "nvidia-smi"
        return (f"{seer} sees no CUDA card here; --dry-run tries the checks on the CPU with tiny "
                "sizes")
    return None


def _check(options: argparse.Namespace, selected: List[Check], machine: Dict[str, Any],
           output: str, started: float) -> int:
    todo = catalogue.prepare(selected) + selected
    record = Record(output, machine, [check.name for check in todo])
    temporary = tempfile.mkdtemp(prefix=".running-", dir=output)
    _set_environment(temporary, options.caffe, options.dry_run)
    setting = Setting(
        device="cpu" if options.dry_run else "cuda", is_dry=options.dry_run, folder=temporary,
        nets=os.path.join(temporary, "nets"), models=options.models, caffe=options.caffe)
    cores = len(os.sched_getaffinity(0))
    importlib.import_module("gpu_checks.warm")
    runner = Runner(setting, record, started + 60 * options.minutes - RESERVE,
                    min(LANES, max(1, cores // (1 if options.dry_run else CORES))), cores)
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        runner.run(todo)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        record.finish(time.monotonic() - started)
        signal.signal(signal.SIGTERM, before)
    bad = [result for result in record.results if result.status in (FAILED, TIMED_OUT)]
    passed = sum(result.status == PASSED for result in record.results)
    print(f"{passed} of {len(todo)} checks passed, {len(bad)} failed or timed out; see "
          f"{os.path.join(output, 'gpu.md')}")
    return 1 if bad else 0


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _set_environment(temporary: str, caffe: Optional[str], is_dry: bool) -> None:
    """Set what the checks' processes inherit: paths of modules, and caches inside DIR."""
    first = PATHS + ([caffe] if caffe else [])
    sys.path[:] = first + [path for path in sys.path if path not in PATHS]
    inherited = [path for path in [os.environ.get("PYTHONPATH")] if path]
    os.environ["PYTHONPATH"] = os.pathsep.join(first + inherited)
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    for name in ("TMPDIR", "XDG_CACHE_HOME", "CUDA_CACHE_PATH", "MPLCONFIGDIR",
                 "TRITON_CACHE_DIR"):
        os.environ[name] = os.path.join(temporary, "cache")
    os.mkdir(os.path.join(temporary, "cache"))
    tempfile.tempdir = None
    os.environ.setdefault("GLOG_minloglevel", "2")
    if is_dry:
        os.environ["OMP_NUM_THREADS"] = "1"
