// What does OpenAI's JavaScript SDK get from a chat of this kind? Printed as JSON.
import { argument, chat, print, required } from "./asked.mjs";

const { default: OpenAI } = await required("openai");
const { zodResponseFormat } = await required("openai/helpers/zod");
const { z } = await required("zod");

const { url, key, model, pixel, weather } = chat;
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0, timeout: 60_000 });
const hello = [{ role: "user", content: "hello there" }];
const tools = [
  { type: "function", function: { name: "weather", description: "the weather in a city", parameters: weather } },
  { type: "function", function: { name: "clock" } },
];

const kinds = {
  async plain() {
    return client.chat.completions.create({ model, messages: hello });
  },
  async streamed() {
    const chunks = [];
    const stream = await client.chat.completions.create({ model, messages: hello, stream: true, stream_options: { include_usage: true } });
    for await (const chunk of stream) chunks.push(chunk);
    return chunks;
  },
  async tools() {
    const question = { role: "user", content: "What is it like in Porto, and how late is it?" };
    const said = await client.chat.completions.stream({ model, messages: [question], tools }).finalMessage();
    const words = ["cold and bright", "six"];
    const results = said.tool_calls.map((call, index) => ({ role: "tool", tool_call_id: call.id, content: words[index] }));
    const answer = await client.chat.completions.create({ model, messages: [question, said, ...results], tools });
    return { said, answer };
  },
  async image() {
    const content = [{ type: "text", text: "What is it?" }, { type: "image_url", image_url: { url: `data:image/png;base64,${pixel}` } }];
    return client.chat.completions.create({ model, messages: [{ role: "user", content }] });
  },
  async structured() {
    const report = z.object({ city: z.string(), degrees: z.number().int().min(-90) });
    const answer = await client.chat.completions.parse({ model, messages: hello, response_format: zodResponseFormat(report, "report") });
    return answer.choices[0].message.parsed;
  },
  async reasoning() {
    return client.chat.completions.create({ model, messages: hello, reasoning_effort: "low" });
  },
  async error() {
    try {
      const stream = await client.chat.completions.create({ model, messages: hello, stream: argument === "stream", n: argument === "n" ? 2 : 1 });
      for await (const _ of stream);
    } catch (error) {
      return { name: error.constructor.name, status: error.status, param: error.param, message: error.message };
    }
  },
};

await print(kinds);
