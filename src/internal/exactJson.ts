/**
 * JSON.parse that gives a number which a double cannot hold exactly as its text.
 *
 * Looker writes BIGINT and DECIMAL columns as bare JSON numbers; a double holds about 16 digits of them. Numbers that a double may not hold
 * are found and quoted before the text is parsed: a reviver with source access takes several times as long, and not every runtime has it.
 */

/** A run of digits and dots that is shorter has at most 15 digits, which every double holds. */
const longRun = 16

/** An exponent of three digits may be too large for a double, or so small that the number becomes 0. */
const longExponent = /[0-9][eE][-+]?[0-9]{3}/
const longExponents = new RegExp(longExponent, "g")

/** A number of at most so many characters, without an exponent, is within the range of a double. */
const longestInRange = 300

/** 16 digits whose number is less survive a double: its neighbours are further apart than those of the double. */
const safeMantissa = 2 ** 52

const number = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?$/

const MINUS = 45
const PLUS = 43
const DOT = 46
const ZERO = 48
const NINE = 57
const QUOTE = 34
const COLON = 58
const BACKSLASH = 92
const OPEN = 123

/** A digit or a dot; also a slash, which lies between them. */
const isInRun = (code: number): boolean => code >= DOT && code <= NINE

const isInNumber = (code: number): boolean =>
  isInRun(code) || code === MINUS || code === PLUS || code === 101 || code === 69

/** Whether a place is in a long run. Such a run has the place 8 before this one, or 8 behind it, too. */
const isInLongRun = (text: string, at: number): boolean => {
  if (!isInRun(text.charCodeAt(at))) return false
  if (!isInRun(text.charCodeAt(at - 8)) && !isInRun(text.charCodeAt(at + 8))) return false
  let start = at
  let end = at
  while (end - start < longRun && isInRun(text.charCodeAt(start - 1))) start--
  while (end - start < longRun && isInRun(text.charCodeAt(end))) end++
  return end - start === longRun
}

/** NaN and Infinity become null in JSON. */
const isLetter = (code: number): boolean => code >= 97

const isSpace = (code: number): boolean => code === 32 || code === 10 || code === 13 || code === 9

/** Whether a value may begin behind this character: a colon, a comma or a bracket. */
const precedesValue = (code: number): boolean => code === COLON || code === 44 || code === 91

/** Numbers of a text that may not survive a double: where each begins and ends, in the order of the text. */
interface LongNumbers {
  readonly starts: Array<number>
  readonly ends: Array<number>
}

/** The digits of a number, without the zeros at either end. */
const digitsOf = (source: string): string => {
  let end = source.search(/[eE]/)
  if (end === -1) end = source.length
  let start = 0
  const isNoDigit = (code: number) => code <= ZERO
  while (start < end && isNoDigit(source.charCodeAt(start))) start++
  while (end > start && isNoDigit(source.charCodeAt(end - 1))) end--
  return source.slice(start, end).replace(".", "")
}

/**
 * Whether the double nearest to each number has all its digits. JSON.stringify writes many numbers in a third of the time that String takes
 * for each.
 */
const areExact = (text: string, { ends, starts }: LongNumbers): ReadonlyArray<boolean> => {
  const values = JSON.stringify(starts.map((start, index) => Number(text.slice(start, ends[index]))))
  let at = 1
  return starts.map((start, index) => {
    const end = ends[index] ?? start
    let same = start
    while (same < end && text.charCodeAt(same) === values.charCodeAt(at + same - start)) same++
    const begin = at
    at += same - start
    while (isInNumber(values.charCodeAt(at)) || isLetter(values.charCodeAt(at))) at++
    at++
    return (
      (same === end && at - 1 === begin + end - start) ||
      digitsOf(values.slice(begin, at - 1)) === digitsOf(text.slice(start, end))
    )
  })
}

/** A number, read from its first character: where it ends, and whether it has so few digits that it survives a double for sure. */
const readNumber = (text: string, start: number): { readonly end: number; readonly isShort: boolean } => {
  let mantissa = 0
  let count = 0
  let zeros = 0
  let end = start
  let hasExponent = false
  for (let code = text.charCodeAt(end); isInNumber(code); code = text.charCodeAt(++end)) {
    if (code > NINE) hasExponent = true
    // Zeros count when another digit comes behind them.
    else if (code === ZERO) zeros += count > 0 ? 1 : 0
    else if (code > ZERO && count <= longRun) {
      count += zeros + 1
      for (; zeros > 0; zeros--) mantissa *= 10
      mantissa = mantissa * 10 + (code - ZERO)
    }
  }
  const isInRange = !hasExponent && end - start <= longestInRange
  return { end, isShort: isInRange && count <= longRun && mantissa < safeMantissa }
}

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

/**
 * Whether the character at a place is the colon behind a key, where that can be seen from the characters before it: a quote that is not the
 * first character of a string ends one.
 */
const isBehindKey = (text: string, at: number): boolean => {
  if (text.charCodeAt(at) !== COLON || text.charCodeAt(at - 1) !== QUOTE) return false
  const code = text.charCodeAt(at - 2)
  return code !== BACKSLASH && code !== OPEN && !precedesValue(code) && !isSpace(code)
}

const longNumbersOf = (text: string): LongNumbers => {
  const found: LongNumbers = { starts: [], ends: [] }
  let end = 0
  /** Takes the number around a place, which is behind those before. */
  const visit = (place: number): void => {
    if (place < end) return
    let start = place
    while (start > end && isInNumber(text.charCodeAt(start - 1))) start--
    const read = readNumber(text, start)
    end = read.end
    if (read.isShort) return
    found.starts.push(start)
    found.ends.push(end)
  }
  const exponents = longExponent.test(text) ? Array.from(text.matchAll(longExponents), ({ index }) => index) : []
  let next = 0
  const visitRun = (at: number): void => {
    while (next < exponents.length && (exponents[next] ?? 0) < at) visit(exponents[next++] ?? 0)
    visit(at)
  }
  // A long run has one of every 16 places. Two of them in one step take a fifth less time.
  for (let at = longRun - 1; at < text.length; at += 2 * longRun) {
    if (!isInRun(text.charCodeAt(at)) && !isInRun(text.charCodeAt(at + longRun))) continue
    if (isInLongRun(text, at)) visitRun(at)
    if (isInLongRun(text, at + longRun)) visitRun(at + longRun)
  }
  while (next < exponents.length) visit(exponents[next++] ?? 0)
  return found
}

/** The text with quotes around the numbers that do not survive a double. What is no number is left for JSON.parse to say so. */
const withQuotedNumbers = (text: string, numbers: LongNumbers): string => {
  const isExact = areExact(text, numbers)
  const isInsideString = makeInsideString(text)
  let quoted = ""
  let copied = 0
  for (const [index, start] of numbers.starts.entries()) {
    if (isExact[index]) continue
    const end = numbers.ends[index] ?? start
    let before = start - 1
    while (isSpace(text.charCodeAt(before))) before--
    if (before >= 0 && !precedesValue(text.charCodeAt(before))) continue
    if ((!isBehindKey(text, before) && isInsideString(start)) || !number.test(text.slice(start, end))) continue
    quoted += `${text.slice(copied, start)}"${text.slice(start, end)}"`
    copied = end
  }
  return quoted + text.slice(copied)
}

/** Throws a SyntaxError as JSON.parse does. */
export const parse = (text: string): unknown => {
  const numbers = longNumbersOf(text)
  return JSON.parse(numbers.starts.length === 0 ? text : withQuotedNumbers(text, numbers)) as unknown
}
