/**
 * A comparison as one HTML page that needs nothing else: no network, no scripts. What a model or a task wrote is text in it
 * and nothing more; a policy in its head (CSP) would stop anything else.
 */
import { createHash } from "node:crypto"

import { Html, html } from "./html.ts"
import { plot } from "./plot.ts"
import { type Comparison, evaluated, type Told, type Trial } from "./records.ts"
import { style } from "./style.ts"
import { type Summary, summarize, type Verdict } from "./summary.ts"
import { cells, counted, percent, whole } from "./table.ts"
import { changeHtml, treeHtml } from "./tree.ts"

/** The page, whole. `summary` saves computing what the caller has. */
export const report = (comparison: Comparison, summary: Summary = summarize(comparison)): string => {
  const { about, attempts, items, model, seeds, strategy, suite, trials } = comparison
  const [head, ...rows] = cells(summary)
  const shown = treesShown(comparison)
  const attempted = Map.groupBy(trials, (trial) => trial.item)
  return html`${new Html("<!doctype html>")}
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>noos compare: ${suite}</title>
${new Html(`<style>${style}</style>`)}</head><body>
<header><h1>${suite}</h1><p>${about}</p>
<p class="facts">${counted(items.length, "item")} · ${counted(seeds, "seed")} · slow: ${strategy} · ${model}</p>
${trials.length < attempts ? html`<p class="broken">Interrupted: ${trials.length} of ${attempts} attempts.</p>` : undefined}
</header>
<section><h2>What it shows</h2><ul class="verdicts">${summary.verdicts.map(verdictHtml)}</ul>
<p><small>Each interval holds the true difference in 95 of 100 such comparisons; they are not corrected for being several. The
words follow from the intervals alone.</small></p></section>
<section><h2>Accuracy and cost</h2><div class="wide"><table><thead><tr>${head!.map((cell) => html`<th scope="col">${cell}</th>`)}</tr></thead>
<tbody>${rows.map(
    ([mode, ...numbers]) =>
      html`<tr><th scope="row"><i class="dot ${mode}"></i>${mode}</th>${numbers.map((cell) => html`<td>${cell}</td>`)}</tr>`
  )}</tbody></table></div>
<p><small>Tokens, nodes and seconds are means of an attempt. Evaluated = prefill + generated + value; cached tokens were in the KV
cache and cost next to nothing.</small></p>
<figure>${plot(summary.rows)}</figure></section>
<section class="items"><h2>Items</h2>
<p><label><input type="checkbox" id="differ"> only those where modes differ</label>
<label><input type="checkbox" id="path"> only the chosen path of each tree</label></p>
${items.flatMap((item) => {
  const bySeed = Map.groupBy(attempted.get(item.id) ?? [], ({ seed }) => seed)
  return [...bySeed].map(([seed, of]) => itemHtml(item, seeds > 1 ? ` · seed ${seed}` : "", of, shown))
})}</section>
</body></html>
`.text
}

/** Nodes that the page has room for: browsers take many more badly. */
const roomForNodes = 50_000

/** The trees that are shown: those of slow first, and those of items where modes differ before all others. */
const treesShown = ({ modes, trials }: Comparison): ReadonlySet<Trial> => {
  const differing = new Set(
    [...Map.groupBy(trials, placeOf)].filter(([, of]) => differ(of)).map(([place]) => place)
  )
  const rank = (trial: Trial) =>
    (differing.has(placeOf(trial)) ? 0 : modes.length) + modes.indexOf(trial.mode)
  let room = roomForNodes
  const shown = trials
    .filter(({ tree }) => tree !== undefined)
    .toSorted((a, b) => rank(a) - rank(b))
    .filter(({ tree }) => {
      room -= tree!.nodes.length
      return room >= 0
    })
  return new Set(shown)
}

const placeOf = ({ item, seed }: Trial): string => JSON.stringify([item, seed])
const differ = (trials: ReadonlyArray<Trial>): boolean => new Set(trials.map(({ right }) => right)).size > 1

const hash = createHash("sha256").update(style).digest("base64")
const policy = `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'`

const verdictHtml = (verdict: Verdict): Html => {
  const { high, low } = verdict.interval
  const name = low > 0 ? "better" : high < 0 ? "worse" : "open"
  return html`<li class="${name}"><strong>${verdict.words}</strong><br><small>${basis(verdict)}</small></li>`
}

/** How a verdict came about. */
const basis = (verdict: Verdict): string => {
  const { first, items, method, p, pairs, second, tokens } = verdict
  const how =
    method === "newcombe"
      ? "paired interval (Newcombe 1998, method 10)"
      : "task-clustered paired bootstrap of 10,000 draws"
  return [
    `${counted(items, "item")}, ${how}`,
    ...(pairs === undefined ? [] : [`only ${first} right: ${pairs.first}, only ${second}: ${pairs.second}`]),
    ...(p === undefined ? [] : [`exact McNemar p ${p < 0.001 ? "< 0.001" : `= ${p.toFixed(3)}`}`]),
    ...(Number.isFinite(tokens) ? [`${tokens.toFixed(2)} tokens for each of ${second}`] : []),
    ...(verdict.perDoubling === undefined
      ? []
      : [`${(verdict.perDoubling * 100).toFixed(1)} points for each doubling of tokens`])
  ].join(" · ")
}

const itemHtml = (
  { id, task }: Told,
  note: string,
  trials: ReadonlyArray<Trial>,
  shown: ReadonlySet<Trial>
): Html => {
  return html`<details class="item ${differ(trials) ? "differ" : "alike"}"><summary><b>${id}${note}</b> ${trials.map(
    ({ mode, right, status, usage }) =>
      html`<span class="end ${right ? "right" : "wrong"}">${right ? "✓" : status === "error" ? "!" : "✗"} ${mode} <small>${whole(evaluated(usage))}</small></span> `
  )}</summary>
<pre class="task">${task}</pre>${trials.map((trial) => trialHtml(trial, shown))}</details>`
}

const trialHtml = (trial: Trial, shown: ReadonlySet<Trial>): Html => {
  const { answer, changes, escalated, mode, nodes, right, status, sure, tree, usage, why } = trial
  const how = [
    right ? "right" : status === "ok" ? "wrong" : `wrong (${status})`,
    `${whole(usage.prefillTokens)} read, ${whole(usage.cachedTokens)} cached, ${whole(usage.generatedTokens)} written, ${whole(usage.valueTokens)} for values`,
    `${(usage.wallMs / 1000).toFixed(1)} s`,
    ...(nodes > 0 ? [counted(nodes, "node")] : []),
    ...(sure === undefined ? [] : [`${percent(sure)} sure of its fast answer`])
  ].join(" · ")
  const text = typeof answer === "string" ? answer : (JSON.stringify(answer) ?? "")
  const searched =
    tree === undefined
      ? undefined
      : shown.has(trial)
        ? treeHtml(tree)
        : html`<p><small>Its tree is left out, for the page has no room for more: --json has all.</small></p>`
  return html`<article><h3><i class="dot ${mode}"></i>${mode} <small>${how}</small></h3>
${why === undefined ? undefined : html`<p class="broken">${why}</p>`}
${escalated === undefined ? undefined : html`<p>Thought slowly: ${escalated}</p>`}
<pre>${text}</pre>${changes.map(changeHtml)}${searched}</article>`
}
