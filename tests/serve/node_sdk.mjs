/* node_sdk.mjs: the official clients for Node, driving a `hearth serve` with the embedded model: node node_sdk.mjs BASE MODULES. Each part says SKIPPED where its package
 * is not in the folder MODULES. The last line is the sum. */
import { createRequire } from "node:module";
import { resolve } from "node:path";

const [base, modules] = process.argv.slice(2);
const load = createRequire(resolve(modules, "none.cjs"));
const counts = { passed: 0, failed: 0, skipped: 0 };
const HELLO = [{ role: "user", content: "What is the capital of France?" }];
const WEATHER = [{ role: "user", content: "What is the weather in Paris?" }];
const ABOUT = "Current weather of a city";
const CITY = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const TOOL = { type: "function", function: { name: "get_weather", description: ABOUT, parameters: CITY } };

function check(good, what, shown = "") {
  counts[good ? "passed" : "failed"]++;
  if (!good) console.log(`FAILED: ${what}\n  ${JSON.stringify(shown)?.slice(0, 1500)}`);
}

async function refused(what, run, good) {
  try {
    check(false, what, await run());
  } catch (e) {
    check(good(e), what, `${e.constructor.name} ${e.status ?? e.status_code} ${e.message}`);
  }
}

async function all(stream) {
  const items = [];
  for await (const item of stream) items.push(item);
  return items;
}

/* ---- openai ---- */

async function openaiChat(client) {
  const ask = { model: "ember", messages: HELLO, max_tokens: 24, seed: 7 };
  const whole = await client.chat.completions.create(ask);
  const said = whole.choices[0].message.content;
  check(said && whole.usage.completion_tokens > 0 && whole.object === "chat.completion", "openai: chat", whole);
  const chunks = await all(await client.chat.completions.create({ ...ask, stream: true, stream_options: { include_usage: true } }));
  const text = chunks.map((c) => c.choices[0]?.delta.content ?? "").join("");
  check(text === said && chunks.at(-1).usage.total_tokens === whole.usage.total_tokens, "openai: a chat's stream", chunks);
  let heard = "";
  const stream = client.chat.completions.stream(ask).on("content", (piece) => (heard += piece));
  const final = await stream.finalChatCompletion();
  check(final.choices[0].message.content === said && heard === said && (await stream.finalContent()) === said, "openai: stream() and finalChatCompletion()", final);
  check(final.choices[0].finish_reason === whole.choices[0].finish_reason, "openai: the finish reason of stream()", final);
  const several = await client.chat.completions.create({ ...ask, n: 3, temperature: 2, logprobs: true, top_logprobs: 2 });
  check(several.choices.length === 3 && several.choices.every((c) => c.logprobs.content[0].top_logprobs.length === 2), "openai: n and logprobs", several);
  const cut = await client.chat.completions.create({ ...ask, max_tokens: 2000, stream: true, ignore_eos: true });
  for await (const _ of cut) break; // leaves: the connection is closed
  check((await client.chat.completions.create(ask)).choices[0].message.content === said, "openai: after a stream that was left");
}

async function openaiTools(client) {
  const ask = { model: "ember", messages: WEATHER, tools: [TOOL], temperature: 0, max_tokens: 80 };
  const whole = await client.chat.completions.create(ask);
  const call = whole.choices[0].message.tool_calls?.[0];
  check(call?.function.name === "get_weather" && JSON.parse(call.function.arguments).city === "Paris" && whole.choices[0].finish_reason === "tool_calls", "openai: a tool call", whole);
  const streamed = await client.chat.completions.stream(ask).finalChatCompletion();
  const again = streamed.choices[0].message.tool_calls?.[0];
  check(again?.function.name === "get_weather" && again.function.arguments === call?.function.arguments && again.id, "openai: a tool call, streamed", streamed);
  for (const stream of [false, true]) {
    const asked = [];
    const tool = { ...TOOL, function: { ...TOOL.function, parse: JSON.parse, function: ({ city }) => (asked.push(city), `18 degrees in ${city}`) } };
    const run = client.chat.completions.runTools({ ...ask, tools: [tool], stream });
    const last = await run.finalContent();
    check(asked.length >= 1 && asked[0] === "Paris" && typeof last === "string" && run.messages.some((m) => m.role === "tool"), `openai: runTools, stream ${stream}`, run.messages);
  }
}

