/**
 * Makes the package that is published, in dist/ or the folder given: `npm run package && npm publish ./dist`.
 *
 * A clone runs its TypeScript as it is, but Node.js reads none below node_modules. So the package holds the same tree
 * with JavaScript and declarations in place of the TypeScript that the command line and the library need.
 */
import { spawnSync } from "node:child_process"
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join, relative, resolve } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const out = resolve(process.argv[2] ?? join(root, "dist"))
rmSync(out, { recursive: true, force: true })
mkdirSync(out, { recursive: true })

const config = join(out, "tsconfig.json")
writeFileSync(
  config,
  JSON.stringify({
    extends: join(root, "tsconfig.json"),
    compilerOptions: {
      noEmit: false,
      declaration: true,
      rewriteRelativeImportExtensions: true,
      rootDir: root,
      outDir: out,
      typeRoots: [join(root, "node_modules/@types")]
    },
    // Those behind the first two are programs of their own: nothing imports them.
    include: [
      "index.ts",
      "cli/main.ts",
      "sandbox/launcher.ts",
      "sandbox/relay.mts",
      "tools/code/javascript.mts",
      "tools/plugins/host.ts",
      "tools/readable.ts"
    ].map((path) => join(root, path))
  })
)
const compiler = join(root, "node_modules/.bin/tsc")
const compiled = spawnSync(compiler, ["--project", config], { stdio: ["ignore", 2, 2] })
rmSync(config)
if (compiled.status !== 0) process.exit(1)

const asTheyAre = [
  "noos",
  "noos.plugin.schema.json",
  "noos.schema.json",
  "noos.suite.schema.json",
  "tools/code/python.py",
  "scripts/setup.mjs",
  "scripts/setup",
  "suites/data",
  "models/nano.gguf",
  "models/nano/README.md"
]
for (const path of [...asTheyAre, "README.md", "LICENSE", "CHANGELOG.md"]) {
  cpSync(join(root, path), join(out, path), { recursive: true })
}

// The root's manifest is private so that nobody publishes the clone itself.
const {
  private: _,
  scripts,
  devDependencies,
  allowScripts,
  ...manifest
} = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))
manifest.exports = {
  ".": { types: "./index.d.ts", default: "./index.js" },
  "./plugin": { types: "./tools/plugins/plugin.d.ts", default: "./tools/plugins/plugin.js" }
}
writeFileSync(join(out, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`)
console.log(`made ${relative(process.cwd(), out) || "."}`)
