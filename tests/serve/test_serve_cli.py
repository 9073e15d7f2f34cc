"""The command serve, as far as it ends by itself."""

import io
import logging
import socket
import sys

import pytest

from caffe_gradcam.commands import cli


@pytest.mark.parametrize("arguments, message", [
    (["--timeout", "0"], "--timeout must be greater than 0"),
    (["--device", "0,1"], "this command runs on one device")])
def test_what_cannot_be_served_is_refused(models, capsys, arguments, message):
    assert cli.main(["serve", str(models / "digits"), *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1"])
def test_a_port_is_a_number(models, capsys, port):
    with pytest.raises(SystemExit) as end:
        cli.main(["serve", str(models / "digits"), "--port", port])
    assert end.value.code == 2 and "--port" in capsys.readouterr().err


def test_without_starlette_the_message_names_the_extra(models, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "starlette.applications", None)
    assert cli.main(["serve", str(models / "digits")]) == 2
    assert "pip install 'caffe-gradcam[serve]'" in capsys.readouterr().err


class _Handler(logging.StreamHandler):
    """As absl's, which TensorBoard brings: it closes the stream that it was made with."""

    def close(self):
        self.stream.close()
        super().close()


def test_a_port_that_is_taken_is_one_sentence(models, torch, capsys):
    pytest.importorskip("uvicorn", reason="uvicorn is not installed here")
    pytest.importorskip("starlette", reason="starlette is not installed here")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        handler = _Handler(io.StringIO())
        assert cli.main(["serve", str(models / "digits"), "--port", str(port), "-q",
                         "--engine", "torch"]) == 2
    assert not handler.stream.closed, "the log handlers of the process were closed"
    assert f"cannot listen on 127.0.0.1:{port}" in capsys.readouterr().err
