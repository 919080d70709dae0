# SPDX-License-Identifier: Apache-2.0
"""Between the values of ``bcai.wire`` and httpx, for both clients."""

from __future__ import annotations

import ssl
from typing import Any

import httpx

from bcai.config import Target
from bcai.version import __version__
from bcai.wire import Request, Response, TransportFailure

_CONNECT_S_MAX = 10.0


def client_options(target: Target) -> tuple[dict[str, Any], str | None]:
    """Arguments of the httpx client, and the socket's path when the target is a unix socket."""
    headers = {"User-Agent": f"bcai-python/{__version__}"}
    if target.api_key:
        headers["Authorization"] = f"Bearer {target.api_key}"
    options: dict[str, Any] = {"headers": headers, "follow_redirects": False}
    if target.endpoint.startswith("unix:"):
        return {**options, "base_url": "http://localhost"}, target.endpoint.removeprefix("unix:")
    if target.ca_file is not None:
        options["verify"] = ssl.create_default_context(cafile=target.ca_file)
    return {**options, "base_url": target.endpoint}, None


def send_arguments(request: Request, timeout_s: float) -> dict[str, Any]:
    timeout = httpx.Timeout(
        timeout_s, read=timeout_s + request.wait_s, connect=min(timeout_s, _CONNECT_S_MAX)
    )
    return {
        "method": request.method,
        "url": request.path,
        "params": dict(request.query) or None,
        "headers": dict(request.headers),
        "content": request.body or None,
        "timeout": timeout,
    }


def response_of(answer: httpx.Response, body: bytes) -> Response:
    return Response(answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, body)


def failure(error: httpx.TransportError) -> TransportFailure:
    kind = "timed out" if isinstance(error, httpx.TimeoutException) else "no connection"
    return TransportFailure(f"{kind}: {error}" if str(error) else kind)
