/**
 * Who a command runs as outside the sandbox, and how it gets there.
 *
 * An ordinary user's commands stay that user's. Root's commands run as the owner of the workspace, so that they can
 * write it and what they make belongs to the same person; docs/decisions/0002-sandbox-user.md has the measurements.
 */
import { workFolder } from "./profile.ts"

/** A user and group of the host. */
export interface Identity {
  readonly uid: number
  readonly gid: number
}

/** True where this process may become anybody: then, and only then, the steps of `asRoot` are taken. */
export const isRoot = process.geteuid?.() === 0

/** Who commands in a folder of this owner run as. */
export const identityFor = (owner: Identity): Identity =>
  isRoot ? owner : { uid: process.geteuid?.() ?? -1, gid: process.getegid?.() ?? -1 }

/** True when the user is one whose processes only a control group can count. */
export const needsGroup = (identity: Identity): boolean => identity.uid === 0

/**
 * Root's way in, in mounts that only this command sees: join the control group (if one is given), be the first whom
 * a memory shortage ends, write-protect the device files (root owns them and could change their modes), bring the
 * workspace to a place that its owner can reach whatever the folders above it allow, and become the owner.
 */
const asRoot = `set -e
[ -z "$1" ] || echo $$ > "$1/cgroup.procs"
echo 1000 > /proc/self/oom_score_adj
mount --rbind -o ro /dev /dev
mount --bind -- "$2" /mnt
uid=$3 gid=$4
shift 4
exec setpriv --reuid="$uid" --regid="$gid" --clear-groups -- bwrap "$@"`

/** The program to start on the host for a bubblewrap argument list that `profileOf` makes. */
export const launch = (
  root: string,
  identity: Identity,
  group: string,
  profileOf: (source: string) => ReadonlyArray<string>
): readonly [string, ...ReadonlyArray<string>] =>
  isRoot
    ? [
        ...(["unshare", "--mount", "--propagation", "private", "--", "/bin/sh", "-c", asRoot, "sh"] as const),
        ...[group, root, `${identity.uid}`, `${identity.gid}`],
        ...profileOf("/mnt")
      ]
    : ["choom", "-n", "1000", "--", "bwrap", ...profileOf(root)]

/** The sandbox's name for a workspace folder given by path components. */
export const inside = (components: ReadonlyArray<string>): string => [workFolder, ...components].join("/")
