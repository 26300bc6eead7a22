/**
 * Brings node_modules in line with package-lock.json.
 *
 * npm works in a folder of its own, and only the finished node_modules is renamed into place. So a run that is
 * interrupted or fails changes nothing, and two at once cannot mix their files.
 */
import { spawn } from "node:child_process"
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { dirname, join, relative } from "node:path"
import { workFolder } from "./lock.mjs"
import { packagedNode } from "./node.mjs"
import { say, Trouble } from "./say.mjs"

const lockfile = (root) => join(root, "package-lock.json")
/** A copy of the lockfile that node_modules was verified against. The launcher compares the two and asks no further. */
const stamp = (modules) => join(modules, ".noos-setup")

/** False where noos itself was installed by npm: lockfiles are never published. */
export const isClone = (root) => existsSync(lockfile(root))

/** Whether node_modules holds what package-lock.json says. Changes nothing but the stamp. */
export const dependenciesInOrder = (root) => {
  const modules = join(root, "node_modules")
  const wanted = readFileSync(lockfile(root))
  if (read(stamp(modules))?.equals(wanted)) return true
  if (!matches(wanted, root)) return false
  finish(root, modules, wanted)
  return true
}

const read = (path) => {
  try {
    return readFileSync(path)
  } catch {
    return undefined
  }
}

/**
 * Whether node_modules is the wanted tree, for those who install by hand. Its hidden lockfile, which npm writes when it
 * has finished, must say so, and so must the packages themselves: `npm install --package-lock-only` changes the first
 * alone. Packages for other platforms may be absent, with all that only they need.
 */
const matches = (wanted, root) => {
  const written = read(join(root, "node_modules", ".package-lock.json"))
  if (written === undefined) return false
  try {
    const there = JSON.parse(written).packages
    return Object.entries(JSON.parse(wanted).packages).every(([path, want]) => {
      if (path === "") return true
      const has = there[path]
      if (has === undefined) return want.optional === true && !madeForThisMachine(want)
      if (has.version !== want.version || (want.integrity ?? has.integrity) !== has.integrity) return false
      return JSON.parse(readFileSync(join(root, path, "package.json"))).version === want.version
    })
  } catch {
    return false
  }
}

/** `os`, `cpu` and `libc` of a package: one name or several. None of the packages here uses npm's "!name". */
const madeForThisMachine = ({ os, cpu, libc }) =>
  os !== undefined &&
  [os].flat().includes(process.platform) &&
  [cpu ?? process.arch].flat().includes(process.arch) &&
  (libc === undefined || [libc].flat().includes(machineLibc()))

const machineLibc = () =>
  process.report.getReport().header.glibcVersionRuntime === undefined ? "musl" : "glibc"

/**
 * Makes `node` in npm's scripts the packaged Node.js, and writes the stamp. npm 9 makes no such link when it runs no
 * install scripts; a Node.js that does not run here (no glibc) must not be first on the PATH of npm's scripts.
 */
const finish = (root, modules, wanted) => {
  try {
    const link = join(modules, ".bin", process.platform === "win32" ? "node.cmd" : "node")
    const node = packagedNode(root)
    if (node === undefined) rmSync(link, { force: true })
    else if (!existsSync(link)) symlinkSync(relative(dirname(link), node), link)
    writeFileSync(`${stamp(modules)}.${process.pid}`, wanted)
    renameSync(`${stamp(modules)}.${process.pid}`, stamp(modules))
  } catch {
    // A folder that only its owner can write is in order all the same; looking at it just takes longer.
  }
}

