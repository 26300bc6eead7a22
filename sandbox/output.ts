/** Collects the first bytes of a stream and says when there were more. */
import type { Readable } from "node:stream"

export interface Kept {
  /** What was kept, as UTF-8; a character that the limit cut in two is left out. */
  readonly text: () => string
}

/**
 * Reads `stream` to its end, keeps `limit` bytes and calls `onOverflow` once when there are more. With `onFirst`, the
 * first byte is a sign for that and not kept.
 */
export const keep = (stream: Readable, limit: number, onOverflow: () => void, onFirst?: () => void): Kept => {
  const chunks: Array<Buffer> = []
  let waiting = onFirst !== undefined
  let room = limit
  let overflowed = false
  stream.on("data", (chunk: Buffer) => {
    const rest = waiting ? chunk.subarray(1) : chunk
    if (waiting) {
      waiting = false
      onFirst?.()
    }
    if (room > 0) chunks.push(rest.subarray(0, room))
    if (rest.length > room && !overflowed) {
      overflowed = true
      onOverflow()
    }
    room = Math.max(0, room - rest.length)
  })
  return { text: () => new TextDecoder().decode(Buffer.concat(chunks), { stream: overflowed }) }
}
