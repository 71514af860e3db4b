"""`POST /predict`: an image in; label map, overlay or what is in it out."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import File, create_form_parser

from asap_tf.core.errors import first_line
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
            content_type = request.headers.get("content-type", "")
            name, content = await service.in_thread(image_of, content_type, body)
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


def image_of(content_type: str, body: bytes) -> tuple[Path, bytes]:
    """Name and content of the image in a body: the file of a form, or all of it.

    Raises:
        HTTPException: 400 for a form that is broken or has not one file.
    """
    if not content_type.startswith("multipart/form-data"):
        return Path(_UNNAMED), body
    found: list[File] = []

    def keep(file: File) -> None:
        if found:
            raise refused(400, "the form has several files; send one image at a time")
        found.append(file)

    try:
        # In memory whatever its size: nothing of strangers is written to a disk.
        parser = create_form_parser(
            {"Content-Type": content_type.encode()}, None, keep, {"MAX_MEMORY_FILE_SIZE": math.inf}
        )
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise refused(400, f"the form is broken: {first_line(error)}") from None
    if not found:
        raise refused(400, "the form has no file; send the image as a file in it, or as the body")
    name, content = found[0].file_name or b"", found[0].file_object
    content.seek(0)
    return Path(name.decode(errors="replace") or _UNNAMED), content.read()


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
