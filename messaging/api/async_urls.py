"""Paths of the reads that may last for minutes; `gemchat.asgi` serves them by async views."""

from django.urls import re_path

from gemchat.api.text import UUID
from messaging.api.export import export
from messaging.api.stream import stream, wait

urlpatterns = [
    re_path(rf"^api/v1/message/(?P<message_id>{UUID})/stream/?$", stream),
    re_path(rf"^api/v1/message/(?P<message_id>{UUID})/?$", wait),
    re_path(rf"^api/v1/chatroom/(?P<chatroom_id>{UUID})/export/?$", export),
]
