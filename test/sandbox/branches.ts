/** What the tests of branches share: folders with all sorts of files, scripts that change them, and how to compare them. */
import { createHash } from "node:crypto"
import { lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs"
import { type Effect, Layer } from "effect"
import { StateFolder } from "../../sandbox/branch/store.ts"
import { Bubblewrap } from "../../sandbox/bubblewrap.ts"

/** A sandbox that keeps its branches in a folder of its own. */
export const sandboxIn = <E, R>(state: Effect.Effect<string, E, R>) =>
  Bubblewrap.layer.pipe(Layer.provideMerge(Layer.effect(StateFolder, state)))

/** A number below `n`, the same for the same seed: mulberry32, public domain. */
export const drawing = (seed: number) => {
  let state = seed
  return (n: number): number => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * n)
  }
}

const contentOf = (bytes: Buffer): string =>
  bytes.length > 100 ? createHash("sha256").update(bytes).digest("hex") : bytes.toString("latin1")

/** All that is in a folder, one line a path: kind, mode, owner, other names, and content. */
export const shape = (root: string): string => {
  const lines: Array<string> = []
  const names = new Map<number, string>()
  const visit = (path: string): void => {
    const full = Buffer.from(`${root}/${path}`, "latin1")
    const stats = lstatSync(full)
    const is = [path, (stats.mode & 0o170000).toString(8), `${stats.uid}:${stats.gid}`]
    if (!stats.isSymbolicLink()) is.push((stats.mode & 0o7777).toString(8))
    if (stats.isSymbolicLink()) is.push(readlinkSync(full, "latin1"))
    if (stats.isFile()) {
      const first = names.get(stats.ino)
      if (stats.nlink > 1) names.set(stats.ino, first ?? path)
      is.push(first === undefined ? contentOf(readFileSync(full)) : `= ${first}`)
    }
    lines.push(JSON.stringify(is))
    if (stats.isDirectory())
      for (const name of readdirSync(full, "latin1").sort()) visit(path === "." ? name : `${path}/${name}`)
  }
  visit(".")
  return lines.join("\n")
}

/** Fills the folder that it is run in. */
export const fill = `mkdir -p d/e f/g empty closed
for n in a b c d/a d/b d/e/a f/a f/g/a closed/a; do echo "first $n" > $n; done
ln -s d/a link; ln -s nowhere f/lost; ln -s d linked; cp f/a twin; mkfifo pipe
head -c 300000 /dev/zero > big; printf 'x' > "$(printf 'odd \\377\\n name')"
chmod 640 b; chmod 0 c; chmod 755 d/b; chmod 500 closed`

const places = [
  "a",
  "b",
  "c",
  "d",
  "d/a",
  "d/e",
  "d/e/a",
  "f",
  "f/g",
  "f/g/a",
  "link",
  "new",
  "new/n",
  "empty",
  "twin"
]
const modes = ["600", "755", "000", "777", "500"]

/** A script of so many lines, each of which changes something or fails. What gives a file two names is not in it: see 0010. */
export const script = (seed: number, lines: number): string => {
  const below = drawing(seed)
  const pick = <A>(of: ReadonlyArray<A>): A => of[below(of.length)]!
  const line = (n: number) => {
    const [p, q] = [pick(places), pick(places)]
    return pick([
      `echo ${n} > ${p}`,
      `echo ${n} >> ${p}`,
      `printf X | dd of=${p} conv=notrunc`,
      `rm -rf ${p}`,
      `rm ${p}`,
      `mkdir -p ${p}`,
      `rm -rf ${p}; mkdir ${p}; echo ${n} > ${p}/n`,
      `rm -rf ${p}; echo ${n} > ${p}`,
      `mv ${p} ${q}`,
      `cp ${p} ${q}`,
      `ln -sfn ${q} ${p}`,
      `chmod ${pick(modes)} ${p}`,
      `touch ${p}`,
      `sed -i s/first/second/ ${p}`
    ])
  }
  return Array.from({ length: lines }, (_, n) => `{ ${line(n)}; } 2>/dev/null`).join("\n")
}
