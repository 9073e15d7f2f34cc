"""What ``caffe-gradcam doctor`` reports about the machine, and about models/digits on the card."""

import json
import subprocess

from gpu_checks import product
from gpu_checks.report import Failed, Report
from gpu_checks.setting import Setting


def doctor(setting: Setting, report: Report) -> None:
    """All findings. An error fails the check, and so does a card that the engine does not use."""
    scene = sorted((product.DIGITS / "scenes").glob("*.png"))[0]
    result = subprocess.run(
        product.command("doctor", product.DIGITS, scene, "--device", setting.device, "--json"),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        universal_newlines=True)
    report.number("exit code", result.returncode)
    findings = json.loads(result.stdout)
    for finding in findings:
        report.row("Findings of the doctor", ["severity", "check", "finding", "remedy"], [
            finding["severity"], finding["check"], finding["what"], finding["remedy"]])
    errors = [finding for finding in findings if finding["severity"] == "error"]
    if errors or result.returncode not in (0, 1):
        first = f"; the first: {errors[0]['what']}" if errors else ""
        raise Failed(f"the doctor exits with {result.returncode} and reports {len(errors)} "
                     f"errors{first}")
    name = "engine torch on " + setting.device
    if not any(finding["check"] == name and finding["severity"] == "fine"
               for finding in findings):
        raise Failed(f"the doctor does not report that the torch engine works on {setting.device}")
