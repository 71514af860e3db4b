"""The Open Inference Protocol (KServe V2) over HTTP, with the extension for binary tensors."""

from __future__ import annotations

import json
import math
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, PositiveInt, ValidationError

from asap_tf.core.errors import shown
from asap_tf.core.system import package_version
from asap_tf.serving.limits import Limits, refused
from asap_tf.serving.service import Service

_HEADER_LENGTH = "Inference-Header-Content-Length"
"""Header with the bytes of JSON in a body, after which the tensors follow."""

_CHANNELS = 3


class Input(BaseModel):
    """Frames, in JSON or behind it."""

    name: Literal["frames"]
    datatype: Literal["UINT8"]
    shape: tuple[PositiveInt, PositiveInt, PositiveInt, Literal[3]]
    data: list[Any] | None = None
    parameters: dict[str, Any] = {}


class Output(BaseModel):
    """The output that is asked for."""

    name: Literal["labels"]
    parameters: dict[str, Any] = {}


class Inference(BaseModel):
    """A request for labels."""

    id: str | None = None
    inputs: Annotated[list[Input], Field(min_length=1, max_length=1)]
    outputs: Annotated[list[Output], Field(max_length=1)] = []
    parameters: dict[str, Any] = {}

    @property
    def frames(self) -> Input:
        """The only input."""
        return self.inputs[0]

    @property
    def wants_binary(self) -> bool:
        """Whether the labels are to follow the JSON."""
        every = self.parameters.get("binary_data_output", False)
        of_output = self.outputs[0].parameters if self.outputs else {}
        return of_output.get("binary_data", every) is True


def routes(service: Service) -> APIRouter:
    """The routes below `/v2`."""
    router = APIRouter(prefix="/v2")

    def require_name(name: str) -> None:
        if name != service.name:
            raise refused(404, f"no model '{shown(name, 80)}' here; it is '{service.name}'")

    @router.get("")
    async def server() -> dict[str, Any]:
        return {
            "name": "asap-tf",
            "version": package_version(),
            "extensions": ["binary_tensor_data"],
        }

    @router.get("/health/live")
    @router.get("/health/ready")
    async def healthy() -> dict[str, Any]:
        return {}

    @router.get("/models/{name}")
    async def model(name: str) -> dict[str, Any]:
        require_name(name)
        return {
            "name": name,
            "platform": service.segmenter.format,
            "inputs": [{"name": "frames", "datatype": "UINT8", "shape": [-1, -1, -1, _CHANNELS]}],
            "outputs": [{"name": "labels", "datatype": "UINT8", "shape": [-1, -1, -1]}],
        }

    @router.get("/models/{name}/ready")
    async def ready(name: str) -> dict[str, Any]:
        require_name(name)
        return {}

    @router.post("/models/{name}/infer")
    async def infer(name: str, request: Request) -> Response:
        require_name(name)
        head_length = request.headers.get(_HEADER_LENGTH)

        async def work(body: bytes) -> Response:
            head, tail = split(body, head_length)
            asked = await service.in_thread(parse, head, service.limits)
            if asked.frames.shape[0] > service.limits.frames:
                raise refused(413, f"at most {service.limits.frames} frames are taken at once")
            count = math.prod(asked.frames.shape[:3])
            if not asked.wants_binary and count > service.limits.json_labels:
                raise refused(413, "too many labels for JSON; ask for binary_data")
            async with service.room.pixels(count):
                frames = await service.in_thread(frames_of, asked.frames, tail)
                labels = (await service.labels(frames)).labels
                return await service.in_thread(respond, service.name, asked, labels)

        return await service.answer(request, work)

    return router


def split(body: bytes, head_length: str | None) -> tuple[bytes, bytes]:
    """The JSON of a body and the tensors behind it."""
    if head_length is None:
        return body, b""
    if not head_length.isdecimal() or int(head_length) > len(body):
        text = f"{_HEADER_LENGTH} {shown(head_length, 40)}: the body has {len(body)} bytes"
        raise refused(400, text)
    return body[: int(head_length)], body[int(head_length) :]


def parse(head: bytes, limits: Limits) -> Inference:
    """A request as its JSON says it, checked."""
    if len(head) > limits.json_bytes:
        most = limits.json_bytes / 1e6
        raise refused(413, f"at most {most:g} MB of JSON are taken; send frames as binary data")
    try:
        return Inference.model_validate_json(head)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise refused(400, shown(f"{place}: {first['msg']}".removeprefix(": "), 500)) from None


def frames_of(tensor: Input, tail: bytes) -> np.ndarray:
    """The frames of a request, uint8 `(N, H, W, 3)`."""
    count = math.prod(tensor.shape)
    if tensor.data is None:
        size = tensor.parameters.get("binary_data_size")
        if size != count or len(tail) != count:
            raise refused(
                400,
                f"frames: of shape {list(tensor.shape)} are {count} bytes; "
                f"binary_data_size is {shown(size, 40)}, and {len(tail)} bytes follow the JSON",
            )
        return np.frombuffer(tail, np.uint8).reshape(tensor.shape)
    if tail:
        raise refused(400, f"frames: are in JSON, and {len(tail)} bytes follow it")
    try:
        values = np.array(tensor.data)
    except ValueError:
        values = np.empty(0)
    if values.size != count or values.dtype.kind != "i":
        text = f"frames: data is not the {count} whole numbers of shape {list(tensor.shape)}"
        raise refused(400, text)
    if values.min() < 0 or values.max() > 255:
        raise refused(400, "frames: data beyond 0 to 255, which UINT8 does not hold")
    return values.astype(np.uint8).reshape(tensor.shape)


def respond(name: str, asked: Inference, labels: np.ndarray) -> Response:
    """The answer with labels, uint8 `(N, H, W)`."""
    output: dict[str, Any] = {"name": "labels", "datatype": "UINT8", "shape": labels.shape}
    answer = {"model_name": name, "outputs": [output]}
    if asked.id is not None:
        answer["id"] = asked.id
    if not asked.wants_binary:
        output["data"] = labels.ravel().tolist()
        return JSONResponse(answer)
    output["parameters"] = {"binary_data_size": labels.size}
    head = json.dumps(answer).encode()
    return Response(
        head + labels.tobytes(),
        headers={_HEADER_LENGTH: str(len(head))},
        media_type="application/octet-stream",
    )
