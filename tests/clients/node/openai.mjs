// OpenAI's package, in both of its dialects.

import OpenAI from "openai";
import { KEY, SCHEMA, TOOL, URL, run } from "./checks.mjs";

const sdk = new OpenAI({ baseURL: `${URL}/api/v1`, apiKey: KEY });
const errors = {
  isNotFound: (error) => error instanceof OpenAI.NotFoundError && error.status === 404,
  isBroken: (error) => error instanceof OpenAI.APIError,
};

const chat = {
  name: "openai chat (Node)",
  ...errors,

  async ask(model, prompt) {
    const answer = await sdk.chat.completions.create({ model, messages: [{ role: "user", content: prompt }] });
    return answer.choices[0].message.content;
  },

  async *stream(model, prompt) {
    const messages = [{ role: "user", content: prompt }];
    for await (const chunk of await sdk.chat.completions.create({ model, messages, stream: true }))
      if (chunk.choices[0]?.delta.content) yield chunk.choices[0].delta.content;
  },

  async useTool(model, prompt, getWeather, streamed) {
    const messages = [{ role: "user", content: prompt }];
    const asks = await this.message(model, messages, streamed);
    messages.push(asks);
    for (const call of asks.tool_calls) {
      const content = getWeather(JSON.parse(call.function.arguments));
      messages.push({ role: "tool", tool_call_id: call.id, content });
    }
    return (await this.message(model, messages, streamed)).content;
  },

  async message(model, messages, streamed) {
    const asked = { model, messages, tools: [{ type: "function", function: { ...TOOL, parameters: SCHEMA } }] };
    if (streamed) return sdk.chat.completions.stream(asked).finalMessage();
    return (await sdk.chat.completions.create(asked)).choices[0].message;
  },
};

const responses = {
  name: "openai responses (Node)",
  ...errors,

  async ask(model, prompt) {
    return (await sdk.responses.create({ model, input: prompt })).output_text;
  },

  async *stream(model, prompt) {
    for await (const event of await sdk.responses.create({ model, input: prompt, stream: true }))
      if (event.type === "response.output_text.delta") yield event.delta;
  },

  async useTool(model, prompt, getWeather, streamed) {
    const input = [{ role: "user", content: prompt }];
    const asks = await this.response(model, input, streamed);
    input.push(...asks.output);
    for (const call of asks.output.filter((item) => item.type === "function_call")) {
      const output = getWeather(JSON.parse(call.arguments));
      input.push({ type: "function_call_output", call_id: call.call_id, output });
    }
    return (await this.response(model, input, streamed)).output_text;
  },

  async response(model, input, streamed) {
    const asked = { model, input, tools: [{ type: "function", ...TOOL, parameters: SCHEMA, strict: false }] };
    return streamed ? sdk.responses.stream(asked).finalResponse() : sdk.responses.create(asked);
  },
};

await run(chat, responses);
