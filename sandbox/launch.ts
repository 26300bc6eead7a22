/**
 * Who a command runs as outside the sandbox, and from where its workspace is reached.
 *
 * An ordinary user's commands stay that user's. Root's commands run as the owner of the workspace, so that they can
 * write it and what they make belongs to the same person; docs/decisions/0002-sandbox-user.md has the measurements.
 */
import { once } from "node:events"
import { closeSync, existsSync, openSync } from "node:fs"
import { Effect, type Scope } from "effect"
import { execa } from "execa"
import { ToolError } from "../kernel/tool.ts"

/**
 * Where the programs that make the sandbox are looked for: the system's folders, never the person's PATH, in which
 * npm puts a folder of the very project that the command may write. The last one is NixOS's.
 */
export const systemPath = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin:/run/current-system/sw/bin"

/** A user and group of the host. */
export interface Identity {
  readonly uid: number
  readonly gid: number
}

/** True where this process may become anybody. */
export const isRoot = process.geteuid?.() === 0

/** Who commands in a folder of this owner run as. */
export const identityFor = (owner: Identity): Identity =>
  isRoot ? owner : { uid: process.geteuid?.() ?? -1, gid: process.getegid?.() ?? -1 }

/** True when the user is one whose processes only a control group can count. */
export const needsGroup = (identity: Identity): boolean => identity.uid === 0

/** How bubblewrap is started: what comes before its name, and the host's files and folders as it sees them. */
export interface Base {
  readonly prefix: ReadonlyArray<string>
  /** In the order in which they were asked for. */
  readonly sources: readonly [string, ...ReadonlyArray<string>]
}

/**
 * Mounts that only the sandboxes of one workspace see: files and folders at places that the workspace's owner can reach
 * whatever the folders above them allow, and the device files write-protected if the owner is root, who could change
 * their modes.
 */
const mounts = `set -e
base=$1 uid=$2
shift 2
mount -t tmpfs -o mode=755,size=1m tmpfs "$base"
n=0
for from; do
  if [ -d "$from" ]; then mkdir "$base/$n"; else : > "$base/$n"; fi
  mount --rbind -- "$from" "$base/$n"
  n=$((n + 1))
done
[ "$uid" != 0 ] || mount --rbind -o ro /dev /dev
echo ready
read -r wait || :`

/** Folders of every system, one of which hides nothing that is wanted when something is mounted on it. */
const places = ["/mnt", "/media", "/srv", "/opt", "/home"]

/** The first of these folders of which nothing that is needed is hidden by a mount on it. */
export const freePlace = (isFree: (place: string) => boolean): string | undefined =>
  places.find((place) => existsSync(place) && isFree(place))

/** Descriptors of this process that keep namespaces. */
export interface Namespaces {
  readonly mount: number
  readonly user?: number
}

/** What a command is started with that is to run in namespaces, as `identity` if that is somebody else. */
export const entering = ({ mount, user }: Namespaces, identity?: Identity): ReadonlyArray<string> => [
  "nsenter",
  ...(user === undefined ? [] : [`--user=/proc/${process.pid}/fd/${user}`, "--preserve-credentials"]),
  `--mount=/proc/${process.pid}/fd/${mount}`,
  ...(identity && isRoot ? ["--setuid", `${identity.uid}`, "--setgid", `${identity.gid}`] : []),
  "--"
]

/** Makes the mount namespace and gives a descriptor that keeps it; the process that made it is gone then. */
const makeNamespace = async (
  base: string,
  froms: ReadonlyArray<string>,
  identity: Identity,
  programs: string,
  within: ReadonlyArray<string>
): Promise<number> => {
  const unshare = ["unshare", "--mount", "--propagation", "slave", "--", "/bin/sh", "-c", mounts, "sh"]
  const [file = "", ...argv] = [...within, ...unshare, base, `${identity.uid}`, ...froms]
  const child = execa(file, argv, {
    cwd: "/",
    env: { PATH: programs },
    extendEnv: false,
    reject: false
  })
  const ready = once(child.stdout, "data").then(() => true)
  if (!(await Promise.race([ready, child.then(() => false)]))) {
    const { stderr, originalMessage } = await child
    throw new Error(stderr.trim().split("\n")[0] || originalMessage)
  }
  const namespace = openSync(`/proc/${child.pid}/ns/mnt`, "r")
  child.stdin.end()
  await child
  return namespace
}

/**
 * Makes files and folders of the host reachable for commands that run as `identity`, until the scope closes. They are
 * named as a process sees them that was started with `within`.
 */
export const baseFor = (
  froms: readonly [string, ...ReadonlyArray<string>],
  identity: Identity,
  programs: string,
  within: ReadonlyArray<string> = []
): Effect.Effect<Base, ToolError, Scope.Scope> => {
  if (!isRoot) return Effect.succeed({ prefix: within, sources: froms })
  const base = freePlace((place) => !froms.some((from) => `${from}/`.startsWith(`${place}/`)))
  const unavailable = (message: string) =>
    new ToolError({ code: "unavailable", message: `no mount namespace: ${message}` })
  if (base === undefined) return Effect.fail(unavailable(`no place for it in ${places.join(" ")}`))
  return Effect.acquireRelease(
    Effect.tryPromise({
      try: () => makeNamespace(base, froms, identity, programs, within),
      catch: (cause) => unavailable(cause instanceof Error ? cause.message : String(cause))
    }),
    (namespace) => Effect.sync(() => closeSync(namespace))
  ).pipe(
    Effect.map((namespace) => ({
      prefix: entering({ mount: namespace }, identity),
      sources: [`${base}/0`, ...froms.slice(1).map((_, i) => `${base}/${i + 1}`)]
    }))
  )
}
