from django.apps import AppConfig


class MediaJobsConfig(AppConfig):
    name = "media_jobs"
