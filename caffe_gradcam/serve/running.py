"""Runs the server."""

import ipaddress
import secrets
from typing import FrozenSet, Optional, Tuple

from caffe_gradcam.serve.application import Service, application
from caffe_gradcam.serve.guard import Guard
from prototxt_tools.errors import InputError


def token_for(host: str, token: Optional[str]) -> Optional[str]:
    """The token that a server on an address needs: none on the loopback interface, unless one is
    given; elsewhere the given one, or a new one."""
    return token or (None if is_loopback(host) else secrets.token_urlsafe(24))


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def run(service: Service, address: Tuple[str, int], token: Optional[str] = None,
        names: FrozenSet[str] = frozenset()) -> None:
    """Serve until the process is interrupted.

    Parameters
    ----------
    service : Service
    address : (str, int)
        Host and port.
    token : str, optional
        As :func:`token_for` gives it.
    names : frozenset of str
        Names of this server besides localhost and addresses in numbers.

    Raises
    ------
    InputError
        Starlette or uvicorn is missing, or the port cannot be had.
    """
    guarded = Guard(application(service), token, names)
    try:
        import uvicorn
    except ImportError:
        raise InputError("serve needs uvicorn; run: pip install 'caffe-gradcam[serve]'",
                         "uvicorn") from None
    host, port = address
    # Addresses may hold the token, so none is logged. Uvicorn's own log_config would close the log
    # handlers of the whole process, and absl's closes the stream that it writes to.
    config = uvicorn.Config(guarded, host=host, port=port, log_level="warning", access_log=False,
                            log_config=None, server_header=False, limit_concurrency=64,
                            timeout_keep_alive=30)
    try:
        uvicorn.Server(config).run()
    except SystemExit:  # What uvicorn does where the port is taken.
        raise InputError(f"cannot listen on {host}:{port}; choose another --port",
                         str(port)) from None
    finally:
        service.close()
