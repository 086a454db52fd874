// What was this program started for? A kind of chat, told on the command line and by the environment.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [, , kind, argument] = process.argv;
const from = createRequire(`${process.env.E2E_MODULES}/`);

export { argument };
export const chat = JSON.parse(process.env.E2E_CHAT);

/** A package from the folder where scripts/setup put it. */
export const required = (name) => import(pathToFileURL(from.resolve(name)));

export const print = async (kinds) => console.log(JSON.stringify(await kinds[kind]()));
