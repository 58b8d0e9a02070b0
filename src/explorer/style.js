// How it looks: one style for the explorer and the live network.

export const STYLE = `
.wd-explorer { font: inherit; color: inherit; max-width: 60rem; margin: 1rem 0; line-height: 1.45;
  --c0: #440154; --c1: #3b528b; --c2: #21918c; --c3: #5aa02c; --shrink: #7b3fa0; --growth: #00796b; --accent: #1f6fb2;
  --alert: #b3261e; --paper: var(--jp-layout-color0, var(--pst-color-background, Canvas)); }
.wd-explorer.dark { --c0: #c58ee0; --c1: #8fabf5; --c2: #3fbdb3; --c3: #8fd060; --shrink: #c9a0e8; --growth: #4fc3b0;
  --accent: #6db3f2; --alert: #ff8a80; }
.wd-explorer [hidden] { display: none !important; }
.wd-explorer button, .wd-explorer select, .wd-explorer input { font: inherit; font-size: .9rem; color: inherit; }
.wd-explorer button, .wd-explorer select, .wd-explorer .typed { background: transparent; border: 1px solid currentColor;
  border-radius: 4px; padding: .15rem .5rem; min-height: 1.9rem; }
.wd-explorer select option { color: #111; background: #fff; }
.wd-explorer button { cursor: pointer; }
.wd-explorer button:hover:enabled { background: color-mix(in srgb, currentColor 12%, transparent); }
.wd-explorer button:disabled { opacity: .5; cursor: default; }
.wd-explorer button[aria-pressed=true] { border-color: var(--accent); box-shadow: inset 0 0 0 1px var(--accent);
  font-weight: 600; }
.wd-explorer input.link { flex: 1 1 12rem; min-width: 8rem; border: 1px solid currentColor; background: transparent; }
.wd-explorer .copy-link { display: contents; }
.wd-explorer .copied:empty { display: none; }
.wd-explorer .copied { font-size: .9rem; }
.wd-explorer :is(button, select, input, summary):focus-visible {
  outline: 3px solid var(--accent); outline-offset: 2px; }
.wd-explorer .wd-row { display: flex; flex-wrap: wrap; gap: .4rem .8rem; align-items: center; margin: .5rem 0; }
.wd-explorer .slider { display: grid; grid-template-columns: 9.5em 1fr 5rem; gap: .6em; align-items: center;
  margin: .25rem 0; }
.wd-explorer .slider input[type=range] { width: 100%; min-width: 0; margin: 0; accent-color: var(--accent);
  min-height: 1.6rem; }
.wd-explorer .typed { width: 5rem; box-sizing: border-box; font-variant-numeric: tabular-nums; }
.wd-explorer .typed[aria-invalid=true] { border-color: var(--alert); border-width: 2px; }
.wd-explorer label { margin: 0; padding: 0; }
.wd-explorer label.choice { display: inline-flex; gap: .35em; align-items: center; font-size: .9rem; max-width: 100%;
  flex-wrap: wrap; }
.wd-explorer label.choice select { max-width: 100%; }
.wd-explorer fieldset { border: 0; padding: 0; margin: .3rem 0; display: flex; flex-wrap: wrap; gap: .2rem .9rem;
  font-size: .9rem; }
.wd-explorer legend { float: left; width: auto; padding: 0; margin-right: .6em; font-size: .9rem; }
.wd-explorer p { margin: .4rem 0; }
.wd-explorer .story:empty, .wd-explorer .formula:empty { display: none; }
.wd-explorer .story, .wd-explorer .verdict { font-weight: 600; }
.wd-explorer .verdicts p { margin: .2rem 0; }
.wd-explorer .verdicts { min-height: 3em; }
.wd-explorer .formula, .wd-explorer .source { font-size: .9rem; }
.wd-explorer .error { color: var(--alert); font-weight: 600; }
.wd-explorer .charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 17rem), 1fr));
  gap: .4rem 1rem; align-items: end; }
.wd-explorer figure.panel { margin: 0; padding: 0; min-width: 0; width: auto; }
.wd-explorer figure.panel > figcaption { font-size: .9rem; text-align: left; margin: .3rem 0 .1rem; color: inherit; }
.wd-explorer svg { display: block; max-width: 100%; touch-action: pan-y; overflow: hidden; }
.wd-explorer svg text { fill: currentColor; font-size: 12px; font-family: inherit; }
.wd-explorer .axes line { stroke: currentColor; opacity: .18; }
.wd-explorer .axes path.domain { stroke: currentColor; opacity: .5; fill: none; }
.wd-explorer .curve { fill: none; stroke-width: 1.7; }
.wd-explorer .curve.level { stroke-width: 3; }
.wd-explorer .curve.line { stroke-width: 2.6; }
.wd-explorer .curve.guess { stroke-dasharray: 3 3; stroke-width: 2; }
.wd-explorer .dots.dots { stroke: none; }
.wd-explorer .dots.mine { stroke-width: 1.3; }
.wd-explorer .dots.faint { stroke-width: .7; opacity: .9; }
.wd-explorer .cursor { stroke: currentColor; stroke-width: 1; opacity: .6; }
.wd-explorer .curve.ghost { stroke-width: 1.2; opacity: .4; }
.wd-explorer .veil { fill: var(--paper); opacity: .8; pointer-events: none; }
.wd-explorer .tip { font-weight: 600; paint-order: stroke; stroke: var(--paper); stroke-width: 4px;
  pointer-events: none; }
.wd-explorer svg.lit :is(.curve, .dots)[data-layer]:not(.on) { opacity: .15; }
.wd-explorer svg.lit .curve.on { stroke-width: 2.6; }
.wd-explorer .legend { display: flex; flex-wrap: wrap; gap: .1rem .2rem; padding: 0; margin: .3rem 0;
  list-style: none; }
.wd-explorer .legend li { margin: 0; }
.wd-explorer .legend button { display: flex; align-items: center; gap: .35em; border-color: transparent;
  font-size: .85rem; padding: 0 .35rem; min-height: 1.6rem; }
.wd-explorer .legend button[aria-pressed=true] { border-color: var(--accent); }
.wd-explorer :is(.legend, .key) svg { display: inline; vertical-align: middle; }
.wd-explorer .key { display: flex; flex-wrap: wrap; gap: .1rem .9rem; font-size: .85rem; }
.wd-explorer .cursor-row { grid-template-columns: auto 1fr 3.5em auto; }
.wd-explorer .scroll { overflow-x: auto; }
.wd-explorer table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; margin: .3rem 0;
  width: auto; }
.wd-explorer th, .wd-explorer td { padding: .1rem .7rem .1rem 0; text-align: right; border: 0; background: none;
  color: inherit; }
.wd-explorer th:first-child { text-align: left; font-weight: 400; }
.wd-explorer caption { text-align: left; caption-side: top; color: inherit; padding: 0; }
.wd-explorer progress { width: 10rem; max-width: 100%; accent-color: var(--accent); }
.wd-explorer details { margin: .5rem 0; }
.wd-explorer summary { cursor: pointer; }
@media (max-width: 30rem) {
  .wd-explorer .moved { position: sticky; top: var(--wd-top, 0px); z-index: 3; background: var(--paper);
    padding: .2rem 0; border-bottom: 1px solid color-mix(in srgb, currentColor 25%, transparent); }
  .wd-explorer .moved .slider { grid-template-columns: 1.2em 1fr 4.6rem; margin: 0; }
  .wd-explorer .moved .typed { width: 4.6rem; }
  .wd-explorer .moved .word { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .wd-explorer .presets { flex-wrap: nowrap; overflow-x: auto; padding: 3px; }
  .wd-explorer .presets button { flex: none; }
}
.wd-explorer .aloud { position: absolute; width: 1px; height: 1px; margin: -1px; overflow: hidden;
  clip-path: inset(50%); white-space: nowrap; }
@media (pointer: coarse) { .wd-explorer :is(input, select, button) { font-size: 16px; } }
.wd-explorer .printed { display: none; }
@media print {
  .wd-explorer :is(.controls, .cursor-row, .go, .choices, .presets, .training, .guess button, .undo, .copy-link) {
    display: none; }
  .wd-explorer .printed { display: block; font-weight: 600; }
}
`;
