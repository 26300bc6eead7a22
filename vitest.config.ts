import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // A process each: native engines, sandboxes and journals of one file cannot disturb those of another.
    pool: "forks",
    // Tests that load an engine run it on one thread, so two files at a time fill two cores and no more.
    maxWorkers: 2,
    // Generous, for busy machines: nothing is judged by its time.
    testTimeout: 180_000,
    hookTimeout: 180_000
  }
})
