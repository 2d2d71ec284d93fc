from django.apps import AppConfig


class FilesConfig(AppConfig):
    name = "files"

    def ready(self) -> None:
        # A module that registers its checks.
        from files import checks  # noqa: F401
