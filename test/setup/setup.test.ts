import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { locker, nodePackage, seen, World } from "../launcher/fixture.ts"

let world: World
beforeEach(async () => {
  world = await World.make()
})
afterEach(() => world.remove())

const lines = (text: string) => text.split("\n").filter((line) => line !== "")
const modules = (...path: ReadonlyArray<string>) => join(world.clone, "node_modules", ...path)
const leftovers = () => readdirSync(join(world.clone, ".setup"))

describe("dependencies", () => {
  it("are installed by the first start, in one line, and left alone by the second", async () => {
    const first = await world.run("hello")
    expect(lines(first.stderr)).toEqual([expect.stringMatching(/^noos: installing dependencies/)])
    expect(seen(first)).toMatchObject({ args: ["hello"], dep: 1 })
    expect(existsSync(modules(nodePackage)), "also what asks for a newer Node.js than npm's own").toBe(true)
    expect(await world.run()).toMatchObject({ code: 0, stderr: "" })
    expect(world.installs).toBe(1)
    expect(leftovers()).toEqual(["lock"])
  })

  it("follow the lockfile when it changes", async () => {
    world.lay("1.0.0")
    expect(seen(await world.run()).dep).toBe(1)
    world.want("2.0.0")
    expect(seen(await world.run()).dep).toBe(2)
    expect(world.installs).toBe(1)
  })

  it("are taken as they are when somebody ran npm by hand", async () => {
    world.want("1.0.0", false)
    await world.npm("ci")
    expect(await world.run()).toMatchObject({ code: 0, stderr: "" })
    expect(world.installs).toBe(0)
  })

  it("are completed when an optional one for this machine is missing", async () => {
    world.lay("1.0.0", false)
    world.want("1.0.0")
    expect((await world.run()).code).toBe(0)
    expect(existsSync(modules(".bin/node"))).toBe(true)
    expect(world.installs).toBe(1)
  })

  it("are not touched for a lockfile that cannot be read", async () => {
    world.lay("1.0.0")
    writeFileSync(join(world.clone, "package-lock.json"), "<<<<<<< HEAD\n")
    const { code, stderr } = await world.run()
    expect(code).toBe(5)
    expect(lines(stderr).slice(-2)).toEqual([
      "noos: package-lock.json is not JSON",
      expect.stringMatching(/^noos: bring it back/)
    ])
    expect(existsSync(modules("dep/index.js"))).toBe(true)
    expect(world.installs).toBe(0)
  })

  it("are installed once by starts at the same time", async () => {
    const ended = await Promise.all(["a", "b", "c"].map((name) => world.run(name)))
    expect(ended.map((one) => seen(one).args[0])).toEqual(["a", "b", "c"])
    expect(world.installs).toBe(1)
  })

  it("are as good when starts at the same time cannot wait for each other", async () => {
    rmSync(join(world.bin, locker))
    const ended = await Promise.all(["a", "b", "c"].map((name) => world.run(name)))
    expect(ended.map((one) => seen(one))).toMatchObject([{ args: ["a"] }, { args: ["b"] }, { args: ["c"] }])
    expect(await world.run()).toMatchObject({ code: 0, stderr: "" })
  })

  it("are installed by the next start when one is killed, and by one that waits for it", async () => {
    world.registry.hold()
    const killed = world.start([])
    await world.registry.asked.promise
    const waiter = world.run("waiter")
    process.kill(-killed.child.pid!, "SIGKILL")
    expect(await killed.ended).toMatchObject({ signal: "SIGKILL" })
    expect(existsSync(modules())).toBe(false)
    world.registry.release()
    expect(seen(await waiter).args).toEqual(["waiter"])
    expect(await world.run()).toMatchObject({ code: 0, stderr: "" })
    expect(leftovers()).toEqual(["lock"])
  })

  it("are neither missing nor half there after a failed update", async () => {
    world.lay("1.0.0")
    const before = readFileSync(modules("dep/index.js"), "utf8")
    world.want("2.0.0")
    await world.registry.close()
    const { code, stdout, stderr } = await world.run()
    expect({ code, stdout }).toEqual({ code: 5, stdout: "" })
    expect(lines(stderr)).toEqual([
      expect.stringMatching(/^noos: installing/),
      expect.stringMatching(/^noos: npm could not install the dependencies: ECONNREFUSED: /),
      expect.stringMatching(/^noos: check the network/)
    ])
    expect(readFileSync(modules("dep/index.js"), "utf8")).toBe(before)
    expect(leftovers()).toEqual(["lock"])
  })

  it("ask for npm where there is none", async () => {
    rmSync(join(world.bin, "npm"))
    const { code, stderr } = await world.run()
    expect(code).toBe(5)
    expect(lines(stderr).slice(1)).toEqual([
      "noos: npm is not installed",
      expect.stringMatching(/^noos: install Node.js/)
    ])
    expect(existsSync(modules())).toBe(false)
  })

  it("tell how npm ended when it says nothing", async () => {
    world.script("npm", "exit 7")
    const { code, stderr } = await world.run()
    expect(code).toBe(5)
    expect(lines(stderr)[1]).toBe("noos: npm could not install the dependencies: exit code 7")
  })

  it("are npm's own business where noos is installed as a package", async () => {
    const installed = join(world.folder, "lib/node_modules/noos")
    const packaged = join(world.folder, "lib/node_modules/dep")
    mkdirSync(join(installed, "cli"), { recursive: true })
    mkdirSync(packaged, { recursive: true })
    for (const name of ["noos", "scripts", "package.json"])
      cpSync(join(world.clone, name), join(installed, name), { recursive: true })
    writeFileSync(
      join(installed, "cli/main.js"),
      readFileSync(join(world.clone, "cli/main.ts"), "utf8").replace(": ReadonlyArray<string>", "")
    )
    writeFileSync(join(packaged, "index.js"), "module.exports = 3\n")
    const { child, ended } = world.start(["x"], { launcher: join(installed, "noos") })
    child.stdin!.end()
    expect(seen(await ended)).toMatchObject({ args: ["x"], dep: 3 })
    expect(world.installs).toBe(0)
  })
})

