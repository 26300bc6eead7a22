/**
 * A task four times as long as the model's window: sixty files, each of which names the next, and a code that only the first
 * one has. What was read leaves the window, what was noted stays: `node examples/relay.ts`
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { noos } from "../index.ts"

const files = 60
const letters = "abcdefghijklmnopqrstuvwxyz"
const name = (n: number) => `${letters[(n * 7) % 26]}${n}.txt`

const folder = mkdtempSync(join(tmpdir(), "relay-"))
for (let n = 1; n <= files; n++) {
  const log = Array.from(
    { length: 5 },
    (_, i) => `${10 + i}:${11 + ((n * 17 + i) % 49)} INFO train ok ${n * 7 + i}`
  )
  const lines = [...(n === 1 ? ["code: K7Q2"] : []), ...log, n === files ? "end" : `next: ${name(n + 1)}`]
  writeFileSync(join(folder, name(n)), `${lines.join("\n")}\n`)
}

let evictions = 0
const task = `Note the code in ${name(1)}, then follow the files that it names to the end. At the end, answer with the code.`
const exit = await noos.run(task, {
  workspace: folder,
  onEvent: (event) => {
    if (event.type === "evict") evictions++
  }
})
rmSync(folder, { recursive: true })
console.log(exit.status, exit.answer)
console.error(`${exit.usage.syscalls} calls, ${evictions} evictions`)
