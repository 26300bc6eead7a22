/**
 * What kernel and plugin say to each other: one JSON object a line, over two descriptors that the plugin's own output
 * does not use. Whatever a plugin prints is never part of it, and whatever it forges is about its own calls only.
 */
import type { Example, ToolError } from "../../kernel/tool.ts"

/** Descriptors of the plugin's process: what it says, and what it is told. 0, 1 and 2 are the plugin's own. */
export const descriptors = { say: 3, hear: 4 } as const

/** Where a plugin finds what it was granted. */
export const places = { plugin: "/plugin", noos: "/noos", state: "/state", workspace: "/work" } as const

/** Bytes of a result, and of its text for the model. */
export const maxResult = 4 * 1024 * 1024

/** Bytes of a request's or response's body. */
export const maxBody = 8 * 1024 * 1024

/** Bytes of one line: a body in base64, with room for its headers. */
export const maxLine = 12 * 1024 * 1024

/** A tool as data: all of it but what only the plugin's process can do. */
export interface Description {
  readonly name: string
  readonly description: string
  readonly input: { readonly [key: string]: unknown }
  readonly output?: { readonly [key: string]: unknown }
  readonly effect: "pure" | "reversible" | "irreversible"
  readonly critical?: ReadonlyArray<string>
  readonly examples?: ReadonlyArray<Example>
}

export interface Failure {
  readonly code: ToolError["code"]
  readonly message: string
  readonly retryable?: boolean
}

export type ToPlugin =
  | {
      readonly type: "call"
      readonly id: number
      readonly tool: string
      readonly args: unknown
      readonly key: string
    }
  | { readonly type: "cancel"; readonly id: number }
  | {
      readonly type: "fetched"
      readonly id: number
      readonly response:
        | {
            readonly url: string
            readonly status: number
            readonly headers: { readonly [name: string]: string }
            /** Base64. */
            readonly body: string
          }
        | Failure
    }

export type FromPlugin =
  /** The first: the module is loaded. */
  | { readonly type: "ready"; readonly tools: ReadonlyArray<unknown> }
  | { readonly type: "broken"; readonly message: string }
  | { readonly type: "result"; readonly id: number; readonly result: unknown; readonly text: string }
  | { readonly type: "error"; readonly id: number; readonly error: Failure }
  | { readonly type: "progress"; readonly text: string }
  | {
      readonly type: "fetch"
      readonly id: number
      readonly url: string
      readonly method: string
      readonly headers: { readonly [name: string]: string }
      /** Base64. */
      readonly body?: string
    }

/** Cuts what comes in pieces into lines, without their ends. */
export const lines = (line: (text: string) => void) => {
  const pieces: Array<Buffer> = []
  let size = 0
  return (piece: Uint8Array): void => {
    let rest = Buffer.from(piece)
    for (let end = rest.indexOf(10); end !== -1; end = rest.indexOf(10)) {
      const text = Buffer.concat([...pieces, rest.subarray(0, end)]).toString("utf8")
      pieces.length = size = 0
      rest = rest.subarray(end + 1)
      line(text)
    }
    size += rest.length
    if (size > maxLine) throw new RangeError(`a line of more than ${maxLine} bytes`)
    if (rest.length > 0) pieces.push(rest)
  }
}
