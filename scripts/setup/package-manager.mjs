/** Installs what the machine itself has to provide, where that needs no password and no question. */
import { spawnSync } from "node:child_process"
import { accessSync, constants } from "node:fs"
import { delimiter, join } from "node:path"
import { say } from "./say.mjs"

/** Package managers and what they run to install something, in order. */
const managers = [
  ["apt-get", (name) => [["update"], ["install", "-y", "--no-install-recommends", name]]],
  ["dnf", (name) => [["install", "-y", name]]],
  ["apk", (name) => [["add", name]]],
  ["pacman", (name) => [["-S", "--noconfirm", "--needed", name]]],
  ["zypper", (name) => [["--non-interactive", "install", name]]]
]

export const onPath = (name) =>
  (process.env.PATH ?? "").split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK)
      return true
    } catch {
      return false
    }
  })

/**
 * Tries the machine's package manager; says in one line what it does, `why` it is wanted, and in one more, `lacking`, if
 * it is still `missing` then.
 */
export const install = ({ name, why, lacking, missing }) => {
  const [manager, commandsFor] = managers.find(([program]) => onPath(program)) ?? []
  const commands = commandsFor?.(name) ?? []
  const advice = manager
    ? `${manager} ${commands
        .at(-1)
        .filter((word) => !word.startsWith("-"))
        .join(" ")}`
    : "your package manager"
  const prefix = process.getuid() === 0 ? [] : ["sudo", "-n"]
  if (manager && run([...prefix, "true"])) {
    say(`installing ${name} with ${manager}, ${why}`)
    for (const command of commands) run([...prefix, manager, ...command])
  }
  if (missing()) say(`${lacking}: install it with ${advice}`)
}

const run = ([command, ...args]) =>
  spawnSync(command, args, {
    stdio: "ignore",
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" }
  }).status === 0
