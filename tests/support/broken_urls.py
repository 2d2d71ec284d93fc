"""URLs of views that fail, beside the program's URLs, for tests of error answers."""

from django.core.exceptions import BadRequest
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.urls import path

from gemchat import urls
from gemchat.api.errors import DomainError


class Foreseen(DomainError):
    code = "foreseen"
    message = "That was to be expected."
    status = 409


FAULTS = {
    "unforeseen": RuntimeError("secret of the program"),
    "bad": BadRequest("secret of the program"),
    "database": OperationalError("secret of the program"),
    "foreseen": Foreseen(),
}


def fail(request: HttpRequest, fault: str) -> HttpResponse:
    raise FAULTS[fault]


urlpatterns = [
    path("api/v1/broken/<fault>", fail),
    path("broken/<fault>", fail),
    *urls.urlpatterns,
]
handler400, handler403 = urls.handler400, urls.handler403
handler404, handler500 = urls.handler404, urls.handler500
