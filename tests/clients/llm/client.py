"""Simon Willison's llm, set up as its users do it: with a file of extra models and a key."""

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import llm
import openai

from tests.clients import checks


class Llm(checks.Client):
    name = "llm"
    not_found = openai.NotFoundError
    broken = openai.APIError

    def ask(self, model: str, prompt: str) -> str:
        return llm.get_model(model).prompt(prompt, stream=False).text()

    def stream(self, model: str, prompt: str) -> Iterator[str]:
        yield from filter(None, llm.get_model(model).prompt(prompt, stream=True))

    def use_tool(self, model: str, prompt: str, get_weather: checks.Tool, *, streamed: bool) -> str:
        return llm.get_model(model).chain(prompt, tools=[get_weather], stream=streamed).text()


def set_up(folder: Path) -> None:
    """Writes what llm reads from its folder; JSON is YAML."""
    vendors = {model.partition("/")[0] for model in checks.MODELS}
    models = [
        {
            "model_id": model,
            "model_name": model,
            "api_base": f"{checks.URL}/api/v1",
            "api_key_name": "tokenhub",
            "supports_tools": True,
        }
        for model in [*checks.MODELS, *(f"{vendor}/no-such-model" for vendor in vendors)]
    ]
    (folder / "extra-openai-models.yaml").write_text(json.dumps(models))
    (folder / "keys.json").write_text(json.dumps({"tokenhub": checks.KEY}))
    os.environ["LLM_USER_PATH"] = str(folder)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        set_up(Path(folder))
        checks.run(Llm())
