/** Plugins: tools that other people wrote, each in a sandboxed process of its own. docs/tools.md */
export { type Check, conformance } from "./conformance.ts"
export { discover, type PluginConfig } from "./discover.ts"
export { fingerprintOf } from "./files.ts"
export { addPlugin } from "./install.ts"
export { loadPlugin, loadPlugins } from "./load.ts"
export {
  allowed,
  grantedTo,
  type Manifest,
  type Permissions,
  PluginError,
  readManifest,
  type Source
} from "./manifest.ts"
export { newPlugin } from "./scaffold.ts"
