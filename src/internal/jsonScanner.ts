/**
 * Splits a JSON text while it arrives: an object into its members, and an array of rows (the whole text, or one member) into batches of
 * complete rows.
 *
 * `effect/encoding/JsonArray` does the latter for any array, at half the speed, and drops what is beside the array: the `errors` of a
 * json_detail. Only the structure is read here. Members and rows are handed over as text; a batch of rows is the text of an array.
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

type Expected = "start" | "first key" | "key" | "colon" | "value" | "comma" | "first row" | "row" | "row comma" | "end"

export interface Handlers {
  /** A member of the outermost object, except the rows. */
  readonly onMember: (key: string, value: string) => void
  /** The rows are the member with one of these keys, or the whole text if there are no keys. Unless given, there are no rows. */
  readonly rowsAt?: ReadonlyArray<string> | undefined
  /** Complete rows, as the text of a JSON array. */
  readonly onRows?: (text: string) => void
}

/** The text is complete, and has no rows where they should be. */
export class NoRows extends SyntaxError {}

export class JsonScanner {
  private expected: Expected = "start"
  private key = ""
  /** What is being read, and the pieces of it that earlier chunks had. */
  private reading: "nothing" | "key" | "value" | "scalar" | "row" = "nothing"
  private pieces: Array<string> = []
  private length = 0
  /** The pieces of a row that is not complete yet. */
  private rowPieces: Array<string> = []
  private depth = 0
  private inString = false
  private escaped = false
  private offset = 0
  private found = false
  private rowsKey: string | undefined
  /** Where the batch of complete rows begins in the current chunk, and where its last complete row ends. */
  private batchStart = -1
  private batchEnd = -1
  private readonly handlers: Handlers
  private readonly isList: boolean

  constructor(handlers: Handlers) {
    this.handlers = handlers
    this.isList = handlers.rowsAt?.length === 0
  }

  /** The member whose value has begun and not ended, and how many characters of it have come. */
  get unfinished(): { readonly key: string; readonly length: number } | undefined {
    return this.reading === "value" || this.reading === "scalar" ? { key: this.key, length: this.length } : undefined
  }

  /** Takes the next part of the text. Throws a SyntaxError if it is not valid. */
  feed(text: string): void {
    let at = 0
    // A row that continues from the chunk before is the beginning of this batch.
    this.batchStart = this.reading === "row" ? 0 : -1
    this.batchEnd = -1
    while (at < text.length) {
      if (this.reading === "nothing") {
        const code = text.charCodeAt(at)
        at = isSpace(code) ? at + 1 : this.structure(text, at, code)
        continue
      }
      const end = this.endOf(text, at)
      if (this.reading === "row") {
        if (end === -1) break
        this.reading = "nothing"
        this.expected = "row comma"
        this.batchEnd = end
      } else {
        this.keep(end === -1 ? text.slice(at) : text.slice(at, end))
        if (end === -1) break
        this.finish()
      }
      at = end
    }
    this.endOfChunk(text)
    this.offset += text.length
  }

  /** The text has ended. Throws if it is not complete, and if it had no rows. */
  end(): void {
    if (this.expected !== "end") throw new SyntaxError(`the text breaks off after ${this.offset} characters`)
    if (this.handlers.rowsAt !== undefined && !this.found) throw new NoRows("it has none")
  }

