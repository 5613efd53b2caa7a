"""Mail in development: on the console, and as one file each in the data dir."""

import time
from email.message import Message
from pathlib import Path

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.console import EmailBackend


def folder() -> Path:
    return Path(settings.DATA_DIR) / "mail"


class ConsoleAndFileBackend(EmailBackend):
    def write_message(self, message: EmailMessage) -> None:
        super().write_message(message)
        folder().mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder() / f"{time.time_ns()}.eml"
        path.touch(mode=0o600)  # letters hold codes and links
        content: Message = message.message()
        path.write_bytes(content.as_bytes())