/** Runs `npm ci` and puts its result into place. Fails with `Trouble` and leaves node_modules as it was. */
export const installDependencies = async (root) => {
  say("installing dependencies, this takes about a minute the first time")
  const own = join(workFolder(root), String(process.pid))
  const wanted = readFileSync(lockfile(root))
  try {
    rmSync(own, { recursive: true, force: true })
    mkdirSync(own, { recursive: true })
    for (const name of ["package.json", ".npmrc"]) {
      if (existsSync(join(root, name))) copyFileSync(join(root, name), join(own, name))
    }
    writeFileSync(lockfile(own), withoutEngines(wanted))
  } catch (error) {
    if (error instanceof SyntaxError) {
      throw new Trouble(
        "package-lock.json is not JSON",
        "bring it back with `git checkout package-lock.json`"
      )
    }
    throw new Trouble(
      `the dependencies cannot be installed: ${error.message}`,
      `make ${root} writable and run this again`
    )
  }
  try {
    await npm(own)
    mkdirSync(join(own, "node_modules"), { recursive: true })
    put(own, root)
    finish(root, join(root, "node_modules"), wanted)
  } finally {
    rmSync(own, { recursive: true, force: true, maxRetries: 3 })
  }
}

/**
 * The lockfile without its demands on Node.js. npm would hold them against the Node.js that it runs on itself, and
 * leave out optional packages, native binaries among them; what counts is the one that comes with them.
 */
const withoutEngines = (lock) => {
  const parsed = JSON.parse(lock)
  for (const entry of Object.values(parsed.packages)) delete entry.engines
  return JSON.stringify(parsed)
}

/** Renames the finished tree into place, unless another process was faster: its tree is as good and in use. */
const put = (own, root) => {
  const place = join(root, "node_modules")
  if (dependenciesInOrder(root)) return
  if (existsSync(place)) renameSync(place, join(own, "replaced"))
  try {
    renameSync(join(own, "node_modules"), place)
  } catch (error) {
    if (!dependenciesInOrder(root)) throw error
  }
}

/**
 * `npm ci` in `folder`: the lockfile's exact packages, verified by their hashes. All kinds of dependencies whatever
 * the user's settings, so that every command of this project works afterwards. No install scripts: none is needed,
 * node-llama-cpp's would only look for the binaries that its own packages bring.
 */
const npm = (folder) =>
  new Promise((resolve, reject) => {
    const flags = ["--ignore-scripts", "--include=dev", "--include=optional", "--engine-strict=false"]
    const quiet = ["--no-audit", "--no-fund", "--no-progress", "--loglevel=error"]
    const child = spawn("npm", ["ci", ...flags, ...quiet], {
      cwd: folder,
      stdio: ["ignore", "pipe", "pipe"],
      shell: process.platform === "win32"
    })
    const output = []
    child.stdout.on("data", (data) => output.push(data))
    child.stderr.on("data", (data) => output.push(data))
    child.once("error", () =>
      reject(new Trouble("npm is not installed", "install Node.js with npm (https://nodejs.org)"))
    )
    child.once("close", (code, signal) => {
      if (code === 0) resolve()
      else reject(npmTrouble(Buffer.concat(output).toString(), signal ?? `exit code ${code}`))
    })
  })

const npmTrouble = (output, end) => {
  const lines = [...output.matchAll(/^npm (?:error|ERR!) (.+)$/gm)].map((match) => match[1].trim())
  const code = lines.find((line) => line.startsWith("code "))?.slice(5)
  const words = lines.find((line) => !/^(code|syscall|errno|path|dest) /.test(line))
  return new Trouble(
    `npm could not install the dependencies: ${[code, words].filter(Boolean).join(": ") || end}`,
    hints.find(([codes]) => codes.includes(code ?? ""))?.[1] ??
      "run `npm ci --ignore-scripts` to see all that npm says"
  )
}

const hints = [
  [
    [
      "ENOTFOUND",
      "EAI_AGAIN",
      "ECONNREFUSED",
      "ECONNRESET",
      "ETIMEDOUT",
      "ENETUNREACH",
      "EHOSTUNREACH",
      "ERR_SOCKET_TIMEOUT"
    ],
    "check the network and npm's registry and proxy settings, then run this again"
  ],
  [["ENOSPC"], "free some disk space (about 2 GB) and run this again"],
  [["EUSAGE"], "run `npm install` to bring package-lock.json in line with package.json"]
]
