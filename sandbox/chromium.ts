/**
 * The system's Chromium, confined. It runs as nobody where we are root, in namespaces in which it sees programs, fonts
 * and nothing of the person's, keeps its profile in memory, and is gone with all its processes when the kernel dies.
 * Its own sandbox is on inside: Chromium refuses to start where it cannot have one.
 *
 * Its way to the network is a proxy for each context; without one nothing is reached, as the one it starts with leads
 * nowhere. One Chromium serves all the processes of a kernel, each with a context of its own.
 */
import { existsSync } from "node:fs"
import { dirname, join } from "node:path"
import { Effect, RcRef, Scope } from "effect"
import type { Browser } from "playwright-core"
import { ToolError } from "../kernel/tool.ts"
import { isRoot, systemPath } from "./launch.ts"

/** What Chromium is called, best first. */
const names = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"]

/** nobody and nogroup on every Linux system. */
const nobody = 65_534

/** What of the machine it sees, read-only, where it is there. */
const seen = [
  ...["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/opt", "/run/current-system", "/nix/store"],
  ...["/etc/alternatives", "/etc/ld.so.cache", "/etc/fonts", "/etc/chromium", "/etc/chromium.d", "/etc/opt"],
  ...["/etc/ssl/certs", "/etc/pki/tls", "/etc/ca-certificates", "/usr/share/ca-certificates"]
]

const flags = [
  ...["--headless", "--no-startup-window", "--remote-debugging-pipe", "--user-data-dir=/tmp/profile"],
  ...[
    "--no-first-run",
    "--no-default-browser-check",
    "--password-store=basic",
    "--mute-audio",
    "--disable-gpu"
  ],
  ...["--hide-scrollbars", "--disable-search-engine-choice-screen", "--disable-hang-monitor"],
  // No traffic but that of pages: no proxy listens on port 9, and no name is looked up here.
  ...["--proxy-server=http://127.0.0.1:9", "--proxy-bypass-list=<-loopback>"],
  "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
  ...["--disable-quic", "--dns-prefetch-disable", "--no-pings", "--disable-domain-reliability"],
  ...["--force-webrtc-ip-handling-policy=disable_non_proxied_udp"],
  ...["--webrtc-ip-handling-policy=disable_non_proxied_udp"],
  ...[
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-breakpad"
  ],
  ...["--disable-default-apps", "--disable-extensions", "--disable-client-side-phishing-detection"],
  // Playwright counts on these: it sees every navigation, and pages in the background go on.
  ...["--disable-back-forward-cache", "--disable-renderer-backgrounding", "--allow-pre-commit-input"],
  ...["--disable-backgrounding-occluded-windows", "--disable-background-timer-throttling"],
  `--disable-features=${[
    ...["HttpsUpgrades", "HttpsFirstBalancedModeAutoEnable", "MediaRouter", "OptimizationHints"],
    ...["NetworkTimeServiceQuerying", "PreconnectToSearch", "DestroyProfileOnBrowserClose", "PaintHolding"]
  ].join(",")}`
]

const find = (name: string): string | undefined =>
  systemPath
    .split(":")
    .map((folder) => join(folder, name))
    .find((path) => existsSync(path))

const unavailable = (message: string) => new ToolError({ code: "unavailable", message })

/** The Chromium of `$NOOS_CHROMIUM`, or the system's. */
const executable = Effect.suspend(() => {
  const named = process.env.NOOS_CHROMIUM
  if (named !== undefined && named !== "")
    return existsSync(named)
      ? Effect.succeed(named)
      : Effect.fail(unavailable(`NOOS_CHROMIUM names no file: ${named}`))
  const found = names.map(find).find((path) => path !== undefined)
  return found === undefined
    ? Effect.fail(
        unavailable("no Chromium: install it (Debian: apt-get install chromium) or set NOOS_CHROMIUM to one")
      )
    : Effect.succeed(found)
})

/** The command line, first word included, in which Chromium is confined. */
const confined = (bwrap: string, program: string): ReadonlyArray<string> => [
  ...(isRoot
    ? [find("setpriv") ?? "setpriv", `--reuid=${nobody}`, `--regid=${nobody}`, "--clear-groups", "--"]
    : []),
  bwrap,
  ...["--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"],
  ...["--die-with-parent", "--new-session", "--cap-drop", "ALL"],
  ...[...seen, dirname(program)].flatMap((path) => ["--ro-bind-try", path, path]),
  ...["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--remount-ro", "/", "--chdir", "/tmp"],
  ...["--clearenv", "--setenv", "PATH", "/usr/bin:/bin", "--setenv", "HOME", "/tmp"],
  ...["--setenv", "LANG", "C.UTF-8", "--", program, ...flags]
]

const start = Effect.gen(function* () {
  const program = yield* executable
  const bwrap = find("bwrap")
  if (bwrap === undefined) return yield* unavailable("no bubblewrap, in which Chromium is confined")
  const [command, ...args] = confined(bwrap, program)
  // Late, as it takes a third of a second that only those who browse shall pay.
  const { chromium } = yield* Effect.promise(() => import("playwright-core"))
  return yield* Effect.tryPromise({
    try: () =>
      chromium.launch({
        executablePath: command!,
        args,
        ignoreDefaultArgs: true,
        env: { PATH: systemPath },
        handleSIGHUP: false,
        handleSIGINT: false,
        handleSIGTERM: false
      }),
    catch: (cause) => unavailable(`Chromium did not start: ${whyNot(cause)}`)
  })
})

/** The one line of Chromium's log that says what was wrong. */
const whyNot = (cause: unknown): string => {
  const lines = (cause instanceof Error ? cause.message : String(cause)).split("\n")
  const said = lines.find((line) => /bwrap: |FATAL|sandbox/.test(line) && !line.includes("<launching>"))
  return (said ?? lines[0] ?? "").replace(/^.*?\[err\] /, "").slice(0, 200)
}

/** Lives as long as this program does; what it refers to, as long as somebody uses it. */
const forever = Scope.makeUnsafe()

const shared = Effect.runSync(
  RcRef.make({
    acquire: Effect.acquireRelease(start, (browser) => Effect.promise(() => browser.close().catch(() => {})))
  }).pipe(Scope.provide(forever))
)

/** The Chromium of this kernel: started for the first who asks, ended when the scope of the last one closes. */
export const chromium: Effect.Effect<Browser, ToolError, Scope.Scope> = Effect.gen(function* () {
  const browser = yield* RcRef.get(shared)
  if (browser.isConnected()) return browser
  // It crashed or was ended from outside: whoever still holds it finds that out, we start another.
  yield* RcRef.invalidate(shared)
  return yield* RcRef.get(shared)
})
