import { once } from "node:events"
import { mkdirSync, renameSync, symlinkSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { seen, World } from "./fixture.ts"

let world: World
beforeAll(async () => {
  world = await World.make()
  world.lay("1.0.0")
  expect((await world.run()).code).toBe(0)
})
afterAll(() => world.remove())

describe("a launcher in order", () => {
  it("says nothing of its own and runs no npm", async () => {
    expect(await world.run()).toMatchObject({ code: 0, stderr: "" })
    expect(world.installs).toBe(0)
  })

  it("needs no Node.js on the PATH", async () => {
    renameSync(join(world.bin, "node"), join(world.folder, "node"))
    expect(await world.run()).toMatchObject({ code: 0, stderr: "" })
    renameSync(join(world.folder, "node"), join(world.bin, "node"))
  })

  it("passes arguments exactly", async () => {
    const args = [
      "",
      "a b",
      "'",
      '"',
      "\\",
      "$HOME",
      "`id`",
      "two\nlines\n",
      "--",
      "-n",
      "*",
      "ünï ✓",
      "%s",
      "!"
    ]
    expect(seen(await world.run(...args)).args).toEqual(args)
  })

  it("stays in the folder it was called from", async () => {
    const cwd = join(world.folder, "some where")
    mkdirSync(cwd)
    const { child, ended } = world.start([], { cwd, launcher: "../my clone/noos" })
    child.stdin!.end()
    expect(seen(await ended).cwd).toBe(cwd)
  })

  it("is found through symlinks, relative and absolute, and through the PATH", async () => {
    mkdirSync(join(world.folder, "links"))
    symlinkSync("../my clone/noos", join(world.folder, "links/one"))
    symlinkSync(join(world.folder, "links/one"), join(world.folder, "links/two"))
    symlinkSync("two", join(world.folder, "links/three"))
    symlinkSync("links", join(world.folder, "folder link"))
    symlinkSync("../folder link/three", join(world.bin, "noos"))
    for (const launcher of [join(world.folder, "links/one"), "links/three", "./folder link/three", "noos"]) {
      const { child, ended } = world.start(["x"], { launcher })
      child.stdin!.end()
      expect(seen(await ended).args).toEqual(["x"])
    }
  })

  it("gives the exit code of the command line", async () => {
    for (const code of [0, 1, 5, 130]) expect((await world.run("code", String(code))).code).toBe(code)
  })
})

describe("signals", () => {
  const waiting = async () => {
    const started = world.start(["wait"])
    await once(started.child.stdout!, "data")
    return started
  }

  it("is one process with the command line, which so gets every signal itself", async () => {
    const { child, ended } = await waiting()
    child.stdin!.end()
    expect(seen(await ended).pid).toBe(child.pid)
  })

  it("delivers Ctrl-C, which a terminal sends to the whole group, once", async () => {
    const { child, ended } = await waiting()
    process.kill(-child.pid!, "SIGINT")
    await once(child.stdout!, "data")
    child.stdin!.end()
    const { code, stdout } = await ended
    expect(code).toBe(41)
    expect(stdout.match(/interrupt/g)).toHaveLength(1)
  })

  it("ends by the signal that ended the command line", async () => {
    for (const signal of ["SIGTERM", "SIGKILL", "SIGHUP"] as const) {
      const { child, ended } = await waiting()
      child.kill(signal)
      expect(await ended).toMatchObject({ code: null, signal })
    }
  })
})
