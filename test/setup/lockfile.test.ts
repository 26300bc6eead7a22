import { readFileSync } from "node:fs"
import { expect, it } from "vitest"

interface Locked {
  readonly version: string
  readonly resolved?: string
  readonly hasInstallScript?: boolean
  readonly dependencies?: Record<string, string>
  readonly optionalDependencies?: Record<string, string>
}

const file = (name: string) => JSON.parse(readFileSync(new URL(`../../${name}`, import.meta.url), "utf8"))
const packages: Record<string, Locked> = file("package-lock.json").packages

it("names a package for every platform, or npm ci refuses it", () => {
  const missing = Object.entries(packages).flatMap(([path, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies).filter(
      (name) => !(`node_modules/${name}` in packages) && !(`${path}/node_modules/${name}` in packages)
    )
  )
  expect(missing).toEqual([])
})

it("names no registry", () => {
  expect(Object.values(packages).filter(({ resolved }) => resolved !== undefined)).toEqual([])
})

it("is the lockfile of package.json", () => {
  const { dependencies, devDependencies, optionalDependencies } = file("package.json")
  expect(packages[""]).toMatchObject({ dependencies, devDependencies, optionalDependencies })
})
