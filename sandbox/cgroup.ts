/**
 * A ceiling on the number of processes that also holds for root.
 *
 * The kernel never applies RLIMIT_NPROC to user 0 of the machine (fork(2), EAGAIN), so commands that keep that user
 * run in a control group with `pids.max` instead. Works with version 1 and version 2, see cgroups(7) and the kernel's
 * cgroup-v2.rst ("threaded": how a group that has processes of its own can still limit a child's).
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs"
import { join, relative } from "node:path"

/** This process's own group in the hierarchy that counts processes. */
interface Hierarchy {
  readonly folder: string
  readonly version: 1 | 2
}

/** Finds the hierarchy from /proc/self/cgroup and /proc/self/mountinfo; `undefined` where none is mounted. */
export const pidsHierarchy = (cgroup: string, mountinfo: string): Hierarchy | undefined => {
  const groups = cgroup.split("\n").map((line) => /^(\d+):([^:]*):(.*)$/.exec(line))
  const mounts = mountinfo.split("\n").map((line) => line.split(" "))
  const find = (version: 1 | 2): Hierarchy | undefined => {
    const own = groups.find((g) =>
      version === 1 ? g?.[2]?.split(",").includes("pids") : g?.[1] === "0" && g[2] === ""
    )
    const mount = mounts.find((fields) => {
      const [type, , options] = fields.slice(fields.indexOf("-") + 1)
      return version === 1 ? type === "cgroup" && options?.split(",").includes("pids") : type === "cgroup2"
    })
    if (!own || !mount) return undefined
    // In a container the mount may show only a part of the tree: the path is then taken from that part's root.
    const below = relative(mount[3]!, own[3]!)
    return { folder: below.startsWith("..") ? mount[4]! : join(mount[4]!, below), version }
  }
  return find(1) ?? find(2)
}

const found = (() => {
  try {
    return pidsHierarchy(
      readFileSync("/proc/self/cgroup", "utf8"),
      readFileSync("/proc/self/mountinfo", "utf8")
    )
  } catch {
    return undefined
  }
})()

let made = 0

/** A group that holds at most `max` processes and threads. Throws when the machine does not let us make one. */
export const makeGroup = (max: number): string => {
  if (!found) throw new Error("no control group hierarchy counts processes here")
  const group = join(found.folder, `noos-${process.pid}-${++made}`)
  mkdirSync(group)
  try {
    if (!existsSync(join(group, "pids.max")))
      writeFileSync(join(found.folder, "cgroup.subtree_control"), "+pids")
    if (
      found.version === 2 &&
      readFileSync(join(group, "cgroup.type"), "utf8").startsWith("domain invalid")
    ) {
      writeFileSync(join(group, "cgroup.type"), "threaded")
    }
    writeFileSync(join(group, "pids.max"), `${max}`)
    return group
  } catch (cause) {
    removeGroup(group)
    throw cause
  }
}

/** Removes an empty group. One that is gone, or still has a dying process, is left to `removeStale`. */
export const removeGroup = (group: string): void => {
  try {
    rmdirSync(group)
  } catch {}
}

/** Removes the empty groups of kernels that did not get to it (kill -9). A running one's are left alone. */
export const removeStale = (): void => {
  if (!found) return
  for (const name of readdirSync(found.folder)) {
    const pid = /^noos-(\d+)-\d+$/.exec(name)?.[1]
    if (pid && !existsSync(`/proc/${pid}`)) removeGroup(join(found.folder, name))
  }
}
