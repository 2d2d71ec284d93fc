"""Every URL of the program. API paths answer with and without a trailing slash."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path, re_path
from django.views.generic import RedirectView

from accounts.api.urls import web_urlpatterns as web_session
from billing.api.urls import page_urlpatterns as billing_pages
from gemchat.api import docs, errors
from gemchat.monitoring.urls import urlpatterns as probes
from messaging.api.urls import page_urlpatterns as messaging_pages

# Django tries them in this order: the busiest come first.
urlpatterns: list[URLPattern | URLResolver] = [
    path("api/v1/", include("messaging.api.urls")),
    path("api/v1/", include("files.api.urls")),
    path("api/v1/", include("privacy.api.urls")),
    path("api/v1/", include("accounts.api.urls")),
    path("api/v1/", include("billing.api.urls")),
    *probes,
    path("admin", RedirectView.as_view(url="/admin/")),
    path("admin/", admin.site.urls),
    *web_session,
    *messaging_pages,
    *billing_pages,
    re_path(r"^openapi\.json/?$", docs.openapi, name="openapi"),
    re_path(r"^docs/?$", docs.swagger, name="docs"),
    re_path(r"^redoc/?$", docs.redoc, name="redoc"),
    # With DEBUG, Django would show its own page for an unknown URL. This pattern stays the last.
    re_path(r"", errors.not_found),
]

handler400 = errors.bad_request
handler403 = errors.permission_denied
handler404 = errors.not_found
handler500 = errors.server_error
