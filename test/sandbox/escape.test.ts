import { lstatSync, readdirSync, statSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { bringNode, roomForNode, workspace } from "./workspace.ts"

/** A server on the host, listening until the scope closes. */
const server = (where: { readonly path: string } | { readonly port: number; readonly host: string }) =>
  Effect.acquireRelease(
    Effect.callback<ReturnType<typeof createServer>>((resume) => {
      const server = createServer((socket) => socket.end("reached the host"))
      server.listen(where, () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.callback<void>((resume) => void server.close(() => resume(Effect.void)))
  )

describe("a command that wants out", () => {
  it.live("does not see the host's files, environment or processes", () =>
    Effect.gen(function* () {
      const { run } = yield* workspace
      process.env.NOOS_TEST_SECRET = "hunter2"
      const line = `env; cat /proc/*/environ | tr '\\0' '\\n'; cat /etc/shadow /etc/hostname; ls /home /root /var /run /sys; hostname`
      const ended = yield* run(["/bin/sh", "-c", line])
      expect(ended.stdout).not.toContain("hunter2")
      expect(ended.stdout).not.toContain("root:")
      const names = ended.stdout.split("\n").flatMap((variable) => /^(\w+)=/.exec(variable)?.[1] ?? [])
      expect(new Set(names)).toEqual(new Set(["HOME", "LANG", "PATH", "PWD", "TERM", "TMPDIR", "USER"]))
      expect(ended.stdout.split("\n").at(-2)).toBe("noos")
      expect(ended.stderr.match(/No such file or directory/g)?.length).toBe(7)
      const pids = (yield* run(["/bin/sh", "-c", "ls /proc | grep -c '^[0-9]'"])).stdout
      expect(Number(pids)).toBeLessThan(8)
    })
  )

  it.live("holds no rights and no open file of the host", () =>
    Effect.gen(function* () {
      const { run } = yield* workspace
      const { stdout } = yield* run([
        "/bin/sh",
        "-c",
        "id -u; ls -l /proc/self/fd /proc/1/fd; ls -l /proc/1/exe"
      ])
      expect(stdout).toMatch(/^1000\n/)
      const targets = [...stdout.matchAll(/ -> (.*)$/gm)].map((match) => match[1])
      expect(
        targets.filter((to) => !/^(socket:|pipe:|\/dev\/null$|\/proc\/\d+\/fd$|\/usr\/bin\/\w+$)/.test(to!))
      ).toEqual([])
      expect(targets).not.toContain("/usr/bin/bwrap")
    })
  )

  it.live("cannot change the machine, also as a child of root", () =>
    Effect.gen(function* () {
      const { run } = yield* workspace
      const before = statSync("/dev/null").mode
      const mode = (before & 0o777).toString(8)
      // Each of these succeeded without write protection when noos ran as root. They write what is already there.
      const line = `chmod ${mode} /dev/null && echo device; chmod ${mode} /proc/self/fd/0 && echo stdin
        v=$(cat /proc/sys/kernel/core_pattern); echo "$v" > /proc/sys/kernel/core_pattern && echo sysctl
        touch /usr/x && echo usr; mkdir /x && echo root; touch /dev/x && echo dev; touch /etc/x && echo etc
        mount -t tmpfs tmpfs /tmp && echo mount; unshare -U true && echo userns; chroot / true && echo chroot
        for f in $(find /proc -path '/proc/[0-9]*' -prune -o -type f -print); do (: >> $f) && echo "$f"; done; exit 0`
      const ended = yield* run(["/bin/sh", "-c", line])
      expect(ended.stdout).toBe("")
      expect(statSync("/dev/null").mode).toBe(before)
    })
  )

  it.live("cannot leave a program that runs with its owner's rights", () =>
    Effect.gen(function* () {
      const { run, root } = yield* workspace
      const ended = yield* run([
        "/bin/sh",
        "-c",
        "cp /usr/bin/id .; chmod u+s id; chmod 2755 id; chmod 755 id"
      ])
      expect(ended.stderr.match(/Operation not permitted/g)?.length).toBe(2)
      expect(lstatSync(join(root, "id")).mode & 0o7777).toBe(0o755)
    })
  )

  it.live("has no network, and no socket of the host in its own folder", () =>
    Effect.gen(function* () {
      const { run, root } = yield* workspace
      const node = bringNode(root)
      const listening = yield* server({ port: 0, host: "127.0.0.1" })
      const address = listening.address()
      yield* server({ path: join(root, "host.sock") })
      expect(readdirSync(root)).toContain("host.sock")
      writeFileSync(
        join(root, "out.mjs"),
        `import { connect } from "node:net"
         import { createSocket } from "node:dgram"
         import { lookup } from "node:dns/promises"
         const reach = (where) => new Promise((done) => {
           const socket = connect(where, () => done("connected"))
           socket.on("error", (error) => done(error.code))
         })
         const say = (name, what) => console.log(name + " " + what)
         say("unix", await reach({ path: "/work/host.sock" }))
         say("host", await reach({ port: ${typeof address === "object" ? address?.port : 0}, host: "127.0.0.1" }))
         say("metadata", await reach({ port: 80, host: "169.254.169.254" }))
         say("world", await reach({ port: 53, host: "1.1.1.1" }))
         say("name", await lookup("example.com").catch((error) => error.code))
         const udp = createSocket("udp4")
         udp.send("x", 53, "1.1.1.1", (error) => { say("udp", error ? error.code : "sent"); udp.close() })`
      )
      const ended = yield* run([node, "out.mjs"], { limits: roomForNode })
      expect(ended.stderr).toBe("")
      expect(ended.stdout.trim().split("\n")).toEqual([
        "unix EAFNOSUPPORT",
        "host ECONNREFUSED",
        "metadata ENETUNREACH",
        "world ENETUNREACH",
        "name EAI_AGAIN",
        "udp ENETUNREACH"
      ])
    })
  )
})
