/**
 * The parser of Looker's expression language. In its trees, operators are calls of functions named after their symbols.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"

/** `at` is the position of a node for messages, in characters from 1. `depth` is the number of levels below it. */
interface At {
  readonly at: number
  readonly depth: number
}

export type Node =
  | (At & { readonly tag: "number" | "string" | "field"; readonly text: string })
  | (At & { readonly tag: "constant"; readonly text: "yes" | "no" | "null" })
  | (At & { readonly tag: "call"; readonly name: string; readonly args: ReadonlyArray<Node> })

type Parsed = Result.Result<Node, string>

interface Token {
  readonly kind: "field" | "number" | "string" | "word" | "symbol" | "end"
  readonly text: string
  readonly at: number
}

const patterns = [
  ["field", /\$\{([A-Za-z_]\w*(?:\.\w+)*)\}/y],
  ["number", /(\d{1,30}(?:\.\d{1,30})?|\.\d{1,30})(?![\w.])/y],
  ["string", /"((?:[^"\\]|\\.)*)"/sy],
  ["string", /'((?:[^'\\]|\\.)*)'/sy],
  // Looker writes backticks around the filter of matches_filter, which can contain quotes.
  ["string", /`((?:[^`\\]|\\.)*)`/sy],
  ["word", /([A-Za-z_]\w*)/y],
  ["symbol", /(<=|>=|!=|[-+*/=<>(),])/y]
] as const

const where = (at: number): string => `at character ${at}`

/** Levels of nesting. Databases have a limit too. */
const deepest = 100

const unknown = (text: string, index: number): string => {
  const rest = text.slice(index, index + 40)
  const total = /^\$\{[^}:]*:(row_)?total\}/.exec(rest)
  if (total !== null) return `${total[0]} ${where(index + 1)} is only for table calculations`
  if (rest.startsWith("${")) return `a field ${where(index + 1)} is not written as \${view.field}`
  if (/^["'`]/.test(rest)) return `the text that begins ${where(index + 1)} is not closed`
  if (rest.startsWith("%")) return `there is no operator % ${where(index + 1)}: write mod(value, divisor)`
  return `${JSON.stringify(rest.charAt(0))} ${where(index + 1)} is not understood`
}

