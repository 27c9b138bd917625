"""How a report looks: on a screen, dark or light, and on A4 on its side, where the ECG is true to scale."""

STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --soft: #595959; --back: #fff; --line: #d0d0d0; --bar: #1f4e8c;
  --bad: #a3231c; --near: #7a4b00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --soft: #b0b0b0; --back: #16181b; --line: #44484d;
  --bar: #8ab4f0; --bad: #ff9a92; --near: #f0c070; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 1180px; font: 15px/1.45 system-ui, sans-serif;
  color: var(--ink); background: var(--back); overflow-wrap: break-word; }
h1 { font-size: 1.35rem; margin: 0; } h2 { font-size: 1.3rem; margin: 0 0 .4rem; }
h3 { font-size: 1.05rem; margin: 1.3rem 0 .3rem; } h4 { font-size: 1rem; margin: 1rem 0 .2rem; }
p { margin: .2rem 0; } ul, ol { margin: .2rem 0; padding-left: 1.4rem; }
a { color: inherit; } .soft { color: var(--soft); }
header, nav { border-bottom: 1px solid var(--line); padding-bottom: .6rem; margin-bottom: .8rem; }
article + article { border-top: 3px solid var(--line); margin-top: 2rem; padding-top: 1rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 1rem; margin: 0 0 .6rem; }
dt { color: var(--soft); } dd { margin: 0; }
figure { margin: 0; } .paper { background: #fff; overflow-x: auto; }
.paper svg { display: block; max-width: 100%; height: auto; }
figcaption, caption { color: var(--soft); text-align: left; font-size: .9rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin: .2rem 0 .6rem; }
th, td { text-align: left; vertical-align: top; padding: .15rem .6rem .15rem 0; border-bottom: 1px solid var(--line); }
thead th { color: var(--soft); font-weight: 600; } tbody th { font-weight: 500; }
.leads { font-size: .85em; } .leads th, .leads td { padding-right: .3rem; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.answer { white-space: nowrap; } .above, .below { color: var(--bad); font-weight: 600; }
.borderline { color: var(--near); }
.met { font-weight: 600; }
.bar { display: block; height: .35rem; width: 8rem; max-width: 100%; border: 1px solid var(--bar); }
.bar span { display: block; height: 100%; background: var(--bar); }
@media screen and (max-width: 700px) { .paper svg { max-width: none; } }
@page { size: A4 landscape; margin: 8mm; }
@media print {
  :root { color-scheme: light; --ink: #000; --soft: #444; --back: #fff; --line: #bbb; --bar: #1f4e8c; --bad: #a3231c;
    --near: #7a4b00; }
  body { padding: 0; max-width: none; font-size: 9.5pt; }
  article + article, nav ~ main article { break-before: page; border-top: 0; margin-top: 0; padding-top: 0; }
  .paper, .wide { overflow: visible; } .bar span { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  figure, tr, li { break-inside: avoid; } h2, h3, h4, caption { break-after: avoid; }
}
"""
