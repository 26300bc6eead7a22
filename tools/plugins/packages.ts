/** Where npm packages lie: the one of a name that Node.js would find, and all that a package needs. */
import { readFileSync, realpathSync, statSync } from "node:fs"
import { dirname, join, sep } from "node:path"

export interface Package {
  readonly name?: string
  readonly keywords?: ReadonlyArray<string>
  readonly dependencies?: { readonly [name: string]: string }
  readonly optionalDependencies?: { readonly [name: string]: string }
}

/** The package.json of a folder; undefined without one that can be read. */
export const readPackage = (folder: string): Package | undefined => {
  try {
    const value: unknown = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"))
    return typeof value === "object" && value !== null ? (value as Package) : undefined
  } catch {
    return undefined
  }
}

/** The folder of a package as seen from another: in `node_modules` there, or in a folder above. */
export const findPackage = (name: string, from: string): string | undefined => {
  const found = join(from, "node_modules", name)
  if (statSync(found, { throwIfNoEntry: false })?.isDirectory()) return found
  const above = dirname(from)
  return above === from ? undefined : findPackage(name, above)
}

/**
 * Whether a folder is what npm installed under a name. A plugin says itself what it depends on, and must not be shown
 * whatever a link of its own making leads to.
 */
const isInstalled = (real: string, name: string): boolean =>
  real.includes(`${sep}node_modules${sep}`) && readPackage(real)?.name === name

/**
 * The packages outside a package's own folder that it needs, by name: what npm has put beside it. Those that are missing
 * are left out: importing them fails, and says so.
 */
export const packagesBeside = (folder: string): ReadonlyMap<string, string> => {
  const beside = new Map<string, string>()
  const seen = new Set<string>()
  const visit = (from: string, container: string): void => {
    if (seen.has(from)) return
    seen.add(from)
    const { dependencies, optionalDependencies } = readPackage(from) ?? {}
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
      const found = findPackage(name, from)
      if (found === undefined) continue
      const real = realpathSync(found)
      if (found.startsWith(container + sep)) {
        if (real.startsWith(container + sep)) visit(real, container)
      } else if (isInstalled(real, name)) {
        if (!beside.has(name)) beside.set(name, real)
        visit(real, real)
      }
    }
  }
  visit(folder, folder)
  return beside
}
