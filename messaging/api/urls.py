from django.urls import URLPattern, URLResolver, re_path
from django.views.generic import TemplateView
from rest_framework.routers import SimpleRouter

from chatrooms.models import DEFAULT_TITLE
from gemchat.api.text import UUID
from messaging.api.export import export
from messaging.api.messages import ConversationViewSet, MessageViewSet
from messaging.api.models import ModelViewSet
from messaging.api.stream import message, stream

router = SimpleRouter()
router.trailing_slash = "/?"
router.register("chatroom", ConversationViewSet, basename="chatroom")
router.register("model", ModelViewSet, basename="model")
router.register("message", MessageViewSet, basename="message")

urlpatterns: list[URLPattern | URLResolver] = [
    *router.urls,
    # Async views, since a request may last for minutes.
    re_path(rf"^message/(?P<message_id>{UUID})/?$", message, name="message-detail"),
    re_path(rf"^message/(?P<message_id>{UUID})/stream/?$", stream, name="message-stream"),
    re_path(rf"^chatroom/(?P<chatroom_id>{UUID})/export/?$", export, name="chatroom-export"),
]

# At the root, not under the API: a single page. A script on the page reads the path to find the
# chatroom.
chat = TemplateView.as_view(
    template_name="chat/page.html", extra_context={"default_title": DEFAULT_TITLE}
)
page_urlpatterns: list[URLPattern] = [
    re_path(r"^chat/?$", chat, name="chat"),
    re_path(rf"^chat/(?:new|{UUID})/?$", chat),
]
