from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class StaffAdminConfig(AdminConfig):
    """Configure Django's admin with the sign-in for staff."""

    default_site = "backoffice.sign_in.StaffSite"


class BackofficeConfig(AppConfig):
    name = "backoffice"
