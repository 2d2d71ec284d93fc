"""The reads that may last for minutes; `gemchat.asgi` gives them to native async views."""

import re

from django.urls import re_path

from gemchat.api import errors
from messaging.account_views import DOWNLOAD_PATH, download
from messaging.api.export import export
from messaging.api.stream import stream, wait

UUID = "[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
# A message alone is live with `?wait=` only; what has a name here always is.
LIVE_PATH = re.compile(
    rf"(?:/api/v1/message/{UUID}(?P<stream>/stream)?|/api/v1/chatroom/{UUID}(?P<export>/export)"
    rf"|(?P<download>{DOWNLOAD_PATH}))/?"
)

urlpatterns = [
    re_path(rf"^api/v1/message/(?P<message_id>{UUID})/stream/?$", stream),
    re_path(rf"^api/v1/message/(?P<message_id>{UUID})/?$", wait),
    re_path(rf"^api/v1/chatroom/(?P<chatroom_id>{UUID})/export/?$", export),
    re_path(rf"^{DOWNLOAD_PATH[1:]}/?$", download),
]

handler400 = errors.bad_request
handler403 = errors.permission_denied
handler404 = errors.not_found
handler500 = errors.server_error
