/**
 * The script of the page, as a module so that it needs no file at run time.
 *
 * @since 0.1.0
 */

/**
 * Fetches the tasks every second, and changes only the nodes that differ, so that a selection, the scroll position and open details stay.
 *
 * @category constants
 * @since 0.1.0
 */
export const script = `
const exchange = (old, now) => {
  if (old.isEqualNode(now)) return
  if (old.nodeType !== 1 || now.nodeType !== 1 || old.nodeName !== now.nodeName || old.id !== now.id) return old.replaceWith(now)
  for (const { name } of [...old.attributes]) if (!now.hasAttribute(name)) old.removeAttribute(name)
  for (const { name, value } of now.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value)
  const wanted = [...now.childNodes]
  const byId = new Map([...old.children].filter((child) => child.id).map((child) => [child.id, child]))
  const ids = new Set(wanted.map((node) => node.id).filter(Boolean))
  for (const child of [...old.children]) if (child.id && !ids.has(child.id)) child.remove()
  let place = old.firstChild
  for (const node of wanted) {
    const same = node.id ? byId.get(node.id) : place && !place.id ? place : undefined
    if (same === undefined) { old.insertBefore(node, place); continue }
    if (same !== place) old.insertBefore(same, place)
    const next = same.nextSibling
    exchange(same, node)
    place = next
  }
  while (place) { const next = place.nextSibling; place.remove(); place = next }
}
const lost = document.getElementById("lost")
const refresh = async () => {
  try {
    if (!document.hidden) {
      const response = await fetch("/?tasks", { cache: "no-store" })
      const page = new DOMParser().parseFromString(await response.text(), "text/html")
      exchange(document.querySelector("main"), page.querySelector("main"))
      lost.hidden = true
    }
  } catch {
    lost.hidden = false
  }
  setTimeout(refresh, 1000)
}
setTimeout(refresh, 1000)
`
