import { execFileSync } from "node:child_process"
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { expect, layer } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { StateFolder } from "../../sandbox/branch/store.ts"
import { type Branch, Sandbox, type Workspace } from "../../sandbox/sandbox.ts"
import { fill, sandboxIn, script, shape } from "./branches.ts"
import { folder } from "./workspace.ts"

/** A folder with files of all sorts. */
const filledFolder = Effect.tap(folder, (cwd) =>
  Effect.sync(() => execFileSync("/bin/sh", ["-c", fill], { cwd }))
)

const filled = Effect.gen(function* () {
  const sandbox = yield* Sandbox
  const root = yield* filledFolder
  return { root, workspace: yield* sandbox.open(root) }
})

const sh = ({ run }: Workspace, line: string) =>
  Effect.map(run(["/bin/sh", "-c", line]), ({ stdout, stderr }) => `${stdout}${stderr}`)

/** A branch, and what discards it. */
const discardable = Effect.fnUntraced(function* (branch: Workspace["branch"]) {
  const scope = yield* Scope.make()
  yield* Effect.addFinalizer((exit) => Scope.close(scope, exit))
  return { branch: yield* Scope.provide(branch, scope), discard: Scope.close(scope, Exit.void) }
})

/** Paths whose lines in two shapes differ. */
const pathsBetween = (before: string, after: string): ReadonlyArray<string> => {
  const lines = (shape: string) =>
    new Map(shape.split("\n").map((line) => [Buffer.from(JSON.parse(line)[0], "latin1").toString(), line]))
  const [was, is] = [lines(before), lines(after)]
  return [...new Set([...was.keys(), ...is.keys()])].filter((path) => was.get(path) !== is.get(path)).sort()
}

const messageOf = (effect: Effect.Effect<unknown, { readonly code: string; readonly message: string }>) =>
  Effect.map(Effect.flip(effect), ({ code, message }) => `${code}: ${message}`)

/** Layers that are kept. */
const layers = Effect.map(StateFolder, (state): ReadonlyArray<string> => {
  const all = join(state, "branches")
  return existsSync(all)
    ? readdirSync(all).flatMap((name) => readdirSync(join(all, name)).filter((name) => /^\d+$/.test(name)))
    : []
})

