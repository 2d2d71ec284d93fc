from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class StaffAdminConfig(AdminConfig):
    """Django's admin, with this program's sign-in."""

    default_site = "backoffice.sign_in.StaffSite"


class BackofficeConfig(AppConfig):
    name = "backoffice"
