// Anthropic's package.

import Anthropic from "@anthropic-ai/sdk";
import { KEY, SCHEMA, TOOL, URL, run } from "./checks.mjs";

const MAX_TOKENS = 1_000;

const sdk = new Anthropic({ baseURL: `${URL}/api`, apiKey: KEY });

const messages = {
  name: "anthropic (Node)",
  isNotFound: (error) => error instanceof Anthropic.NotFoundError && error.status === 404,
  isBroken: (error) => error instanceof Anthropic.APIError,

  async ask(model, prompt) {
    const turns = [{ role: "user", content: prompt }];
    return text(await sdk.messages.create({ model, max_tokens: MAX_TOKENS, messages: turns }));
  },

  async *stream(model, prompt) {
    const turns = [{ role: "user", content: prompt }];
    for await (const event of sdk.messages.stream({ model, max_tokens: MAX_TOKENS, messages: turns }))
      if (event.type === "content_block_delta" && event.delta.type === "text_delta") yield event.delta.text;
  },

  async useTool(model, prompt, getWeather, streamed) {
    const turns = [{ role: "user", content: prompt }];
    const asks = await this.message(model, turns, streamed);
    const results = asks.content
      .filter((block) => block.type === "tool_use")
      .map((block) => ({ type: "tool_result", tool_use_id: block.id, content: getWeather(block.input) }));
    turns.push({ role: "assistant", content: asks.content }, { role: "user", content: results });
    return text(await this.message(model, turns, streamed));
  },

  async message(model, turns, streamed) {
    const tools = [{ ...TOOL, input_schema: SCHEMA }];
    const asked = { model, max_tokens: MAX_TOKENS, messages: turns, tools };
    return streamed ? sdk.messages.stream(asked).finalMessage() : sdk.messages.create(asked);
  },
};

function text(message) {
  return message.content.map((block) => (block.type === "text" ? block.text : "")).join("");
}

await run(messages);
