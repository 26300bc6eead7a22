import { fork } from "node:child_process"
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import type { ToolError } from "../../kernel/tool.ts"
import { folder, workspace } from "./workspace.ts"

const text = (read: { readonly bytes: Uint8Array }) => Buffer.from(read.bytes).toString()

describe("files of a workspace", () => {
  it.live("are written, read and listed", () =>
    Effect.gen(function* () {
      const { readFile, writeFile, list, root } = yield* workspace
      expect(yield* writeFile("a/b/c.txt", "hello")).toEqual({ created: true })
      expect(yield* writeFile("a/b/c.txt", "héllo")).toEqual({ created: false })
      expect(text(yield* readFile("a/b/c.txt"))).toBe("héllo")
      expect(text(yield* readFile("a//./b/../b/c.txt"))).toBe("héllo")
      expect(yield* readFile("a/b/c.txt", { offset: 1, maxBytes: 2 })).toEqual({
        bytes: new Uint8Array([0xc3, 0xa9]),
        size: 6
      })
      expect(text(yield* readFile("a/b/c.txt", { offset: 100 }))).toBe("")
      symlinkSync("b", join(root, "a/link"))
      expect(yield* list("a")).toEqual([
        { name: "b", kind: "directory", size: expect.any(Number) },
        { name: "link", kind: "symlink", size: 1 }
      ])
      expect((yield* list("")).map((entry) => entry.name)).toEqual(["a"])
      expect(yield* list(".")).toEqual(yield* list(""))
      expect(readdirSync(join(root, "a/b"))).toEqual(["c.txt"])
    })
  )

  it.live("keep their mode, and hard links to the old content keep that", () =>
    Effect.gen(function* () {
      const { writeFile, root } = yield* workspace
      writeFileSync(join(root, "run.sh"), "old")
      chmodSync(join(root, "run.sh"), 0o751)
      linkSync(join(root, "run.sh"), join(root, "other"))
      yield* writeFile("run.sh", "new")
      expect(lstatSync(join(root, "run.sh")).mode & 0o7777).toBe(0o751)
      expect(readFileSync(join(root, "other"), "utf8")).toBe("old")
      yield* writeFile("deep/new.txt", "")
      const owner = lstatSync(root)
      for (const made of ["run.sh", "deep", "deep/new.txt"]) {
        const { uid, gid } = lstatSync(join(root, made))
        expect([made, uid, gid]).toEqual([made, owner.uid, owner.gid])
      }
    })
  )

  it.live("are reached through links that stay inside", () =>
    Effect.gen(function* () {
      const { readFile, writeFile, list, run, root } = yield* workspace
      yield* writeFile("real/file", "1")
      symlinkSync("real", join(root, "folder"))
      symlinkSync("../real/file", join(root, "real/up"))
      symlinkSync("/work/real/file", join(root, "absolute"))
      symlinkSync(join(root, "real/file"), join(root, "host"))
      symlinkSync("real/new", join(root, "dangling"))
      for (const path of ["folder/file", "folder/up", "absolute", "host"]) {
        expect(text(yield* readFile(path))).toBe("1")
      }
      expect((yield* list("folder")).map((entry) => entry.name)).toEqual(["file", "up"])
      yield* writeFile("folder/file", "2")
      yield* writeFile("dangling", "3")
      expect(lstatSync(join(root, "dangling")).isSymbolicLink()).toBe(true)
      expect((yield* run(["cat", "real/file", "real/new"])).stdout).toBe("23")
    })
  )
})

