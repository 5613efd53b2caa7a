from django.apps import AppConfig


class TokenHubConfig(AppConfig):
    name = "tokenhub"

    def ready(self) -> None:
        from tokenhub import celery, checks  # noqa: F401 - `@shared_task` finds the app; checks register themselves
