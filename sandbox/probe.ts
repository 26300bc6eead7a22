/**
 * Tries the sandbox before it is trusted: a command in it shows what it can reach, and that is held against the
 * profile. Reading what the kernel reports changes nothing, also where the sandbox does not hold.
 */
import type { Identity } from "./launch.ts"
import type { Completed } from "./sandbox.ts"

const separator = "%%"

/** Shows the command's rights, mounts and network devices. */
export const probe = [
  "/bin/sh",
  "-c",
  `cat /proc/self/status; echo ${separator}; cat /proc/self/mountinfo; echo ${separator}
   cat /proc/self/net/dev`
] as const

const memory = ["/tmp", "/dev/shm", "/dev/pts"]
const devices = ["null", "zero", "full", "random", "urandom", "tty"].map((name) => `/dev/${name}`)

/** What is wrong with a probe's report, in one line; `undefined` when the sandbox holds. */
export const problemIn = (ended: Completed, identity: Identity): string | undefined => {
  if (ended.exitCode !== 0) return `a first command failed: ${ended.stderr.trim() || `${ended.reason}`}`
  const [status = "", mounts = "", network = ""] = ended.stdout.split(`${separator}\n`)
  const field = (name: string) => new RegExp(`^${name}:\\s*(.*)$`, "m").exec(status)?.[1]
  for (const name of ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]) {
    if (!/^0+$/.test(field(name) ?? "")) return `commands keep capabilities (${name} ${field(name)})`
  }
  if (field("NoNewPrivs") !== "1") return "commands could gain rights from set-user-ID programs"
  if (field("Seccomp") !== "2") return "the system-call filter is not on"

  // Only root owns the device files; others cannot change them whatever the mount says.
  const writable = ["/work", ...memory, ...(identity.uid === 0 ? [] : devices)]
  const lines = mounts
    .trim()
    .split("\n")
    .map((line) => line.split(" "))
  if (!lines.some((fields) => fields[4] === "/work")) return "the workspace is not there"
  for (const [, , , , point = "", options = ""] of lines) {
    if (!options.split(",").includes("ro") && !writable.includes(point))
      return `commands could write ${point}`
  }
  const interfaces = network.split("\n").flatMap((line) => /^\s*(\S+):/.exec(line)?.[1] ?? [])
  if (interfaces.some((name) => name !== "lo")) return `commands have a network: ${interfaces.join(" ")}`
  return undefined
}

const hints: ReadonlyArray<readonly [RegExp, string]> = [
  [
    /execute bwrap|failed to execute|ENOENT|not found/,
    "install bubblewrap and util-linux: apt-get install bubblewrap (Debian, Ubuntu), dnf install bubblewrap (Fedora), pacman -S bubblewrap (Arch)"
  ],
  [
    /bwrap: .*(namespace|uid map|No permissions)/,
    "allow user namespaces: sysctl -w kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0 user.max_user_namespaces=10000"
  ],
  [
    /unshare|mount:|proc/,
    "in a container, start it with --privileged, or run noos on the host as an ordinary user"
  ]
]

/** What a person can do about it. */
export const hintFor = (message: string, folder: string): string =>
  /cannot be limited/.test(message)
    ? `run noos as an ordinary user, or give the folder to one: chown -R USER ${folder}`
    : (hints.find(([pattern]) => pattern.test(message))?.[1] ??
      "see docs/decisions/0002-sandbox-user.md, or try as an ordinary user")
