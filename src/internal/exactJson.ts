/**
 * JSON whose numbers a double cannot hold exactly are given as their text.
 *
 * Looker writes BIGINT and DECIMAL columns as bare JSON numbers; a double holds about 16 digits of them. The long numbers are found and
 * quoted before the text is parsed: a reviver with source access takes several times as long, and not every runtime has it.
 */

/** A number long enough, behind what comes before a value. Shorter ones always fit a double. */
const longNumbers = /([:,[]\s*)(-?[\d.]{16}[\d.eE+-]*)/g

const digitsOf = (text: string): string =>
  text
    .replace(/[eE].*$/, "")
    .replace(/[-.]/g, "")
    .replace(/^0+/, "")
    .replace(/0+$/, "")

/** Whether the double nearest to a number says all its digits again. */
const isExact = (source: string): boolean => {
  const value = String(Number(source))
  return value === source || digitsOf(value) === digitsOf(source)
}

const BACKSLASH = 92
const numberCharacters = "0123456789.eE+-"
const whitespace = " \n\r\t"

/** Puts the long numbers of a JSON text into quotes, also of one that comes in pieces. */
export class LongNumbers {
  private inside = false
  private held = ""

  /** The next piece, without the end of it where a number may go on. */
  feed(piece: string): string {
    const text = this.held + piece
    let end = text.length
    while (end > 0 && numberCharacters.includes(text.charAt(end - 1))) end--
    while (end > 0 && whitespace.includes(text.charAt(end - 1))) end--
    // What is before the number belongs to it, and a quote must not be parted from its backslashes.
    if (end > 0) end--
    while (end > 0 && text.charCodeAt(end - 1) === BACKSLASH) end--
    this.held = text.slice(end)
    return this.quote(text.slice(0, end))
  }

  /** What `feed` has held back. */
  end(): string {
    const { held } = this
    this.held = ""
    return this.quote(held)
  }

  private quote(text: string): string {
    let quoted = ""
    let copied = 0
    let scanned = 0
    for (const match of text.matchAll(longNumbers)) {
      const [, before = "", source = ""] = match
      if (isExact(source)) continue
      const start = match.index + before.length
      this.followQuotes(text, scanned, start)
      scanned = start
      if (this.inside) continue
      quoted += `${text.slice(copied, start)}"${source}"`
      copied = start + source.length
    }
    this.followQuotes(text, scanned, text.length)
    return copied === 0 ? text : quoted + text.slice(copied)
  }

  /** Keeps up with whether the text is inside a string. */
  private followQuotes(text: string, from: number, to: number): void {
    let inside = this.inside
    for (let at = text.indexOf('"', from); at !== -1 && at < to; at = text.indexOf('"', at + 1)) {
      if (inside && text.charCodeAt(at - 1) === BACKSLASH) {
        let first = at - 1
        while (text.charCodeAt(first - 1) === BACKSLASH) first--
        if ((at - first) % 2 === 1) continue
      }
      inside = !inside
    }
    this.inside = inside
  }
}

/** Throws a SyntaxError as JSON.parse does. */
export const parse = (text: string): unknown => {
  const numbers = new LongNumbers()
  return JSON.parse(text.search(longNumbers) === -1 ? text : numbers.feed(text) + numbers.end()) as unknown
}
