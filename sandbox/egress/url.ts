/** URLs that may be asked for. */
import { canonical } from "./address.ts"
import type { Target } from "./rules.ts"

const schemes = new Map([
  ["http:", 80],
  ["https:", 443]
])

/** A URL, taken apart: whom to connect to, and how. */
export interface Url extends Target {
  readonly url: URL
  readonly secure: boolean
}

/** Where a URL leads, or what is wrong with it. Only http and https lead anywhere. */
export const targetOf = (text: string, base?: string): Url | { readonly problem: string } => {
  const url = URL.parse(text, base)
  const said = text.slice(0, 200)
  if (url === null) return { problem: `not a URL: ${said}` }
  const scheme = schemes.get(url.protocol)
  if (scheme === undefined) return { problem: `only http and https URLs can be opened: ${said}` }
  if (url.username !== "" || url.password !== "")
    return { problem: `a URL must not hold a password: ${said}` }
  const host = canonical(url.hostname)
  if (host === undefined) return { problem: `not a host: ${said}` }
  return { url, host, port: url.port === "" ? scheme : Number(url.port), secure: url.protocol === "https:" }
}
