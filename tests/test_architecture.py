"""The rooms of both packages: imports only go down, without circles, and the top stays small."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("prototxt_tools", "caffe_gradcam")
# They load what they export when it is asked for.
FACES = set(PACKAGES)
PLANNED = {"export", "report", "serve"}
MOST_ROOMS = 14


def test_the_contracts_of_pyproject_hold():
    pytest.importorskip("importlinter", reason="import-linter needs Python 3.10")
    command = [sys.executable, "-c",
               "from importlinter.cli import lint_imports_command; lint_imports_command()",
               "--no-cache", "--no-logo"]
    result = subprocess.run(command, cwd=str(ROOT), stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT)
    assert result.returncode == 0, result.stdout.decode()


def test_no_modules_import_each_other_in_a_circle():
    grimp = pytest.importorskip("grimp", reason="import-linter needs Python 3.10")
    graph = grimp.build_graph(*PACKAGES, exclude_type_checking_imports=True, cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) - FACES
               for module in graph.modules - FACES}
    assert _in_circles(imports) == set()


def test_a_circle_is_noticed():
    assert _in_circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == {"b", "c"}


def test_at_most_fourteen_rooms_stand_at_the_top_of_caffe_gradcam():
    rooms = {path.stem for path in (ROOT / "caffe_gradcam").iterdir()
             if path.suffix in ("", ".py") and not path.name.startswith("__")}
    assert len(rooms | PLANNED) <= MOST_ROOMS, sorted(rooms)


def _in_circles(imports):
    """The modules that remain when whatever imports nothing, or is not imported, is taken away."""
    remaining = dict(imports)
    while True:
        imported = {target for targets in remaining.values() for target in targets}
        inner = {module: targets & set(remaining) for module, targets in remaining.items()
                 if module in imported and targets & set(remaining)}
        if inner == remaining:
            return set(remaining)
        remaining = inner
