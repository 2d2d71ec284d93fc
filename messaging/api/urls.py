from django.urls import URLPattern, re_path
from django.views.generic import TemplateView
from rest_framework.routers import SimpleRouter

from gemchat.api.text import UUID
from messaging.api.messages import ConversationViewSet, MessageViewSet

router = SimpleRouter()
router.trailing_slash = "/?"
router.register("chatroom", ConversationViewSet, basename="chatroom")
router.register("message", MessageViewSet, basename="message")

urlpatterns = router.urls

# At the root, not under the API: one page, whose script reads from the path what to show.
chat = TemplateView.as_view(template_name="chat/page.html")
page_urlpatterns: list[URLPattern] = [
    re_path(r"^chat/?$", chat, name="chat"),
    re_path(rf"^chat/(?:new|{UUID})/?$", chat),
]
