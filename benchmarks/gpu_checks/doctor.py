"""What ``caffe-gradcam doctor`` says of the machine, and of models/digits on the card."""

import json
import subprocess

from gpu_checks import product
from gpu_checks.report import Failed, Report
from gpu_checks.setting import Setting


def doctor(setting: Setting, report: Report) -> None:
    """All findings; one that is an error fails the check, and so does a card that idles."""
    scene = sorted((product.DIGITS / "scenes").glob("*.png"))[0]
    result = subprocess.run(
        product.command("doctor", product.DIGITS, scene, "--device", setting.device, "--json"),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        universal_newlines=True)
    report.number("exit code", result.returncode)
    findings = json.loads(result.stdout)
    for finding in findings:
        report.row("What the doctor says", ["severity", "check", "finding", "remedy"], [
            finding["severity"], finding["check"], finding["what"], finding["remedy"]])
    errors = [finding for finding in findings if finding["severity"] == "error"]
    if errors or result.returncode not in (0, 1):
        raise Failed("it finds {} errors; the first is: {}".format(
            len(errors), errors[0]["what"] if errors else "none"))
    wanted = "engine torch on " + setting.device
    if not any(finding["check"] == wanted and finding["severity"] == "fine"
               for finding in findings):
        raise Failed("it does not say that the torch engine works on {}".format(setting.device))
