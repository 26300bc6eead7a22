/** Budgets: what a process and its family may use, and how it is handed down and back. */
import { Effect } from "effect"
import type { Process, Usage } from "./process.ts"
import { badInput, ToolError } from "./tool.ts"

/**
 * Ceilings of a process and all its descendants. Reaching one ends it with status `budget`. A child's budget is a slice
 * of its parent's; what it does not use comes back when it ends.
 */
export interface Budget {
  /** Tokens evaluated: prefilled and generated. */
  readonly tokens: number
  /** Wall clock, seconds. Not divided: a child's time ends no later than its parent's. */
  readonly seconds: number
  readonly syscalls: number
  /** Descendants alive at a time. */
  readonly processes: number
}

/** The part of a budget that can be handed on. */
export type Slice = Omit<Budget, "seconds">

/** The slice of somebody who has lent nothing. */
export const nothing: Slice = { tokens: 0, syscalls: 0, processes: 0 }

/** What a process that a person starts may use when nothing else is said. */
export const defaultBudget: Budget = { tokens: 1_000_000, seconds: 3600, syscalls: 1000, processes: 64 }

/** A family member, as far as its budget goes. */
export interface Holder extends Pick<Process, "budget" | "usage" | "lent" | "pooled"> {
  readonly parent: Holder | undefined
}

/** Tokens that it has spent, with what its children hold or used. */
export const spentTokens = ({ lent, usage }: Holder): number =>
  usage.prefillTokens + usage.generatedTokens + usage.valueTokens + lent.tokens

/** It and all whose budget it spends. */
const payers = (p: Holder): ReadonlyArray<Holder> =>
  p.pooled && p.parent !== undefined ? [p, ...payers(p.parent)] : [p]

/** It has used so much, and so has who pays for it. */
export const spend = (p: Holder, what: keyof Usage, count: number): void => {
  for (const payer of payers(p)) payer.usage[what] += count
}

/** The budget that so many more tokens would break, if any. */
export const overTokens = (p: Holder, tokens: number): Budget | undefined =>
  payers(p).find((payer) => spentTokens(payer) + tokens > payer.budget.tokens)?.budget

/** The budget that its syscalls have broken, if any. */
export const overSyscalls = (p: Holder): Budget | undefined =>
  payers(p).find(({ budget, lent, usage }) => usage.syscalls + lent.syscalls > budget.syscalls)?.budget

/** What it could still hand on. */
export const remaining = (p: Holder): Slice => ({
  tokens: p.budget.tokens - spentTokens(p),
  syscalls: p.budget.syscalls - p.usage.syscalls - p.lent.syscalls,
  processes: p.budget.processes - p.lent.processes
})

const add = (parent: Holder, { processes, syscalls, tokens }: Slice): void => {
  for (const payer of payers(parent)) {
    const { lent } = payer
    payer.lent = {
      tokens: lent.tokens + tokens,
      syscalls: lent.syscalls + syscalls,
      processes: lent.processes + processes
    }
  }
}

/** A parent hands a slice on, and counts the child itself. One that spends the parent's own holds nothing. */
export const lend = (parent: Holder, child: Pick<Holder, "budget" | "pooled">): void => {
  const { processes, syscalls, tokens } = child.budget
  add(parent, child.pooled ? { ...nothing, processes: 1 } : { tokens, syscalls, processes: processes + 1 })
}

/** A child that has ended gives back all that it and its own children did not use. */
export const giveBack = (parent: Holder, child: Holder): void => {
  const { syscalls, tokens } = remaining(child)
  const unused = { tokens: -Math.max(0, tokens), syscalls: -Math.max(0, syscalls) }
  add(
    parent,
    child.pooled ? { ...nothing, processes: -1 } : { ...unused, processes: -child.budget.processes - 1 }
  )
}

/** The share of what a parent has left that a child gets when it asks for nothing else. */
const usual = 1 / 4

/** What each of so many children gets when a parent divides all that it has left, itself included. */
export const divided = (parent: Holder, children: number): Effect.Effect<Slice, ToolError> => {
  const left = remaining(parent)
  const part = (of: number) => Math.floor(of / (children + 1))
  if (left.processes < children)
    return limit(`${children} processes asked for, ${Math.max(0, left.processes)} left`)
  if (part(left.tokens) < 1 || part(left.syscalls) < 1)
    return limit(`too little is left for ${children} children`)
  return Effect.succeed({
    tokens: part(left.tokens),
    syscalls: part(left.syscalls),
    processes: part(left.processes - children)
  })
}

/** The budget of a new process: what was asked for, inside what its parent has left. */
export const budgetOf = (
  parent: Process | undefined,
  asked: Partial<Budget>,
  now: number
): Effect.Effect<Budget, ToolError> => {
  const given = Object.entries(asked).filter(([, limit]) => limit !== undefined)
  const odd = given.find(([what, limit]) => !(what === "processes" ? limit >= 0 : limit > 0))
  if (odd !== undefined)
    return Effect.fail(badInput(`the budget of ${odd[0]} must be above 0, got ${odd[1]}`))
  if (parent === undefined) return Effect.succeed({ ...defaultBudget, ...Object.fromEntries(given) })
  const left = remaining(parent)
  const seconds = parent.budget.seconds - (now - parent.started) / 1000
  const most: Budget = { ...left, seconds, processes: left.processes - 1 }
  if (most.processes < 0)
    return limit(`all ${parent.budget.processes} processes that it may have at a time are taken`)
  const over = given.find(([what, limit]) => what !== "seconds" && limit > most[what as keyof Budget])
  if (over !== undefined)
    return limit(`${over[1]} ${over[0]} asked for, ${most[over[0] as keyof Budget]} left`)
  const share = {
    tokens: Math.floor(left.tokens * usual),
    seconds: Math.min(seconds, asked.seconds ?? seconds),
    syscalls: Math.floor(left.syscalls * usual),
    processes: Math.floor(most.processes * usual)
  }
  const budget = { ...share, ...Object.fromEntries(given), seconds: share.seconds }
  return budget.tokens > 0 && budget.syscalls > 0 && seconds > 0
    ? Effect.succeed(budget)
    : limit("too little of the budget is left for a child")
}

/** The budget of a child that spends its parent's: all that is left of it. It may have no children. */
export const pooledBudget = (parent: Process, now: number): Effect.Effect<Budget, ToolError> => {
  const left = remaining(parent)
  const seconds = parent.budget.seconds - (now - parent.started) / 1000
  if (left.processes < 1)
    return limit(`all ${parent.budget.processes} processes that it may have at a time are taken`)
  return left.tokens > 0 && left.syscalls > 0 && seconds > 0
    ? Effect.succeed({ ...left, seconds, processes: 0 })
    : limit("it is spent")
}

const limit = (message: string) =>
  Effect.fail(new ToolError({ code: "limit", message: `budget: ${message}` }))
