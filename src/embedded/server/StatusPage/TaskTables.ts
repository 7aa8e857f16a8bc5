/**
 * The tasks of all users as tables: the running, the waiting and the finished ones.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import type { Task } from "../../tasks/Task.ts"
import { type Html, html } from "./Html.ts"

/** The most tasks in one table. The others are counted. */
const mostShown = 100

const nothing = html`<span class="none">–</span>`

const clock = (millis: number) => {
  const iso = DateTime.formatIso(DateTime.makeUnsafe(millis))
  return html`<time datetime="${iso}" title="${iso}">${iso.slice(11, 19)}</time>`
}

const durationOf = (millis: number): string => {
  if (millis < 1000) return `${millis} ms`
  if (millis < 60_000) return `${(millis / 1000).toFixed(1)} s`
  const seconds = Math.floor(millis / 1000)
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`
}

const codes = (names: ReadonlyArray<string>) => names.map((name) => html`<code>${name}</code> `)

/** The other parts of the query, with the names of its body. */
const partsOf = ({ stored: { query } }: Task): ReadonlyArray<Html> =>
  Object.entries({
    filters: query.filters && Object.entries(query.filters).map(([field, expression]) => `${field}: ${expression}`),
    pivots: query.pivots,
    sorts: query.sorts,
    limit: query.limit && [query.limit],
    dynamic_fields: query.dynamic_fields && [query.dynamic_fields],
    query_timezone: query.query_timezone && [query.query_timezone]
  }).flatMap(([name, values]) =>
    values && values.length > 0 ? [html`<div class="asked">${name} ${codes(values)}</div>`] : []
  )

/**
 * What the tables need besides the tasks: the names of users, and the time.
 *
 * @category models
 * @since 0.1.0
 */
export interface View {
  readonly nameOf: (userId: string) => string
  readonly now: number
}

const rowOf =
  ({ nameOf, now }: View) =>
  (task: Task): Html => {
    const { state, stored } = task
    const startedAt = "startedAt" in state ? state.startedAt : undefined
    const endedAt = "endedAt" in state ? state.endedAt : now
    const error = state.status === "error" ? html`<pre class="error">${state.error.message}</pre>` : ""
    return html`<tr id="task-${task.id}">
<td><span class="status ${state.status}">${state.status}</span></td>
<td class="query"><b>${stored.query.model ?? ""}</b> / <b>${stored.query.view ?? ""}</b>
<div>${codes(stored.query.fields ?? [])}</div>${partsOf(task)}${error}<div class="id">${task.id}</div></td>
<td>${nameOf(task.userId)}</td>
<td>${task.body.result_format}</td>
<td>${clock(task.createdAt)}</td>
<td>${startedAt === undefined ? nothing : clock(startedAt)}</td>
<td class="number">${startedAt === undefined ? nothing : durationOf(endedAt - startedAt)}</td>
<td class="number">${state.status === "complete" ? state.result.rows.rowCount.toLocaleString("en-US") : nothing}
${state.status === "complete" && state.source === "cache" ? html`<div class="none">from cache</div>` : ""}</td>
</tr>
`
  }

const table = (id: string, title: string, tasks: ReadonlyArray<Task>, view: View, empty: string): Html => {
  const head = html`<thead><tr><th>Status</th><th class="query">Query</th><th>User</th><th>Format</th><th>Created</th><th>Started</th>
<th class="number">Run time</th><th class="number">Rows</th></tr></thead>`
  const shown = tasks.slice(0, mostShown).map(rowOf(view))
  const more = tasks.length - shown.length
  const body =
    tasks.length === 0
      ? html`<p id="${id}-none" class="none">${empty}</p>`
      : html`<div class="scroll"><table>${head}<tbody>${shown}</tbody></table></div>
<p id="${id}-more" class="none">${more > 0 ? `and ${more} more` : ""}</p>`
  return html`<section id="${id}"><h2>${title} <span class="count">${tasks.length}</span></h2>${body}</section>`
}

/**
 * The part of the page that is fetched every second.
 *
 * @category conversions
 * @since 0.1.0
 */
export const taskTables = (tasks: ReadonlyArray<Task>, view: View): Html => {
  const newestFirst = [...tasks].reverse()
  const running = newestFirst.filter(({ state }) => state.status === "running")
  const waiting = tasks.filter(({ state }) => state.status === "added")
  const ended = newestFirst.filter(({ state }) => state.status !== "running" && state.status !== "added")
  return html`<main>
${table("running", "Running", running, view, "No task is running.")}
${table("waiting", "Waiting", waiting, view, "No task is waiting.")}
${table("finished", "Finished", ended, view, "No task has ended yet.")}
<footer>Times are UTC. A task is removed some time after its end.</footer>
</main>`
}
