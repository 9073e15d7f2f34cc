"""The machine: what is installed, what each engine does, and what the graphics card is."""

import json
import os
import re
import shutil
import subprocess
import sys
from typing import NamedTuple, Optional, Tuple

from caffe_gradcam.doctor.findings import error, fine, note, warning

# Import name -> name to install, and what for.
NEEDED = {"numpy": "numpy", "cv2": "opencv-python", "google.protobuf": "protobuf",
          "yaml": "PyYAML", "tqdm": "tqdm"}
OPTIONAL = {"requests": ("requests", "to fetch models by name"),
            "h5py": ("h5py", "for .caffemodel.h5 files")}
ENGINES = {
    "caffe": "use the image (scripts/caffe-gradcam), on Debian 11 apt-get install python3-caffe, "
             "or go on with the torch engine",
    "torch": "pip install torch, or go on with Caffe",
}
_PATIENCE = 120
_EXACT = 1e-4
_NO_GPU = ("CPU-only", "CPU_ONLY", "Cannot use GPU", "no CUDA", "not compiled with CUDA",
           "without CUDA", "is not available")
_NO_KERNEL = ("no kernel image", "invalid device function", "kernel image is")


class Card(NamedTuple):
    """A graphics card: its name, compute capability and driver, as nvidia-smi tells them."""

    name: str
    capability: Optional[Tuple[int, int]]
    driver: str


class Probe(NamedTuple):
    """What a child process told: its answer, or its last words."""

    answer: Optional[dict]
    words: str


def examine(devices=("cpu",), run=None):
    """Look at the machine.

    Parameters
    ----------
    devices : sequence of str
        To try the engines on.
    run : callable, optional
        Runs a probe in a child process; see ``probe``.

    Returns
    -------
    findings : list of Finding
    working : list of (str, str)
        The engines that compute right, and on what device.
    """
    run = run or probe
    findings = packages(run(["packages"] + list(NEEDED) + list(OPTIONAL)))
    found = cards()
    tried = {}
    for kind in ENGINES:
        is_there = present(kind)
        for device in list(devices) + (["cuda"] if found and "cuda" not in devices else []):
            tried[kind, device] = run(["engine", kind, device]) if is_there else None
    for (kind, device), outcome in tried.items():
        findings += judge_engine(kind, device, outcome, found)
    working = [key for key, outcome in tried.items() if is_right(outcome)]
    if not working:
        findings.append(error("engines", "no engine works, so nothing can be explained",
                              "pip install torch"))
    findings += judge_cards(found)
    return findings, working


def present(kind):
    """Whether an engine's library can be imported, as far as one sees without importing it."""
    import importlib.util

    try:
        return importlib.util.find_spec(kind) is not None
    except (ImportError, ValueError):
        return False


def packages(outcome):
    """Judge the packages that a probe imported."""
    if outcome.answer is None:
        return [error("packages", "importing the packages ends the process: " + outcome.words,
                      "install them again in a fresh environment")]
    findings = []
    for name, said in outcome.answer.items():
        own = NEEDED.get(name) or OPTIONAL[name][0]
        if "error" not in said:
            findings.append(fine("package " + own, said["version"] or "installed"))
        elif name in NEEDED:
            findings.append(error("package " + own, _short(said["error"]), _cure(own, said)))
        else:
            findings.append(note("package " + own, f"not installed: wanted {OPTIONAL[name][1]}", "pip install " + own))
    return findings


def _cure(own, said):
    if "libGL" in said["error"] or "libgthread" in said["error"]:
        return "a server has no screen: pip uninstall opencv-python, and install " \
               "opencv-python-headless"
    return "pip install " + own


def is_right(outcome):
    """Whether a probe of an engine gave the right numbers."""
    return bool(outcome and outcome.answer) and outcome.answer["off"] <= _EXACT


def judge_engine(kind, device, outcome, found):
    """What a probe of an engine means."""
    check = f"engine {kind} on {device}"
    if outcome is None:
        return [] if device != "cpu" else [note(check, "not installed", ENGINES[kind])]
    if outcome.answer is None:
        return _failed(check, kind, device, outcome.words)
    said = outcome.answer
    if not is_right(outcome):
        return [error(check, "computes wrong: a net that anybody can work out is off by "
                      "{:.3g}".format(said["off"]), "do not trust this build; install another")]
    what = "works: {} {}".format(kind, said["description"].get("version", ""))
    findings = [fine(check, what)]
    if kind == "torch" and device == "cpu" and found and not said["build"].get("cuda"):
        findings.append(warning(
            check, f"this torch is built for the CPU only, so {found[0].name} idles",
            "install the CUDA build of torch"))
    return findings + _judge_archs(check, said["build"])


