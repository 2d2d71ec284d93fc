"""Native async views of files: the list, uploads, and single files."""

import uuid
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from rest_framework.exceptions import ValidationError
from rest_framework.renderers import JSONRenderer

from accounts.api.authentication import session_for
from accounts.api.live_reads import live_reads_of
from accounts.models import Session, User
from billing.plans import plan_for_user
from files.api import serializers
from files.api.uploads import receive_upload
from files.api.waits import examination_waits
from files.models import File
from gemchat.api.async_views import async_view, in_thread
from gemchat.api.pagination import DEFAULT_LIMIT, MAX_LIMIT, read_cursor, sign_cursor

LONGEST_WAIT_SECONDS = 30
ACCEPTED_WAITS = {str(seconds) for seconds in range(LONGEST_WAIT_SECONDS + 1)}
JSON = "application/json"


@async_view(JSON, methods=("GET", "HEAD", "POST"))
async def collection(request: HttpRequest) -> HttpResponseBase:
    """GET /file/ lists files. POST /file/ uploads a file, `?wait=` waits for the examination."""
    session = await in_thread(signed_in, request)
    if request.method != "POST":
        return await in_thread(list_files, request, session.user)
    seconds = wait_seconds(request)
    file, is_new = await receive_upload(request, session.user)
    file = await wait_for_examination(request, session, file, seconds)
    response = json_response(serializers.to_json(file, request), status=201 if is_new else 200)
    response["Location"] = reverse("file-detail", kwargs={"file_id": file.pk})
    return response


# The handler leaves the body to the view.
collection.reads_body = True  # type: ignore[attr-defined]


@async_view(JSON, methods=("GET", "HEAD", "DELETE"))
async def detail(request: HttpRequest, file_id: str) -> HttpResponseBase:
    """GET and DELETE /file/{id}; GET waits by `?wait=` for the end of the examination."""
    session = await in_thread(signed_in, request)
    if request.method == "DELETE":
        await in_thread(delete_file, session.user, file_id)
        return HttpResponse(status=204)
    seconds = wait_seconds(request)
    file = await in_thread(own_file_or_raise, session.user, file_id)
    file = await wait_for_examination(request, session, file, seconds)
    return json_response(serializers.to_json(file, request))


def signed_in(request: HttpRequest) -> Session:
    """Return the session of a request. Raises AuthenticationFailed."""
    session = session_for(request.headers.get("Authorization", ""))
    request.user = session.user
    return session


def own_file_or_raise(user: User, file_id: str) -> File:
    """Raises File.DoesNotExist, also for another user's file."""
    return File.objects.owned_by(user.pk).get(pk=file_id)


def delete_file(user: User, file_id: str) -> None:
    """Raises File.DoesNotExist."""
    if not File.objects.owned_by(user.pk).filter(pk=file_id).mark_deleted():
        raise File.DoesNotExist


def wait_seconds(request: HttpRequest) -> int:
    """Read `wait` of the query, from 0 to 30; 422 otherwise."""
    given = request.GET.get("wait", "0")
    if given not in ACCEPTED_WAITS:
        detail = f"Give a whole number of seconds from 0 to {LONGEST_WAIT_SECONDS}."
        raise ValidationError({"wait": detail})
    return int(given)


async def wait_for_examination(
    request: HttpRequest, session: Session, file: File, seconds: int
) -> File:
    """Return the examined file, or the current file after `seconds`.

    Raises TooManyLiveReads and TooManyClients.
    """
    if not seconds or file.is_examined:
        return file
    live_reads_of(request).open(session)
    await examination_waits.wait(file.pk, seconds=seconds)
    # The session may have ended meanwhile.
    session = await in_thread(signed_in, request)
    return await in_thread(own_file_or_raise, session.user, str(file.pk))


def list_files(request: HttpRequest, user: User) -> HttpResponse:
    """Return a page of the user's files; the headers have the space."""
    limit, salt = read_limit(request), f"files {user.pk}"
    files = File.objects.owned_by(user.pk).order_by("-pk")
    if (kind := request.GET.get("kind")) is not None:
        if kind not in File.Kind.values:
            raise ValidationError({"kind": f"Give {', '.join(File.Kind.values)}."})
        files = files.filter(kind=kind)
    if (cursor := request.GET.get("cursor")) is not None:
        files = files.filter(pk__lt=uuid.UUID(read_cursor(cursor, salt=salt)))
    found = list(files[: limit + 1])
    page = found[:limit]
    cursor = sign_cursor(str(page[-1].pk), salt=salt) if len(found) > limit else None
    results = [serializers.to_json(file, request) for file in page]
    response = json_response({"results": results, "next": cursor})
    response["X-Storage-Limit"] = str(plan_for_user(user).storage_bytes)
    response["X-Storage-Used"] = str(File.objects.used_bytes(user_id=user.pk))
    return response


def read_limit(request: HttpRequest) -> int:
    """Read `limit` of the query: default 50, at most 100; 422 for another value."""
    given = request.GET.get("limit", str(DEFAULT_LIMIT))
    if not (given.isascii() and given.isdigit() and given.strip("0")):
        raise ValidationError({"limit": f"Give a whole number from 1 to {MAX_LIMIT}."})
    return min(int(given[:18]), MAX_LIMIT)


def json_response(body: Any, *, status: int = 200) -> HttpResponse:
    return HttpResponse(JSONRenderer().render(body), JSON, status=status)
