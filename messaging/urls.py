from rest_framework.routers import SimpleRouter

from messaging.account_views import AccountViewSet
from messaging.views import ConversationViewSet, MessageViewSet

router = SimpleRouter()
router.trailing_slash = "/?"
router.register("user", AccountViewSet, basename="user")
router.register("chatroom", ConversationViewSet, basename="chatroom")
router.register("message", MessageViewSet, basename="message")

urlpatterns = router.urls
