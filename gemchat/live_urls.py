"""What web serves by native async views: probes, and the reads that last for minutes."""

import re

from django.urls import URLPattern, URLResolver

from gemchat.api import errors
from gemchat.api.text import UUID
from gemchat.monitoring.urls import urlpatterns as probes
from messaging.api import async_urls
from privacy.api.urls import async_urlpatterns as downloads
from privacy.api.views import DOWNLOAD_PATH

# A message alone is live with `?wait=` only; what has a name here always is.
LIVE_PATH = re.compile(
    rf"(?:/api/v1/message/{UUID}(?P<stream>/stream)?|/api/v1/chatroom/{UUID}(?P<export>/export)"
    rf"|(?P<download>{DOWNLOAD_PATH}))/?"
)

urlpatterns: list[URLPattern | URLResolver] = [*probes, *async_urls.urlpatterns, *downloads]

handler400 = errors.bad_request
handler403 = errors.permission_denied
handler404 = errors.not_found
handler500 = errors.server_error
