// What does the Vercel AI SDK get from a chat of this kind? Printed as JSON.
import { argument, chat, print, required } from "./asked.mjs";

const { generateText, jsonSchema, Output, stepCountIs, streamText, tool } = await required("ai");
const { createOpenAICompatible } = await required("@ai-sdk/openai-compatible");
const { z } = await required("zod");

const { url, key, pixel, weather } = chat;
const provider = createOpenAICompatible({ name: "memgate", baseURL: `${url}/v1`, apiKey: key, includeUsage: true, supportsStructuredOutputs: true });
const model = provider(chat.model);
const hello = { model, prompt: "hello there", maxRetries: 0 };
const tools = {
  weather: tool({ description: "the weather in a city", inputSchema: jsonSchema(weather), execute: async () => "cold and bright" }),
  clock: tool({ inputSchema: z.object({}), execute: async () => "six" }),
};
const told = ({ text, finishReason, reasoningText, usage }) => ({ text, finishReason, reasoningText, usage });

const kinds = {
  async plain() {
    return told(await generateText(hello));
  },
  async streamed() {
    const { textStream, text, finishReason, usage } = streamText(hello);
    const pieces = [];
    for await (const piece of textStream) pieces.push(piece);
    return { pieces, text: await text, finishReason: await finishReason, usage: await usage };
  },
  async tools() {
    const { text, steps } = streamText({ ...hello, tools, stopWhen: stepCountIs(3) });
    return { text: await text, calls: (await steps)[0].toolCalls.map(({ toolName, input }) => [toolName, input]) };
  },
  async image() {
    const content = [{ type: "text", text: "What is it?" }, { type: "image", image: pixel, mediaType: "image/png" }];
    return told(await generateText({ model, messages: [{ role: "user", content }], maxRetries: 0 }));
  },
  async structured() {
    const report = z.object({ city: z.string(), degrees: z.number().int().min(-90) });
    const { output } = await generateText({ ...hello, output: Output.object({ schema: report }) });
    return output;
  },
  async reasoning() {
    return told(await generateText({ ...hello, providerOptions: { memgate: { reasoningEffort: "low" } } }));
  },
  async error() {
    const errors = [];
    try {
      if (argument !== "stream") await generateText(hello);
      for await (const part of streamText({ ...hello, onError() {} }).fullStream) if (part.type === "error") errors.push(part.error);
    } catch (error) {
      errors.push(error);
    }
    const [error] = errors;
    return { name: error.name, status: error.statusCode, message: error.message ?? JSON.stringify(error) };
  },
};

await print(kinds);
