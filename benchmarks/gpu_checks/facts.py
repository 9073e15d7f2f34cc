"""Facts about the machine, collected before anything is checked."""

import datetime
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from typing import Any, Dict, Optional

from gpu_checks.results import NO_CARD

PATIENCE = 120
PROGRAM = "import sys; sys.path[:] = {!r}; from gpu_checks.facts import main; main()"


def gather(is_dry: bool) -> Dict[str, Any]:
    """Facts about card, driver, torch and machine.

    Parameters
    ----------
    is_dry : bool
        Whether to leave cards alone, and unnamed.

    Returns
    -------
    dict
        ``torch`` is None where it is not installed; ``problem`` is a sentence where it cannot be
        imported, or None.
    """
    facts: Dict[str, Any] = {
        "card": NO_CARD, "dry_run": is_dry,
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "python": platform.python_version(), "cores": len(os.sched_getaffinity(0)),
        "processor": processor(), "version": _version(), "problem": None, "cards": 0}
    if is_dry:
        facts.update(_of_installed_torch())
    else:
        facts.update(_of_torch() if importlib.util.find_spec("torch") else _of_card())
        facts.update(driver=_smi("driver_version"), clocks=clocks())
    return facts


def clocks() -> Optional[str]:
    """The card's clocks at this moment, and the highest: "SM, memory, SM, memory" in MHz."""
    return _smi("clocks.sm,clocks.mem,clocks.max.sm,clocks.max.mem")


def processor() -> str:
    """The processor's name."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            match = re.search(r"^model name\s*: (.*)$", file.read(), re.M)
    except OSError:
        match = None
    return match.group(1) if match else platform.machine()


def _version() -> str:
    from caffe_gradcam import __version__

    return __version__


def _of_installed_torch() -> Dict[str, Any]:
    """The version of the package, without importing it, which takes seconds."""
    try:
        return {"torch": importlib.metadata.version("torch")}
    except importlib.metadata.PackageNotFoundError:
        return {"torch": None}


def _of_card() -> Dict[str, Any]:
    """What nvidia-smi reports about the first card, where there is no torch."""
    fields = _smi("name,compute_cap,memory.total")
    if fields is None:
        return {"torch": None}
    name, capability, memory = fields.split(", ")
    return {"torch": None, "card": name, "cards": 1, "capability": capability,
            "memory_mib": int(memory)}


def _of_torch() -> Dict[str, Any]:
    """What torch reports about itself and the card, in a process that may crash."""
    try:
        result = subprocess.run(
            [sys.executable, "-c", PROGRAM.format(sys.path)], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return {"problem": f"importing torch took more than {PATIENCE} s"}
    for line in reversed(result.stdout.decode("utf-8", "replace").splitlines()):
        if line.startswith("{"):
            return json.loads(line)
    words = result.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
    reason = "".join(words) or f"its process ended with status {result.returncode}"
    return {"problem": f"torch cannot be imported: {reason}"}


def _smi(fields: str) -> Optional[str]:
    """What nvidia-smi reports about the first card, or None."""
    tool = shutil.which("nvidia-smi")
    if not tool:
        return None
    try:
        result = subprocess.run(
            [tool, "--query-gpu=" + fields, "--format=csv,noheader,nounits", "--id=0"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.decode("utf-8", "replace").strip() if result.returncode == 0 else None


def main() -> None:
    """The process of torch: print one line of JSON."""
    import torch

    facts = {"torch": torch.__version__, "cuda": torch.version.cuda, "cards": 0}
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        facts.update(card=properties.name, cards=torch.cuda.device_count(),
                     memory_mib=properties.total_memory >> 20,
                     capability=f"{properties.major}.{properties.minor}",
                     cudnn=torch.backends.cudnn.version())
    print(json.dumps(facts))
    sys.stdout.flush()
    os._exit(0)
