from django.urls import re_path
from rest_framework.routers import SimpleRouter

from privacy.api.views import DOWNLOAD_PATH, ExportViewSet, download

router = SimpleRouter()
router.trailing_slash = "/?"
router.register("user", ExportViewSet, basename="export")

urlpatterns = router.urls

# Reads that may last for minutes.
async_urlpatterns = [re_path(rf"^{DOWNLOAD_PATH[1:]}/?$", download)]
