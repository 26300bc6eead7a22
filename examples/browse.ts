/**
 * A program that uses a browser by the kernel's own path, as a model would: each call is checked, authorised by the hosts that
 * were granted and by who approves, and written into the journal. The shop is a page of this program's.
 * `node examples/browse.ts`
 */
import { mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Layer } from "effect"
import { Bubblewrap, Journal, makeHandles, more, Sandbox, Syscalls } from "../index.ts"

const shop = createServer((request, response) => {
  response.setHeader("content-type", "text/html")
  const tea = new URL(request.url!, "http://shop").searchParams.get("tea")
  response.end(
    tea === null
      ? "<title>Shop</title><form><label>Tea <input name=tea></label><button>Order</button></form>"
      : `<title>Thanks</title><h1>One ${tea.replace(/\W/g, "")} ordered</h1>`
  )
})
await new Promise<void>((ready) => shop.listen(0, "127.0.0.1", ready))
const host = `127.0.0.1:${(shop.address() as AddressInfo).port}`
const home = mkdtempSync(join(tmpdir(), "browse-"))

const order = Effect.gen(function* () {
  const journal = yield* Journal
  const { dispatch } = yield* Syscalls
  const workspace = yield* (yield* Sandbox).open(mkdtempSync(join(home, "work-")), [host])
  const run = yield* journal.beginRun({ task: "order tea", workspace: workspace.root, model: "none" })
  const caller = {
    pid: yield* journal.spawn({ run, program: "browse" }),
    tools: more,
    workspace,
    approve: () => Effect.succeed(true),
    progress: () => Effect.void,
    handles: makeHandles(yield* Effect.scope)
  }
  const call = Effect.fnUntraced(function* (tool: string, args: object) {
    const outcome = yield* dispatch(caller, { tool, args })
    return outcome.ok ? outcome.text : yield* Effect.die(new Error(outcome.text))
  })
  const ref = (page: string, element: string) =>
    new RegExp(`${element}.*?\\[ref=(\\w+)\\]`).exec(page)?.[1] ?? ""

  yield* call("browser_open", { url: `http://${host}/` })
  const page = yield* call("browser_read", {})
  yield* call("browser_type", { ref: ref(page, "textbox"), text: "assam" })
  yield* call("browser_click", { ref: ref(page, "button") })
  const thanks = yield* call("browser_read", {})
  return { said: /heading "(.*?)"/.exec(thanks)?.[1], calls: (yield* journal.calls({ run })).length }
})

const layer = Layer.mergeAll(Syscalls.layer, Bubblewrap.layer).pipe(
  Layer.provideMerge(Journal.layer(join(home, "journal.db")))
)
const { calls, said } = await Effect.runPromise(order.pipe(Effect.scoped, Effect.provide(layer)))
console.log(`${said}; ${calls} calls in the journal`)
shop.close()
rmSync(home, { recursive: true })
