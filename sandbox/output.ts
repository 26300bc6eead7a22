/** Collects the first bytes of a stream and says when there were more. */
import type { Readable } from "node:stream"

export interface Kept {
  /** What was kept, as UTF-8; a character that the limit cut in two is left out. */
  readonly text: () => string
}

/** Reads `stream` to its end, keeps `limit` bytes and calls `onOverflow` once when there are more. */
export const keep = (stream: Readable, limit: number, onOverflow: () => void): Kept => {
  const chunks: Array<Buffer> = []
  let kept = 0
  let overflowed = false
  stream.on("data", (chunk: Buffer) => {
    const room = limit - kept
    if (room > 0) {
      chunks.push(chunk.subarray(0, room))
      kept += Math.min(chunk.length, room)
    }
    if (chunk.length > room && !overflowed) {
      overflowed = true
      onOverflow()
    }
  })
  return { text: () => new TextDecoder().decode(Buffer.concat(chunks), { stream: overflowed }) }
}
