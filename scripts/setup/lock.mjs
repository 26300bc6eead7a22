/** One set-up of a folder at a time, also among processes that start together. */
import { spawn } from "node:child_process"
import { mkdirSync, readdirSync, rmSync } from "node:fs"
import { join } from "node:path"

/** Where set-ups of `root` work: the lock, and a folder for the one under way. */
export const workFolder = (root) => join(root, ".setup")

/** flock(1) of util-linux and BusyBox; lockf(1) of macOS. Node.js itself cannot lock files. */
const lockers = { linux: ["flock"], darwin: ["lockf", "-k"] }

/**
 * Runs `work` while no other process is inside `alone` for the same `root`, and clears away what a set-up that was
 * killed has left there.
 *
 * The system itself keeps the lock, for a child that lives until its input ends: it is free again as soon as its holder
 * dies, however it dies, and those who wait are woken, without asking again and again. Where nothing can be locked,
 * `work` runs all the same: two set-ups at once cannot harm each other, they only do the work twice.
 */
export const alone = async (root, work) => {
  const lock = await acquire(root)
  try {
    if (lock) clear(workFolder(root))
    return await work()
  } finally {
    lock?.stdin.end()
  }
}

const acquire = (root) =>
  new Promise((resolve) => {
    const [command, ...flags] = lockers[process.platform] ?? []
    if (command === undefined) return resolve(undefined)
    try {
      mkdirSync(workFolder(root), { recursive: true })
    } catch {
      return resolve(undefined)
    }
    const args = [...flags, join(workFolder(root), "lock"), "sh", "-c", "echo locked; exec cat"]
    const child = spawn(command, args, { stdio: ["pipe", "pipe", "ignore"] })
    child.stdin.on("error", () => {})
    child.stdout.once("data", () => resolve(child))
    child.once("error", () => resolve(undefined))
    child.once("close", () => resolve(undefined))
  })

const clear = (folder) => {
  for (const name of readdirSync(folder)) {
    if (name !== "lock") rmSync(join(folder, name), { recursive: true, force: true, maxRetries: 3 })
  }
}
