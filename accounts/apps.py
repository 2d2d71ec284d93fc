from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        # Modules that register handlers; no module imports a model before time.
        import gemchat.checks  # noqa: F401
        from accounts import checks  # noqa: F401
        from accounts.models import lookups  # noqa: F401
