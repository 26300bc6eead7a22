/**
 * Imported before all else in a plugin's process. It says what `noos/plugin` and `effect` are there: files of noos, unless
 * the plugin brings an effect of its own. `noos` means the same as `noos/plugin`: there is no kernel to import.
 * https://nodejs.org/docs/latest-v24.x/api/module.html#moduleregisterhooksoptions
 */
import { registerHooks } from "node:module"

/** TypeScript in a clone, JavaScript in the package. */
const plugin = import.meta.url.replace(/hooks(\.[jt]s)$/, "plugin$1")

const isMissing = (cause: unknown): boolean =>
  cause instanceof Error && "code" in cause && cause.code === "ERR_MODULE_NOT_FOUND"

registerHooks({
  resolve: (specifier, context, next) => {
    if (specifier === "noos" || specifier === "noos/plugin") return { url: plugin, shortCircuit: true }
    if (!/^effect(\/|$)/.test(specifier)) return next(specifier, context)
    try {
      return next(specifier, context)
    } catch (cause) {
      if (!isMissing(cause)) throw cause
      return next(specifier, { ...context, parentURL: import.meta.url })
    }
  }
})
