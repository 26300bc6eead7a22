/** What a server may ask of us before it costs its own calls. */

/** Characters of one message. */
export const mostInMessage = 4 * 1024 * 1024
/** Characters between two messages of ours: results, progress and whatever else it thinks of. */
export const mostBetween = 8 * 1024 * 1024
/** What a message counts for at least: each takes time, however short it is. */
export const leastOfMessage = 1024
/** Tools of a server. */
export const mostTools = 1000
/** Pages of its list of tools. */
export const mostPages = 100
/** Characters of a tool's schemas, as JSON. */
export const mostInSchema = 32 * 1024
/** Seconds until a server has introduced itself and listed its tools. */
export const secondsToOpen = 30
/** Seconds of a call. */
export const secondsOfCall = 120
