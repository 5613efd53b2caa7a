"""The tools of the connect pages, one row each: which base URL a tool wants, what to paste where, what failure looks like.

``{base}`` is the base URL that the tool wants, ``{key}`` the key (at most once a tool), ``{model}`` a model's id.
"""

from dataclasses import dataclass
from datetime import date
from typing import NamedTuple
from urllib.parse import urlsplit

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from tokenhub.snippets import api_base

#: when the settings below were last compared with the tools' own documentation
CHECKED_ON = date(2026, 11, 23)

LOCAL_HOSTS = {"localhost", "127.0.0.1", "::1"}


class Block(NamedTuple):
    """Something to copy as a whole."""

    title: str | Promise  # where it goes
    text: str


class Failure(NamedTuple):
    """What the tool shows when something is amiss, and the cause."""

    sign: str | Promise
    cause: str | Promise


@dataclass(frozen=True)
class Tool:
    slug: str
    name: str
    summary: str | Promise
    docs_url: str
    blocks: tuple[Block, ...]
    ends_in_v1: bool = True  # OpenAI-style; Anthropic-style clients add /v1 by themselves
    steps: tuple[str | Promise, ...] = ()
    failures: tuple[Failure, ...] = ()
    checked_on: date | None = CHECKED_ON
    calls_from_its_servers: bool = False  # then an address of this machine alone cannot be reached

    @property
    def base_url(self) -> str:
        return api_base() if self.ends_in_v1 else api_base().removesuffix("/v1")

    @property
    def cannot_reach_us(self) -> bool:
        return self.calls_from_its_servers and urlsplit(api_base()).hostname in LOCAL_HOSTS

    def filled(self, key: str, model: str) -> list[Block]:
        values = {"{base}": self.base_url, "{key}": key, "{model}": model}
        blocks = []
        for title, text in self.blocks:
            for name, value in values.items():
                text = text.replace(name, value)
            blocks.append(Block(title, text))
        return blocks


WRONG_KEY = Failure(_("401, invalid_api_key"), _("The key was not pasted whole, or is disabled. Make a new one here."))
NO_MONEY = Failure(
    _("402, insufficient_credits"), _("The key’s limit or the balance is used up; the message says which.")
)
NO_MODEL = Failure(
    _("404, model_not_found"), _("Use a model’s full id, such as openai/gpt-4.1; the message names near matches.")
)
DOUBLE_V1 = Failure(
    _("404 for a path with /v1/v1 in it"), _("The tool adds /v1 by itself: the base URL must not end in /v1.")
)
NO_V1 = Failure(_("404, with a web page in place of an answer"), _("The base URL must end in /v1."))
OPENAI_FAILURES = (WRONG_KEY, NO_MONEY, NO_MODEL, NO_V1)
ANTHROPIC_FAILURES = (WRONG_KEY, NO_MONEY, NO_MODEL, DOUBLE_V1)

