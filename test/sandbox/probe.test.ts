import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { Bubblewrap } from "../../sandbox/bubblewrap.ts"
import { pidsHierarchy } from "../../sandbox/cgroup.ts"
import { probe, problemIn } from "../../sandbox/probe.ts"
import { type Completed, Sandbox } from "../../sandbox/sandbox.ts"
import { folder, workspace } from "./workspace.ts"

const root = { uid: 0, gid: 0 }
const somebody = { uid: 1001, gid: 1001 }

describe("the try-out", () => {
  it.live("finds nothing wrong with the sandbox, and everything that is taken away from it", () =>
    Effect.gen(function* () {
      const { run } = yield* workspace
      const good = yield* run(probe)
      const owner = good.stdout.includes("/dev/null ro,") ? root : somebody
      expect(problemIn(good, owner)).toBeUndefined()
      const changed = (from: string | RegExp, to: string): Completed => {
        const stdout = good.stdout.replace(from, to)
        expect(stdout).not.toBe(good.stdout)
        return { ...good, stdout }
      }
      expect(problemIn(changed(/CapBnd:\s*0/, "CapBnd:\t1"), owner)).toMatch(/capabilities \(CapBnd 1/)
      expect(problemIn(changed("NoNewPrivs:\t1", "NoNewPrivs:\t0"), owner)).toMatch(/set-user-ID/)
      expect(problemIn(changed("Seccomp:\t2", "Seccomp:\t0"), owner)).toMatch(/filter/)
      expect(problemIn(changed(" / /proc ro", " / /proc rw"), owner)).toBe("commands could write /proc")
      expect(problemIn(changed(" /usr ro", " /usr rw"), owner)).toBe("commands could write /usr")
      expect(problemIn(changed(" /work rw", " /home rw"), owner)).toBe("the workspace is not there")
      expect(problemIn(changed(/$/, "  eth0: 1 2 3\n"), owner)).toBe("commands have a network: lo eth0")
      expect(problemIn({ ...good, exitCode: 1, stderr: "bwrap: no\n" }, owner)).toBe(
        "a first command failed: bwrap: no"
      )
      const devices = { ...good, stdout: good.stdout.replaceAll("/dev/null ro,", "/dev/null rw,") }
      expect(problemIn(devices, root)).toBe("commands could write /dev/null")
    })
  )

  it.live("refuses to open a workspace where there is no bubblewrap, and says what to install", () =>
    Effect.gen(function* () {
      const sandbox = yield* Sandbox
      const error = yield* sandbox.open(yield* folder).pipe(Effect.flip)
      expect(error._tag).toBe("SandboxUnavailable")
      expect(error).toMatchObject({ hint: expect.stringContaining("apt-get install bubblewrap") })
    }).pipe(Effect.provide(Bubblewrap.layerFrom("/nowhere")))
  )
})

describe("the control group hierarchy that counts processes", () => {
  const v1 = "31 24 0:27 / /sys/fs/cgroup/pids rw,nosuid shared:9 - cgroup cgroup rw,pids"
  const v2 = "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:8 - cgroup2 cgroup2 rw,nsdelegate"

  it("is found in version 1, alone or beside version 2", () => {
    const cgroup = "9:name=systemd:/x\n8:pids:/user/0\n0::/other\n"
    const found = { folder: "/sys/fs/cgroup/pids/user/0", version: 1 }
    expect(pidsHierarchy(cgroup, v1)).toEqual(found)
    expect(pidsHierarchy(cgroup, `${v2}\n${v1}\n`)).toEqual(found)
  })

  it("is found in version 2", () => {
    expect(pidsHierarchy("0::/user.slice/session-1.scope\n", `${v2}\n`)).toEqual({
      folder: "/sys/fs/cgroup/user.slice/session-1.scope",
      version: 2
    })
  })

  it("is found where a container shows only its own part", () => {
    const part = v1.replace("0:27 /", "0:27 /docker/abc")
    expect(pidsHierarchy("8:pids:/docker/abc\n", part)?.folder).toBe("/sys/fs/cgroup/pids")
    expect(pidsHierarchy("8:pids:/docker/abc/in\n", part)?.folder).toBe("/sys/fs/cgroup/pids/in")
    expect(pidsHierarchy("8:pids:/elsewhere\n", part)?.folder).toBe("/sys/fs/cgroup/pids")
  })

  it("may not be there", () => {
    expect(pidsHierarchy("0::/\n", "24 1 0:22 / /sys rw - sysfs sysfs rw\n")).toBeUndefined()
    expect(pidsHierarchy("", v1)).toBeUndefined()
  })
})
