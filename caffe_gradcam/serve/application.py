"""The server's addresses: the page, its files, and the same operations as JSON."""

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Callable, Dict, Tuple

from caffe_gradcam import __version__
from caffe_gradcam.pictures.render.colormaps import colormap
from caffe_gradcam.report import page
from caffe_gradcam.serve.answering import Answering
from caffe_gradcam.serve.asked import Asked
from caffe_gradcam.serve.guard import TooLarge
from caffe_gradcam.serve.openapi import describe
from prototxt_tools.errors import InputError
from prototxt_tools.files import parse_json

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

MOST_WAITING = 8
_TEMPLATES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "templates")
# The files of the page, in the order in which they are joined.
_REPORT = os.path.join(os.path.dirname(os.path.abspath(page.__file__)), "templates")
_FILES: Dict[str, Tuple[str, Tuple[str, ...]]] = {
    "style.css": ("text/css", (os.path.join(_REPORT, "base.css"),
                               os.path.join(_TEMPLATES, "serve.css"))),
    "script.js": ("text/javascript", (os.path.join(_REPORT, "heat.js"),
                                      os.path.join(_TEMPLATES, "serve.js"))),
}


class Service:
    """The endpoints.

    Parameters
    ----------
    answering : Answering
    timeout : float
        Seconds after which a request is answered with an error, whether it is in work or waits.
    """

    def __init__(self, answering: Answering, timeout: float = 60.0) -> None:
        self._answering, self._timeout = answering, timeout
        self._threads = ThreadPoolExecutor(1)
        self._places = threading.BoundedSemaphore(MOST_WAITING)

    async def index(self, request: "Request") -> "Response":
        """The page."""
        from starlette.responses import HTMLResponse

        with open(os.path.join(_TEMPLATES, "serve.html"), encoding="utf-8") as file:
            return HTMLResponse(file.read())

    async def file(self, request: "Request") -> "Response":
        """A file of the page."""
        from starlette.responses import Response

        kind, paths = _FILES[request.path_params["name"]] if request.path_params[
            "name"] in _FILES else ("", ())
        if not paths:
            return _error(404, "no such file")
        texts = []
        for path in paths:
            with open(path, encoding="utf-8") as file:
                texts.append(file.read())
        return Response("".join(texts), media_type=kind)

    async def model(self, request: "Request") -> "Response":
        """What there is to know of the model."""
        from starlette.responses import JSONResponse

        return JSONResponse(dict(
            self._answering.description(), version=__version__, timeout=self._timeout,
            colormaps={name: colormap(name).table[:, ::-1].tobytes().hex()
                       for name in page.COLORMAPS}))

    async def openapi(self, request: "Request") -> "Response":
        """The description of this service."""
        from starlette.responses import JSONResponse

        return JSONResponse(describe())

    async def explain(self, request: "Request") -> "Response":
        """Explain a picture: JSON."""
        from starlette.responses import JSONResponse

        return await self._answered(request, lambda asked: JSONResponse(
            self._answering.to_json(asked, self._answering.answer(asked))))

    async def figure(self, request: "Request") -> "Response":
        """Explain a picture: a PNG file."""
        return await self._answered(request, lambda asked: _download(
            self._answering.to_png(asked, self._answering.answer(asked)), "image/png",
            "figure.png"))

    async def arrays(self, request: "Request") -> "Response":
        """Explain a picture: an NPZ file."""
        return await self._answered(request, lambda asked: _download(
            self._answering.to_npz(asked, self._answering.answer(asked)),
            "application/octet-stream", "arrays.npz"))

    async def _answered(self, request: "Request", answer: "Callable[[Asked], Response]"
                        ) -> "Response":
        """Answer in a thread, so that the page and other requests do not wait."""
        try:
            body = await asyncio.wait_for(request.body(), self._timeout)
            asked = Asked.of(parse_json(body.decode("utf-8")))
            if not self._places.acquire(blocking=False):
                return _error(503, f"{MOST_WAITING} requests are waiting already; try again later")
            work = self._threads.submit(answer, asked)
            # The place is free when the work ends, even if nobody waits for it any more.
            work.add_done_callback(lambda _: self._places.release())
            return await asyncio.wait_for(asyncio.wrap_future(work), self._timeout)
        except (TooLarge, UnicodeDecodeError, ValueError) as error:
            if isinstance(error, TooLarge):
                return _error(413, "the request is too large")
            return _error(400, "the body is not JSON")
        except InputError as error:
            return _error(400, str(error))
        except asyncio.TimeoutError:
            return _error(504, f"there was no answer within {self._timeout:g} s")

    def close(self) -> None:
        """Take no more work, and close the net."""
        self._threads.shutdown(wait=False)
        self._answering.close()


def application(service: Service) -> "Starlette":
    """The ASGI application of a service; put a ``Guard`` before it.

    Raises
    ------
    InputError
        Starlette is missing.
    """
    try:
        from starlette.applications import Starlette
        from starlette.routing import Route
    except ImportError:
        raise InputError("serve needs Starlette and uvicorn; run: pip install "
                         "'caffe-gradcam[serve]'", "starlette") from None
    return Starlette(routes=[
        Route("/", service.index), Route("/files/{name}", service.file),
        Route("/openapi.json", service.openapi), Route("/v1/model", service.model),
        Route("/v1/explain", service.explain, methods=["POST"]),
        Route("/v1/figure", service.figure, methods=["POST"]),
        Route("/v1/arrays", service.arrays, methods=["POST"])])


def _download(data: bytes, kind: str, name: str) -> "Response":
    from starlette.responses import Response

    return Response(data, media_type=kind,
                    headers={"content-disposition": f'attachment; filename="{name}"'})


def _error(status: int, sentence: str) -> Any:
    from starlette.responses import JSONResponse

    return JSONResponse({"error": sentence}, status)
