/**
 * A row stream written by hand: finds the ends of the rows in the bytes of a JSON array and parses what lies between as one batch.
 */
const quote = 0x22
const backslash = 0x5c
const openBracket = 0x5b
const closeBracket = 0x5d
const openBrace = 0x7b
const closeBrace = 0x7d

/** Where the last row that is complete ends in a chunk, or -1; keeps in mind where in the array the chunk ended. */
const makeScanner = () => {
  const state = { depth: 0, inString: false, escaped: false }
  const scan = (chunk: Uint8Array): number => {
    let { depth, escaped, inString } = state
    let lastEnd = -1
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at]
      if (inString) {
        if (escaped) escaped = false
        else if (byte === backslash) escaped = true
        else if (byte === quote) inString = false
      } else if (byte === quote) inString = true
      else if (byte === openBrace || byte === openBracket) depth++
      else if (byte === closeBrace || byte === closeBracket) {
        depth--
        if (depth === 1) lastEnd = at
      }
    }
    Object.assign(state, { depth, escaped, inString })
    return lastEnd
  }
  return { state, scan }
}

export async function* rowBatches(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<ReadonlyArray<unknown>> {
  const { scan, state } = makeScanner()
  let rest = Buffer.alloc(0)
  for await (const chunk of chunks) {
    const lastEnd = scan(chunk)
    if (lastEnd < 0) {
      rest = Buffer.concat([rest, chunk])
      continue
    }
    const rows = Buffer.concat([rest, chunk.subarray(0, lastEnd + 1)])
    rest = Buffer.from(chunk.subarray(lastEnd + 1))
    // What comes first is the array's bracket or the comma after the last batch.
    yield JSON.parse(`[${rows.toString("utf8", 1)}]`)
  }
  if (state.depth !== 0) throw new Error("The result broke off")
}
