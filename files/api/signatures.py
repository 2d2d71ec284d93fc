"""Signed addresses of downloads: a page's `<img>` sends no token.

A signature is of the path, the end and the owner, so it ends with the file and with the account.
"""

import time
from urllib.parse import urlencode

from django.http import HttpRequest
from django.urls import reverse
from django.utils.crypto import constant_time_compare, salted_hmac

from files.models import File

SALT = "files.api.signatures"
LIFETIME_SECONDS = 15 * 60


def signed_url(request: HttpRequest, file: File, name: str) -> str:
    """Return the address of the view `name` of a file, valid for 15 minutes."""
    path = reverse(name, kwargs={"file_id": file.pk})
    expires = str(int(time.time()) + LIFETIME_SECONDS)
    query = urlencode({"expires": expires, "signature": _sign(file, name, expires)})
    return request.build_absolute_uri(f"{path}?{query}")


def is_signed(file: File, name: str, *, expires: str, signature: str) -> bool:
    """Check a signature and its end."""
    if not (expires.isascii() and expires.isdigit() and len(expires) <= 12):
        return False
    is_right = constant_time_compare(_sign(file, name, expires), signature)
    return is_right and int(expires) >= time.time()


def _sign(file: File, name: str, expires: str) -> str:
    value = f"{name} {file.pk} {file.user_id} {expires}"
    return salted_hmac(SALT, value, algorithm="sha256").hexdigest()
