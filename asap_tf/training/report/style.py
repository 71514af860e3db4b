"""The style sheet of the report: light and dark, from a telephone to a wide screen."""

CSS = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --card: #f5f6f8; --ink: #1d2129; --soft: #5d6673; --rule: #dfe3e8;
  --accent: #2563eb; --good: 22 128 84; --bad: 217 72 15;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171c; --card: #1e232b; --ink: #e7eaee; --soft: #9aa4b2; --rule: #343b46;
    --accent: #6ea8ff; --good: 44 160 108; --bad: 226 92 40;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 2rem clamp(1rem, 4vw, 3rem) 4rem; max-width: 78rem;
  background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
}
h1 { font-size: clamp(1.5rem, 4vw, 2.1rem); line-height: 1.2; margin: 0 0 1.25rem; }
h2 { font-size: 1.25rem; margin: 3rem 0 .25rem; }
h3 { font-size: 1rem; margin: 2rem 0 .5rem; }
h3 b { color: var(--accent); margin-left: .5rem; }
p { margin: 0 0 1rem; color: var(--soft); max-width: 46rem; }
h1, h3, td, th, dd { overflow-wrap: break-word; }
dl.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr));
  gap: .75rem; margin: 0 0 1rem; }
.tiles div { background: var(--card); border-radius: .6rem; padding: .8rem 1rem;
  display: flex; flex-direction: column; }
.tiles dt { font-size: .85rem; color: var(--soft); }
.tiles dd { margin: 0; font-size: 1.45rem; font-weight: 600; line-height: 1.35; }
.tiles div:first-child { background: var(--accent); }
.tiles div:first-child * { color: var(--paper); }
.curves { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr));
  gap: 1rem; margin-top: .75rem; }
figure { margin: 0; }
.curves figure { background: var(--card); border-radius: .6rem; padding: .8rem 1rem .5rem; }
.curves figcaption { display: flex; justify-content: space-between; gap: 1rem;
  font-weight: 600; margin-bottom: .4rem; }
.curves figcaption span { font-weight: 400; color: var(--soft); }
.curves svg { display: block; width: 100%; height: auto; }
.curves text { font-family: inherit !important; }
.swatch { display: inline-block; width: .85em; height: .85em; border-radius: .2em;
  margin-right: .5em; vertical-align: -.06em; border: 1px solid rgb(128 128 128 / .6); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.bars { width: 100%; margin-top: .5rem; }
.bars th { text-align: left; font-weight: 400; padding: .18rem .75rem .18rem 0;
  white-space: nowrap; }
.bars thead th { color: var(--soft); font-size: .85rem; }
.bars td { text-align: right; padding: .18rem 0 .18rem 1.25rem; white-space: nowrap; }
.bars .number { text-align: right; padding: .18rem 0 .18rem 1.25rem; }
.bars .bar { width: 100%; min-width: 6rem; padding: .18rem 0; }
.bars .group { color: var(--soft); font-size: .85rem; padding-top: 1rem; }
.bar div { background: var(--card); border-radius: .25rem; }
.bar i { display: block; height: 1.05rem; border-radius: .25rem; min-width: 2px;
  border: 1px solid rgb(128 128 128 / .6); }
.heat { font-size: .8rem; margin-top: .5rem; }
.heat th { font-weight: 400; white-space: nowrap; padding: 0 .6rem 0 0; text-align: right; }
.heat thead th { writing-mode: vertical-rl; transform: rotate(180deg); text-align: left;
  padding: .4rem 0 0; vertical-align: middle; }
.heat thead th:first-child { writing-mode: horizontal-tb; transform: none; text-align: right;
  vertical-align: bottom; padding: 0 .6rem .4rem 0; color: var(--soft); }
.heat tbody th { position: sticky; left: 0; background: var(--paper); }
.heat .swatch { margin: 0 0 0 .5em; }
.heat thead .swatch { margin: 0 0 .5em; }
.heat td { width: 2.3rem; min-width: 2.3rem; height: 2.1rem; padding: 0; text-align: center;
  border: 1px solid var(--rule); }
.heat .right { background: rgb(var(--good) / var(--v)); }
.heat .wrong { background: rgb(var(--bad) / var(--v)); }
.heat .strong { color: #fff; }
.legend { position: sticky; top: 0; z-index: 1; background: var(--paper); font-size: .85rem;
  display: flex; flex-wrap: wrap; gap: .2rem 1rem; list-style: none; margin: 0;
  padding: .5rem 0; border-bottom: 1px solid var(--rule); }
.example { display: grid; grid-template-columns: repeat(2, 1fr); gap: .75rem; }
.example img { display: block; width: 100%; height: auto; border-radius: .35rem; }
.example figcaption { font-size: .85rem; color: var(--soft); margin-top: .15rem; }
details { margin-top: 3rem; background: var(--card); border-radius: .6rem; padding: .8rem 1rem; }
summary { cursor: pointer; font-weight: 600; }
pre { overflow-x: auto; font-size: .85rem; margin: .75rem 0 0; }
@media (max-width: 34rem) {
  .example { gap: .4rem; }
  .bars .optional { display: none; }
}
@media print { .legend { position: static; } .example, .curves figure { break-inside: avoid; } }
"""
