import { createSocket } from "node:dgram"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Scope } from "effect"
import { chromium } from "../../sandbox/chromium.ts"
import { Resolver } from "../../sandbox/egress/connect.ts"
import { Patience } from "../../tools/browser/session.ts"
import { serve } from "../fixtures/web.ts"
import { folder, opened } from "../sandbox/workspace.ts"
import { openFiles, ownTemporaryFolder, refOf, user } from "./browser-user.ts"

const temporary = ownTemporaryFolder()

// One Chromium for all of them: starting it is what takes time.
const all = Scope.makeUnsafe()
beforeAll(() => Effect.runPromise(Scope.provide(chromium, all)))
afterAll(() => Effect.runPromise(Scope.close(all, Exit.void)))

const home = `<title>Home</title><h1>Hi</h1>
  <a href="/two">two</a> <a href="/two" target=_blank>popup</a> <a href="/file.csv" download>file</a>
  <form action=/form><input name=q aria-label=Query><select name=s aria-label=Size><option>small<option>large</select>
  <button>Send</button></form>
  <button id=dead>Dead</button> <button onclick="dead.hidden = true">Hide</button> <button onclick="alert('one\\ntwo')">Alert</button>
  <button onclick="document.title = confirm('sure?')">Confirm</button>
  <button onclick="for (let i = 0; i < 30; i++) open('/two')">Storm</button>
  <iframe srcdoc="<button onclick='parent.document.title = 1'>Inner</button>"></iframe><div id=host></div>
  <script>host.attachShadow({ mode: "open" }).innerHTML = "<button onclick='document.title = 2'>Shadow</button>"</script>`

/** A site on loopback, and processes in a workspace that may reach it and nothing else. */
const site = Effect.fnUntraced(function* (
  pages: { readonly [path: string]: string } = {},
  grants: ReadonlyArray<string> = []
) {
  const seen: Array<string> = []
  const port = yield* serve((request, response) => {
    const path = request.url!.split("?", 1)[0]!
    seen.push(`${request.url} ${request.headers.cookie ?? ""}`.trim())
    if (path.startsWith("/to/"))
      return response.writeHead(302, { location: decodeURIComponent(path.slice(4)) }).end()
    if (path === "/loop") return response.writeHead(302, { location: "/loop" }).end()
    if (path === "/file.csv")
      return response.setHeader("content-disposition", "attachment; filename=file.csv").end("a,b\n")
    if (path === "/never")
      return response.setHeader("content-type", "text/html").write("<title>Part</title><p>so far")
    if (path === "/silent") return
    response.setHeader("content-type", "text/html")
    if (path === "/two") return response.end("<title>Two</title><p>second")
    if (path === "/form") return response.end(`<title>Form</title><p>${request.url}`)
    response
      .writeHead(path === "/" || path in pages ? 200 : 404)
      .end(path === "/" ? home : (pages[path] ?? "nothing here"))
  })
  const workspace = yield* opened(yield* folder, [`127.0.0.1:${port}`, ...grants])
  return { port, base: `http://127.0.0.1:${port}`, seen, workspace, browse: user(workspace) }
})

/** For what will not come to an end: it shall not keep the tests waiting. */
const hurried = Effect.provideService(Patience, { load: 2, act: 1 })

