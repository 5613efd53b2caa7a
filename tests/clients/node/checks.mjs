// What every Node client has to do with every model, whatever it calls it: one line on standard output for each check.
// `../checks.py` is the same for Python.
//
// A client has a `name` (its row in the table), `isNotFound(error)` and `isBroken(error)` (what it throws for a model that
// does not exist, and for a stream that breaks off), and
//   ask(model, prompt): the text
//   stream(model, prompt): the text, in the pieces in which it came
//   useTool(model, prompt, getWeather, streamed): the answer after the tool that the model asked for was called and its
//   result was sent back

import assert from "node:assert/strict";

export const URL = process.env.TOKENHUB_URL;
export const KEY = process.env.TOKENHUB_KEY;
const MODELS = process.env.TOKENHUB_MODELS.split(" ");

const WORDS = "the river bends twice before it meets the town";
const SAY_WORDS = `Reply with exactly: ${WORDS}`;
const ASK_WEATHER = "Use get_weather for Oslo";
const WEATHER = "Rain, 7 degrees";
// a model that thinks first has begun its text by then
const BREAK_OFF = "[[sandbox: fail-after 40]] Tell me about rivers";

export const SCHEMA = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
export const TOOL = { name: "get_weather", description: "The weather in a city" };

const CHECKS = {
  async plain(client, model) {
    assert.equal(await client.ask(model, SAY_WORDS), WORDS);
  },
  async streamed(client, model) {
    const pieces = await Array.fromAsync(client.stream(model, SAY_WORDS));
    assert.equal(pieces.join(""), WORDS);
    assert.ok(pieces.length > 1, "the stream came in one piece");
  },
  async tool(client, model) {
    await toolThereAndBack(client, model, false);
  },
  async "tool streamed"(client, model) {
    await toolThereAndBack(client, model, true);
  },
  async "unknown model"(client, model) {
    const missing = `${model.split("/")[0]}/no-such-model`;
    await assert.rejects(() => client.ask(missing, SAY_WORDS), expected((error) => client.isNotFound(error)));
  },
  async "broken stream"(client, model) {
    const pieces = [];
    const read = async () => {
      for await (const piece of client.stream(model, BREAK_OFF)) pieces.push(piece);
    };
    await assert.rejects(read, expected((error) => client.isBroken(error)));
    assert.ok(pieces.length > 0, "it broke before its first piece");
  },
};

async function toolThereAndBack(client, model, streamed) {
  const cities = [];
  const getWeather = ({ city }) => {
    cities.push(city);
    return WEATHER;
  };
  const answer = await client.useTool(model, ASK_WEATHER, getWeather, streamed);
  assert.deepEqual(cities, ["Oslo"]);
  assert.ok(answer.includes(WEATHER), `the tool's result is not in the answer ${answer}`);
}

/** For assert.rejects: an error of another kind is shown as itself. */
function expected(isOfTheKind) {
  return (error) => {
    if (!isOfTheKind(error)) throw error;
    return true;
  };
}

/** All checks of all clients with all models; the process ends with 1 where one failed. */
export async function run(...clients) {
  for (const client of clients)
    for (const model of MODELS)
      for (const [what, check] of Object.entries(CHECKS)) {
        try {
          await check(client, model);
          console.log(["ok", client.name, model, what].join("\t"));
        } catch (error) {
          console.error(error);
          console.log(["failed", client.name, model, `${what}: ${String(error).replace(/\s+/g, " ")}`].join("\t"));
          process.exitCode = 1;
        }
      }
}
