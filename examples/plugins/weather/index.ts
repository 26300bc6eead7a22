/** Asks an HTTP API, here one of your own network, and reads no more out of its answer than a model needs. */
import { defineTool, ToolError } from "noos/plugin"

const api = "http://127.0.0.1:8099/weather"

interface Weather {
  readonly place: string
  /** Degrees Celsius. */
  readonly temperature: number
  readonly sky: string
}

const isWeather = (value: unknown): value is Weather =>
  typeof value === "object" &&
  value !== null &&
  "temperature" in value &&
  typeof value.temperature === "number" &&
  "sky" in value &&
  typeof value.sky === "string"

export default defineTool({
  name: "weather",
  description: "The weather at a place now.",
  input: {
    type: "object",
    properties: { place: { type: "string", minLength: 1, maxLength: 80 } },
    required: ["place"],
    additionalProperties: false
  },
  output: {
    type: "object",
    properties: { place: { type: "string" }, temperature: { type: "number" }, sky: { type: "string" } },
    required: ["place", "temperature", "sky"],
    additionalProperties: false
  },
  effect: "pure",
  examples: [{ args: { place: "Porto" } }],
  execute: async ({ place }: { place: string }, { signal }) => {
    const response = await fetch(`${api}?place=${encodeURIComponent(place)}`, { signal })
    if (response.status === 404)
      throw new ToolError({ code: "not_found", message: `no such place: ${place}` })
    if (!response.ok)
      throw new ToolError({
        code: "unavailable",
        message: `the weather service answers ${response.status}`,
        retryable: true
      })
    const weather: unknown = await response.json().catch(() => undefined)
    if (!isWeather(weather))
      throw new ToolError({ code: "failed", message: "the weather service answers with something else" })
    return { place, temperature: weather.temperature, sky: weather.sky }
  },
  toModel: ({ place, temperature, sky }) => `${place}: ${temperature} °C, ${sky}`
})
