/**
 * Installs Chromium, which the browser tools and their tests drive. It is large, so it is installed only when asked for;
 * without it all else works.
 */
import { install, onPath } from "./package-manager.mjs"

/** As sandbox/chromium.ts looks for it. */
const names = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"]

/** Confined by bubblewrap, so on Linux only. */
export const chromiumMissing = () =>
  process.platform === "linux" && !process.env.NOOS_CHROMIUM && !names.some(onPath)

export const installChromium = () =>
  install({
    name: "chromium",
    why: "for the browser",
    lacking: "Chromium is missing, so the browser tools cannot run",
    missing: chromiumMissing
  })
