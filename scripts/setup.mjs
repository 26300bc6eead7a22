/**
 * Makes this folder ready to run: dependencies as package-lock.json has them, a new enough Node.js, bubblewrap.
 *
 * `node scripts/setup.mjs` does that and says nothing when all is in order. With `--print-node` it then writes the
 * path of the Node.js to use, with `--chromium` it brings the browser too. It asks no questions. Exit code 5 when the machine lacks something that it cannot
 * provide; stderr then has one line that says what and one that says what to do.
 *
 * Runs on every Node.js since 18 and imports nothing but Node.js: it is what brings the rest.
 */
import { realpathSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { bubblewrapMissing, installBubblewrap } from "./setup/bubblewrap.mjs"
import { chromiumMissing, installChromium } from "./setup/chromium.mjs"
import { dependenciesInOrder, installDependencies, isClone } from "./setup/dependencies.mjs"
import { alone } from "./setup/lock.mjs"
import { findNode } from "./setup/node.mjs"
import { say, Trouble } from "./setup/say.mjs"

const root = realpathSync(fileURLToPath(new URL("..", import.meta.url)))

const setup = async () => {
  const dependencies = async () => {
    // Installed as a package, npm has put the dependencies somewhere above and keeps them in order.
    if (isClone(root) && !dependenciesInOrder(root)) await installDependencies(root)
  }
  const browserMissing = () => process.argv.includes("--chromium") && chromiumMissing()
  // Looked at again once alone: whoever was first has done the work.
  if ((isClone(root) && !dependenciesInOrder(root)) || bubblewrapMissing() || browserMissing()) {
    await alone(root, async () => {
      await dependencies()
      if (bubblewrapMissing()) installBubblewrap()
      if (browserMissing()) installChromium()
    })
  }
  return findNode(root)
}

try {
  const node = await setup()
  if (process.argv.includes("--print-node")) process.stdout.write(`${node}\n`)
} catch (error) {
  if (!(error instanceof Trouble)) throw error
  say(error.message)
  say(error.hint)
  process.exitCode = 5
}
