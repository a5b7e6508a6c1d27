// The same program as sdk_python.py, with the SDKs for JavaScript:   node sdk_js.mjs PACKAGES URL KEY MODEL CHECK…
// PACKAGES is the folder whose node_modules holds them.

import { createRequire } from "node:module";
import { appendFileSync, readFileSync } from "node:fs";
import { join } from "node:path";

const [packages, url, key, model, ...checks] = process.argv.slice(2);
const require = createRequire(join(packages, "package.json"));
const { OpenAI } = require("openai");
const { Anthropic } = require("@anthropic-ai/sdk");
const version = (name) =>
  JSON.parse(readFileSync(join(packages, "node_modules", name, "package.json"), "utf8")).version;

const task = "Please do flock-task:read:secret.txt";
const schema = { type: "object", properties: { path: { type: "string" } }, required: ["path"] };
const [name, description] = ["read_file", "Read a file"];
const read = ({ path }) => {
  const text = readFileSync(path, "utf8");
  appendFileSync("read.txt", text);
  return text;
};
const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0, timeout: 30_000 });
const anthropic = new Anthropic({ baseURL: url, apiKey: key, maxRetries: 0, timeout: 30_000 });

async function turns(turn) {
  for (let i = 0; i < 4; i++) {
    const said = await turn();
    if (said !== null) return said;
  }
  throw new Error("it calls for ever");
}

function chat(stream) {
  const messages = [{ role: "system", content: "Be brief." }, { role: "user", content: task }];
  const tools = [{ type: "function", function: { name, description, parameters: schema } }];
  return turns(async () => {
    const asked = { model, messages, tools, max_tokens: 500 };
    const answer = stream
      ? await openai.chat.completions.stream(asked).finalChatCompletion()
      : await openai.chat.completions.create(asked);
    const message = answer.choices[0].message;
    if (!message.tool_calls?.length) return message.content;
    const { role, content, tool_calls } = message;
    messages.push({ role, content, tool_calls: tool_calls.map((call) => ({
      id: call.id, type: "function", function: { name: call.function.name, arguments: call.function.arguments },
    })) });
    for (const call of tool_calls)
      messages.push({ role: "tool", tool_call_id: call.id, content: read(JSON.parse(call.function.arguments)) });
    return null;
  });
}

// The loop that the SDK brings itself.
async function runner(stream) {
  const tool = { type: "function", function: { name, description, parameters: schema, parse: JSON.parse, function: read } };
  const asked = { model, messages: [{ role: "user", content: task }], tools: [tool], stream };
  return await openai.chat.completions.runTools(asked).finalContent();
}

function responses(stream) {
  const input = [{ role: "user", content: task }];
  const tools = [{ type: "function", name, description, parameters: schema, strict: false }];
  return turns(async () => {
    const asked = { model, input, instructions: "Be brief.", tools, store: false };
    const response = stream
      ? await openai.responses.stream(asked).finalResponse()
      : await openai.responses.create(asked);
    if (response.status !== "completed") throw new Error(response.status);
    const calls = response.output.filter((item) => item.type === "function_call");
    if (!calls.length) return response.output_text;
    input.push(...response.output.map(({ parsed_arguments, ...item }) => item));
    for (const call of calls)
      input.push({ type: "function_call_output", call_id: call.call_id, output: read(JSON.parse(call.arguments)) });
    return null;
  });
}

function messages(stream) {
  const talk = [{ role: "user", content: task }];
  const tools = [{ name, description, input_schema: schema }];
  return turns(async () => {
    const asked = { model, messages: talk, tools, system: "Be brief.", max_tokens: 500 };
    const message = stream ? await anthropic.messages.stream(asked).finalMessage() : await anthropic.messages.create(asked);
    const calls = message.content.filter((block) => block.type === "tool_use");
    if (message.stop_reason !== (calls.length ? "tool_use" : "end_turn")) throw new Error(message.stop_reason);
    if (!calls.length) return message.content.map((block) => block.text ?? "").join("");
    talk.push({ role: "assistant", content: message.content });
    talk.push({ role: "user", content: calls.map((call) => ({
      type: "tool_result", tool_use_id: call.id, content: read(call.input),
    })) });
    return null;
  });
}

async function counted() {
  const tools = [{ name, description, input_schema: schema }];
  const prompt = { model, messages: [{ role: "user", content: task }], system: "Be brief.", tools };
  const before = (await anthropic.messages.countTokens(prompt)).input_tokens;
  const { usage } = await anthropic.messages.create({ ...prompt, max_tokens: 5 });
  return `${before} ${usage.input_tokens + (usage.cache_read_input_tokens ?? 0)}`;
}

const known = { chat, runner, responses, messages, counted };
const said = { versions: `${version("openai")} ${version("@anthropic-ai/sdk")}` };
for (const check of checks) {
  const [surface, way] = check.split("-");
  try {
    said[check] = await known[surface](way === "streamed");
  } catch (error) {
    said[check] = `error: ${error?.stack ?? error}`;
  }
}
console.log(JSON.stringify(said));
