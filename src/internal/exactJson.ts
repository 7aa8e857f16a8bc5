/**
 * JSON.parse that gives a number which a double cannot hold exactly as its text.
 *
 * Looker writes BIGINT and DECIMAL columns as bare JSON numbers; a double holds about 16 digits of them. The long numbers are found and
 * quoted before the text is parsed: a reviver with source access takes several times as long, and not every runtime has it.
 */

/** A number with so many digits that a double may not hold it, behind what may precede a value. */
const longNumber = /[:,[]\s*-?[\d.]{16}/
const longNumbers = /([:,[]\s*)(-?[\d.]{16}[\d.eE+-]*)/g

const digitsOf = (text: string): string =>
  text
    .replace(/[eE].*$/, "")
    .replace(/[-.]/g, "")
    .replace(/^0+/, "")
    .replace(/0+$/, "")

/** Whether the double nearest to a number has all its digits. */
const isExact = (source: string): boolean => {
  const value = String(Number(source))
  return value === source || digitsOf(value) === digitsOf(source)
}

const BACKSLASH = 92

/** A function that says whether a place of the text is inside a string. Each place has to be behind the one before. */
const makeInsideString = (text: string) => {
  let inside = false
  let next = text.indexOf('"')
  return (place: number): boolean => {
    while (next !== -1 && next < place) {
      let first = next
      while (inside && text.charCodeAt(first - 1) === BACKSLASH) first--
      if ((next - first) % 2 === 0) inside = !inside
      next = text.indexOf('"', next + 1)
    }
    return inside
  }
}

const withQuotedNumbers = (text: string): string => {
  const isInsideString = makeInsideString(text)
  let quoted = ""
  let copied = 0
  for (const match of text.matchAll(longNumbers)) {
    const [, before = "", source = ""] = match
    const start = match.index + before.length
    if (isExact(source) || isInsideString(start)) continue
    quoted += `${text.slice(copied, start)}"${source}"`
    copied = start + source.length
  }
  return quoted + text.slice(copied)
}

/** Throws a SyntaxError as JSON.parse does. */
export const parse = (text: string): unknown =>
  JSON.parse(longNumber.test(text) ? withQuotedNumbers(text) : text) as unknown
