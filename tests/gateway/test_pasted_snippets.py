"""The example code of the pages, pasted as it stands: it reaches this gateway and is answered."""

import os
import shutil
import subprocess
import sys

import pytest

from gateway.models import CallRecord
from tests.gateway.conftest import Customer
from tests.servers import Server
from tokenhub.snippets import Snippet, snippets

MODEL = "openai/gpt-6-luna"


def run(snippet: Snippet, key: str) -> subprocess.CompletedProcess[str]:
    """In a shell, or by Python; the key is in the environment, as the snippet without one expects."""
    if "curl" in snippet.language:
        if shutil.which("curl") is None:
            pytest.skip("no curl on this machine")
        command = ["sh", "-c", snippet.code]
    else:
        command = [sys.executable, "-c", snippet.code]
    env = os.environ | {"TOKENHUB_API_KEY": key}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("language", ["curl", "python", "anthropic", "anthropic_curl"])
@pytest.mark.parametrize("is_keyed", [True, False], ids=["with the key", "with the environment's key"])
def test_a_pasted_snippet_is_answered_and_charged(
    site: Server, customer: Customer, language: str, is_keyed: bool
) -> None:
    made = snippets(MODEL, key=customer.key if is_keyed else "", base_url=site.api)
    snippet = next(snippet for snippet in made if snippet.language == language)
    done = run(snippet, "" if is_keyed else customer.key)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    record = CallRecord.objects.get(account_id=customer.account.pk)
    assert record.status == 200 and record.cost_nanos > 0