describe("Node.js", () => {
  /** A Node.js on the PATH that is the real one but for its version number. */
  const pretend = (version: string) => {
    const file = join(world.folder, "version.cjs")
    writeFileSync(file, `Object.defineProperty(process, "version", { value: "${version}" })\n`)
    world.script("node", `exec '${process.execPath}' --require '${world.quoted("version.cjs")}' "$@"`)
  }

  it("comes with the dependencies when the machine's is old", async () => {
    world.lay("1.0.0")
    pretend("v20.11.0")
    expect((await world.run()).code).toBe(0)
  })

  it("is the machine's when none comes with the dependencies", async () => {
    world.lay("1.0.0", false)
    pretend("v22.19.0")
    expect((await world.run()).code).toBe(0)
    expect(await world.run()).toMatchObject({ code: 0, stderr: "" })
    expect(world.installs).toBe(0)
  })

  it("is asked for when it is too old and none comes with the dependencies", async () => {
    world.lay("1.0.0", false)
    for (const version of ["v18.0.0", "v20.20.2", "v22.18.9"]) {
      pretend(version)
      const { code, stdout, stderr } = await world.run()
      expect({ code, stdout }).toEqual({ code: 5, stdout: "" })
      expect(lines(stderr).slice(-2)).toEqual([
        `noos: Node.js 22.19 or newer is needed, this is ${version}`,
        "noos: install Node.js 24 (https://nodejs.org) and run this again"
      ])
    }
  })

  it("is asked for where there is none at all", async () => {
    rmSync(join(world.bin, "node"))
    const { code, stderr } = await world.run()
    expect(code).toBe(5)
    expect(lines(stderr)).toEqual([
      "noos: Node.js is not installed",
      expect.stringMatching(/^noos: install Node.js/)
    ])
  })

  it("that comes with the dependencies but does not run here gives way to the machine's", async () => {
    world.lay("1.0.0")
    writeFileSync(modules(nodePackage, "bin/node"), "#!/no/such/loader\n")
    expect(await world.run()).toMatchObject({ code: 0, stderr: "" })
    expect(existsSync(modules(".bin/node"))).toBe(false)
  })
})

