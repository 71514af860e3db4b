"""The application: its routes, and what every answer has."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException

from asap_tf.core.errors import shown
from asap_tf.core.system import package_version
from asap_tf.serving import predict, v2
from asap_tf.serving.limits import Limits, TokenRequired
from asap_tf.serving.service import Service

if TYPE_CHECKING:
    from asap_tf.runtime import Segmenter

OPEN_PATHS = frozenset({"/", "/health", "/v2/health/live", "/v2/health/ready"})
"""What anybody may ask for, token or not: the page has a field for it."""

_PAGE_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src blob:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


class _Folder(StaticFiles):
    """A page of `asap-tf export --web`, with the headers by which it runs in several threads."""

    def file_response(self, *arguments: Any, **options: Any) -> Response:
        response = super().file_response(*arguments, **options)
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
        response.headers["Cross-Origin-Embedder-Policy"] = "require-corp"
        return response


def create_app(
    segmenter: Segmenter,
    name: str,
    limits: Limits | None = None,
    token: str | None = None,
    page: Path | None = None,
) -> FastAPI:
    """The service as an ASGI application.

    Args:
        segmenter: What labels.
        name: What the model is called in addresses and answers.
        limits: Bounds; None for the usual ones.
        token: What clients have to show; None lets everybody in.
        page: Folder of `asap-tf export --web` to show at `/`; None shows a page that asks the
            service.

    Examples:
        >>> app = create_app(asap_tf.load("asap_lite0_street"), "asap_lite0_street")
    """
    service = Service(segmenter, name, limits or Limits())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        service.close()

    app = FastAPI(
        title="asap-tf",
        version=package_version(),
        lifespan=lifespan,
        # Their pages load programs from elsewhere; the description itself is at /openapi.json.
        docs_url=None,
        redoc_url=None,
    )
    app.include_router(predict.routes(service))
    app.include_router(v2.routes(service))

    @app.get("/health")
    async def health() -> dict[str, Any]:
        return {"status": "ok"}

    @app.get("/metrics")
    async def metrics() -> Response:
        text = generate_latest(service.metrics.registry)
        return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    @app.exception_handler(HTTPException)
    async def refuse(request: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"error": error.detail}, error.status_code, error.headers)

    @app.exception_handler(RequestValidationError)
    async def refuse_query(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        return JSONResponse({"error": shown(f"{first['loc'][-1]}: {first['msg']}", 500)}, 400)

    open_paths = OPEN_PATHS
    if page is None:
        _show_own_page(app)
    else:
        # Last of all: it takes every path that is nobody else's.
        app.mount("/", _Folder(directory=page, html=True))
        open_paths |= {f"/{file.relative_to(page).as_posix()}" for file in page.rglob("*")}
    if token is not None:
        app.add_middleware(TokenRequired, token=token, open_paths=open_paths)
    return app


def _show_own_page(app: FastAPI) -> None:
    content = files("asap_tf.serving").joinpath("page.html").read_text(encoding="utf-8")

    @app.get("/", response_class=HTMLResponse)
    async def show_page() -> HTMLResponse:
        return HTMLResponse(content, headers={"Content-Security-Policy": _PAGE_POLICY})
