/**
 * The models with their explores and fields.
 *
 * @since 0.1.0
 */
import type { Explore, Field, Model } from "../../model/Model.ts"
import { type Html, html } from "./Html.ts"

const fieldsOf = (title: string, fields: ReadonlyArray<Field>): Html => {
  const rows = fields.map(
    ({ label, lookerType, name }) => html`<tr><td><code>${name}</code></td><td>${label}</td><td>${lookerType}</td></tr>
`
  )
  return html`<table class="fields"><thead><tr><th>${title}</th><th>Label</th><th>Type</th></tr></thead><tbody>${rows}</tbody></table>`
}

const exploreOf = (explore: Explore): Html => {
  const fields = [...explore.fields.values()]
  const dimensions = fields.filter(({ category }) => category === "dimension")
  const measures = fields.filter(({ category }) => category === "measure")
  return html`<details><summary><b>${explore.name}</b> ${explore.label}
<span class="count">dimensions: ${dimensions.length}, measures: ${measures.length}</span></summary>
${fieldsOf("Dimension", dimensions)}${fieldsOf("Measure", measures)}</details>
`
}

const modelOf = (model: Model): Html =>
  html`<h3>Model <code>${model.name}</code></h3><div class="scroll">${[...model.explores.values()].map(exploreOf)}</div>
`

/**
 * All models, as the page also shows the tasks of all users.
 *
 * @category conversions
 * @since 0.1.0
 */
export const modelList = (models: ReadonlyMap<string, Model>): Html =>
  html`<section class="models" id="models"><h2>What can be queried</h2>
<p class="none">A query names a <code>model</code>, an explore as its <code>view</code>, and <code>fields</code> of this explore.</p>
${[...models.values()].map(modelOf)}</section>`