const tokensOf = (text: string): Result.Result<ReadonlyArray<Token>, string> => {
  const tokens: Array<Token> = []
  let index = 0
  for (;;) {
    while (/\s/.test(text.charAt(index))) index++
    if (index >= text.length) break
    if (text.charAt(index) === "#") {
      const end = text.indexOf("\n", index)
      index = end === -1 ? text.length : end
      continue
    }
    const start = index
    for (const [kind, pattern] of patterns) {
      pattern.lastIndex = start
      const found = pattern.exec(text)
      if (found === null) continue
      const inside = found[1] ?? ""
      tokens.push({ kind, text: kind === "string" ? inside.replace(/\\(["'`\\])/g, "$1") : inside, at: start + 1 })
      index += found[0].length
      break
    }
    if (index === start) return Result.fail(unknown(text, index))
  }
  return Result.succeed([...tokens, { kind: "end", text: "", at: text.length + 1 }])
}

const describe = ({ at, kind, text }: Token): string =>
  kind === "end" ? "the end" : `${JSON.stringify(text)} ${where(at)}`

/**
 * Recursive descent, from the lowest precedence to the highest: OR, AND, NOT, comparison, + and -, * and /, a sign.
 */
export const parse = (text: string): Parsed =>
  Result.gen(function* () {
    const tokens = yield* tokensOf(text)
    let next = 0
    let level = 0
    const end: Token = { kind: "end", text: "", at: text.length + 1 }
    const peek = (): Token => tokens[next] ?? end
    const take = (kind: Token["kind"], ...texts: ReadonlyArray<string>): Token | undefined => {
      const token = peek()
      if (token.kind !== kind || !texts.includes(token.text)) return undefined
      next++
      return token
    }
    const call = (name: string, args: ReadonlyArray<Node>, at: number): Parsed => {
      const depth = 1 + Math.max(0, ...args.map((node) => node.depth))
      return depth > deepest
        ? Result.fail(`the expression is nested too deeply ${where(at)}`)
        : Result.succeed({ tag: "call", name, args, at, depth })
    }

    const many = (operand: () => Parsed, operator: "AND" | "OR"): Parsed =>
      Result.gen(function* () {
        const first = yield* operand()
        const args = [first]
        while (take("word", operator) !== undefined) args.push(yield* operand())
        return args.length === 1 ? first : yield* call(operator, args, first.at)
      })
    const chain = (operand: () => Parsed, ...operators: ReadonlyArray<string>): Parsed =>
      Result.gen(function* () {
        let left = yield* operand()
        for (;;) {
          const operator = take("symbol", ...operators)
          if (operator === undefined) return left
          left = yield* call(operator.text, [left, yield* operand()], operator.at)
        }
      })

    const or = (): Parsed => many(and, "OR")
    const and = (): Parsed => many(not, "AND")
    const not = (): Parsed => {
      const operator = take("word", "NOT")
      return operator === undefined
        ? comparison()
        : nested(() => Result.flatMap(not(), (value) => call("NOT", [value], operator.at)))
    }
    const comparison = (): Parsed => chain(sum, "=", "!=", "<", "<=", ">", ">=")
    const sum = (): Parsed => chain(product, "+", "-")
    const product = (): Parsed => chain(sign, "*", "/")
    const sign = (): Parsed => {
      const operator = take("symbol", "-", "+")
      return operator === undefined
        ? primary()
        : nested(() => Result.flatMap(sign(), (value) => call(`sign ${operator.text}`, [value], operator.at)))
    }
    /** Limits the recursion, so that no text can exhaust the stack. */
    const nested = (parse: () => Parsed): Parsed => {
      if (level >= deepest) return Result.fail(`the expression is nested too deeply ${where(peek().at)}`)
      level++
      const parsed = parse()
      level--
      return parsed
    }
    const closing = (): Result.Result<void, string> =>
      take("symbol", ")") === undefined
        ? Result.fail(`a closing parenthesis is missing before ${describe(peek())}`)
        : Result.void

    const primary = (): Parsed => {
      const token = peek()
      const { at, kind, text } = token
      if (kind === "number" || kind === "string" || kind === "field") {
        next++
        return Result.succeed({ tag: kind, text, at, depth: 0 })
      }
      if (take("symbol", "(") !== undefined) {
        return nested(() => Result.flatMap(or(), (value) => Result.map(closing(), () => value)))
      }
      if (kind !== "word" || text === "AND" || text === "OR") {
        return Result.fail(`a value is missing before ${describe(token)}`)
      }
      next++
      if (take("symbol", "(") !== undefined) return nested(() => args(text, at))
      if (text === "yes" || text === "no" || text === "null" || text === "NULL") {
        return Result.succeed({ tag: "constant", text: text === "NULL" ? "null" : text, at, depth: 0 })
      }
      return Result.fail(
        `${JSON.stringify(text)} ${where(at)} is neither yes, no, null nor a function; a field is written \${view.field}`
      )
    }
    const args = (name: string, at: number): Parsed =>
      Result.gen(function* () {
        const values: Array<Node> = []
        if (take("symbol", ")") !== undefined) return yield* call(name, values, at)
        do values.push(yield* or())
        while (take("symbol", ",") !== undefined)
        yield* closing()
        return yield* call(name, values, at)
      })

    const whole = yield* or()
    const rest = peek()
    if (rest.kind === "end") return whole
    const capital = /^(and|or|not)$/i.test(rest.text) ? `: write ${rest.text.toUpperCase()}` : ""
    return yield* Result.fail(`${describe(rest)} does not fit here${capital}`)
  })
