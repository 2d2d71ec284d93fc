from django.contrib.admin.apps import AdminConfig


class StaffAdminConfig(AdminConfig):
    """Django's admin, with this program's sign-in."""

    default_site = "accounts.staff.StaffSite"
