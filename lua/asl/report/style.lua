--- The style sheet of the report: light, dark and print.

return [[
:root {
  color-scheme: light dark;
  --paper: #fbfbfa; --card: #ffffff; --ink: #1c1e21; --soft: #5d6470; --line: #e3e5e8; --tint: #f2f4f6;
  --heat-rgb: 37, 99, 235;
  --c1: #2563eb; --c2: #d9730d; --c3: #0f9d6b; --c4: #8b46d8; --c5: #d3344c; --c6: #0e8fa8;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #131518; --card: #1b1e22; --ink: #e6e8eb; --soft: #9aa2ad; --line: #30353c; --tint: #23272d;
    --heat-rgb: 64, 125, 255;
    --c1: #6b9bff; --c2: #f2a154; --c3: #43c796; --c4: #b78af2; --c5: #f2758a; --c6: #4fc3d9;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); line-height: 1.55; font-size: 16px;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 40px 24px 72px; }
h1 { font-size: 2rem; line-height: 1.2; margin: 4px 0 10px; letter-spacing: -0.015em; }
h2 { font-size: 1.25rem; margin: 0 0 12px; letter-spacing: -0.01em; }
h3 { font-size: 0.95rem; margin: 18px 0 8px; font-weight: 600; }
p { margin: 0 0 12px; max-width: 74ch; }
section { margin-top: 40px; padding-top: 24px; border-top: 1px solid var(--line); }
small { font-size: 0.78em; color: var(--soft); font-weight: 400; }
code, pre { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: 0.86em; }
pre { background: var(--tint); border: 1px solid var(--line); border-radius: 8px; padding: 12px 14px; overflow-x: auto;
  margin: 0 0 14px; }
td code { overflow-wrap: anywhere; }
.kicker { color: var(--soft); font-size: 0.82rem; margin: 0; }
.about { font-size: 1.08rem; }
.finding { font-size: 1.08rem; }
.note { color: var(--soft); font-size: 0.9rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(200px, 1fr)); gap: 14px;
  max-width: calc(var(--tiles) * 380px); margin-top: 22px; }
.tile { background: var(--card); border: 1px solid var(--line); border-left: 4px solid var(--own); border-radius: 8px;
  padding: 14px 16px; }
.tile-name { font-weight: 600; }
.tile-value { font-size: 2.1rem; font-weight: 650; line-height: 1.25; font-variant-numeric: tabular-nums; }
.tile-value span { font-size: 0.95rem; font-weight: 400; color: var(--soft); }
.tile-more { color: var(--soft); font-size: 0.84rem; }
.s1 { --own: var(--c1); } .s2 { --own: var(--c2); } .s3 { --own: var(--c3); }
.s4 { --own: var(--c4); } .s5 { --own: var(--c5); } .s6 { --own: var(--c6); }
i.mark { display: inline-block; width: 0.62em; height: 0.62em; border-radius: 50%; background: var(--own);
  margin-right: 0.45em; }
i.chip { display: inline-block; width: 0.85em; height: 0.85em; border-radius: 3px; margin-right: 0.5em;
  vertical-align: -0.08em; border: 1px solid rgba(128, 128, 128, 0.45); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.9rem; }
th, td { padding: 6px 12px; text-align: right; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; white-space: nowrap; }
tbody th, thead th:first-child { text-align: left; }
thead th { color: var(--soft); font-weight: 600; border-bottom: 1px solid var(--soft); }
tbody th { font-weight: 500; white-space: normal; }
.range { margin-left: 0.5em; white-space: nowrap; }
.meaning { display: block; max-width: 46ch; }
table.left td, table.left th { text-align: left; }
table.pairs th { white-space: nowrap; }
table.by-strategy { min-width: 60%; }
.side-by-side { display: flex; flex-wrap: wrap; gap: 28px; }
figure { margin: 0; }
.matrix figcaption { font-weight: 600; margin-bottom: 6px; }
.matrix table { border-collapse: separate; border-spacing: 3px; }
.matrix th, .matrix td { border: 0; padding: 6px 10px; }
.matrix th.corner { font-weight: 400; font-size: 0.78em; vertical-align: bottom; }
.matrix td { text-align: center; min-width: 66px; border-radius: 5px; }
.matrix td small { display: block; margin: 0; }
.matrix td.heat { background: rgba(var(--heat-rgb), var(--heat, 0)); }
.matrix td.strong, .matrix td.strong small { color: #fff; }
.matrix td.just { outline: 2px solid var(--ink); outline-offset: -1px; }
.matrix td.mean { color: var(--soft); }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(440px, 1fr)); gap: 26px; }
.chart figcaption { font-weight: 600; font-size: 0.95rem; }
.chart svg { width: 100%; height: auto; display: block; }
.chart text { fill: var(--soft); font-size: 11.5px; font-family: inherit; }
.chart .middle, .chart .band-label { text-anchor: middle; }
.chart .end { text-anchor: end; }
.chart .band-label { font-size: 11px; }
.chart .grid { stroke: var(--line); }
.chart .axis { stroke: var(--soft); }
.chart .band { fill: var(--tint); }
.chart .curve { fill: none; stroke: var(--own); stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
.chart .dashed { stroke-dasharray: 6 5; }
.chart .dot { fill: var(--own); }
.legend { display: flex; flex-wrap: wrap; gap: 4px 16px; font-size: 0.84rem; color: var(--soft); margin: 4px 0; }
.legend .key { display: inline-flex; align-items: center; }
.legend .key > i:not(.chip) { width: 16px; height: 3px; border-radius: 2px; background: var(--own);
  margin-right: 6px; }
.legend .key > i.dashed { background: linear-gradient(to right, var(--own) 40%, transparent 40% 60%, var(--own) 60%); }
.strip .cells { display: grid; grid-template-columns: repeat(var(--cells), minmax(104px, 240px)); gap: 8px;
  overflow-x: auto; }
.strip img { width: 100%; display: block; border-radius: 5px; image-rendering: pixelated; }
.strip figcaption { font-size: 0.8rem; color: var(--soft); margin-top: 3px; }
table.classes td, table.classes th { padding: 3px 9px; }
table.classes th.group { text-align: center; border-left: 1px solid var(--line); }
table.classes thead tr:nth-child(2) th { text-align: right; font-weight: 400; }
td.bar { background: linear-gradient(to right, color-mix(in srgb, var(--own) 26%, transparent) var(--part),
  transparent var(--part)); }
details { margin-top: 14px; }
summary { cursor: pointer; font-weight: 600; margin-bottom: 8px; }
@media (max-width: 560px) { .charts { grid-template-columns: 1fr; } main { padding: 24px 14px 48px; } }
@media print {
  :root { color-scheme: light; }
  body { background: #fff; font-size: 10.5pt; }
  main { max-width: none; padding: 0; }
  section { break-inside: avoid-page; margin-top: 22px; padding-top: 14px; }
  figure, .tile, tr { break-inside: avoid; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
]]
