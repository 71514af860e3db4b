"""`POST /predict`: an image in; label map, overlay or what is in it out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse
from starlette.datastructures import UploadFile

from asap_tf.data.frames import frame_size, read_frame
from asap_tf.data.images import BadFile, TooManyPixels, encode_image
from asap_tf.inference.report import describe
from asap_tf.inference.view import View
from asap_tf.serving.limits import refused
from asap_tf.serving.service import Service
from asap_tf.serving.worker import Labeled

Form = Literal["ids", "overlay", "overlay-jpg", "json"]

_BY_MEDIA_TYPE: dict[str, Form] = {
    "image/png": "ids",
    "application/json": "json",
    "image/jpeg": "overlay-jpg",
    "image/*": "ids",
    "application/*": "json",
    "*/*": "ids",
}

_UNNAMED = "image"
"""What an image is called that comes without a name."""


def routes(service: Service) -> APIRouter:
    """The route of `/predict`."""
    router = APIRouter()

    @router.post("/predict")
    async def predict(
        request: Request,
        format: Annotated[Form | None, Query()] = None,
        polygons: bool = False,
        legend: bool = True,
    ) -> Response:
        """Labels an image, sent as the body or as a file in a form."""
        form = format or accepted(request.headers.get("accept", "*/*"))

        async def work(body: bytes) -> Response:
            name, content = await _image(request, body)
            pixels = await service.in_thread(_checked, frame_size, name, content)
            async with service.room.pixels(pixels):
                frame = await service.in_thread(_checked, read_frame, name, content)
                labeled = await service.labels(frame.pixels[np.newaxis])
                return await service.in_thread(
                    _response, service, form, str(name), frame.pixels, labeled, polygons, legend
                )

        return await service.answer(request, work)

    return router


def accepted(header: str) -> Form:
    """The form of the answer that an Accept header likes best.

    Raises:
        HTTPException: 406 if there is none.
    """
    wishes: list[tuple[float, str]] = []
    for part in header.split(","):
        media_type, _, parameter = part.partition(";")
        name, _, value = parameter.strip().partition("=")
        try:
            wishes.append((float(value) if name == "q" else 1.0, media_type.strip()))
        except ValueError:
            continue
    for quality, media_type in sorted(wishes, key=lambda wish: -wish[0]):
        if quality > 0 and media_type in _BY_MEDIA_TYPE:
            return _BY_MEDIA_TYPE[media_type]
    raise refused(406, "answers are image/png, image/jpeg and application/json")


async def _image(request: Request, body: bytes) -> tuple[Path, bytes]:
    """An image's name and content."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        return Path(_UNNAMED), body

    async def replay() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async with Request(request.scope, replay).form(max_files=1, max_fields=8) as form:
        for value in form.values():
            if isinstance(value, UploadFile):
                return Path(value.filename or _UNNAMED), await value.read()
    raise refused(400, "the form has no file; send the image as a file in it, or as the body")


def _checked(read: Any, name: Path, content: bytes) -> Any:
    """What a reader of images finds, its errors as answers."""
    try:
        return read(name, content)
    except BadFile as error:
        status = 413 if isinstance(error, TooManyPixels) else 400
        raise HTTPException(status, str(error)) from None


def _response(
    service: Service,
    form: Form,
    name: str,
    frame: np.ndarray,
    labeled: Labeled,
    polygons: bool,
    legend: bool,
) -> Response:
    labels = labeled.labels[0]
    if form == "json":
        found = describe(name, service.name, service.segmenter, labels, labeled.seconds, polygons)
        return JSONResponse({"images": [found]})
    mode = "ids" if form == "ids" else "overlay"
    ending = "jpg" if form == "overlay-jpg" else "png"
    picture = View(service.segmenter.classes, mode, legend).picture(frame, labels)
    media_type = "image/jpeg" if ending == "jpg" else "image/png"
    return Response(encode_image(picture, ending), media_type=media_type)
