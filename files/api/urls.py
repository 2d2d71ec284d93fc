from django.urls import URLPattern, re_path

from files.api.downloads import content, thumbnail
from files.api.views import collection, detail
from gemchat.api.text import UUID

urlpatterns: list[URLPattern] = [
    # Async views, since an upload, a wait and a download may last for minutes.
    re_path(r"^file/?$", collection, name="file-list"),
    re_path(rf"^file/(?P<file_id>{UUID})/?$", detail, name="file-detail"),
    re_path(rf"^file/(?P<file_id>{UUID})/content/?$", content, name="file-content"),
    re_path(rf"^file/(?P<file_id>{UUID})/thumbnail/?$", thumbnail, name="file-thumbnail"),
]
