/**
 * A tool that the model never saw, out of a plugin that runs in a process of its own and may reach one address: the weather
 * service that this program starts. `node examples/forecast.ts`
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { createServer } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { noos } from "../index.ts"

const service = createServer((request, response) => {
  const place = new URL(request.url!, "http://127.0.0.1").searchParams.get("place")
  response.setHeader("content-type", "application/json")
  response.end(JSON.stringify({ place, temperature: 4, sky: "snow", station: 9173, humidity: 81 }))
})
await new Promise<void>((ready) => service.listen(8099, "127.0.0.1", ready))

const workspace = mkdtempSync(join(tmpdir(), "forecast-"))
const exit = await noos.run('Get the weather at "Oslo", then save it to oslo.txt.', {
  workspace,
  plugins: [fileURLToPath(new URL("plugins/weather", import.meta.url))]
})
console.log(exit.status, readFileSync(join(workspace, "oslo.txt"), "utf8").trim())
service.close()
rmSync(workspace, { recursive: true })
