/** One line of progress or trouble. Always stderr: stdout belongs to the command that is set up for. */
export const say = (line) => process.stderr.write(`noos: ${line}\n`)

/** The machine lacks something. `message` says what, `hint` what to do about it; one line each. */
export class Trouble extends Error {
  constructor(message, hint) {
    super(message)
    this.hint = hint
  }
}