async function openaiForms(client) {
  const schema = { type: "object", properties: { name: { type: "string", maxLength: 12 }, age: { type: "integer", minimum: 1, maximum: 99 } }, required: ["name", "age"], additionalProperties: false };
  const ask = { model: "ember", messages: HELLO, max_tokens: 200, seed: 7, response_format: { type: "json_schema", json_schema: { name: "person", strict: true, schema } } };
  const whole = await client.chat.completions.create(ask);
  const made = JSON.parse(whole.choices[0].message.content);
  check(Object.keys(made).sort().join() === "age,name" && made.age >= 1 && made.age <= 99 && made.name.length <= 12, "openai: a schema", whole);
  const final = await client.chat.completions.stream(ask).finalContent();
  check(final === whole.choices[0].message.content, "openai: a schema, streamed", final);
  const forced = await client.chat.completions.create({ model: "ember", messages: HELLO, tools: [TOOL], tool_choice: "required", max_tokens: 80, temperature: 0 });
  check(forced.choices[0].message.tool_calls?.[0].function.name === "get_weather", "openai: a call that is required", forced);
}

async function openaiRest(client, kinds) {
  const ask = { model: "ember", prompt: "Once upon a time", max_tokens: 12, seed: 7 };
  const whole = await client.completions.create(ask);
  const chunks = await all(await client.completions.create({ ...ask, stream: true }));
  check(whole.choices[0].text && chunks.map((c) => c.choices[0]?.text ?? "").join("") === whole.choices[0].text, "openai: completions", [whole, chunks]);
  const models = await all(client.models.list());
  check(models.map((m) => m.id).includes("ember") && (await client.models.retrieve("ember")).id === "ember", "openai: models", models);
  await refused("openai: a field is named", () => client.chat.completions.create({ model: "ember", messages: [] }), (e) => e instanceof kinds.BadRequestError && e.param === "messages");
  await refused("openai: no such model", () => client.chat.completions.create({ model: "nobody", messages: HELLO }), (e) => e instanceof kinds.NotFoundError && /nobody/.test(e.message));
  await refused("openai: no such model, streamed", () => client.chat.completions.create({ model: "nobody", messages: HELLO, stream: true }), (e) => e instanceof kinds.NotFoundError);
}

async function openaiEmbeddings(client) {
  const one = await client.embeddings.create({ model: "ember", input: "cats purr." });
  const plain = await client.embeddings.create({ model: "ember", input: ["cats purr.", "dogs bark."], encoding_format: "float" });
  const length = (v) => Math.sqrt(v.reduce((sum, x) => sum + x * x, 0));
  check(one.data.length === 1 && plain.data.length === 2 && one.data[0].embedding.length === plain.data[0].embedding.length, "openai: embeddings", [one.data.length, plain.data.length]);
  check(one.data[0].embedding.every((x, i) => Math.abs(x - plain.data[0].embedding[i]) < 1e-6) && Math.abs(length(one.data[0].embedding) - 1) < 1e-4, "openai: packed and plain are the same");
  check(JSON.stringify(plain.data[0].embedding) !== JSON.stringify(plain.data[1].embedding) && plain.usage.prompt_tokens > one.usage.prompt_tokens, "openai: other texts, other vectors", plain.usage);
}

