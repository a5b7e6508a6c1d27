// An agent of the AI SDK that reads a file:   node framework_ai_sdk.mjs PACKAGES URL KEY MODEL CHECK…

import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const [packages, url, key, model, ...checks] = process.argv.slice(2);
const require = createRequire(join(packages, "package.json"));
const { generateText, streamText, generateObject, stepCountIs, tool, jsonSchema } = require("ai");
const { createOpenAICompatible } = require("@ai-sdk/openai-compatible");
const { createOpenAI } = require("@ai-sdk/openai");
const { createAnthropic } = require("@ai-sdk/anthropic");

const options = { baseURL: `${url}/v1`, apiKey: key };
const models = {
  chat: () => createOpenAICompatible({ name: "flock", includeUsage: true, ...options })(model),
  responses: () => createOpenAI(options).responses(model),
  messages: () => createAnthropic(options)(model),
};
const path = { type: "object", properties: { path: { type: "string" } }, required: ["path"], additionalProperties: false };
const read_file = tool({
  description: "Read a file",
  inputSchema: jsonSchema({ $schema: "http://json-schema.org/draft-07/schema#", ...path }),
  execute: async (input) => readFileSync(input.path, "utf8"),
});
const said = {};
for (const check of checks) {
  const [surface, way] = check.split("-");
  try {
    const asked = {
      model: models[surface](), system: "Be brief.", prompt: "Please do flock-task:read:secret.txt",
      tools: { read_file }, stopWhen: stepCountIs(4), maxRetries: 0,
    };
    if (way === "structured") {
      const schema = jsonSchema({ type: "object", properties: { text: { type: "string" } }, required: ["text"], additionalProperties: false });
      said[check] = (await generateObject({ model: models[surface](), prompt: "hello", schema, maxRetries: 0 })).object.text;
    } else {
      said[check] = way === "streamed" ? await streamText({ ...asked, onError: ({ error }) => { throw error; } }).text : (await generateText(asked)).text;
    }
  } catch (error) {
    said[check] = `error: ${error?.stack ?? error}`;
  }
}
console.log(JSON.stringify(said));
