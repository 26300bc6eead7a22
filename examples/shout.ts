/** A tool of your own, used by the embedded model because it reads about it in its prompt: `node examples/shout.ts` */
import { Effect } from "effect"
import { defineTool, noos } from "../index.ts"

const shout = defineTool({
  name: "shout",
  description: "Say a text in capitals.",
  input: {
    type: "object",
    properties: { text: { type: "string" } },
    required: ["text"],
    additionalProperties: false
  },
  effect: "pure",
  execute: ({ text }: { text: string }) => Effect.succeed(text.toUpperCase())
})

const exit = await noos.run('Shout "good morning".', { workspace: ".", tools: [shout] })
console.log(exit.status, exit.answer)