describe("a path", () => {
  it.live("that leaves the workspace is refused", () =>
    Effect.gen(function* () {
      const { readFile, writeFile, list, run, root } = yield* workspace
      mkdirSync(join(root, "d"))
      const links: Record<string, string> = {
        "to-etc": "/etc",
        "to-passwd": "/etc/passwd",
        up: "..",
        "d/up": "../../../../../../etc",
        one: "two",
        two: "d/three",
        "d/three": "/tmp",
        prefix: `${root}-other`,
        "work-like": "/workshop",
        "self-root": "/proc/self/root",
        "self-cwd": "/proc/self/cwd"
      }
      for (const [link, target] of Object.entries(links)) symlinkSync(target, join(root, link))
      const paths = [
        ...["..", "../x", "d/../../x", "/etc/passwd", "/", "//etc", `${root}/d`, "/work/d", "./../x"],
        ...[
          "to-etc",
          "to-etc/passwd",
          "to-passwd",
          "up/x",
          "d/up/passwd",
          "one/x",
          "prefix/x",
          "work-like/x"
        ],
        ...[
          "self-root/etc/passwd",
          "self-cwd/x",
          "/proc/self/root/etc/passwd",
          "d/../..",
          "../../../../etc/shadow"
        ]
      ]
      for (const path of paths) {
        const attempts: ReadonlyArray<Effect.Effect<unknown, ToolError>> = [
          readFile(path),
          writeFile(path, "x"),
          list(path),
          run(["true"], { cwd: path })
        ]
        for (const attempt of attempts) {
          expect([path, yield* attempt.pipe(Effect.flip)]).toMatchObject([
            path,
            { code: "outside_workspace" }
          ])
        }
      }
    })
  )

  it.live("to what is no file is refused at once", () =>
    Effect.gen(function* () {
      const { readFile, writeFile, list, run, root } = yield* workspace
      yield* run([
        "/bin/sh",
        "-c",
        "mkfifo fifo; mkdir folder; echo x > file; ln -s loop1 loop2; ln -s loop2 loop1"
      ])
      const refused = (effect: Effect.Effect<unknown, { readonly code: string; readonly message: string }>) =>
        effect.pipe(
          Effect.flip,
          Effect.map((error) => `${error.code}: ${error.message}`)
        )
      expect(yield* refused(readFile("fifo"))).toBe("not_a_file: neither a file nor a folder: fifo")
      expect(yield* refused(writeFile("fifo", ""))).toBe("not_a_file: neither a file nor a folder: fifo")
      expect(yield* refused(readFile("folder"))).toBe("not_a_file: is a folder: folder")
      expect(yield* refused(writeFile("folder", ""))).toBe("not_a_file: is a folder: folder")
      expect(yield* refused(writeFile("", ""))).toBe("not_a_file: is a folder: .")
      expect(yield* refused(list("file"))).toBe("not_a_directory: not a folder: file")
      expect(yield* refused(readFile("file/x"))).toBe("not_a_directory: not a folder: file")
      expect(yield* refused(readFile("none"))).toBe("not_found: no such file: none")
      expect(yield* refused(list("none/x"))).toBe("not_found: no such file: none/x")
      expect(yield* refused(readFile("a\0b"))).toBe('bad_input: path with a NUL character: "a\\u0000b"')
      expect(yield* refused(readFile("x".repeat(256)))).toMatch(/^bad_input: name too long/)
      expect(yield* refused(writeFile("é".repeat(128), ""))).toMatch(/^bad_input: name too long/)
      expect(yield* refused(readFile("x/".repeat(3000)))).toMatch(/^bad_input: path too long/)
      expect(yield* refused(writeFile("x/".repeat(1000), ""))).toMatch(/^bad_input: too many folders/)
      expect(yield* refused(readFile("loop1"))).toBe("bad_input: too many links: loop1")
      symlinkSync("/dev/zero", join(root, "device"))
      expect(yield* refused(readFile("device"))).toBe("outside_workspace: outside the workspace: device")
    })
  )

  it.live("never leads out while others swap folders for links", () =>
    Effect.gen(function* () {
      const { readFile, writeFile, list, root } = yield* workspace
      const out = yield* folder
      writeFileSync(join(out, "secret"), "outside")
      writeFileSync(join(out, "only-outside"), "")
      mkdirSync(join(root, "d"))
      writeFileSync(join(root, "d/secret"), "inside")
      yield* Effect.acquireRelease(
        Effect.sync(() => fork(join(import.meta.dirname, "swapper.ts"), [root, out])),
        (child) => Effect.sync(() => child.kill("SIGKILL"))
      )
      let [inside, refused] = [0, 0]
      const seen = (content: string) => {
        inside++
        if (content !== "inside") throw new Error(`read ${content}`)
      }
      const refuse = (code: string) => {
        refused++
        expect(["outside_workspace", "not_found"]).toContain(code)
      }
      // Thousands of tries, and until the swaps have been met in both states.
      for (let n = 0; n < 1500 || inside < 50 || refused < 50; n++) {
        yield* readFile("d/secret").pipe(
          Effect.map((read) => seen(text(read))),
          Effect.catch((error) => Effect.sync(() => refuse(error.code)))
        )
        yield* writeFile("d/written", "x").pipe(Effect.ignore)
        yield* list("d").pipe(
          Effect.map((entries) => expect(entries.map((e) => e.name)).not.toContain("only-outside")),
          Effect.catch((error) => Effect.sync(() => refuse(error.code)))
        )
      }
      expect(readdirSync(out)).toEqual(["only-outside", "secret"])
      expect(readFileSync(join(out, "secret"), "utf8")).toBe("outside")
    })
  )
})