describe.runIf(process.platform === "linux")("bubblewrap", () => {
  /** A package manager that writes down what it is asked and then installs by writing the program. */
  const aptGet = (install: string) =>
    world.script("apt-get", `echo "$@" >>'${world.quoted("apt.log")}'\n[ "$1" = update ] || { ${install} ; }`)
  const asked = () => lines(readFileSync(join(world.folder, "apt.log"), "utf8"))

  beforeEach(() => {
    world.lay("1.0.0")
    rmSync(join(world.bin, "bwrap"))
    // Only asked where the test does not run as root.
    world.script("sudo", 'shift; exec "$@"')
    world.script("true", "exit 0")
  })

  it("is installed where the machine allows it without a question", async () => {
    aptGet(
      `echo '#!/bin/sh' >'${world.quoted("bin/bwrap")}' && '${process.execPath}' -e 'fs.chmodSync(process.argv[1], 493)' '${world.quoted("bin/bwrap")}'`
    )
    const { code, stderr } = await world.run()
    expect(code).toBe(0)
    expect(lines(stderr)).toEqual(["noos: installing bubblewrap with apt-get, for the sandbox"])
    expect(asked()).toEqual(["update", "install -y --no-install-recommends bubblewrap"])
    expect(await world.run()).toMatchObject({ code: 0, stderr: "" })
  })

  it("is asked for in one line when installing fails, and the command line starts", async () => {
    aptGet("exit 100")
    const first = await world.run()
    expect(first.code).toBe(0)
    expect(lines(first.stderr)[1]).toBe(
      "noos: bubblewrap is missing, so tools cannot run: install it with apt-get install bubblewrap"
    )
    expect((await world.run()).stderr).toBe(first.stderr)
  })

  it("is asked for in one line where no package manager is known", async () => {
    expect(await world.run()).toMatchObject({
      code: 0,
      stderr: "noos: bubblewrap is missing, so tools cannot run: install it with your package manager\n"
    })
  })
})

describe.runIf(process.platform === "linux")("chromium", () => {
  const chromium = () => world.script("chromium", "exit 0")
  const setup = (...args: ReadonlyArray<string>) =>
    world.start([join(world.clone, "scripts/setup.mjs"), ...args], { launcher: process.execPath }).ended

  beforeEach(() => {
    world.lay("1.0.0")
    world.script("sudo", 'shift; exec "$@"')
    world.script("true", "exit 0")
    world.script("apt-get", `echo "$@" >>'${world.quoted("apt.log")}'`)
  })

  it("is installed only when it is asked for, and missing", async () => {
    expect(await setup()).toMatchObject({ code: 0, stderr: "" })
    expect(existsSync(join(world.folder, "apt.log"))).toBe(false)
    const asked = await setup("--chromium")
    expect(asked.code).toBe(0)
    expect(lines(asked.stderr)).toEqual([
      "noos: installing chromium with apt-get, for the browser",
      "noos: Chromium is missing, so the browser tools cannot run: install it with apt-get install chromium"
    ])
    expect(lines(readFileSync(join(world.folder, "apt.log"), "utf8"))).toEqual([
      "update",
      "install -y --no-install-recommends chromium"
    ])
    chromium()
    expect(await setup("--chromium")).toMatchObject({ code: 0, stderr: "" })
  })
})
