/**
 * The style sheet of the page, as a module so that it needs no file at run time.
 *
 * @since 0.1.0
 */

/**
 * @category constants
 * @since 0.1.0
 */
export const style = `
:root { color-scheme: light dark; --back: #f6f7f9; --card: #fff; --text: #1c2430; --soft: #667085; --line: #e4e7ec; --code: #eef1f5;
  --blue: #175cd3; --blue-back: #e0ecff; --green: #067647; --green-back: #d9f5e5; --red: #b42318; --red-back: #fee4e2; --grey-back: #e9ecf0 }
@media (prefers-color-scheme: dark) { :root { --back: #0f1319; --card: #171c24; --text: #e6e9ee; --soft: #98a2b3; --line: #2a313c; --code: #232a35;
  --blue: #84b4ff; --blue-back: #17315c; --green: #6fd6a3; --green-back: #103d2b; --red: #ff9c92; --red-back: #4c1b17; --grey-back: #2a313c } }
* { box-sizing: border-box }
body { margin: 0; background: var(--back); color: var(--text); font: 14px/1.5 system-ui, sans-serif }
header, main, .models { max-width: 1320px; margin: 0 auto; padding: 0 24px }
header { padding-top: 28px; display: flex; flex-wrap: wrap; align-items: baseline; gap: 4px 20px }
h1 { font-size: 22px; margin: 0 }
h2 { font-size: 15px; margin: 28px 0 10px }
a { color: var(--blue) }
.connect { color: var(--soft); margin: 6px 0 0; flex-basis: 100% }
.count { color: var(--soft); font-weight: 400; margin-left: 4px }
h3 { font-size: 13px; font-weight: 500; margin: 16px 0 8px }
.models { padding-bottom: 40px }
details + details { border-top: 1px solid var(--line) }
summary { cursor: pointer; padding: 9px 14px }
.scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 10px }
table { border-collapse: collapse; table-layout: fixed; width: 100%; min-width: 1040px }
th, td { text-align: left; vertical-align: top; padding: 9px 14px; white-space: nowrap }
th { color: var(--soft); font-weight: 500; font-size: 12px }
tbody tr { border-top: 1px solid var(--line) }
td { font-variant-numeric: tabular-nums }
th { width: 92px }
th:first-child, th:nth-child(4) { width: 112px }
th:nth-child(3) { width: 132px }
th.query { width: auto }
td.query { white-space: normal; overflow-wrap: anywhere }
td:nth-child(3) { white-space: normal; overflow-wrap: break-word }
.fields { margin-bottom: 12px }
.fields th, .fields th:first-child { width: auto }
.fields th:last-child { width: 160px }
.fields td, .fields td:nth-child(3) { white-space: normal; overflow-wrap: anywhere; padding-block: 5px }
.number { text-align: right }
code { background: var(--code); border-radius: 4px; padding: 1px 5px; font: 12.5px/1.6 ui-monospace, monospace; white-space: pre-wrap }
.asked, .none, .id { color: var(--soft) }
.id { font: 11.5px/1.7 ui-monospace, monospace }
.status { display: inline-block; border-radius: 99px; padding: 1px 10px; font-weight: 500; font-size: 12.5px; background: var(--grey-back) }
.status.running { background: var(--blue-back); color: var(--blue) }
.status.complete { background: var(--green-back); color: var(--green) }
.status.error { background: var(--red-back); color: var(--red) }
.error { color: var(--red); font: 12.5px/1.5 ui-monospace, monospace; white-space: pre-wrap; margin: 4px 0; max-height: 12em; overflow: auto }
#lost { color: var(--red) }
footer { color: var(--soft); font-size: 12.5px; padding: 20px 0 0 }
`