def _judge_archs(check, build):
    """Whether the kernels of a build of torch fit the cards."""
    findings, archs = [], build.get("archs") or []
    for capability in {tuple(card) for card in build.get("cards") or []} if archs else ():
        if not fits(capability, archs):
            findings.append(warning(
                check, "the card has compute capability {}.{}, but the build holds only {}".format(
                    capability[0], capability[1], ", ".join(archs)),
                "install a build of torch for this card"))
    return findings


def fits(capability, archs):
    """Whether kernels for some architectures run on a card.

    Machine code (``sm_XY``) runs on cards of the same major number and at least that minor one,
    PTX (``compute_XY``) on all that are not older.

    Parameters
    ----------
    capability : (int, int)
    archs : iterable of str
        As ``torch.cuda.get_arch_list`` gives them.
    """
    for arch in archs:
        match = re.match(r"(sm|compute)_(\d+)(\d)([af]?)$", arch)
        if not match:
            continue
        own = int(match.group(2)), int(match.group(3))
        if match.group(4):
            # Code for one architecture alone runs on no other.
            runs = capability == own
        elif match.group(1) == "compute":
            runs = capability >= own
        else:
            runs = capability[0] == own[0] and capability >= own
        if runs:
            return True
    return False


def _failed(check, kind, device, words):
    short = _short(words)
    if device != "cpu" and any(part in words for part in _NO_KERNEL):
        return [warning(check, "the build holds no code for this card: " + short,
                        "use the torch engine in a build for this card, or the CPU")]
    if device != "cpu" and any(part in words for part in _NO_GPU):
        return [note(check, "a build for the CPU only", "use --device cpu, or the torch engine")]
    if "No module named" in words or "ImportError" in words:
        return [warning(check, "is there, but cannot be imported: " + short,
                        "install it again; " + ENGINES[kind])]
    return [warning(check, "fails in a process of its own: " + short,
                    "install it again; " + ENGINES[kind])]


def judge_cards(found):
    """What is to be said of the graphics cards."""
    if not found:
        return [note("graphics card", "none that nvidia-smi knows: all runs on the CPU")]
    return [fine("graphics card", "{}{}, driver {}".format(
        card.name, "" if card.capability is None else ", compute capability {}.{}".format(
            *card.capability), card.driver)) for card in found]


def cards():
    """The graphics cards that nvidia-smi tells of: a list of Card."""
    tool = shutil.which("nvidia-smi")
    if not tool:
        return []
    for fields in ("name,driver_version,compute_cap", "name,driver_version"):
        command = [tool, "--query-gpu=" + fields, "--format=csv,noheader"]
        try:
            result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                    timeout=_PATIENCE)
        except (OSError, subprocess.TimeoutExpired):
            return []
        if result.returncode == 0:
            return [_card(line) for line in result.stdout.decode("utf-8", "replace").splitlines()
                    if line.strip()]
    return []


def _card(line):
    parts = [part.strip() for part in line.split(",")]
    match = re.match(r"(\d+)\.(\d+)$", parts[2]) if len(parts) > 2 else None
    return Card(parts[0], match and (int(match.group(1)), int(match.group(2))), parts[1])


def probe(words, timeout=_PATIENCE):
    """Run ``doctor.probe`` in a child process.

    Parameters
    ----------
    words : list of str
    timeout : float
        Seconds.

    Returns
    -------
    Probe
    """
    code = f"import sys; sys.path[:] = {sys.path!r}; sys.argv[1:] = {list(words)!r}; import runpy; " \
           "runpy.run_module('caffe_gradcam.doctor.probe', run_name='__main__')"
    try:
        result = subprocess.run(
            [sys.executable, "-c", code], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=timeout, env=dict(os.environ, GLOG_minloglevel="2"))
    except subprocess.TimeoutExpired:
        return Probe(None, f"no answer within {timeout} seconds")
    for line in reversed(result.stdout.decode("utf-8", "replace").splitlines()):
        if line.startswith("{"):
            return Probe(json.loads(line), "")
    return Probe(None, _last_words(result))


def _last_words(result):
    """Why a child ended: glog's fatal line, else the last line of a traceback, else its status."""
    lines = result.stderr.decode("utf-8", "replace").splitlines()
    fatal = [line for line in lines if re.match(r"F\d{4} ", line)]
    spoken = fatal[:1] or [line for line in lines if line.strip()][-1:]
    if result.returncode < 0:
        spoken.append(f"killed by signal {-result.returncode}")
    return ": ".join(spoken) or f"ended with status {result.returncode}"


def _short(text, longest=300):
    text = " ".join(text.split())
    return text if len(text) <= longest else text[:longest] + "..."
