/**
 * The blocks world of four actions (PlanBench, Valmeekam et al. 2023; domain `blocksworld-4ops`): a hand moves blocks
 * between towers. Distances to a goal are exact, by breadth-first search; worlds of up to six blocks have a few thousand
 * states.
 */

/** Blocks from the top down. */
export type Tower = ReadonlyArray<string>

export interface World {
  /** In the order of their lowest blocks. */
  readonly towers: ReadonlyArray<Tower>
  readonly hand?: string
}

/** What must stand on what: pieces of towers, each of two blocks or more. */
export type Goal = ReadonlyArray<Tower>

export const readTowers = (text: string): ReadonlyArray<Tower> =>
  text.split(", ").map((tower) => tower.split(" "))
export const towersText = (towers: ReadonlyArray<Tower>): string =>
  towers.map((tower) => tower.join(" ")).join(", ")

const bottom = (tower: Tower): string => tower[tower.length - 1]!
const world = (towers: ReadonlyArray<Tower>, hand?: string): World => ({
  towers: [...towers].sort((a, b) => (bottom(a) < bottom(b) ? -1 : 1)),
  ...(hand !== undefined && { hand })
})

export const worldOf = (towers: string): World => world(readTowers(towers))

/** Equal for equal worlds: `a b c, d; hand e`. An empty hand is not named. */
export const worldText = ({ hand, towers }: World): string =>
  `${towersText(towers)}${hand === undefined ? "" : `${towers.length === 0 ? "" : "; "}hand ${hand}`}`

const actions = ["pick-up", "put-down", "stack", "unstack"] as const
type Action = (typeof actions)[number]

/** The world after an action, or why it cannot be done. */
export const act = (before: World, step: string): World | string => {
  const [name, a, b, ...rest] = step.trim().split(/\s+/)
  const action = actions.find((known) => known === name) as Action | undefined
  const two = action === "stack" || action === "unstack"
  if (action === undefined || a === undefined || two !== (b !== undefined) || rest.length > 0)
    return "write pick-up A, put-down A, stack A B or unstack A B"
  const { hand, towers } = before
  const blocks = new Set([...towers.flat(), hand])
  const missing = [a, b].find((block) => block !== undefined && !blocks.has(block))
  if (missing !== undefined) return `no block ${missing}`
  const under = (top: string) => towers.find((tower) => tower[0] === top)
  if (action === "put-down" || action === "stack") {
    if (hand !== a) return `not holding ${a}`
    if (b === undefined) return world([...towers, [a]])
    const onto = under(b)
    if (onto === undefined) return `${b} is not clear`
    return world(towers.map((tower) => (tower === onto ? [a, ...tower] : tower)))
  }
  if (hand !== undefined) return "the hand is not empty"
  const from = under(a)
  if (from === undefined) return `${a} is not clear`
  const others = towers.filter((tower) => tower !== from)
  if (b === undefined) return from.length === 1 ? world(others, a) : `${a} is not on the table`
  return from[1] === b ? world([...others, from.slice(1)], a) : `${a} is not on ${b}`
}

/** Every action that is possible. */
export const possible = ({ hand, towers }: World): ReadonlyArray<string> =>
  hand === undefined
    ? towers.map(([a, b]) => (b === undefined ? `pick-up ${a}` : `unstack ${a} ${b}`))
    : [`put-down ${hand}`, ...towers.map(([top]) => `stack ${hand} ${top}`)]

export const holds = ({ towers }: World, goal: Goal): boolean =>
  goal.every((piece) => {
    const text = ` ${piece.join(" ")} `
    return towers.some((tower) => ` ${tower.join(" ")} `.includes(text))
  })

const next = (from: World): ReadonlyArray<World> => possible(from).map((step) => act(from, step) as World)

/** Goals whose distances are kept. */
const kept = 3000
const known = new Map<string, ReadonlyMap<string, number>>()

/** Every action can be undone, so the distances from all goal worlds are those to the nearest of them. */
const distances = (some: World, goal: Goal): ReadonlyMap<string, number> => {
  const blocks = [...some.towers.flat(), ...(some.hand === undefined ? [] : [some.hand])].length
  const key = `${blocks}|${towersText(goal)}`
  const before = known.get(key)
  if (before !== undefined) return before
  const all = new Map([[worldText(some), some]])
  for (const from of all.values()) for (const to of next(from)) all.set(worldText(to), to)
  const found = new Map([...all].filter(([, w]) => holds(w, goal)).map(([text]) => [text, 0]))
  for (const [text, distance] of found)
    for (const to of next(all.get(text)!)) {
      const there = worldText(to)
      if (!found.has(there)) found.set(there, distance + 1)
    }
  if (known.size >= kept) known.clear()
  known.set(key, found)
  return found
}

/** Actions to the goal, at least. */
export const distance = (from: World, goal: Goal): number => distances(from, goal).get(worldText(from))!

/** The possible actions that bring it nearer to the goal. */
export const nearer = (from: World, goal: Goal): ReadonlyArray<string> => {
  const here = distance(from, goal)
  return possible(from).filter((step) => distance(act(from, step) as World, goal) < here)
}
