import { assert, describe, it } from "@effect/vitest"
import { html } from "../../../src/embedded/server/StatusPage/Html.ts"

describe("html", () => {
  it("escapes what is not markup", () => {
    assert.strictEqual(
      html`<p title="${`<b> & "c" 'd'`}">${html`<i>${7}</i>`}${[html`<u>`, html`</u>`]}</p>`.text,
      '<p title="&lt;b&gt; &amp; &quot;c&quot; &#39;d&#39;"><i>7</i><u></u></p>'
    )
  })

  it("shows the first two thousand characters of a text, and that there are more", () => {
    const text = `a${"b".repeat(1999)}`
    assert.strictEqual(html`${text}`.text, text)
    assert.strictEqual(html`${`${text}c`}`.text, `${text} …`)
  })
})
