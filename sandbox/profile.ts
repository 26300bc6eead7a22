/**
 * What a sandboxed command sees: the argument list for bubblewrap, see bwrap(1).
 *
 * Programs come read-only from /usr; the workspace is at /work; /tmp and /dev/shm are small memory file systems; all
 * else is read-only or not there. Read-only /proc and / matter most when the command's user is root outside: the
 * kernel lets root's processes write /proc/sys without any capability.
 */
import { lstatSync, readlinkSync } from "node:fs"
import { certificates, nodeInside, relay, relayPort } from "./network.ts"
import type { Limits, Start } from "./sandbox.ts"

/** Where a command finds its workspace. */
export const workFolder = "/work"

/** The user and group a command believes to be, whoever it is outside: the same everywhere. */
const insideId = 1000

/** Descriptors the profile is passed on; bubblewrap closes them before the command starts. */
export const descriptors = { seccomp: 3, passwd: 4, group: 5, hosts: 6, secret: 7, network: 8 } as const

/** What little of /etc programs look at, by descriptor. */
export const etcFiles = {
  passwd: `noos:x:${insideId}:${insideId}::/tmp:/bin/sh\n`,
  group: `noos:x:${insideId}:\n`,
  hosts: "127.0.0.1 localhost\n::1 localhost\n"
} as const

/** Ceilings of /tmp and of /dev/shm, bytes. What is kept there is memory. */
const tmpBytes = 256 * 1024 * 1024
const shmBytes = 64 * 1024 * 1024

/** The top-level names that programs expect beside /usr: links into it on most systems, folders on some. */
const besideUsr = (): ReadonlyArray<string> =>
  ["bin", "sbin", "lib", "lib32", "lib64", "libx32"].flatMap((name) => {
    const path = `/${name}`
    const found = lstatSync(path, { throwIfNoEntry: false })
    if (found?.isSymbolicLink()) return ["--symlink", readlinkSync(path), path]
    return found?.isDirectory() ? ["--ro-bind", path, path] : []
  })

/** Goes on when the relay listens, which it says by closing its output. */
const startRelay = `: "$(${nodeInside.to} --v8-pool-size=0 ${relay.to} ${descriptors.network} ${relayPort} 3>&- </dev/null &)"
exec ${descriptors.network}>&-`

/**
 * Process 1 of the command's namespace: waits for the command and gives on its exit code. When it ends, the kernel
 * ends everything else in the namespace before anybody learns that it ended. It goes on only if it was handed nothing
 * but pipes and sockets (an open folder or device of the host would be a way out), and if its empty line is answered
 * with one (nobody is there any more if not). Its own messages ("Killed") are no part of the command's output.
 * Without input the command reads the sandbox's /dev/null.
 */
const firstProcess = ({ input, network }: Pick<Inside, "input" | "network">): string =>
  `for f in /proc/$$/fd/*; do [ -S "$f" ] || [ -p "$f" ] || [ ! -e "$f" ] || { echo "noos: host file $f is open" >&2; exit 125; }; done
echo
read -r go || exit 125
exec 3>&2 2>/dev/null
${network ? startRelay : ""}
(exec "$@" 2>&3 3>&- ${input ? "" : "</dev/null"})
exit "$?"`

const MiB = 1024 * 1024

/** The sandbox's name for a workspace folder given by path components. */
export const inside = (components: ReadonlyArray<string>): string => [workFolder, ...components].join("/")

/** A file or folder at its place outside (as the process that starts bubblewrap sees it) and inside. */
export interface Bind {
  readonly source: string
  readonly to: string
  readonly write: boolean
}

/** The command to run: its folder as the sandbox names it, and whether its standard input says anything. */
export interface Inside {
  readonly argv: ReadonlyArray<string>
  readonly cwd: string
  readonly input: boolean
  readonly limits: Limits
  readonly workspace: NonNullable<Start["workspace"]>
  readonly binds: ReadonlyArray<Bind>
  /** Whether it gets a way to the network. */
  readonly network: boolean
}

const bind = ({ source, to, write }: Bind) => [write ? "--bind" : "--ro-bind", source, to]

const workspaceAs = (source: string, seen: Inside["workspace"]) =>
  seen === "none" ? ["--dir", workFolder] : bind({ source, to: workFolder, write: seen === "write" })

/** The environment as arguments of bubblewrap, for the descriptor of secrets: command lines are seen by everybody. */
export const environment = (env: NonNullable<Start["env"]>): ReadonlyArray<string> =>
  Object.entries(env).flatMap(([name, value]) => ["--setenv", name, value])

/** The whole command line after `bwrap`. `source` is the workspace as the process that starts bubblewrap sees it. */
export const profile = (
  source: string,
  { argv, cwd, input, limits, workspace, binds, network }: Inside
): ReadonlyArray<string> => [
  ...[
    "--unshare-all",
    "--unshare-user",
    "--disable-userns",
    "--die-with-parent",
    "--new-session",
    "--as-pid-1"
  ],
  ...["--uid", `${insideId}`, "--gid", `${insideId}`, "--hostname", "noos", "--cap-drop", "ALL"],
  ...["--ro-bind", "/usr", "/usr", ...besideUsr()],
  ...["--ro-bind-try", "/etc/alternatives", "/etc/alternatives"],
  ...["--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"],
  ...["--file", `${descriptors.passwd}`, "/etc/passwd", "--file", `${descriptors.group}`, "/etc/group"],
  ...["--file", `${descriptors.hosts}`, "/etc/hosts"],
  ...["--proc", "/proc", "--dev", "/dev"],
  ...["--size", `${shmBytes}`, "--tmpfs", "/dev/shm", "--size", `${tmpBytes}`, "--tmpfs", "/tmp"],
  ...workspaceAs(source, workspace),
  ...(network ? certificates.flatMap((path) => ["--ro-bind-try", path, path]) : []),
  ...binds.flatMap(bind),
  ...["--chdir", cwd],
  ...["--remount-ro", "/proc", "--remount-ro", "/dev", "--remount-ro", "/"],
  ...["--clearenv", "--setenv", "PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"],
  ...["--setenv", "HOME", "/tmp", "--setenv", "TMPDIR", "/tmp", "--setenv", "USER", "noos"],
  ...["--setenv", "LANG", "C.UTF-8", "--setenv", "TERM", "dumb"],
  ...["--args", `${descriptors.secret}`],
  ...["--seccomp", `${descriptors.seccomp}`],
  ...["--", "/bin/sh", "-c", firstProcess({ input, network }), "sh"],
  ...["prlimit", `--nproc=${limits.processes + 1}`, `--as=${limits.memoryMiB * MiB}`],
  ...[`--fsize=${limits.fileMiB * MiB}`, "--core=0", "--", ...argv]
]
