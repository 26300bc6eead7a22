/**
 * Prints `N passed, N failed` (and `, N skipped` if any) from the JSON report of vitest, given its path. A test file
 * that could not be loaded counts as one failed test. Fails when there is no report or it has no test in it.
 */
import { readFileSync } from "node:fs"

const report = JSON.parse(readFileSync(process.argv[2], "utf8"))
const broken = report.testResults.filter(
  (file) => file.status === "failed" && file.assertionResults.length === 0
)
const passed = report.numPassedTests
const failed = report.numFailedTests + broken.length
const skipped = report.numPendingTests + report.numTodoTests
console.log(`${passed} passed, ${failed} failed${skipped === 0 ? "" : `, ${skipped} skipped`}`)
if (passed === 0 || failed > 0) process.exitCode = 1
