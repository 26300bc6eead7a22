/**
 * Installs bubblewrap, with which the sandbox confines what tools run, where that needs no password and no question.
 * Without it the set-up goes on: only commands that run tools need it, and those refuse to run without it.
 */
import { spawnSync } from "node:child_process"
import { accessSync, constants } from "node:fs"
import { delimiter, join } from "node:path"
import { say } from "./say.mjs"

/** Package managers and what they run, in order. */
const managers = [
  ["apt-get", ["update"], ["install", "-y", "--no-install-recommends", "bubblewrap"]],
  ["dnf", ["install", "-y", "bubblewrap"]],
  ["apk", ["add", "bubblewrap"]],
  ["pacman", ["-S", "--noconfirm", "--needed", "bubblewrap"]],
  ["zypper", ["--non-interactive", "install", "bubblewrap"]]
]

const onPath = (name) =>
  (process.env.PATH ?? "").split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK)
      return true
    } catch {
      return false
    }
  })

/** Only Linux has bubblewrap. */
export const bubblewrapMissing = () => process.platform === "linux" && !onPath("bwrap")

/** Tries the machine's package manager; says in one line what it does, and in one more if it did not work. */
export const installBubblewrap = () => {
  const [manager, ...commands] = managers.find(([name]) => onPath(name)) ?? []
  const advice = manager
    ? `${manager} ${commands
        .at(-1)
        .filter((word) => !word.startsWith("-"))
        .join(" ")}`
    : "your package manager"
  const prefix = process.getuid() === 0 ? [] : ["sudo", "-n"]
  if (manager && run([...prefix, "true"])) {
    say(`installing bubblewrap with ${manager}, for the sandbox`)
    for (const command of commands) run([...prefix, manager, ...command])
  }
  if (bubblewrapMissing()) say(`bubblewrap is missing, so tools cannot run: install it with ${advice}`)
}

const run = ([command, ...args]) =>
  spawnSync(command, args, {
    stdio: "ignore",
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" }
  }).status === 0
