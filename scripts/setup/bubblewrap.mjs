/**
 * Installs bubblewrap, with which the sandbox confines what tools run. Without it the set-up goes on: only commands that
 * run tools need it, and those refuse to run without it.
 */
import { install, onPath } from "./package-manager.mjs"

/** Only Linux has bubblewrap. */
export const bubblewrapMissing = () => process.platform === "linux" && !onPath("bwrap")

export const installBubblewrap = () =>
  install({
    name: "bubblewrap",
    why: "for the sandbox",
    lacking: "bubblewrap is missing, so tools cannot run",
    missing: bubblewrapMissing
  })
