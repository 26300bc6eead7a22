/** Keeps a list in SQLite, in the folder that stays from one run to the next. */
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { defineTool, ToolError } from "noos/plugin"

type Item = { id: number; text: string; done: boolean }

/** Opened for each call: processes that use the list at the same time wait for each other. */
const open = (state: string): DatabaseSync => {
  const list = new DatabaseSync(join(state, "todo.db"), { timeout: 5000 })
  list.exec(
    "create table if not exists item (id integer primary key, text text not null, done integer not null)"
  )
  return list
}

/** An object with just these properties. */
const object = (properties: Readonly<Record<string, object>>) => ({
  type: "object",
  properties,
  required: Object.keys(properties),
  additionalProperties: false
})

const item = object({ id: { type: "integer" }, text: { type: "string" }, done: { type: "boolean" } })

const show = ({ id, text, done }: Item): string => `${id} [${done ? "x" : " "}] ${text}`

const add = defineTool({
  name: "todo_add",
  description: "Add something to do.",
  input: object({ text: { type: "string", minLength: 1, maxLength: 500 } }),
  output: item,
  effect: "reversible",
  examples: [
    { args: { text: "water the plants" }, result: { id: 1, text: "water the plants", done: false } }
  ],
  execute: ({ text }: { text: string }, { state }): Item => {
    using list = open(state)
    const { lastInsertRowid } = list.prepare("insert into item (text, done) values (?, 0)").run(text)
    return { id: Number(lastInsertRowid), text, done: false }
  },
  toModel: show
})

const done = defineTool({
  name: "todo_done",
  description: "Tick off something by its number.",
  input: object({ id: { type: "integer", minimum: 1, maximum: 1_000_000_000 } }),
  effect: "reversible",
  // Examples are run in the order of the tools: there is something to tick off.
  examples: [{ args: { id: 1 }, result: "done: 1" }],
  execute: ({ id }: { id: number }, { state }) => {
    using list = open(state)
    const { changes } = list.prepare("update item set done = 1 where id = ?").run(id)
    if (changes === 0) throw new ToolError({ code: "not_found", message: `nothing has the number ${id}` })
    return `done: ${id}`
  }
})

const all = defineTool({
  name: "todo_list",
  description: "All there is to do, and what is done.",
  input: object({}),
  output: { type: "array", items: item },
  effect: "pure",
  examples: [{ args: {}, result: [{ id: 1, text: "water the plants", done: true }] }],
  execute: (_: object, { state }): ReadonlyArray<Item> => {
    using list = open(state)
    const rows = list.prepare("select id, text, done from item order by id").all()
    return rows.map(({ id, text, done }) => ({ id: Number(id), text: String(text), done: done === 1 }))
  },
  toModel: (items) => items.map(show).join("\n") || "nothing to do"
})

export default [add, done, all]
