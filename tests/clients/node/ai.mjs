// Vercel's AI SDK, with its provider for OpenAI's dialect.

import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, StreamProviderError, generateText, isStepCount, jsonSchema, streamText, tool } from "ai";
import { KEY, SCHEMA, TOOL, URL, run } from "./checks.mjs";

const tokenhub = createOpenAICompatible({ name: "tokenhub", baseURL: `${URL}/api/v1`, apiKey: KEY });

const ai = {
  name: "ai (Vercel)",
  isNotFound: (error) => APICallError.isInstance(error) && error.statusCode === 404,
  isBroken: (error) => StreamProviderError.isInstance(error),

  async ask(model, prompt) {
    return (await generateText({ model: tokenhub(model), prompt })).text;
  },

  async *stream(model, prompt) {
    for await (const part of streamText({ model: tokenhub(model), prompt, onError() {} }).stream) {
      if (part.type === "text-delta") yield part.text;
      if (part.type === "error") throw part.error;  // a part of the stream, as the package has it
    }
  },

  async useTool(model, prompt, getWeather, streamed) {
    const { name, description } = TOOL;
    const tools = { [name]: tool({ description, inputSchema: jsonSchema(SCHEMA), execute: getWeather }) };
    const asked = { model: tokenhub(model), prompt, tools, stopWhen: isStepCount(3) };
    return streamed ? await streamText(asked).text : (await generateText(asked)).text;
  },
};

await run(ai);
