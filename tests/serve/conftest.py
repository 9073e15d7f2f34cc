"""What tests of the server share."""

import contextlib
import pathlib
import sys
import threading
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))


@contextlib.contextmanager
def serving(folder):
    """The address of a server with the model of a folder."""
    pytest.importorskip("torch", reason="torch is not installed here")
    pytest.importorskip("starlette", reason="starlette is not installed here")
    uvicorn = pytest.importorskip("uvicorn", reason="uvicorn is not installed here")
    from caffe_gradcam.engines.running import Running
    from caffe_gradcam.model.model import LoadedModel
    from caffe_gradcam.serve.answering import Answering
    from caffe_gradcam.serve.application import Service, application
    from caffe_gradcam.serve.guard import Guard

    service = Service(Answering(LoadedModel.load(folder), Running("torch"), folder), 300)
    config = uvicorn.Config(Guard(application(service)), port=0, log_level="warning")
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    while not running.started:
        time.sleep(0.05)
    port = running.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    running.should_exit = True
    thread.join(10)
    service.close()


@pytest.fixture(scope="session")
def server(models):
    """The address of a server with the digits' model."""
    with serving(str(models / "digits")) as address:
        yield address


@pytest.fixture(scope="session")
def branching(tmp_path_factory):
    """The address of a server with a small net of branches, a Concat and a shortcut."""
    import definitions

    net = definitions.Builder("branching", (1, 3, 32, 32))
    stem = net.conv_relu("stem", "data", 8, 3, pad=1)
    branches = [net.conv_relu("narrow", stem, 4, 1),
                net.conv_relu("wide", net.conv_relu("reduce", stem, 4, 1), 4, 5, pad=2),
                net.conv_relu("projected", net.pool("pool", stem, 3, 1, 1), 4, 1)]
    joined = net.layer("Concat", "joined", branches)
    residual = net.conv("residual", joined, 12, 3, pad=1)
    total = net.layer("Eltwise", "sum", [joined, residual])
    net.softmax(net.fc("scores", net.global_average("average", total), 5))
    folder = tmp_path_factory.mktemp("branching")
    definitions.write_model(folder, net.text())
    with serving(str(folder)) as address:
        yield address


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium for the whole session."""
    from browser import open_browser

    driver = open_browser()
    yield driver
    driver.quit()