TOOLS: dict[str, Tool] = {
    tool.slug: tool
    for tool in (
        Tool(
            "cursor",
            "Cursor",
            _("The code editor’s chat, with your own key."),
            "https://docs.cursor.com/settings/models",
            blocks=(
                Block(_("OpenAI API Key"), "{key}"),
                Block(_("Override OpenAI Base URL"), "{base}"),
                Block(_("Add model"), "{model}"),
            ),
            steps=(
                _("Open Cursor Settings, then Models, then API Keys."),
                _("Paste the key, switch on the base URL’s override, paste the base URL."),
                _("Add the model by its id and choose it in the chat."),
            ),
            failures=(
                *OPENAI_FAILURES,
                Failure(
                    _("Cursor’s own models stop working"),
                    _("The override holds for all OpenAI models; switch it off to go back."),
                ),
            ),
            calls_from_its_servers=True,
        ),
        Tool(
            "cline",
            "Cline",
            _("The coding agent in VS Code."),
            "https://docs.cline.bot/provider-config/openai-compatible",
            blocks=(
                Block(_("Base URL"), "{base}"),
                Block(_("OpenAI Compatible API Key"), "{key}"),
                Block(_("Model ID"), "{model}"),
            ),
            steps=(
                _("Open Cline’s settings (the gear) and choose the API provider “OpenAI Compatible”."),
                _("Paste the three values."),
            ),
            failures=OPENAI_FAILURES,
        ),
        Tool(
            "claude-code",
            "Claude Code",
            _("Anthropic’s coding agent for the terminal."),
            "https://code.claude.com/docs/en/llm-gateway",
            ends_in_v1=False,
            blocks=(
                Block(
                    _("In the shell that starts it"),
                    "export ANTHROPIC_BASE_URL={base}\n"
                    "export ANTHROPIC_AUTH_TOKEN={key}\n"
                    "export ANTHROPIC_MODEL={model}\n"
                    "export ANTHROPIC_DEFAULT_HAIKU_MODEL={model}",
                ),
                Block(_("Then ask something"), 'claude -p "Say hello in five words."'),
            ),
            failures=(
                *ANTHROPIC_FAILURES,
                Failure(
                    _("It warns of two ways to log in"),
                    _("Unset ANTHROPIC_API_KEY: the token above is enough."),
                ),
            ),
        ),
        Tool(
            "codex",
            "Codex CLI",
            _("OpenAI’s coding agent for the terminal; it speaks the Responses API."),
            "https://developers.openai.com/codex/config-advanced",
            blocks=(
                Block(
                    _("At the top of ~/.codex/config.toml"),
                    'model = "{model}"\n'
                    'model_provider = "tokenhub"\n\n'
                    "[model_providers.tokenhub]\n"
                    'name = "TokenHub"\n'
                    'base_url = "{base}"\n'
                    'env_key = "TOKENHUB_API_KEY"\n'
                    'wire_api = "responses"',
                ),
                Block(_("In the shell that starts it"), "export TOKENHUB_API_KEY={key}"),
                Block(_("Then ask something"), 'codex exec "Say hello in five words."'),
            ),
            failures=(
                *OPENAI_FAILURES,
                Failure(
                    _("It asks for TOKENHUB_API_KEY"), _("env_key names a variable; export the key in the same shell.")
                ),
            ),
        ),
        Tool(
            "langchain",
            "LangChain",
            _("The Python framework, with its OpenAI package."),
            "https://docs.langchain.com/oss/python/integrations/chat/openai",
            blocks=(
                Block(_("Install"), "pip install langchain-openai"),
                Block(
                    _("Python"),
                    "from langchain_openai import ChatOpenAI\n\n"
                    "chat = ChatOpenAI(\n"
                    '    base_url="{base}",\n'
                    '    api_key="{key}",\n'
                    '    model="{model}",\n'
                    ")\n"
                    'print(chat.invoke("Say hello in five words.").content)',
                ),
            ),
            failures=OPENAI_FAILURES,
        ),
        Tool(
            "librechat",
            "LibreChat",
            _("The self-hosted chat, by its configuration file."),
            "https://www.librechat.ai/docs/configuration/librechat_yaml/object_structure/custom_endpoint",
            blocks=(
                Block(_("In .env"), "TOKENHUB_API_KEY={key}"),
                Block(
                    _("In librechat.yaml"),
                    "endpoints:\n"
                    "  custom:\n"
                    '    - name: "TokenHub"\n'
                    '      apiKey: "${TOKENHUB_API_KEY}"\n'
                    '      baseURL: "{base}"\n'
                    "      models:\n"
                    '        default: ["{model}"]\n'
                    "        fetch: true\n"
                    "      titleConvo: true\n"
                    '      titleModel: "{model}"\n'
                    '      modelDisplayLabel: "TokenHub"',
                ),
            ),
            steps=(_("Restart LibreChat after both files are saved."),),
            failures=(
                *OPENAI_FAILURES,
                Failure(
                    _("Connection refused, inside Docker"),
                    _("localhost is the container itself there; use the host’s name."),
                ),
            ),
        ),
        Tool(
            "open-webui",
            "Open WebUI",
            _("The self-hosted chat, by its admin settings."),
            "https://docs.openwebui.com/getting-started/quick-start/connect-a-provider/starting-with-openai-compatible",
            blocks=(Block(_("URL"), "{base}"), Block(_("Key"), "{key}"), Block(_("Model IDs"), "{model}")),
            steps=(
                _("Open the Admin Settings, then Connections, OpenAI, Manage, and add a connection."),
                _("Paste the values; leave the model ids empty to offer every model."),
            ),
            failures=(
                *OPENAI_FAILURES,
                Failure(
                    _("Connection refused, inside Docker"),
                    _("localhost is the container itself there; use the host’s name."),
                ),
            ),
        ),
        Tool(
            "openai-sdk",
            "OpenAI SDK",
            _("Python, JavaScript and whatever reads the same variables."),
            "https://github.com/openai/openai-python",
            blocks=(
                Block(_("In the environment"), "export OPENAI_BASE_URL={base}\nexport OPENAI_API_KEY={key}"),
                Block(
                    _("Python"),
                    "from openai import OpenAI\n\n"
                    "client = OpenAI()\n"
                    "answer = client.chat.completions.create(\n"
                    '    model="{model}",\n'
                    '    messages=[{"role": "user", "content": "Say hello in five words."}],\n'
                    ")\n"
                    "print(answer.choices[0].message.content)",
                ),
            ),
            failures=OPENAI_FAILURES,
            checked_on=None,  # the project's own client tests run it
        ),
        Tool(
            "anthropic-sdk",
            "Anthropic SDK",
            _("Python, TypeScript and whatever reads the same variables."),
            "https://github.com/anthropics/anthropic-sdk-python",
            ends_in_v1=False,
            blocks=(
                Block(_("In the environment"), "export ANTHROPIC_BASE_URL={base}\nexport ANTHROPIC_API_KEY={key}"),
                Block(
                    _("Python"),
                    "from anthropic import Anthropic\n\n"
                    "client = Anthropic()\n"
                    "answer = client.messages.create(\n"
                    '    model="{model}",\n'
                    "    max_tokens=1024,\n"
                    '    messages=[{"role": "user", "content": "Say hello in five words."}],\n'
                    ")\n"
                    "print(answer.content[0].text)",
                ),
            ),
            failures=ANTHROPIC_FAILURES,
            checked_on=None,  # the project's own client tests run it
        ),
        Tool(
            "llm",
            "llm",
            _("Simon Willison’s command line for language models."),
            "https://llm.datasette.io/en/stable/other-models.html",
            blocks=(
                Block(_("Store the key"), "llm keys set tokenhub --value {key}"),
                Block(
                    _("In extra-openai-models.yaml, in the folder of llm logs path"),
                    "- model_id: {model}\n"
                    "  model_name: {model}\n"
                    "  api_base: {base}\n"
                    "  api_key_name: tokenhub\n"
                    "  supports_tools: true",
                ),
                Block(_("Then ask something"), 'llm -m {model} "Say hello in five words."'),
            ),
            failures=OPENAI_FAILURES,
            checked_on=None,  # the project's own client tests run it
        ),
    )
}
