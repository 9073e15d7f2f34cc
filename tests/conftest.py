"""What tests of both halves, with and without Caffe, share."""

import importlib.util
import os
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
# tests/definitions.py and scripts/digit_scenes.py are modules that tests of every folder use.
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "scripts")]

os.environ.setdefault("GLOG_minloglevel", "2")
if "PYTEST_XDIST_WORKER" in os.environ:
    # One worker for each core already; threads of theirs would only wait for one another.
    for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(threads, "1")
if importlib.util.find_spec("hypothesis"):
    import hypothesis

    # A busy machine generates slowly, which says nothing about the code.
    hypothesis.settings.register_profile(
        "suite", deadline=None, max_examples=int(os.environ.get("FUZZ_EXAMPLES", 100)),
        suppress_health_check=[hypothesis.HealthCheck.too_slow])
    hypothesis.settings.load_profile("suite")


# Where no engine is chosen, these run in Caffe wherever it is installed.
WITH_THE_DEFAULT_ENGINE = {"test_digits_model.py", "test_explain_cli.py", "test_explain_options.py"}


def pytest_addoption(parser):
    parser.addoption("--only-caffe", action="store_true",
                     help="run only the tests in which real Caffe takes part")
    parser.addoption("--long", action="store_true",
                     help="run also the tests that take minutes, as scripts/test --all does")


def pytest_collection_modifyitems(config, items):
    """With --only-caffe, deselect what gives the same result with Caffe and without."""
    if not config.getoption("--long"):
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(pytest.mark.skip(reason="takes minutes; --long runs it"))
    if not config.getoption("--only-caffe"):
        return
    chosen = [item for item in items if _takes_caffe(item)]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(chosen)])
    items[:] = chosen


def _takes_caffe(item):
    parameters = getattr(item, "callspec", None)
    return ("caffe" in getattr(item, "fixturenames", ())
            or (parameters is not None and "caffe" in map(str, parameters.params.values()))
            or item.fspath.basename in WITH_THE_DEFAULT_ENGINE)


@pytest.fixture(scope="session", autouse=True)
def folder_of_the_user(tmp_path_factory):
    """What the program keeps for a user lies apart from what it keeps for the one who tests it."""
    os.environ["CAFFE_GRADCAM_HOME"] = str(tmp_path_factory.mktemp("kept"))


@pytest.fixture(scope="session")
def shared():
    """The folder of third-party weights, photographs and prototxts beside the checkout."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the folder of third-party models and photographs is not beside the checkout")
    return folder


@pytest.fixture(scope="session")
def models():
    """The folder of models that come with the project."""
    return ROOT / "models"


@pytest.fixture(scope="session")
def caffe():
    """Real pycaffe; where CAFFE_GRADCAM_REQUIRE_CAFFE is set its absence is a failure."""
    if importlib.util.find_spec("caffe") is None:
        if os.environ.get("CAFFE_GRADCAM_REQUIRE_CAFFE"):
            pytest.fail("pycaffe is required here and cannot be imported")
        pytest.skip("pycaffe is not installed here; the image has it")
    import caffe

    return caffe


@pytest.fixture(scope="session")
def torch():
    """torch, or a skip."""
    return pytest.importorskip("torch", reason="torch is not installed here")
