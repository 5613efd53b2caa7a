"""Example code: one registry for the landing, welcome, keys, model and docs pages. Pure text in, text out.

Every snippet is complete: pasted as it is, it makes the call. Where no key is given it reads ``TOKENHUB_API_KEY``.
"""

import json
import re
from collections.abc import Callable
from typing import Literal, NamedTuple

from django.conf import settings
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext_lazy as _

PROMPT = "Say hello in five words."

type Kind = Literal["chat", "image", "video"]


class Snippet(NamedTuple):
    language: str  # names the tab: curl, python, javascript, anthropic, anthropic_curl
    label: str
    install: str  # one line for a shell; empty where nothing is to be installed
    code_html: SafeString  # the code, highlighted
    code: str


class Call(NamedTuple):
    """What every template below is filled with."""

    model: str
    key: str  # empty: from the environment
    base: str  # OpenAI-style, ends in /v1
    prompt: str

    @property
    def anthropic_base(self) -> str:
        return self.base.removesuffix("/v1")


def api_base() -> str:
    """The address that OpenAI-style clients are given; Anthropic-style ones take it without ``/v1``."""
    return f"{settings.PUBLIC_URL}/api/v1"


def snippets(model: str, key: str = "", base_url: str = "", prompt: str = PROMPT, kind: Kind = "chat") -> list[Snippet]:
    """The same call in every language, cURL first.

    ``key``: the secret itself, on the one page that has it. ``base_url``: as :func:`api_base`, which is the default.
    ``kind``: chat answers in three languages and in Anthropic's dialect; image and video models in the first three.
    """
    call = Call(model, key, (base_url or api_base()).rstrip("/"), prompt)
    made = []
    for language, label, install, write in LANGUAGES[kind]:
        code = write(call)
        made.append(Snippet(language, str(label), install, highlight(code), code))
    return made


# ---------------------------------------------------------------- cURL


def _curl(call: Call, path: str, body: dict[str, object]) -> str:
    """One line, so that one paste into any shell is one command."""
    return (
        f'curl {call.base}{path} -H "Authorization: Bearer {call.key or "$TOKENHUB_API_KEY"}"'
        f' -H "Content-Type: application/json" -d {_shell(_json(body))}'
    )


def _curl_chat(call: Call) -> str:
    return _curl(call, "/chat/completions", {"model": call.model, "messages": _messages(call)})


def _curl_image(call: Call) -> str:
    return _curl(call, "/images/generations", {"model": call.model, "prompt": call.prompt})


def _curl_video(call: Call) -> str:
    return _curl(call, "/videos/generations", {"model": call.model, "prompt": call.prompt})


def _curl_messages(call: Call) -> str:
    body = {"model": call.model, "max_tokens": 1024, "messages": _messages(call)}
    return (
        f'curl {call.anthropic_base}/v1/messages -H "x-api-key: {call.key or "$TOKENHUB_API_KEY"}"'
        f' -H "anthropic-version: 2023-06-01" -H "Content-Type: application/json" -d {_shell(_json(body))}'
    )


# ---------------------------------------------------------------- Python


def _python_client(call: Call, package: str, name: str, base: str) -> str:
    first, key = ("", _text(call.key)) if call.key else ("import os\n\n", 'os.environ["TOKENHUB_API_KEY"]')
    return f"{first}from {package} import {name}\n\nclient = {name}(base_url={_text(base)}, api_key={key})\n"


def _python_chat(call: Call) -> str:
    return _python_client(call, "openai", "OpenAI", call.base) + (
        "answer = client.chat.completions.create(\n"
        f"    model={_text(call.model)},\n"
        f'    messages=[{{"role": "user", "content": {_text(call.prompt)}}}],\n'
        ")\n"
        "print(answer.choices[0].message.content)"
    )


def _python_image(call: Call) -> str:
    return _python_client(call, "openai", "OpenAI", call.base) + (
        f"image = client.images.generate(model={_text(call.model)}, prompt={_text(call.prompt)})\n"
        "print(image.data[0].url)"
    )


def _python_video(call: Call) -> str:
    return _python_client(call, "openai", "OpenAI", call.base) + (
        f"job = client.videos.create_and_poll(model={_text(call.model)}, prompt={_text(call.prompt)})\n"
        "print(job.status)\n"
        'client.videos.download_content(job.id).write_to_file("clip.mp4")'
    )