async function openaiResponses(client, kinds) {
  const ask = { model: "ember", input: HELLO[0].content, max_output_tokens: 24, temperature: 0 };
  const whole = await client.responses.create(ask);
  check(whole.output_text && whole.status === "completed" && whole.usage.output_tokens > 0, "openai: a response", whole);
  const events = await all(await client.responses.create({ ...ask, stream: true }));
  const text = events.filter((e) => e.type === "response.output_text.delta").map((e) => e.delta).join("");
  check(events[0].type === "response.created" && events.at(-1).type === "response.completed" && text === whole.output_text, "openai: events of a response", events);
  const final = await client.responses.stream(ask).finalResponse();
  check(final.output_text === whole.output_text, "openai: responses.stream() and finalResponse()", final);
  check((await client.responses.retrieve(whole.id)).output_text === whole.output_text, "openai: a response is kept");
  const tool = { type: "function", name: "get_weather", description: ABOUT, parameters: CITY, strict: false };
  const first = await client.responses.create({ ...ask, input: WEATHER[0].content, tools: [tool], max_output_tokens: 80 });
  const call = first.output.find((i) => i.type === "function_call");
  check(call?.name === "get_weather" && JSON.parse(call.arguments).city === "Paris", "openai: a response's call", first.output);
  const result = { type: "function_call_output", call_id: call?.call_id, output: "18 degrees" };
  const second = await client.responses.create({ ...ask, input: [result], previous_response_id: first.id, tools: [tool], max_output_tokens: 80 });
  check(second.previous_response_id === first.id && second.output.length > 0, "openai: a conversation goes on", second);
  await client.responses.delete(whole.id);
  await refused("openai: a response that is gone", () => client.responses.retrieve(whole.id), (e) => e instanceof kinds.NotFoundError);
}

/* ---- anthropic ---- */

async function anthropicMessages(client) {
  const ask = { model: "ember", max_tokens: 24, temperature: 0, messages: HELLO };
  const whole = await client.messages.create(ask);
  check(whole.type === "message" && whole.content[0].type === "text" && whole.usage.output_tokens > 0, "anthropic: a message", whole);
  const events = await all(await client.messages.create({ ...ask, stream: true }));
  const text = events.filter((e) => e.type === "content_block_delta").map((e) => e.delta.text ?? "").join("");
  check(events[0].type === "message_start" && events.at(-1).type === "message_stop" && text === whole.content[0].text, "anthropic: events of a stream", events);
  let heard = "";
  const stream = client.messages.stream(ask).on("text", (piece) => (heard += piece));
  const final = await stream.finalMessage();
  check(JSON.stringify(final.content) === JSON.stringify(whole.content) && heard === whole.content[0].text && final.stop_reason === whole.stop_reason, "anthropic: stream() and finalMessage()", final);
  check((await client.messages.stream(ask).finalText()) === heard, "anthropic: finalText()");
  const counted = await client.messages.countTokens({ model: "ember", messages: HELLO });
  check(counted.input_tokens === whole.usage.input_tokens + (whole.usage.cache_read_input_tokens ?? 0) + (whole.usage.cache_creation_input_tokens ?? 0), "anthropic: countTokens", [counted, whole.usage]);
  const system = await client.messages.create({ ...ask, system: [{ type: "text", text: "You are a pirate.", cache_control: { type: "ephemeral" } }], stop_sequences: ["zzz"] });
  check(system.content.length > 0, "anthropic: system blocks", system);
}

async function anthropicTools(client) {
  const ask = { model: "ember", max_tokens: 80, temperature: 0, messages: WEATHER, tools: [{ name: "get_weather", description: ABOUT, input_schema: CITY }] };
  const whole = await client.messages.create(ask);
  const use = whole.content.find((b) => b.type === "tool_use");
  check(use?.name === "get_weather" && use.input.city === "Paris" && whole.stop_reason === "tool_use", "anthropic: a tool is used", whole);
  const streamed = await client.messages.stream(ask).finalMessage();
  check(JSON.stringify(streamed.content.find((b) => b.type === "tool_use")?.input) === JSON.stringify(use?.input), "anthropic: a tool is used, streamed", streamed);
  const result = { role: "user", content: [{ type: "tool_result", tool_use_id: use?.id, content: "18 degrees, sunny" }] };
  const answer = await client.messages.create({ ...ask, messages: [...WEATHER, { role: "assistant", content: whole.content }, result] });
  check(answer.content.some((b) => b.type === "text" && b.text), "anthropic: and its result is read", answer);
}

async function anthropicErrors(client, kinds) {
  await refused("anthropic: a field is named", () => client.messages.create({ model: "ember", max_tokens: 5, messages: [] }), (e) => e instanceof kinds.BadRequestError && /messages/.test(e.message));
  await refused("anthropic: no such model", () => client.messages.create({ model: "nobody", max_tokens: 5, messages: HELLO }), (e) => e instanceof kinds.NotFoundError && e.error.error.type === "not_found_error");
  await refused("anthropic: no such model, streamed", () => client.messages.stream({ model: "nobody", max_tokens: 5, messages: HELLO }).finalMessage(), (e) => e instanceof kinds.NotFoundError);
}