  private structure(text: string, at: number, code: number): number {
    switch (this.expected) {
      case "start":
        if (code === OPEN && !this.isList) {
          this.expected = "first key"
          return at + 1
        }
        if (code === OPEN_LIST && this.isList) return this.beginRows(at)
        throw new NoRows(`it begins with ${JSON.stringify(text.charAt(at))}`)
      case "first key":
      case "key":
        if (code === CLOSE && this.expected === "first key") {
          this.expected = "end"
          return at + 1
        }
        if (code === QUOTE) return this.begin("key", text, at, code)
        break
      case "colon":
        if (code !== COLON) break
        this.expected = "value"
        return at + 1
      case "value":
        if (this.key === this.rowsKey || (code === OPEN_LIST && this.handlers.rowsAt?.includes(this.key) === true)) {
          if (this.found) throw new SyntaxError(`its rows come twice, the second time as ${JSON.stringify(this.key)}`)
          return this.beginRows(at)
        }
        return this.begin(code === QUOTE || code === OPEN || code === OPEN_LIST ? "value" : "scalar", text, at, code)
      case "comma":
        if (code !== COMMA && code !== CLOSE) break
        this.expected = code === COMMA ? "key" : "end"
        return at + 1
      case "first row":
      case "row":
        if (code === OPEN) {
          if (this.batchStart === -1) this.batchStart = at
          return this.begin("row", text, at, code)
        }
        if (code === CLOSE_LIST && this.expected === "first row") return this.endRows(at)
        break
      case "row comma":
        if (code === CLOSE_LIST) return this.endRows(at)
        if (code !== COMMA) break
        this.expected = "row"
        return at + 1
      case "end":
        break
    }
    throw new SyntaxError(`unexpected ${JSON.stringify(text.charAt(at))} at character ${this.offset + at}`)
  }

  private beginRows(at: number): number {
    this.found = true
    this.rowsKey = this.key
    this.expected = "first row"
    return at + 1
  }

  private endRows(at: number): number {
    this.expected = this.isList ? "end" : "comma"
    return at + 1
  }

  /** Takes the first character, so that `endOf` only looks for the end. */
  private begin(what: "key" | "value" | "scalar" | "row", text: string, at: number, code: number): number {
    this.reading = what
    this.inString = code === QUOTE
    this.depth = code === QUOTE ? 0 : 1
    this.escaped = false
    if (what !== "row") {
      this.pieces = []
      this.length = 0
      this.keep(text.charAt(at))
    }
    return at + 1
  }

  private keep(piece: string): void {
    this.pieces.push(piece)
    this.length += piece.length
  }

  private finish(): void {
    const text = this.pieces.join("")
    this.pieces = []
    const wasKey = this.reading === "key"
    this.reading = "nothing"
    if (wasKey) {
      this.key = JSON.parse(text) as string
      this.expected = "colon"
    } else {
      this.expected = "comma"
      this.handlers.onMember(this.key, text)
    }
  }

  /** Hands over the complete rows of the chunk, and keeps the beginning of one that is not complete. */
  private endOfChunk(text: string): void {
    if (this.batchEnd !== -1) {
      this.rowPieces.push(text.slice(this.batchStart, this.batchEnd))
      const rows = this.rowPieces.join("")
      this.rowPieces = []
      this.handlers.onRows?.(`[${rows}]`)
    }
    if (this.reading === "row") {
      this.rowPieces.push(text.slice(this.batchEnd === -1 ? this.batchStart : text.indexOf("{", this.batchEnd)))
    }
  }

  /** The index behind what is being read, or -1 if it does not end in this chunk. */
  private endOf(text: string, from: number): number {
    if (this.reading === "scalar") {
      for (let at = from; at < text.length; at++) {
        const code = text.charCodeAt(at)
        if (code === COMMA || code === CLOSE || isSpace(code)) return at
      }
      return -1
    }
    let at = from
    while (at < text.length) {
      if (this.inString) {
        at = this.endOfString(text, at)
        if (at === -1) return -1
        this.inString = false
        if (this.depth === 0) return at
        continue
      }
      const code = text.charCodeAt(at++)
      if (code === QUOTE) this.inString = true
      else if (code === OPEN || code === OPEN_LIST) this.depth++
      else if ((code === CLOSE || code === CLOSE_LIST) && --this.depth === 0) return at
    }
    return -1
  }

  private endOfString(text: string, from: number): number {
    let at = from
    if (this.escaped) {
      this.escaped = false
      at++
    }
    while (true) {
      const quote = text.indexOf('"', at)
      const end = quote === -1 ? text.length : quote
      let first = end
      while (first > at && text.charCodeAt(first - 1) === BACKSLASH) first--
      const isEscaped = (end - first) % 2 === 1
      if (quote === -1) {
        this.escaped = isEscaped
        return -1
      }
      if (!isEscaped) return quote + 1
      at = quote + 1
    }
  }
}
