import re
from typing import Any

from django.conf import settings
from django.urls import URLPattern, path, re_path
from django.views.generic import TemplateView
from rest_framework.routers import SimpleRouter

from accounts.api.views import SessionViewSet, SignInViewSet, UserViewSet
from accounts.api.web_session import WebConfirmationView, WebRefreshView, WebSessionView
from accounts.models import User

# Calls for codes.
CODE_PATH = re.compile(r"/api/v1/auth/(?:send-otp|forgot-password|verify-otp)/?")

router = SimpleRouter()
router.trailing_slash = "/?"
router.register("auth", SignInViewSet, basename="auth")
router.register("auth", SessionViewSet, basename="session")

USER_ACTIONS: Any = {"get": "retrieve", "patch": "partial_update", "delete": "destroy"}

urlpatterns = [
    *router.urls,
    re_path(r"^user/me/?$", UserViewSet.as_view(USER_ACTIONS), name="user-me"),
]

# At the root, not under the API.
web_urlpatterns: list[URLPattern] = [
    path(
        "",
        TemplateView.as_view(
            template_name="landing.html",
            extra_context={"daily_limit": settings.PLANS[User.Tier.BASIC].daily_limit},
        ),
        name="landing",
    ),
    re_path(r"^web/session/?$", WebSessionView.as_view(), name="web-session"),
    re_path(r"^web/session/confirm/?$", WebConfirmationView.as_view(), name="web-confirm"),
    re_path(r"^web/session/refresh/?$", WebRefreshView.as_view(), name="web-refresh"),
]