/* ---- ollama ---- */

async function ollamaClient(client) {
  const ask = { model: "ember", messages: HELLO, options: { seed: 7, num_predict: 24 } };
  const whole = await client.chat(ask);
  const chunks = await all(await client.chat({ ...ask, stream: true }));
  check(whole.message.content && chunks.map((c) => c.message.content).join("") === whole.message.content && chunks.at(-1).done && whole.eval_count > 0, "ollama: chat", [whole, chunks]);
  const text = { model: "ember", prompt: HELLO[0].content, options: ask.options };
  const generated = await client.generate(text);
  const pieces = await all(await client.generate({ ...text, stream: true }));
  check(generated.response === whole.message.content && pieces.map((c) => c.response).join("") === generated.response, "ollama: generate", [generated, pieces]);
  const thought = await client.chat({ model: "ember", messages: [{ role: "user", content: "What is 17 + 25?" }], think: true, options: { temperature: 0, num_predict: 60 } });
  check(thought.message.thinking && thought.message.content, "ollama: thinking", thought);
  const called = await client.chat({ model: "ember", messages: WEATHER, tools: [TOOL], options: { temperature: 0, num_predict: 80 } });
  check(called.message.tool_calls?.[0].function.arguments.city === "Paris", "ollama: a tool call", called);
  const back = await client.chat({ model: "ember", messages: [...WEATHER, called.message, { role: "tool", content: "18 degrees", tool_name: "get_weather" }], tools: [TOOL], options: { temperature: 0 } });
  check(back.message.content, "ollama: and its result is read", back);
  const { models } = await client.list();
  check(models[0].name === "ember:latest" && (await client.ps()).models[0].name === "ember:latest" && (await client.version()).version, "ollama: list, ps, version", models);
  const shown = await client.show({ model: "ember" });
  check(shown.capabilities.includes("tools") && shown.model_info["general.architecture"] === "qwen3", "ollama: show", shown.capabilities);
  const { embeddings } = await client.embed({ model: "ember", input: ["cats purr.", "dogs bark."] });
  check(embeddings.length === 2 && embeddings[0].length === embeddings[1].length && embeddings[0].length > 0, "ollama: embed");
  check((await client.pull({ model: "ember" })).status === "success", "ollama: pull what is here");
  await refused("ollama: no such model", () => client.chat({ ...ask, model: "nobody" }), (e) => e.status_code === 404 && /nobody/.test(e.message));
  await refused("ollama: no such model, streamed", () => client.chat({ ...ask, model: "nobody", stream: true }), (e) => e.status_code === 404);
  await refused("ollama: nothing is fetched", () => client.pull({ model: "nobody" }), (e) => e.status_code === 501);
  await refused("ollama: nor deleted", () => client.delete({ model: "ember" }), (e) => e.status_code === 501);
}

/* ---- */

const parts = {
  openai: async (p) => {
    const client = new p.OpenAI({ baseURL: `${base}/v1`, apiKey: "none", maxRetries: 0 });
    await openaiChat(client);
    await openaiTools(client);
    await openaiForms(client);
    await openaiRest(client, p.OpenAI);
    await openaiEmbeddings(client);
    await openaiResponses(client, p.OpenAI);
  },
  "@anthropic-ai/sdk": async (p) => {
    const client = new p.Anthropic({ baseURL: base, apiKey: "none", maxRetries: 0 });
    await anthropicMessages(client);
    await anthropicTools(client);
    await anthropicErrors(client, p.Anthropic);
  },
  ollama: (p) => ollamaClient(new p.Ollama({ host: base })),
};

for (const [name, run] of Object.entries(parts)) {
  let found;
  try {
    found = load(name);
  } catch (e) {
    if (e.code !== "MODULE_NOT_FOUND") throw e;
    console.log(`SKIPPED: the official client ${name}: make oracles, or HEARTH_NODE_MODULES names another folder of packages`);
    counts.skipped++;
    continue;
  }
  try {
    await run(found);
  } catch (e) {
    check(false, `${name}: no error`, `${e.constructor.name}: ${e.message}\n${e.stack}`);
  }
}
console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
process.exit(counts.failed > 0 ? 1 : 0);
