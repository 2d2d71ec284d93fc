from django.apps import AppConfig


class ProjectConfig(AppConfig):
    name = "gemchat"

    def ready(self) -> None:
        from gemchat import checks  # noqa: F401 registers them
