"""Snippets are complete, correct in their own language, and harmless whatever they are filled with."""

import ast
import html
import json
import re
import shlex
import shutil
import subprocess

import pytest
from django.conf import settings

from tokenhub.snippets import Kind, snippets

BASE = "https://hub.example/api/v1"
KEY = "th-" + "A1b2" * 12
AWKWARD = 'It\'s "quoted",\n`$HOME` \\ </script> & 你好'


def code(language: str, **filled: str) -> str:
    made = snippets("openai/gpt-6-luna", base_url=BASE, **filled)  # type: ignore[arg-type]
    return next(snippet.code for snippet in made if snippet.language == language)


def test_curl_is_the_one_line_to_paste() -> None:
    assert code("curl", key=KEY) == (
        f'curl {BASE}/chat/completions -H "Authorization: Bearer {KEY}" -H "Content-Type: application/json" '
        '-d \'{"model":"openai/gpt-6-luna","messages":[{"role":"user","content":"Say hello in five words."}]}\''
    )


def test_without_a_key_every_language_reads_the_environment() -> None:
    for snippet in snippets("m", base_url=BASE):
        assert "TOKENHUB_API_KEY" in snippet.code
    for snippet in snippets("m", key=KEY, base_url=BASE):
        assert "TOKENHUB_API_KEY" not in snippet.code and KEY in snippet.code


def test_this_hosts_address_is_the_default() -> None:
    for snippet in snippets("m"):
        assert f"{settings.PUBLIC_URL}/api" in snippet.code


def test_anthropic_clients_are_given_the_address_without_v1() -> None:
    assert 'base_url="https://hub.example/api"' in code("anthropic")
    assert "curl https://hub.example/api/v1/messages " in code("anthropic_curl")


@pytest.mark.parametrize("kind", ["chat", "image", "video"])
def test_an_awkward_prompt_arrives_unchanged(kind: Kind) -> None:
    for snippet in snippets("m", base_url=BASE, prompt=AWKWARD, kind=kind):
        if "curl" in snippet.language:
            words = shlex.split(snippet.code)
            body = json.loads(words[words.index("-d") + 1])
            assert AWKWARD in (body.get("prompt"), body.get("messages", [{}])[0].get("content"))
        elif snippet.language in ("python", "anthropic"):
            strings = {node.value for node in ast.walk(ast.parse(snippet.code)) if isinstance(node, ast.Constant)}
            assert AWKWARD in strings
        else:
            assert json.dumps(AWKWARD, ensure_ascii=False) in snippet.code


def test_a_shell_passes_on_what_it_was_given() -> None:
    """In a real shell: nothing in the prompt is expanded, the variable of the key is."""
    line = code("curl", prompt=AWKWARD).removeprefix("curl ")
    shell = shutil.which("sh")
    assert shell
    script = f"for word in {line}; do printf '%s\\0' \"$word\"; done"
    out = subprocess.run([shell, "-c", script], env={"TOKENHUB_API_KEY": KEY}, capture_output=True, check=True).stdout
    words = out.decode().split("\0")
    assert f"Authorization: Bearer {KEY}" in words
    assert json.loads(words[words.index("-d") + 1])["messages"][0]["content"] == AWKWARD


def test_highlighting_adds_colours_and_nothing_else() -> None:
    for kind in ("chat", "image", "video"):
        for snippet in snippets("m", key="<b>", base_url=BASE, prompt=AWKWARD, kind=kind):  # type: ignore[arg-type]
            without_spans = re.sub(r'<span class="\w+">|</span>', "", snippet.code_html)
            assert "<" not in without_spans
            assert html.unescape(without_spans) == snippet.code
    assert '<span class="nv">$TOKENHUB_API_KEY</span>' in snippets("m")[0].code_html


def test_what_is_to_be_installed_is_one_line() -> None:
    installs = {snippet.language: snippet.install for snippet in snippets("m")}
    assert installs["python"] == "pip install openai" and installs["anthropic"] == "pip install anthropic"
    assert installs["curl"] == ""
