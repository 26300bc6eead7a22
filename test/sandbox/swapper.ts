/** Swaps the folder `d` in argv[2] for a link to argv[3] and back, as fast as it can, until it is killed. */
import { renameSync, rmSync, symlinkSync } from "node:fs"
import { join } from "node:path"

const [root = "", out = ""] = process.argv.slice(2)
const [there, away, link] = [join(root, "d"), join(root, ".away"), join(root, ".link")]
symlinkSync(out, link)

/** Puts `from` in the place of `d`. A writer may have made a new `d` in the moment when there was none. */
const put = (from: string) => {
  for (;;) {
    try {
      return renameSync(from, there)
    } catch {}
    try {
      rmSync(there, { recursive: true, force: true })
    } catch {} // written to once more meanwhile
  }
}

for (;;) {
  renameSync(there, away)
  put(link)
  renameSync(there, link)
  put(away)
}
