"""The description of the service, in the form of OpenAPI 3.1."""

from typing import Any, Dict

from caffe_gradcam import __version__
from caffe_gradcam.serve.asked import describe_fields

_NUMBER = {"type": ["number", "null"]}
_INDEX = {"type": ["integer", "null"]}
_TEXT = {"type": ["string", "null"]}


def describe() -> Dict[str, Any]:
    """The document at ``/openapi.json``."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "caffe-gradcam", "version": __version__,
                 "description": "What a Caffe net looked at in an image."},
        "paths": {
            "/v1/model": {"get": {
                "summary": "The model: classes, methods, layers and their shapes",
                "operationId": "model", "responses": {"200": _content(
                    "the model", "application/json", {"type": "object"})}}},
            "/v1/explain": _operation("explain", "Explain an image", _content(
                "scores and maps", "application/json", {"$ref": "#/components/schemas/Answer"})),
            "/v1/figure": _operation("figure", "Explain an image: the figure", _content(
                "a figure", "image/png", {"type": "string", "format": "binary"})),
            "/v1/arrays": _operation("arrays", "Explain an image: the arrays", _content(
                "cam, heatmap and scores in an .npz file", "application/octet-stream",
                {"type": "string", "format": "binary"}))},
        "components": {
            "schemas": {"Request": describe_fields(), "Answer": _answer(), "Error": {
                "type": "object", "required": ["error"],
                "properties": {"error": {"type": "string"}}}},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer",
                                          "description": "where the server has a token"}}},
        "security": [{}, {"token": []}]}


def _operation(name: str, summary: str, success: Dict[str, Any]) -> Dict[str, Any]:
    error = _content("what is wrong, in one sentence", "application/json",
                     {"$ref": "#/components/schemas/Error"})
    responses = {"200": success, **{status: error for status in (
        "400", "401", "403", "413", "415", "421", "503", "504")}}
    return {"post": {"summary": summary, "operationId": name, "responses": responses,
                     "requestBody": dict(_content("", "application/json", {
                         "$ref": "#/components/schemas/Request"}), required=True)}}


def _content(text: str, kind: str, schema: Dict[str, Any]) -> Dict[str, Any]:
    return {"description": text, "content": {kind: {"schema": schema}}}


def _answer() -> Dict[str, Any]:
    top = {"class": {"type": "integer"}, "class_name": _TEXT, "score": {"type": "number"},
           "probability": _NUMBER}
    shown = {
        "question": {"type": "string"}, "class": _INDEX, "class_name": _TEXT, "score": _NUMBER,
        "probability": _NUMBER, "method": {"type": "string"}, "layer": {"type": "string"},
        "status": {"enum": ["ok", "empty"]}, "positive_mass": _NUMBER, "negative_mass": _NUMBER,
        "shape": {"type": ["array", "null"], "items": {"type": "integer"}},
        "cam": dict(_TEXT, description="h x w float32, little-endian, in base64; null for a map "
                    "of more than 1024 cells"),
        "heat": dict(_TEXT, description="the heatmap on the image, a PNG file in base64, 255 at "
                     "its maximum")}
    return {"type": "object", "properties": {
        "model": {"type": "string"},
        "size": {"type": "array", "items": {"type": "integer"}, "description": "height, width"},
        "crop": {"type": ["array", "null"], "items": {"type": "integer"}},
        "picture": {"type": "string", "description": "what was explained, as JPEG in base64"},
        "top": {"type": "array", "items": {"type": "object", "properties": top}},
        "maps": {"type": "array", "items": {"type": "object", "properties": shown}},
        "command": {"type": "string", "description": "the command line that repeats this"}}}
