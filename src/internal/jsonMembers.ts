/**
 * Splits one JSON object into its members while its text arrives, so that a finished member need not wait for the ones behind it.
 *
 * `effect/encoding/JsonArray` does this for the elements of an array; an object keyed by id, which `multi_results` answers with, it
 * does not. Only the outermost braces, keys, colons and commas are read here: the text of a value is handed over unparsed.
 */

const QUOTE = 34
const COMMA = 44
const COLON = 58
const BACKSLASH = 92
const OPEN = 123
const CLOSE = 125
const OPEN_LIST = 91
const CLOSE_LIST = 93

const isSpace = (code: number): boolean => code === 32 || code === 10 || code === 13 || code === 9

type Expected = "object" | "first key" | "key" | "colon" | "value" | "comma" | "nothing"

export class JsonMembers {
  private expected: Expected = "object"
  private key = ""
  /** The pieces of the string or value that is being read, from earlier chunks. */
  private pieces: Array<string> = []
  private reading: "nothing" | "key" | "string" | "container" | "scalar" = "nothing"
  private depth = 0
  private inString = false
  private escaped = false
  private offset = 0
  private readonly onMember: (key: string, value: string) => void

  constructor(onMember: (key: string, value: string) => void) {
    this.onMember = onMember
  }

  /** The member whose value has begun and not ended, and how many characters of it have come. */
  get unfinished(): { readonly key: string; readonly length: number } | undefined {
    if (this.reading === "nothing" || this.reading === "key") return undefined
    return { key: this.key, length: this.pieces.reduce((length, piece) => length + piece.length, 0) }
  }

  /** Takes the next part of the text. Throws a SyntaxError where it is no JSON object. */
  feed(text: string): void {
    let at = 0
    while (at < text.length) {
      if (this.reading !== "nothing") {
        const end = this.endOf(text, at)
        this.pieces.push(end === -1 ? text.slice(at) : text.slice(at, end))
        if (end === -1) break
        this.finish()
        at = end
        continue
      }
      const code = text.charCodeAt(at)
      if (isSpace(code)) at++
      else at = this.structure(text, at, code)
    }
    this.offset += text.length
  }

  /** The text has ended. Throws where the object has not. */
  end(): void {
    if (this.expected !== "nothing") throw new SyntaxError(`the object breaks off after ${this.offset} characters`)
  }

  private structure(text: string, at: number, code: number): number {
    switch (this.expected) {
      case "object":
        if (code !== OPEN) break
        this.expected = "first key"
        return at + 1
      case "first key":
      case "key":
        if (code === CLOSE && this.expected === "first key") {
          this.expected = "nothing"
          return at + 1
        }
        if (code !== QUOTE) break
        return this.begin("key", text, at)
      case "colon":
        if (code !== COLON) break
        this.expected = "value"
        return at + 1
      case "value":
        if (code === QUOTE) return this.begin("string", text, at)
        if (code === OPEN || code === OPEN_LIST) return this.begin("container", text, at)
        return this.begin("scalar", text, at)
      case "comma":
        if (code !== COMMA && code !== CLOSE) break
        this.expected = code === COMMA ? "key" : "nothing"
        return at + 1
      case "nothing":
        break
    }
    throw new SyntaxError(`unexpected ${JSON.stringify(text[at])} at character ${this.offset + at}`)
  }

  /** The first character is taken here, so that `endOf` only ever looks for the end. */
  private begin(what: "key" | "string" | "container" | "scalar", text: string, at: number): number {
    this.reading = what
    this.depth = 1
    this.inString = false
    this.escaped = false
    this.pieces = [text.slice(at, at + 1)]
    return at + 1
  }

  private finish(): void {
    const text = this.pieces.length === 1 ? (this.pieces[0] ?? "") : this.pieces.join("")
    this.pieces = []
    const wasKey = this.reading === "key"
    this.reading = "nothing"
    if (wasKey) {
      this.key = JSON.parse(text) as string
      this.expected = "colon"
    } else {
      this.expected = "comma"
      this.onMember(this.key, text)
    }
  }

  /** Where what is being read ends: the index behind it, or -1 if not in this chunk. */
  private endOf(text: string, from: number): number {
    if (this.reading === "scalar") {
      for (let at = from; at < text.length; at++) {
        const code = text.charCodeAt(at)
        if (code === COMMA || code === CLOSE || isSpace(code)) return at
      }
      return -1
    }
    if (this.reading === "container") return this.endOfContainer(text, from)
    return this.endOfString(text, from)
  }

  private endOfString(text: string, from: number): number {
    for (let at = from; at < text.length; at++) {
      const code = text.charCodeAt(at)
      if (this.escaped) this.escaped = false
      else if (code === BACKSLASH) this.escaped = true
      else if (code === QUOTE) return at + 1
    }
    return -1
  }

  private endOfContainer(text: string, from: number): number {
    let at = from
    while (at < text.length) {
      if (this.inString) {
        const end = this.endOfString(text, at)
        if (end === -1) return -1
        this.inString = false
        at = end
        continue
      }
      const code = text.charCodeAt(at++)
      if (code === QUOTE) this.inString = true
      else if (code === OPEN || code === OPEN_LIST) this.depth++
      else if ((code === CLOSE || code === CLOSE_LIST) && --this.depth === 0) return at
    }
    return -1
  }
}
