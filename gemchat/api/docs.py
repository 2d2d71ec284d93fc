"""The OpenAPI document, and two pages to render the document. `dev.openapi` writes the file."""

import hashlib
from functools import cache

from csp.decorators import csp_update
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import condition, require_safe

from gemchat.env import BASE_DIR

# Redoc adds two style elements: an empty element for Redoc's script, and an element with a text.
# The hashes allow exactly these two as inline styles.
REDOC_STYLES = [
    "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='",
    "'sha256-QMIg+bpjm3JdElJ388KYke01izlUW0UoNOeKjpMxdgc='",
]


@cache
def description() -> tuple[bytes, str]:
    """Return the file and the ETag."""
    content = (BASE_DIR / "docs" / "openapi.json").read_bytes()
    return content, f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def etag(request: HttpRequest) -> str:
    return description()[1]


@csrf_exempt
@require_safe
@condition(etag_func=etag)
def openapi(request: HttpRequest) -> HttpResponse:
    return HttpResponse(description()[0], "application/json", headers={"Cache-Control": "no-cache"})


@csrf_exempt
@require_safe
@csp_update({"img-src": ["'self'", "data:"]})
def swagger(request: HttpRequest) -> HttpResponse:
    return render(request, "docs/swagger.html")


@csrf_exempt
@require_safe
@csp_update({"img-src": ["'self'", "data:"], "style-src": ["'self'", *REDOC_STYLES]})
def redoc(request: HttpRequest) -> HttpResponse:
    return render(request, "docs/redoc.html")
