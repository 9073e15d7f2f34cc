"""Names in files reach the terminal as text: nothing of them is obeyed, nothing raises."""

import io
import os
import subprocess
import sys

import pytest

from caffe_gradcam.commands import cli as gradcam
from prototxt_tools.commands import cli as tools
from prototxt_tools.commands import terminal

ESCAPE = "\\033[2J\\033]0;pwned\\007"
NET = b"""name: "n\\033[1m"
layer { name: "data" type: "Input" top: "data"
        input_param { shape { dim: 1 dim: 3 dim: 12 dim: 12 } } }
layer { name: "%s" type: "Convolution" bottom: "data" top: "%s"
        convolution_param { num_output: 8 kernel_size: 3 } }
layer { name: "fc" type: "InnerProduct" bottom: "%s" top: "fc"
        inner_product_param { num_output: 3 } }
"""
NAMES = [ESCAPE.encode("ascii"), b"conv_\xb2\xe3", "\u5df7\u202e".encode("utf-8"),
         b"\x1b[31mraw\x9b2J", b"a\\nb\\rc"]


@pytest.mark.parametrize("text, shown", [
    ("plain \u5df7 \u00e9\t\n", "plain \u5df7 \u00e9\t\n"),
    ("\x1b[2J\x07\x9b\x7f\r", "\\x1b[2J\\x07\\x9b\\x7f\\x0d"),
    ("a\u202eb\u2066\u2028", "a\\u202eb\\u2066\\u2028"),
    ("\udcb2\udce3\ud800", "\\xb2\\xe3\\ud800"),
])
def test_only_text_is_left(text, shown):
    assert terminal.safe(text) == shown


def test_a_message_stays_on_one_line():
    assert terminal.one_line("a\nb\x1b") == "a\\nb\\x1b"


def test_letters_that_the_terminal_lacks_are_escaped():
    stream = io.TextIOWrapper(io.BytesIO(), "ascii")
    terminal.SafeStream(stream, bars=False).write("\u5df7 \u00e9\n")
    stream.flush()
    assert stream.buffer.getvalue() == b"\\u5df7 \\xe9\n"


def test_progress_bars_may_move_the_cursor_and_nothing_else():
    stream = io.StringIO()
    bars = terminal.SafeStream(stream, bars=True)
    for text in ("\r 5 % a\x1b[2J\rb", "\r   \r", "\n\x1b[A", "x\r\x1b[A"):
        bars.write(text)
    assert stream.getvalue() == ("\\x0d 5 % a\\x1b[2J\\x0db" "\r   \r" "\n\x1b[A" "x\\x0d\\x1b[A")


def run(main, arguments, encoding, monkeypatch):
    streams = [io.TextIOWrapper(io.BytesIO(), encoding) for _ in range(2)]
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", streams[0])
        patch.setattr(sys, "stderr", streams[1])
        main(arguments)
    for stream in streams:
        stream.flush()
        assert not set(stream.buffer.getvalue()) & (set(range(32)) - set(b"\t\n"))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_names_of_layers_never_reach_the_terminal_raw(tmp_path, monkeypatch, name, encoding):
    path = tmp_path / "deploy.prototxt"
    path.write_bytes(NET % (name, name, name))
    out = str(tmp_path / "out.prototxt")
    for main, command in (
            (tools.main, ["inspect", str(path)]),
            (tools.main, ["upgrade", str(path), "-o", out]),
            (gradcam.main, ["explain", str(path), "no.png", "-o", str(tmp_path)])):
        run(main, command, encoding, monkeypatch)


@pytest.mark.skipif(os.name == "nt", reason="there are no pseudo-terminals")
def test_a_net_on_a_terminal_is_shown_and_in_a_pipe_it_is_itself(tmp_path):
    import pty

    path = tmp_path / "deploy.prototxt"
    path.write_bytes(NET % ((b"\x1b[31mraw",) * 3))
    command = [sys.executable, "-m", "prototxt_tools", "upgrade", str(path)]
    piped = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE).stdout
    leader, follower = pty.openpty()
    subprocess.run(command, stdout=follower, stderr=subprocess.PIPE)
    os.close(follower)
    shown = os.read(leader, 1 << 16)
    os.close(leader)
    assert b"\x1b[31mraw" in piped and b"\x1b" not in shown and b"\\x1b[31mraw" in shown