describe("a browser", () => {
  it.live("reads pages, fills in forms, follows links and goes back", () =>
    Effect.gen(function* () {
      const { base, browse, seen } = yield* site()
      const call = yield* browse
      expect(yield* call("read")).toBe("not_found: no page is open: call browser_open")
      expect(yield* call("open", { url: base })).toBe(`Home ${base}/`)
      let page = yield* call("read")
      expect(page).toMatch(/heading "Hi".*\n.*link "two"/)
      expect(yield* call("click", { ref: refOf(page, '"Inner"') })).toBe(`1 ${base}/`)
      expect(yield* call("click", { ref: refOf(page, '"Shadow"') })).toBe(`2 ${base}/`)
      yield* call("select", { ref: refOf(page, '"Size"'), value: "large" })
      yield* call("type", { ref: refOf(page, '"Query"'), text: "a b" })
      expect(yield* call("click", { ref: refOf(page, '"Send"') })).toBe(`Form ${base}/form?q=a+b&s=large`)
      expect(yield* call("click", { ref: refOf(page, '"Send"') })).toMatch(
        /^not_found: .* read the page again$/
      )
      expect(yield* call("back")).toMatch(new RegExp(`^\\S+ ${base}/$`))
      page = yield* call("read")
      const typed = yield* call("type", { ref: refOf(page, '"Query"'), text: "c", submit: true })
      expect(typed).toMatch(`Form ${base}/form?q=c&s=`)
      yield* call("back")
      page = yield* call("read")
      expect(yield* call("click", { ref: refOf(page, '"two"') })).toBe(`Two ${base}/two`)
      expect(yield* call("open", { url: `${base}/none` })).toMatch(/\nthe server answered with status 404$/)
      expect(seen).toContain("/form?q=a+b&s=large")
    })
  )

  it.live("tells what cannot be done with an element", () =>
    Effect.gen(function* () {
      const { base, browse } = yield* site()
      const call = yield* browse
      yield* call("open", { url: base })
      expect(yield* call("back")).toBe("not_found: there is no page before this one")
      const page = yield* call("read")
      yield* call("click", { ref: refOf(page, '"Hide"') })
      expect(yield* hurried(call("click", { ref: refOf(page, '"Dead"') }))).toMatch(
        /^failed: \w+ cannot be used/
      )
      expect(yield* hurried(call("select", { ref: refOf(page, '"Size"'), value: "huge" }))).toMatch(
        /^failed: /
      )
      expect(yield* call("type", { ref: refOf(page, '"two"'), text: "x" })).toMatch(/^failed: /)
      for (const ref of ["e9999", "", "x y", 'e1" >> body', "css=body", "f9e1"])
        expect(yield* call("click", { ref }), ref).toMatch(/^not_found: no element/)
      expect(yield* call("read", { part: 2 })).toBe("not_found: the page has 1 parts")
    })
  )

  it.live("cuts long pages into parts", () =>
    Effect.gen(function* () {
      const rows = Array.from({ length: 400 }, (_, i) => `<li>row number ${i}</li>`).join("")
      const { base, browse } = yield* site({ "/long": `<ul>${rows}</ul>` })
      const call = yield* browse
      yield* call("open", { url: `${base}/long` })
      const first = yield* call("read")
      const parts = Number(/part 1 of (\d+)/.exec(first)?.[1])
      expect(parts).toBeGreaterThan(1)
      const whole = [first]
      for (let part = 2; part <= parts; part++) whole.push(yield* call("read", { part }))
      for (const text of whole) expect(text.length).toBeLessThan(6500)
      for (let i = 0; i < 400; i++) expect(whole.join("\n")).toMatch(new RegExp(`row number ${i}\\b`))
    })
  )

  it.live("dismisses dialogs, makes a popup the current page, and saves only what is asked for", () =>
    Effect.gen(function* () {
      const { base, browse, workspace } = yield* site()
      const call = yield* browse
      yield* call("open", { url: base })
      const page = yield* call("read")
      const click = (words: string) => call("click", { ref: refOf(page, words) })
      expect(yield* click('"Alert"')).toMatch(/^Home .*\n"alert dismissed: one\\ntwo"$/)
      expect(yield* click('"Confirm"')).toMatch(/^false .*\nconfirm dismissed: sure\?$/)
      expect(yield* click('"popup"')).toMatch(/^Two .*\na new page was opened/)
      expect(yield* call("back")).toBe(`false ${base}/`)
      // The note comes with the call, or with the next one if the server took its time.
      const told = [yield* click('"file"'), yield* call("read")]
      expect(told.join("\n")).toContain("\ndownload refused: file.csv (browser_download saves it)")
      expect(yield* workspace.list("")).toEqual([])
      const ref = refOf(page, '"file"')
      expect(yield* call("download", { ref, path: "got/file.csv" })).toBe("ok")
      expect(readFileSync(join(workspace.root, "got/file.csv"), "utf8")).toBe("a,b\n")
      expect(yield* hurried(call("download", { ref: refOf(page, '"Alert"'), path: "x" }))).toMatch(
        /^no_match: /
      )
      expect(yield* call("download", { ref, path: "../x" })).toMatch(/^outside_workspace/)
      expect(yield* call("open", { url: `${base}/file.csv` })).toMatch(/^denied: that is a download/)
      yield* call("open", { url: `${base}/two` })
      expect(yield* call("screenshot", { path: "shot.png" })).toBe("ok")
      expect(readFileSync(join(workspace.root, "shot.png")).subarray(1, 4).toString()).toBe("PNG")
      expect(yield* call("screenshot", { path: "/etc/x.png" })).toMatch(/^outside_workspace/)
    })
  )

  it.live("lets no page open windows or dialogs without end", () =>
    Effect.gen(function* () {
      const { base, browse } = yield* site({ "/alerts": "<script>while (true) alert(1)</script>" })
      const call = yield* browse
      yield* call("open", { url: base })
      const page = yield* call("read")
      yield* call("click", { ref: refOf(page, '"Storm"') })
      let backs = 0
      while ((yield* call("back")).startsWith("Two")) backs++
      expect(backs).toBeLessThan(4)
      expect(yield* call("open", { url: `${base}/alerts` })).toBe(
        "limit: the page opens dialogs without end and was closed"
      )
      expect(yield* call("read")).toMatch(/^not_found|^Home/)
      expect(yield* call("open", { url: base })).toBe(`Home ${base}/`)
    })
  )

  it.live("goes on after pages that never load, or never answer", () =>
    Effect.gen(function* () {
      const { base, browse } = yield* site({
        "/busy": "<title>B</title><script>onload = () => { while (true); }</script>"
      })
      const call = yield* browse
      expect(yield* hurried(call("open", { url: `${base}/never` }))).toMatch(
        /^timeout: still loading after 2 s/
      )
      expect(yield* call("read")).toContain("so far")
      expect(yield* hurried(call("open", { url: `${base}/silent` }))).toMatch(
        /^timeout: no answer within 2 s/
      )
      yield* hurried(call("open", { url: `${base}/busy` }))
      expect(yield* hurried(call("read"))).toMatch(/^timeout: the page does not answer/)
      expect(yield* call("open", { url: base })).toBe(`Home ${base}/`)
    })
  )

  it.live("is led nowhere that is not granted", () =>
    Effect.gen(function* () {
      const hits: Array<string> = []
      const other = yield* serve((request, response) => {
        hits.push(request.url!)
        response.setHeader("access-control-allow-origin", "*").end("let in")
      })
      const udp = createSocket("udp4").on("message", () => hits.push("udp"))
      udp.bind(0, "127.0.0.1")
      yield* Effect.promise(() => once(udp, "listening"))
      yield* Effect.addFinalizer(() => Effect.sync(() => udp.close()))
      const tries = `<title>wait</title><iframe src="http://127.0.0.1:${other}/frame"></iframe><img src="http://localhost:${other}/img">
        <link rel=prefetch href="http://127.0.0.1:${other}/prefetch"><link rel=dns-prefetch href="//prefetch.test">
        <script type=module>
          const said = []
          for (const at of ["http://127.0.0.1:${other}/", "http://[::1]:${other}/", "http://169.254.169.254/", "http://0.0.0.0:${other}/"])
            said.push(await fetch(at, { mode: "cors" }).then((it) => it.text(), () => "refused"))
          said.push(await new Promise((tell) => {
            const socket = new WebSocket("ws://127.0.0.1:${other}/socket")
            socket.onerror = () => tell("refused")
            socket.onopen = () => tell("open")
          }))
          const peer = new RTCPeerConnection({ iceServers: [{ urls: "stun:127.0.0.1:${udp.address().port}" }] })
          peer.createDataChannel("x")
          await peer.setLocalDescription(await peer.createOffer())
          await new Promise((done) => {
            peer.onicegatheringstatechange = () => peer.iceGatheringState === "complete" && done()
            if (peer.iceGatheringState === "complete") done()
          })
          said.push(await Notification.requestPermission())
          await navigator.serviceWorker.register("/sw.js").catch(() => {})
          document.title = said
        </script>`
      const { base, browse, seen } = yield* site({ "/tries": tries, "/sw.js": "" })
      const call = yield* browse
      yield* call("open", { url: `${base}/tries` })
      // The answer is in the title when all has been tried.
      let title = "wait"
      while (title.startsWith("wait") || title.startsWith("timeout")) title = yield* call("read")
      expect(seen).not.toContain("/sw.js")
      expect(title.split(" http")[0]).toBe("refused,refused,refused,refused,refused,denied")
      for (const to of [
        ...[
          `http://localhost:${other}/`,
          `https://127.0.0.1:${other}/`,
          "http://169.254.169.254/latest/meta-data/"
        ],
        ...[
          "http://[::ffff:127.0.0.1]:81/",
          "file:///etc/passwd",
          "data:text/html,x",
          "chrome://version",
          "view-source:http://a/"
        ]
      ]) {
        expect(yield* call("open", { url: to }), to).toMatch(/^(denied|bad_input): /)
        const via = yield* call("open", { url: `${base}/to/${encodeURIComponent(to)}` })
        expect(via, to).toMatch(/^(denied|unavailable): /)
        expect(yield* call("read"), to).not.toMatch(/root:|let in/)
      }
      expect(yield* call("open", { url: `${base}/loop` })).toMatch(/^failed: the page redirects without end/)
      expect(yield* call("open", { url: base })).toBe(`Home ${base}/`)
      expect(hits).toEqual([])
    })
  )

  it.live("goes where a name led when it was checked", () =>
    Effect.gen(function* () {
      const port = yield* serve((_, response) =>
        response.setHeader("content-type", "text/html").end("<title>good</title>")
      )
      yield* serve(
        (_, response) => response.setHeader("content-type", "text/html").end("<title>evil</title>"),
        { host: "127.0.0.2", port }
      )
      const asked: Array<string> = []
      const resolve = async (name: string) => {
        asked.push(name)
        return [asked.length <= 2 ? "127.0.0.1" : "127.0.0.2"]
      }
      const workspace = yield* Effect.provideService(
        opened(yield* folder, [`rebind.test:${port}`, `127.0.0.1:${port}`]),
        Resolver,
        resolve
      )
      const call = yield* user(workspace)
      expect(yield* call("open", { url: `http://rebind.test:${port}/` })).toMatch(/^good/)
      expect(yield* call("open", { url: `http://rebind.test:${port}/` })).toMatch(
        /^denied: not a public address: rebind.test is 127.0.0.2/
      )
    })
  )

  it.live("is each process's own", () =>
    Effect.gen(function* () {
      const { base, browse, seen } = yield* site({
        "/set": "<script>document.cookie = 'a=1; max-age=999'; localStorage.a = 1</script>"
      })
      const one = yield* browse
      const two = yield* browse
      yield* one("open", { url: `${base}/set` })
      yield* one("open", { url: `${base}/one` })
      yield* two("open", { url: `${base}/two-sees` })
      expect(seen).toContain("/one a=1")
      expect(seen).toContain("/two-sees")
    })
  )

  it.live("leaves no context, folder or file behind, also when it is ended while it loads", () =>
    Effect.gen(function* () {
      const browser = yield* Effect.provideService(chromium, Scope.Scope, all)
      const once = Effect.scoped(
        Effect.gen(function* () {
          const { base, browse } = yield* site()
          const cycle = Effect.flatMap(browse, (call) =>
            Effect.gen(function* () {
              yield* call("open", { url: base })
              return yield* call("click", { ref: refOf(yield* call("read"), '"two"') })
            })
          )
          for (let i = 0; i < 4; i++) expect(yield* Effect.scoped(cycle)).toMatch(/^Two/)
          const asked = yield* Deferred.make<void>()
          const slow = yield* serve(() => Effect.runFork(Deferred.succeed(asked, undefined)))
          const workspace = yield* opened(yield* folder, [`127.0.0.1:${slow}`])
          const loading = yield* Effect.forkChild(
            Effect.scoped(
              Effect.flatMap(user(workspace), (call) => call("open", { url: `http://127.0.0.1:${slow}/` }))
            )
          )
          yield* Deferred.await(asked)
          yield* Fiber.interrupt(loading)
          expect(browser.contexts()).toEqual([])
        })
      )
      yield* once
      const before = { files: openFiles(), temporary: temporary() }
      yield* once
      expect({ files: openFiles(), temporary: temporary() }).toEqual(before)
    })
  )
})
