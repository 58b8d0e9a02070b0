// The style of the live network, where it has more than the explorer's. It names both classes, so that it also holds
// where an explorer's style comes after it on the page.

export const STYLE = `
.wd-explorer.wd-live { container-type: inline-size; }
.wd-explorer.wd-live .stories { display: flex; flex-wrap: wrap; gap: .35rem; margin: 0 0 .3rem; }
.wd-explorer.wd-live .stories button { font-size: .85rem; min-height: 1.8rem; padding: .1rem .45rem; }
.wd-explorer.wd-live button[aria-pressed=true]:enabled {
  background: var(--accent); border-color: var(--accent); color: #fff; }
.wd-explorer.wd-live.dark button[aria-pressed=true]:enabled { color: #111; }
.wd-explorer.wd-live .look { margin: .2rem 0; font-size: .95rem; }
.wd-explorer.wd-live :is(.driving, .kicks) :is(button, select, .typed) {
  font-size: .85rem; min-height: 1.8rem; padding: .1rem .4rem; }
.wd-explorer.wd-live .driving { margin: .3rem 0; gap: .4rem .6rem; }
.wd-explorer.wd-live .play, .wd-explorer.wd-live .restart { min-width: 4.3rem; }
.wd-explorer.wd-live .settings { background: var(--pst-color-background, Canvas); position: sticky;
  top: var(--wd-top, 0px); z-index: 2; padding: .1rem 0; }
@container (min-width: 40rem) {
  .wd-explorer.wd-live .settings { display: grid; grid-template-columns: repeat(3, 1fr); gap: 0 1.4rem; }
  .wd-explorer.wd-live .settings .error { grid-column: 1 / -1; }
  .wd-explorer.wd-live .slider { grid-template-columns: 1fr 5rem; gap: .25rem .6em; margin: 0; }
  .wd-explorer.wd-live .slider input[type=range] { grid-row: 2; grid-column: 1 / -1; }
}
.wd-explorer.wd-live .charts {
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); gap: .2rem 1rem; }
.wd-explorer.wd-live .moving { position: relative; }
.wd-explorer.wd-live .moving canvas { position: absolute; left: 0; top: 0; pointer-events: none; }
.wd-explorer.wd-live figure.panel > figcaption { margin: .2rem 0 0; font-size: .85rem; }
.wd-explorer.wd-live .legend { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.8rem, 1fr));
  gap: .1rem .2rem; margin: .2rem 0; }
.wd-explorer.wd-live .legend button {
  border: 1px solid transparent; min-height: 1.7rem; padding: 0 .3rem; font-size: .85rem;
  display: inline-flex; align-items: center; gap: .35em; white-space: nowrap; }
.wd-explorer.wd-live .legend button.lit { border-color: currentColor; }
.wd-explorer.wd-live .legend :is(.number, .theory) { font-variant-numeric: tabular-nums; }
@container (max-width: 39.99rem) { .wd-explorer.wd-live .legend .theory { display: none; } }
@container (min-width: 40rem) {
  .wd-explorer.wd-live .legend { grid-template-columns: repeat(auto-fill, minmax(16.5rem, 1fr)); } }
.wd-explorer.wd-live .legend button[aria-pressed=true]:enabled { background: transparent;
  border-color: var(--accent); color: inherit; }
.wd-explorer.wd-live p { margin: .2rem 0; }
.wd-explorer.wd-live .agrees { min-height: 2.9em; font-variant-numeric: tabular-nums; }
.wd-explorer.wd-live .law { font-size: .9rem; }
.wd-explorer.wd-live .runs { font-size: .85rem; font-variant-numeric: tabular-nums; }
.wd-explorer.wd-live .seed .typed { width: 4.2rem; }
.wd-explorer.wd-live .kicks { margin: .2rem 0; }
@container (max-width: 34rem) {
  .wd-explorer.wd-live .stories { flex-wrap: nowrap; overflow-x: auto; padding-bottom: .3rem; }
  .wd-explorer.wd-live .stories button { flex: none; }
  .wd-explorer.wd-live .slider { grid-template-columns: 7.2em 1fr 4.2rem; gap: .4em; margin: 0; }
  .wd-explorer.wd-live .slider label { grid-column: auto; font-size: .85rem; white-space: nowrap; }
  .wd-explorer.wd-live .typed { width: 4.2rem; }
}
.wd-explorer.wd-live .recorded { display: none; }
@media print {
  .wd-explorer.wd-live :is(.stories, .driving, .settings, .kicks, details:has(fieldset)) {
    display: none; }
  .wd-explorer.wd-live .recorded { display: block; }
  .wd-explorer.wd-live:has(> .recorded > *) > :is(.charts, .legend, .look, .verdict, .agrees, .runs, .printed) {
    display: none; }
}
`;
