/**
 * A model's chat template as text around each role's message.
 *
 * A template (Jinja, from the model file) renders whole conversations; the kernel appends one message at a time and
 * keeps what it wrote. So the template is rendered once with marks for texts and cut at the marks. Where the pieces do
 * not put a longer conversation together again, the template is not of this kind.
 */
import type { ChatTemplate } from "./engine.ts"

export interface ChatMessage {
  readonly role: "system" | "user" | "assistant"
  readonly content: string
}

/** Renders a conversation; with `open`, up to where the model is to write. Throws where the template refuses. */
export type Render = (messages: ReadonlyArray<ChatMessage>, open: boolean) => string

/** The plain, widely understood form, for models that bring no template of their own. */
export const chatml: ChatTemplate = {
  system: ["<|im_start|>system\n", "<|im_end|>\n"],
  user: ["<|im_start|>user\n", "<|im_end|>\n"],
  model: ["<|im_start|>assistant\n", "<|im_end|>\n"]
}

const system = (content: string): ChatMessage => ({ role: "system", content })
const user = (content: string): ChatMessage => ({ role: "user", content })
const model = (content: string): ChatMessage => ({ role: "assistant", content })

/** The texts between the marks, or undefined when a mark is missing, doubled or out of order. */
const cut = (rendered: string, marks: ReadonlyArray<string>): ReadonlyArray<string> | undefined => {
  const pieces: Array<string> = []
  let from = 0
  for (const mark of marks) {
    const at = rendered.indexOf(mark, from)
    if (at < 0) return undefined
    pieces.push(rendered.slice(from, at))
    from = at + mark.length
  }
  pieces.push(rendered.slice(from))
  return pieces.some((piece) => marks.some((mark) => piece.includes(mark))) ? undefined : pieces
}

const attempt = (render: Render, messages: ReadonlyArray<ChatMessage>, open = false): string | undefined => {
  try {
    return render(messages, open)
  } catch {
    return undefined
  }
}

const cutRendering = (
  render: Render,
  messages: ReadonlyArray<ChatMessage>,
  open = false
): ReadonlyArray<string> | undefined => {
  const rendered = attempt(render, messages, open)
  return rendered === undefined
    ? undefined
    : cut(
        rendered,
        messages.map((m) => m.content)
      )
}

/**
 * The pieces of a template, or undefined when it cannot be cut.
 *
 * - What opens the model's turn may differ from what stands before a past answer: some templates open with an empty
 *   thought and drop it later, some name a channel only afterwards. One opening is used, for past answers too: what was
 *   written stays.
 * - A template that knows no system role, or folds it into the first user message, gets the system text as a user
 *   message of its own, before the task.
 */
export const splitTemplate = (render: Render): ChatTemplate | undefined => {
  const [s, u1, m1, u2] = [system("MARK-S"), user("MARK-A"), model("MARK-B"), user("MARK-C")]
  const closed = cutRendering(render, [u1, m1, u2])
  const opened = cutRendering(render, [u1, m1, u2], true)
  const answered = cutRendering(render, [u1, m1])
  if (closed === undefined || opened === undefined || answered === undefined) return undefined
  const afterUser = closed[3]!
  const afterModel = answered[2]!
  if (!opened[3]!.startsWith(afterUser) || !closed[2]!.startsWith(afterModel)) return undefined
  const beforeUser = closed[2]!.slice(afterModel.length)
  if (beforeUser === "" || !closed[1]!.startsWith(afterUser)) return undefined
  const beforeModel = closed[1]!.slice(afterUser.length)
  const opening = openingOf(opened[3]!.slice(afterUser.length), beforeModel)
  if (opening === undefined) return undefined

  const told = cutRendering(render, [s, u1, m1, u2])
  const ownSystem =
    told?.[1]?.endsWith(beforeUser) === true
      ? ([told[0]!, told[1].slice(0, -beforeUser.length)] as const)
      : undefined
  const pieces: ChatTemplate = {
    system: ownSystem ?? [beforeUser, afterUser],
    user: [beforeUser, afterUser],
    model: [opening, afterModel]
  }
  const past = { ...pieces, model: [beforeModel, afterModel] } as const
  return holds(render, past, ownSystem !== undefined) ? pieces : undefined
}

/**
 * What opens the model's turn, from what the template puts there (`now`) and before a past answer (`past`). Undefined
 * when the two have nothing to do with each other.
 */
const openingOf = (now: string, past: string): string | undefined => {
  if (now.startsWith(past)) {
    // A thought that is left open would have to be thought: the past form has none.
    return now.lastIndexOf("<think>") > now.lastIndexOf("</think>") ? past : now
  }
  // Some templates leave it to the model to name the channel of its answer; some leave it a space.
  return past.startsWith(now) ? (past.trimEnd() === now.trimEnd() ? now : past) : undefined
}

/** Whether the pieces make a longer conversation, up to where the model is to write, as the template renders it. */
const holds = (render: Render, pieces: ChatTemplate, withSystem: boolean): boolean => {
  const messages = [
    ...(withSystem ? [system("be brief")] : []),
    ...[user("one"), model("1"), user("two"), model("2"), user("three")]
  ]
  const rendered = attempt(render, messages, true)
  if (rendered === undefined) return false
  const around = { system: pieces.system, user: pieces.user, assistant: pieces.model }
  const joined = messages.map((m) => around[m.role][0] + m.content + around[m.role][1]).join("")
  // Without a system message some templates put a default one first. What follows the last user was looked at before.
  const at = rendered.indexOf(joined)
  return withSystem ? at === 0 : at >= 0
}

/**
 * The pieces of a Jinja template. Thinking is switched off where the template knows the switch: the kernel has its own
 * place for thoughts. `eos` is the vocabulary's end text; a leading begin token is left to `Engine.bos`.
 */
export const chatTemplate = async (source: string, eos: string): Promise<ChatTemplate | undefined> => {
  const { Template } = await import("@huggingface/jinja")
  try {
    const template = new Template(source)
    return splitTemplate((messages, open) =>
      template.render({
        messages: messages.map((m) => ({ ...m })),
        add_generation_prompt: open,
        enable_thinking: false,
        bos_token: "",
        eos_token: eos
      })
    )
  } catch {
    return undefined
  }
}
