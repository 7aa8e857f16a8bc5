/**
 * Text that is safe in a page.
 *
 * @since 0.1.0
 */

/** The most characters of a text that are shown: a query can be megabytes long. */
const mostText = 2000

/**
 * Markup, as opposed to text.
 *
 * @category models
 * @since 0.1.0
 */
export class Html {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

const escaped: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;"
}

type Part = string | number | Html | ReadonlyArray<Html>

const textOf = (part: Part): string => {
  if (part instanceof Html) return part.text
  if (typeof part === "object") return part.map(textOf).join("")
  const text = String(part)
  const cut = text.length > mostText ? `${text.slice(0, mostText)} …` : text
  return cut.replaceAll(/[&<>"']/g, (character) => escaped[character] ?? "")
}

/**
 * Markup with values in it. All values but `Html` are escaped, so that the input of users (fields, filters, errors that quote them) is shown
 * as text.
 *
 * @category constructors
 * @since 0.1.0
 */
export const html = (strings: TemplateStringsArray, ...parts: ReadonlyArray<Part>): Html =>
  new Html(String.raw({ raw: strings }, ...parts.map(textOf)))