layer(sandboxIn(folder), { excludeTestServices: true })("a branch", (it) => {
  it.effect("ends, committed, as a folder does in which the same is done, whatever is done", () =>
    Effect.gen(function* () {
      for (const seed of [1, 2, 3]) {
        const [{ root, workspace }, plain] = [yield* filled, yield* filled]
        const lines = script(seed, 24).split("\n")
        yield* sh(plain.workspace, lines.join("\n"))
        const before = shape(root)
        let branch = yield* workspace.branch
        for (let part = 0; part < 3; part++) {
          if (part > 0) branch = yield* branch.fork
          yield* sh(branch.workspace, lines.slice(part * 8, part * 8 + 8).join("\n"))
        }
        const changes = yield* branch.changes
        expect(shape(root)).toBe(before)
        expect(yield* branch.commit).toEqual(changes)
        expect(shape(root), `seed ${seed}`).toBe(shape(plain.root))
        expect(changes.map(({ path }) => path).sort()).toEqual(pathsBetween(before, shape(root)))
      }
    })
  )

  it.effect(
    "shows its base with what was done in it, to commands and to file operations; others do not see that",
    () =>
      Effect.gen(function* () {
        const { root, workspace } = yield* filled
        const before = shape(root)
        const one = yield* workspace.branch
        const other = yield* workspace.branch
        const lines = [
          "printf X | dd of=a conv=notrunc 2>/dev/null",
          "mv d/e/a b",
          "rm -r f && echo now a file > f",
          "ln -sfn c link",
          "truncate -s 10 big",
          "ln d/a name && echo more >> name",
          `python3 -c 'import mmap; f = open("d/b", "r+b"); m = mmap.mmap(f.fileno(), 0); m[0:1] = b"M"; m.flush()' || printf M | dd of=d/b conv=notrunc`
        ]
        yield* sh(one.workspace, lines.join("\n"))
        yield* one.workspace.writeFile("new/file", "text")
        expect(yield* sh(one.workspace, "cat a b f d/a d/b new/file; wc -c < big")).toBe(
          "Xirst a\nfirst d/e/a\nnow a file\nfirst d/a\nmore\nMirst d/b\ntext10\n"
        )
        expect((yield* one.workspace.list("d")).map(({ name }) => name)).toEqual(["a", "b", "e"])
        expect(yield* messageOf(one.workspace.readFile("f/a"))).toBe("not_a_directory: not a folder: f")
        expect(yield* other.changes).toEqual([])
        expect(yield* sh(other.workspace, "cat a b d/b; wc -c < big")).toBe(
          "first a\nfirst b\nfirst d/b\n300000\n"
        )
        expect(shape(root)).toBe(before)
      })
  )

  it.effect("tells what was changed, with the text of small text files", () =>
    Effect.gen(function* () {
      const { workspace } = yield* filled
      const { workspace: inside, changes } = yield* workspace.branch
      yield* sh(
        inside,
        "echo second > a; rm b; mkdir d/new; touch c d/b; chmod 600 d/b; echo x > big; printf '\\0' > d/a"
      )
      expect(yield* changes).toEqual([
        { path: "a", kind: "changed", before: "first a\n", after: "second\n" },
        { path: "b", kind: "removed", before: "first b\n" },
        { path: "big", kind: "changed", after: "x\n" },
        { path: "d/a", kind: "changed", before: "first d/a\n" },
        { path: "d/b", kind: "changed", before: "first d/b\n", after: "first d/b\n" },
        { path: "d/new", kind: "added" }
      ])
    })
  )

  it.effect("costs nothing before it is used, and leaves nothing when it is discarded", () =>
    Effect.gen(function* () {
      const { root, workspace } = yield* filled
      const { branch, discard } = yield* discardable(
        Effect.gen(function* () {
          let last = yield* workspace.branch
          for (let n = 0; n < 100; n++) last = yield* last.fork
          return last
        })
      )
      expect(yield* branch.changes).toEqual([])
      expect(yield* branch.commit).toEqual([])
      expect(yield* layers).toEqual([])
      expect(yield* sh(branch.workspace, "cat a")).toBe("first a\n")
      expect((yield* layers).length).toBe(1)
      const shell = yield* branch.workspace.start(["/bin/sh"])
      yield* shell.write("exec > open; cd d; echo still here; read x\n")
      yield* discard
      expect(yield* layers).toEqual([])
      expect(yield* messageOf(branch.workspace.readFile("a"))).toBe(
        "unavailable: this branch has been discarded"
      )
      expect(yield* messageOf(branch.workspace.run(["true"]))).toMatch(/^unavailable: this branch/)
      expect(existsSync(join(root, "open"))).toBe(false)
    })
  )

  it.effect("cannot be written while a fork of it lives", () =>
    Effect.gen(function* () {
      const { workspace } = yield* filled
      const parent = yield* workspace.branch
      yield* parent.workspace.writeFile("a", "parent")
      const { branch: fork, discard } = yield* discardable(parent.fork)
      expect(yield* messageOf(parent.workspace.writeFile("a", ""))).toBe("denied: read-only: a")
      expect(yield* sh(parent.workspace, "echo no > a")).toMatch(/Read-only/)
      yield* fork.workspace.writeFile("b", "fork")
      expect(yield* sh(fork.workspace, "cat a b")).toBe("parentfork")
      const { branch: second, discard: discardSecond } = yield* discardable(parent.fork)
      yield* discard
      expect(yield* messageOf(parent.workspace.writeFile("a", ""))).toBe("denied: read-only: a")
      expect(yield* sh(second.workspace, "cat a b")).toBe("parentfirst b\n")
      yield* discardSecond
      yield* parent.workspace.writeFile("a", "again")
      expect(yield* sh(parent.workspace, "cat a b")).toBe("againfirst b\n")
    })
  )

  it.effect("has forks also while something in it is open for writing: they are as it was then", () =>
    Effect.gen(function* () {
      const { workspace } = yield* filled
      const parent = yield* workspace.branch
      const shell = yield* parent.workspace.start(["/bin/sh"])
      const say = Effect.fnUntraced(function* (line: string) {
        yield* shell.write(`${line}; echo done\n`)
        yield* shell.read
      })
      yield* say("exec 9> log; echo one >&9; rm -r d; mkdir d; mv f g")
      const fork = yield* parent.fork
      yield* say("echo two >&9; echo late > late")
      expect(yield* sh(fork.workspace, "cat log; ls d; ls g; ls late f")).toBe(
        "one\na\ng\nlost\nls: cannot access 'late': No such file or directory\nls: cannot access 'f': No such file or directory\n".replace(
          "one\n",
          "one\n"
        )
      )
      expect(yield* sh(parent.workspace, "cat log late")).toBe("one\ntwo\nlate\n")
    })
  )

  it.effect("outlives the branch that it was forked from", () =>
    Effect.gen(function* () {
      const { workspace } = yield* filled
      const { branch: parent, discard } = yield* discardable(workspace.branch)
      yield* parent.workspace.writeFile("a", "parent")
      const scope = yield* Scope.make()
      const fork = yield* Scope.provide(parent.fork, scope)
      yield* discard
      expect(yield* sh(fork.workspace, "cat a")).toBe("parent")
      yield* Scope.close(scope, Exit.void)
      expect(yield* layers).toEqual([])
    })
  )

  it.effect("may be 40 forks deep, and there may be 64 at once", () =>
    Effect.gen(function* () {
      const { root, workspace } = yield* filled
      const before = shape(root)
      let deep: Branch = yield* workspace.branch
      for (let n = 0; n < 40; n++) {
        yield* deep.workspace.writeFile(`n${n}`, `${n}`)
        deep = yield* deep.fork
      }
      expect((yield* deep.changes).map(({ after }) => Number(after)).sort((a, b) => a - b)).toEqual(
        Array.from({ length: 40 }, (_, n) => n)
      )
      const wide = yield* Effect.forEach(Array.from({ length: 64 }), () => workspace.branch)
      yield* Effect.forEach(wide, ({ workspace }, n) => workspace.writeFile("a", `${n}`), { concurrency: 8 })
      const seen = yield* Effect.forEach(wide, ({ workspace }) => workspace.readFile("a"))
      expect(seen.map(({ bytes }) => Number(Buffer.from(bytes)))).toEqual(wide.map((_, n) => n))
      expect((yield* layers).length).toBe(41 + 64)
      expect(shape(root)).toBe(before)
    })
  )

  it.effect("has branches of its own, which are committed into it and not into its base", () =>
    Effect.gen(function* () {
      const { root, workspace } = yield* filled
      const before = shape(root)
      const outer = yield* workspace.branch
      yield* outer.workspace.writeFile("a", "outer")
      const inner = yield* outer.workspace.branch
      yield* sh(inner.workspace, "cat a > b; rm c; mkdir -p x/y; chmod 700 d")
      expect((yield* inner.changes).map(({ path }) => path)).toEqual(["b", "c", "d", "x", "x/y"])
      expect((yield* outer.changes).map(({ path }) => path)).toEqual(["a"])
      const innermost = yield* inner.workspace.branch
      yield* innermost.workspace.writeFile("x/y/z", "deep")
      yield* innermost.commit
      yield* inner.commit
      expect((yield* outer.changes).map(({ path }) => path)).toEqual([
        "a",
        "b",
        "c",
        "d",
        "x",
        "x/y",
        "x/y/z"
      ])
      expect(shape(root)).toBe(before)
      const late = yield* outer.workspace.branch
      yield* late.workspace.writeFile("d/late", "")
      const { discard } = yield* discardable(outer.fork)
      expect(yield* messageOf(late.commit)).toBe("denied: read-only: d/late")
      yield* discard
      expect((yield* late.commit).map(({ path }) => path)).toEqual(["d/late"])
      yield* outer.commit
      expect(readFileSync(join(root, "b"), "utf8")).toBe("outer")
      expect(readFileSync(join(root, "x/y/z"), "utf8")).toBe("deep")
    })
  )

  it.effect("is not committed if its base was changed, whatever it is that was done there", () =>
    Effect.gen(function* () {
      const ways: ReadonlyArray<readonly [string, string]> = [
        ["echo x > new", "new"],
        ["rm d/a", "d/a"],
        ["printf F | dd of=a conv=notrunc", "a"],
        ["cp -p a old; echo X > a; touch -r old a; rm old", "a"],
        ["chmod 600 d/b", "d/b"],
        ["chmod 700 empty", "empty"],
        ["rmdir empty", "empty"],
        ["ln -sfn b link", "link"]
      ]
      const { root, workspace } = yield* filled
      for (const [line, path] of ways) {
        yield* Effect.scoped(
          Effect.gen(function* () {
            const branch = yield* workspace.branch
            yield* branch.workspace.writeFile("c2", "branch")
            execFileSync("/bin/sh", ["-c", line], { cwd: root, stdio: "ignore" })
            const before = shape(root)
            expect(yield* messageOf(branch.commit)).toBe(
              `unavailable: the workspace is not what it was when it was branched: ${path} was changed`
            )
            expect(shape(root)).toBe(before)
          })
        )
      }
      const [one, other] = [yield* workspace.branch, yield* workspace.branch]
      yield* one.workspace.writeFile("one", "")
      yield* other.workspace.writeFile("other", "")
      yield* one.commit
      expect(yield* messageOf(other.commit)).toMatch(/^unavailable: .* one was changed$/)
      const next = yield* workspace.branch
      yield* next.workspace.writeFile("next", "")
      expect((yield* next.commit).map(({ path }) => path)).toEqual(["next"])
    })
  )

  it.effect("keeps apart what had two names in its base, and leaves special files alone", () =>
    Effect.gen(function* () {
      const { root, workspace } = yield* filled
      execFileSync("/bin/sh", ["-c", "ln a twin2; ln a twin3"], { cwd: root })
      const branch = yield* workspace.branch
      yield* sh(branch.workspace, "echo more >> a; chmod 600 twin2; ln c same")
      expect((yield* branch.commit).map(({ path }) => path)).toEqual(["a", "same", "twin2"])
      const lines = shape(root).split("\n")
      expect(lines.find((line) => line.startsWith('["a"'))).toMatch(/"644","first a\\nmore\\n"/)
      expect(lines.find((line) => line.startsWith('["twin2"'))).toMatch(/"600","first a\\n"/)
      expect(lines.find((line) => line.startsWith('["twin3"'))).toMatch(/"644","first a\\n"/)
      expect(lines.find((line) => line.startsWith('["same"'))).toMatch(/"= c"/)
      expect(lines.find((line) => line.startsWith('["pipe"'))).toMatch(/"10000"/)
      const second = yield* workspace.branch
      yield* sh(second.workspace, "mkfifo d/fifo; echo x > a")
      const before = shape(root)
      expect(yield* messageOf(second.commit)).toBe("not_a_file: neither a file, a folder nor a link: d/fifo")
      expect(shape(root)).toBe(before)
    })
  )

  it.effect("runs commands in the same sandbox as its base: the probe sees no difference", () =>
    Effect.gen(function* () {
      const { workspace } = yield* filled
      const branch = yield* workspace.branch
      const line =
        "id; pwd; ls /; cat /proc/self/status | grep -E 'Cap|NoNew|Seccomp'; touch /usr/x /etc/x /x"
      expect(yield* sh(branch.workspace, line)).toBe(yield* sh(workspace, line))
      writeFileSync(join(workspace.root, "mounted"), "host")
      const mounts = [{ from: join(workspace.root, "mounted"), to: "/mounted" }]
      const seen = yield* branch.workspace.run(["cat", "/mounted", "a"], { mounts })
      expect(seen.stdout).toBe("hostfirst a\n")
      const reader = yield* branch.workspace.run(["/bin/sh", "-c", "echo x > a"], { workspace: "read" })
      expect(reader.stderr).toMatch(/Read-only/)
    })
  )
})