def _python_messages(call: Call) -> str:
    return _python_client(call, "anthropic", "Anthropic", call.anthropic_base) + (
        "answer = client.messages.create(\n"
        f"    model={_text(call.model)},\n"
        "    max_tokens=1024,\n"
        f'    messages=[{{"role": "user", "content": {_text(call.prompt)}}}],\n'
        ")\n"
        "print(answer.content[0].text)"
    )


# ---------------------------------------------------------------- JavaScript


def _javascript_client(call: Call) -> str:
    key = _text(call.key) if call.key else "process.env.TOKENHUB_API_KEY"
    return f'import OpenAI from "openai";\n\nconst client = new OpenAI({{ baseURL: {_text(call.base)}, apiKey: {key} }});\n'


def _javascript_chat(call: Call) -> str:
    return _javascript_client(call) + (
        "const answer = await client.chat.completions.create({\n"
        f"  model: {_text(call.model)},\n"
        f'  messages: [{{ role: "user", content: {_text(call.prompt)} }}],\n'
        "});\n"
        "console.log(answer.choices[0].message.content);"
    )


def _javascript_image(call: Call) -> str:
    return _javascript_client(call) + (
        f"const image = await client.images.generate({{ model: {_text(call.model)}, prompt: {_text(call.prompt)} }});\n"
        "console.log(image.data[0].url);"
    )


def _javascript_video(call: Call) -> str:
    return _javascript_client(call) + (
        f"let job = await client.videos.create({{ model: {_text(call.model)}, prompt: {_text(call.prompt)} }});\n"
        'while (job.status === "queued" || job.status === "in_progress") {\n'
        "  await new Promise((resolve) => setTimeout(resolve, 5000));\n"
        "  job = await client.videos.retrieve(job.id);\n"
        "}\n"
        "console.log(job.status);"
    )


# ---------------------------------------------------------------- the registry

type Writer = Callable[[Call], str]
type Language = tuple[str, object, str, Writer]  # language, label, install, writer

LANGUAGES: dict[str, list[Language]] = {
    "chat": [
        ("curl", "cURL", "", _curl_chat),
        ("python", "Python", "pip install openai", _python_chat),
        ("javascript", "JavaScript", "npm install openai", _javascript_chat),
        ("anthropic", "Anthropic", "pip install anthropic", _python_messages),
        ("anthropic_curl", _("Anthropic cURL"), "", _curl_messages),
    ],
    "image": [
        ("curl", "cURL", "", _curl_image),
        ("python", "Python", "pip install openai", _python_image),
        ("javascript", "JavaScript", "npm install openai", _javascript_image),
    ],
    "video": [
        ("curl", "cURL", "", _curl_video),
        ("python", "Python", "pip install openai", _python_video),
        ("javascript", "JavaScript", "npm install openai", _javascript_video),
    ],
}


def _messages(call: Call) -> list[dict[str, str]]:
    return [{"role": "user", "content": call.prompt}]


def _json(body: dict[str, object]) -> str:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def _text(text: str) -> str:
    """A string literal that Python and JavaScript read alike."""
    return json.dumps(text, ensure_ascii=False)


def _shell(text: str) -> str:
    """In single quotes, where a shell changes nothing; a quote inside ends them, is escaped, and begins them again."""
    return "'" + text.replace("'", "'\\''") + "'"


# ---------------------------------------------------------------- colours

_TOKEN = re.compile(
    r"""(?P<s1>'[^']*'(?:\\'|'[^']*')*)|(?P<s2>"(?:[^"\\]|\\.)*")"""
    r"""|(?P<k>\b(?:import|from|const|let|await|new|while|print)\b)|(?P<mi>\b\d+\b)"""
)
_SHELL_VARIABLE = re.compile(r"\$[A-Z_]+")


def highlight(code: str) -> SafeString:
    """The code as HTML with the classes that components.css colours: strings, keywords, numbers, shell variables."""
    parts, at = [], 0
    for token in _TOKEN.finditer(code):
        text = _SHELL_VARIABLE.sub(r'<span class="nv">\g<0></span>', escape(token.group()))
        parts.append(f'{escape(code[at : token.start()])}<span class="{token.lastgroup}">{text}</span>')
        at = token.end()
    return mark_safe("".join(parts) + escape(code[at:]))  # noqa: S308 - every part is escaped
