from django.urls import URLPattern, URLResolver, re_path
from rest_framework.routers import SimpleRouter

from privacy.api.views import ExportViewSet, download

router = SimpleRouter()
router.trailing_slash = "/?"
router.register("user", ExportViewSet, basename="export")

urlpatterns: list[URLPattern | URLResolver] = [
    *router.urls,
    # An async view, since a download may last for minutes.
    re_path(r"^user/me/export/file/?$", download, name="user-export-file"),
]
