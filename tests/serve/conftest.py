"""What tests of the server share."""

import pathlib
import sys
import threading
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))


@pytest.fixture(scope="session")
def server(models):
    """The address of a server with the digits' model."""
    pytest.importorskip("torch", reason="torch is not installed here")
    pytest.importorskip("starlette", reason="starlette is not installed here")
    uvicorn = pytest.importorskip("uvicorn", reason="uvicorn is not installed here")
    from caffe_gradcam.engines.running import Running
    from caffe_gradcam.model.model import LoadedModel
    from caffe_gradcam.serve.answering import Answering
    from caffe_gradcam.serve.application import Service, application
    from caffe_gradcam.serve.guard import Guard

    folder = str(models / "digits")
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
def browser():
    """A headless Chromium for the whole session."""
    from browser import open_browser

    driver = open_browser()
    yield driver
    driver.quit()
