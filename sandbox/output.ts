/** What is done with the output of a command: kept up to a limit, or passed on as it comes. */
import type { Readable } from "node:stream"

/** A stream that is read. */
export interface Reading {
  /** What was kept, as UTF-8; a character that the limit cut in two is left out. */
  readonly text: () => string
  /** So many bytes that were passed on are done with. */
  readonly taken: (bytes: number) => void
}

/** Hears what a stream gives; with `onFirst`, the first byte is a sign for that and nothing more. */
const listen = (stream: Readable, hear: (bytes: Buffer) => void, onFirst?: () => void) => {
  let waiting = onFirst !== undefined
  stream.on("data", (chunk: Buffer) => {
    if (!waiting) return hear(chunk)
    waiting = false
    onFirst?.()
    if (chunk.length > 1) hear(chunk.subarray(1))
  })
}

/** Reads `stream` to its end, keeps `limit` bytes and calls `onOverflow` once when there are more. */
export const keep = (
  stream: Readable,
  limit: number,
  onOverflow: () => void,
  onFirst?: () => void
): Reading => {
  const chunks: Array<Buffer> = []
  let room = limit
  let overflowed = false
  const hear = (bytes: Buffer) => {
    if (room > 0) chunks.push(bytes.subarray(0, room))
    if (bytes.length > room && !overflowed) {
      overflowed = true
      onOverflow()
    }
    room = Math.max(0, room - bytes.length)
  }
  listen(stream, hear, onFirst)
  return {
    text: () => new TextDecoder().decode(Buffer.concat(chunks), { stream: overflowed }),
    taken: () => {}
  }
}

/** Passes on what `stream` gives. Once more than `window` bytes wait to be read, its writer waits too. */
export const passOn = (
  stream: Readable,
  window: number,
  hear: (bytes: Buffer) => void,
  onFirst?: () => void
): Reading => {
  let unread = 0
  listen(
    stream,
    (bytes) => {
      unread += bytes.length
      if (unread > window) stream.pause()
      hear(bytes)
    },
    onFirst
  )
  return {
    text: () => "",
    taken: (bytes) => {
      unread -= bytes
      if (unread <= window) stream.resume()
    }
  }
}
