"""Both packages pass mypy, and so does what users write against them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy", reason="mypy needs Python 3.10")

ROOT = Path(__file__).resolve().parents[1]
USER = ROOT / "tests" / "typed_user.py"
EXPECTED = re.compile("# expected: (.*)$")


def _mypy(*arguments):
    """The exit code and the report of mypy."""
    command = [sys.executable, "-m", "mypy", "--no-error-summary", *arguments]
    result = subprocess.run(command, cwd=str(ROOT), stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT)
    return result.returncode, result.stdout.decode()


def test_both_packages_pass_mypy():
    code, report = _mypy()
    assert code == 0, report


def test_a_type_checker_knows_the_public_face():
    """Every expected answer stands on its line, and there is no other."""
    _, report = _mypy(str(USER.relative_to(ROOT)))
    answers = {}
    for line in report.splitlines():
        path, number, kind, text = line.split(":", 3)
        if Path(path).name == USER.name and " See " not in text:
            answers.setdefault(int(number), []).append(text)
    expected = {}
    for number, line in enumerate(USER.read_text(encoding="utf-8").splitlines(), 1):
        if EXPECTED.search(line):
            expected[number] = EXPECTED.search(line).group(1)
    assert sorted(answers) == sorted(expected), report
    for number, words in expected.items():
        assert any(words in text for text in answers[number]), answers[number]


@pytest.mark.parametrize("package", ["prototxt_tools", "caffe_gradcam"])
def test_the_package_tells_type_checkers_that_it_has_types(package):
    assert (ROOT / package / "py.typed").is_file()
