"""The machine: what is installed, whether each engine computes correctly, and which GPUs exist."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterable, List, Optional, Sequence, Tuple

from caffe_gradcam.doctor.findings import Finding, error, fine, note, warning
from caffe_gradcam.engines.opening import is_installed
from caffe_gradcam.processes.child import Child

# Import name -> name of the package; for the optional ones also what they are for.
NEEDED = {"numpy": "numpy", "cv2": "opencv-python", "google.protobuf": "protobuf",
          "yaml": "PyYAML", "tqdm": "tqdm"}
OPTIONAL = {"requests": ("requests", "to fetch models by name"),
            "h5py": ("h5py", "for .caffemodel.h5 files"),
            "pyarrow": ("pyarrow", "by batch, for Parquet"),
            "lmdb": ("lmdb", "by batch, for LMDBs"),
            "fsspec": ("fsspec", "by batch, for URLs"),
            "matplotlib": ("matplotlib", "for figures in SVG and PDF"),
            "openvino": ("openvino", "for faster convolutions on CPUs")}
ENGINES = {
    "caffe": "use the image (scripts/caffe-gradcam), install the wheel that "
             "scripts/build-caffe-wheel makes for Python 3.11, on Python 3.6 to 3.9 pip install "
             "kendryte-caffe, or stay with the torch engine",
    "torch": "pip install torch, or stay with Caffe",
}
_PATIENCE = 120
_EXACT = 1e-4
_NO_GPU = ("CPU-only", "CPU_ONLY", "Cannot use GPU", "no CUDA", "not compiled with CUDA",
           "without CUDA", "is not available")
_NO_CARD = "found no NVIDIA card"
_NO_KERNEL = ("no kernel image", "invalid device function", "kernel image is")


@dataclass(frozen=True)
class Card:
    """A GPU: its name, compute capability and driver, as nvidia-smi reports them."""

    name: str
    capability: Optional[Tuple[int, int]]
    driver: str


@dataclass(frozen=True)
class Probe:
    """The answer of a child process, or its last words."""

    answer: Optional[Dict[str, Any]]
    words: str = ""


# Runs a probe with some words in a child process.
_Run = Callable[[List[str]], Probe]


def examine(devices: Sequence[str] = ("cpu",), run: Optional[_Run] = None,
            ) -> Tuple[List[Finding], List[Tuple[str, str]]]:
    """Examine the machine.

    Parameters
    ----------
    devices : sequence of str
        The devices to try the engines on.
    run : callable, optional
        Runs a probe in a child process; see ``probe``.

    Returns
    -------
    findings : list of Finding
    working : list of (str, str)
        The engines that compute correctly, each with its device.
    """
    run = run or probe
    findings = packages(run(["packages"] + list(NEEDED) + list(OPTIONAL)))
    gpus = cards()
    with_gpu = list(devices) + (["cuda"] if gpus and "cuda" not in devices else [])
    probes: Dict[Tuple[str, str], Optional[Probe]] = {}
    for kind in ENGINES:
        installed = is_installed(kind)
        for device in with_gpu:
            probes[kind, device] = run(["engine", kind, device]) if installed else None
    for (kind, device), outcome in probes.items():
        findings += judge_engine(kind, device, outcome, gpus)
    working = [key for key, outcome in probes.items() if is_right(outcome)]
    if not working:
        findings.append(error("engines", "no engine works, so nothing can be explained",
                              "pip install torch"))
    findings += judge_cards(gpus)
    return findings, working


def packages(outcome: Probe) -> List[Finding]:
    """Judge the packages that a probe imported."""
    if outcome.answer is None:
        return [error("packages", "importing the packages crashes the process: " + outcome.words,
                      "reinstall them in a new environment")]
    findings = []
    for name, answer in outcome.answer.items():
        package = NEEDED.get(name) or OPTIONAL[name][0]
        if "error" not in answer:
            findings.append(fine("package " + package, answer["version"] or "installed"))
        elif name in NEEDED:
            findings.append(error("package " + package, _short(answer["error"]),
                                  _package_remedy(package, answer["error"])))
        else:
            findings.append(note("package " + package,
                                 f"not installed; needed {OPTIONAL[name][1]}",
                                 "pip install " + package))
    return findings


def _package_remedy(package: str, problem: str) -> str:
    if "libGL" in problem or "libgthread" in problem:
        return ("this machine has no display libraries: pip uninstall opencv-python, then "
                "pip install opencv-python-headless")
    return "pip install " + package


def is_right(outcome: Optional[Probe]) -> bool:
    """Whether a probe of an engine gave the right numbers."""
    if outcome is None or outcome.answer is None:
        return False
    return bool(outcome.answer["off"] <= _EXACT)


def judge_engine(kind: str, device: str, outcome: Optional[Probe],
                 gpus: Sequence[Card]) -> List[Finding]:
    """What a probe of an engine means."""
    check = f"engine {kind} on {device}"
    if outcome is None:
        return [] if device != "cpu" else [note(check, "not installed", ENGINES[kind])]
    if outcome.answer is None:
        return _failed(check, kind, device, outcome.words)
    answer = outcome.answer
    if not is_right(outcome):
        return [error(check, "computes wrong results: the values of a net that can be worked "
                      f"out by hand are off by {answer['off']:.3g}",
                      "do not trust this build; install another one")]
    what = "works: {} {}".format(kind, answer["description"].get("version", ""))
    if answer["build"].get("package"):
        what += ", of {}".format(answer["build"]["package"])
    findings = [fine(check, what)]
    if kind == "caffe" and device == "cpu" and answer["build"].get("archs") and not gpus:
        findings.append(note(
            check, "this Caffe is built for NVIDIA cards, with code for "
            + ", ".join(answer["build"]["archs"]) + "; nvidia-smi lists no card here, so it runs "
            "on the CPU", "start the container with access to a card, or install its driver"))
    if kind == "torch" and device == "cpu" and gpus and not answer["build"].get("cuda"):
        findings.append(warning(
            check, f"this torch is built for the CPU only, so {gpus[0].name} is not used",
            "install the CUDA build of torch"))
    return findings + _judge_architectures(check, answer["build"])


def _judge_architectures(check: str, build: Dict[str, Any]) -> List[Finding]:
    """Whether the kernels of a build of torch or Caffe fit the GPUs."""
    architectures = build.get("archs") or []
    if not architectures:
        return []
    return [warning(
        check, f"the GPU has compute capability {major}.{minor}, but the build has code for "
        + ", ".join(architectures) + " only", "install a build of torch for this GPU")
        for major, minor in sorted({tuple(card) for card in build.get("cards") or []})
        if not fits((major, minor), architectures)]


def fits(capability: Tuple[int, int], architectures: Iterable[str]) -> bool:
    """Whether kernels for some architectures run on a GPU.

    Machine code (``sm_XY``) runs on GPUs of the same major number and at least that minor number,
    PTX (``compute_XY``) on all that are not older.

    Parameters
    ----------
    capability : (int, int)
    architectures : iterable of str
        As ``torch.cuda.get_arch_list`` gives them.
    """
    for architecture in architectures:
        match = re.match(r"(sm|compute)_(\d+)(\d)([af]?)$", architecture)
        if not match:
            continue
        needed = int(match.group(2)), int(match.group(3))
        if match.group(4):
            # Code that is specific to one architecture runs on no other.
            runs = capability == needed
        elif match.group(1) == "compute":
            runs = capability >= needed
        else:
            runs = capability[0] == needed[0] and capability >= needed
        if runs:
            return True
    return False


def _failed(check: str, kind: str, device: str, words: str) -> List[Finding]:
    short = _short(words)
    if device != "cpu" and any(part in words for part in _NO_KERNEL):
        return [warning(check, "the build has no code for this GPU: " + short,
                        "use the torch engine in a build for this GPU, or the CPU")]
    if device != "cpu" and _NO_CARD in words:
        return [warning(check, "built for NVIDIA cards, and found none that it can use",
                        "check the card and its driver with nvidia-smi, or use --device cpu")]
    if device != "cpu" and any(part in words for part in _NO_GPU):
        return [note(check, "built for the CPU only", "use --device cpu, or the torch engine")]
    if "No module named" in words or "ImportError" in words:
        return [warning(check, "installed, but cannot be imported: " + short,
                        "reinstall it; " + ENGINES[kind])]
    return [warning(check, "fails in a process of its own: " + short,
                    "reinstall it; " + ENGINES[kind])]


def judge_cards(gpus: Sequence[Card]) -> List[Finding]:
    """What there is to report about the GPUs."""
    if not gpus:
        return [note("GPU", "nvidia-smi lists none: everything runs on the CPU")]
    return [fine("GPU", f"{card.name}{_capability(card)}, driver {card.driver}")
            for card in gpus]


def _capability(card: Card) -> str:
    if card.capability is None:
        return ""
    return ", compute capability {}.{}".format(*card.capability)


def cards() -> List[Card]:
    """The GPUs that nvidia-smi lists."""
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


def _card(line: str) -> Card:
    parts = [part.strip() for part in line.split(",")]
    match = re.match(r"(\d+)\.(\d+)$", parts[2]) if len(parts) > 2 else None
    capability = (int(match.group(1)), int(match.group(2))) if match else None
    return Card(parts[0], capability, parts[1])


def probe(words: List[str], timeout: float = _PATIENCE) -> Probe:
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
    child = Child("caffe_gradcam.doctor.probe:serve", tuple(words), "probe",
                  environment={"GLOG_minloglevel": "2"})
    try:
        if not child.pipe.poll(timeout):
            return Probe(None, f"no answer within {timeout:g} seconds")
        return Probe(child.pipe.recv())
    except (EOFError, OSError):
        death = child.kill()
        return Probe(None, death.words if death else "")
    finally:
        child.kill()


def _short(text: str, longest: int = 300) -> str:
    text = " ".join(text.split())
    return text if len(text) <= longest else text[:longest] + "..."
