/** The style of the report's page: by day, by night and on paper. */
export const style = `
:root { color-scheme: light dark; --ink: light-dark(#1b1f24, #e6e8eb); --soft: light-dark(#5c6670, #9aa4ae);
  --paper: light-dark(#fff, #14171a); --line: light-dark(#d9dee3, #343a41); --card: light-dark(#f5f7f9, #1d2126);
  --good: light-dark(#0a7a3d, #58c98a); --bad: light-dark(#b3261e, #f2938c); }
* { box-sizing: border-box }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 68rem;
  margin: 0 auto; padding: 1.5rem }
h1 { margin: 0; font-size: 1.9rem } h2 { margin: 2.2rem 0 .6rem; font-size: 1.25rem } h3 { margin: 1rem 0 .3rem; font-size: 1rem }
p { margin: .4rem 0 } small, .facts { color: var(--soft); font-weight: 400 }
code, pre { font: .85rem/1.45 ui-monospace, monospace; overflow-wrap: anywhere }
pre { white-space: pre-wrap; background: var(--card); padding: .5rem .7rem; margin: .3rem 0; border-radius: 4px;
  max-height: 24rem; overflow: auto }
pre:empty { display: none }
.verdicts { list-style: none; padding: 0 }
.verdicts li { border-left: 4px solid var(--soft); background: var(--card); padding: .5rem .9rem; margin: .4rem 0 }
.verdicts .better { border-color: var(--good) } .verdicts .worse { border-color: var(--bad) }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; width: 100% }
th, td { text-align: right; padding: .3rem .45rem; border-bottom: 1px solid var(--line); white-space: nowrap }
th:first-child { text-align: left } th { font-weight: 600 } thead th { color: var(--soft) }
figure { margin: 1rem 0 } svg { width: 100%; max-width: 52rem; height: auto; font: 12px system-ui, sans-serif; fill: var(--ink) }
.grid line { stroke: var(--line) } .grid text { fill: var(--soft) }
.fast { --mode: light-dark(#5c6670, #aab4be) } .slow { --mode: light-dark(#1257c9, #74a9ff) }
.auto { --mode: light-dark(#7a33b8, #c896f5) } .best-of-n { --mode: light-dark(#a85a00, #f0aa55) }
.self-consistency { --mode: light-dark(#00797a, #52cccc) } .random { --mode: light-dark(#b3261e, #f2938c) }
.mark circle, .mark text { fill: var(--mode) } .mark .bar { stroke: var(--mode); stroke-width: 2; fill: none }
.mark .lead { stroke: var(--mode); stroke-width: .6; stroke-dasharray: 2 3 }
.dot { display: inline-block; width: .7em; height: .7em; border-radius: 50%; background: var(--mode); margin-right: .45em;
  print-color-adjust: exact }
label { margin-right: 1.2rem }
.item { border-bottom: 1px solid var(--line); padding: .35rem 0; content-visibility: auto; contain-intrinsic-size: auto 2.2rem }
summary { cursor: pointer; overflow-wrap: anywhere }
.end { display: inline-block; margin-left: .8rem; white-space: nowrap } .right { color: var(--good) } .wrong, .broken { color: var(--bad) }
article { margin-left: 1rem }
.tree { list-style: none; margin: .2rem 0; padding-left: 1.1rem; border-left: 1px solid var(--line) }
.tree li { padding: .1rem 0 } .tree li > div { padding-left: 1rem }
.tree .chosen > details > summary > code, .tree .chosen > div > code { font-weight: 700; color: var(--good) }
.tree .pruned > details > summary > code, .tree .pruned > div > code { text-decoration: line-through; opacity: .7 }
.tree .duplicate > details > summary, .tree .duplicate > div { opacity: .55 }
meter { width: 3.5rem; height: .7rem; vertical-align: middle }
.change { margin: .2rem 0 .2rem 1rem } .diff { line-height: 1.3 } .diff span { display: block; white-space: pre-wrap }
.plus { color: var(--good) } .minus { color: var(--bad) } .hunk { color: var(--soft) }
body:has(#differ:checked) .alike { display: none }
body:has(#path:checked) .tree li:not(.chosen) { display: none }
@media print { :root { color-scheme: light } body { max-width: none; padding: 0; font-size: 11pt } label { display: none }
  pre { max-height: none } .item, .verdicts li, figure { break-inside: avoid } .item[open] { break-inside: auto } }
`
