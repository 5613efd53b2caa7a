"""One event, one line: control characters are escaped, so that neither a header nor a traceback can forge a second one."""

import logging
import time

_ESCAPES = {code: f"\\x{code:02x}" for code in [*range(32), 127]} | {ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): " "}


class LineFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        message = record.getMessage()
        if record.exc_info:
            message += "\n" + self.formatException(record.exc_info)
        return (
            f"{stamp}.{int(record.msecs):03d}Z {record.levelname.lower()} {record.name}: {message.translate(_ESCAPES)}"
        )
