// Makes what is shown equal to what the server has sent, and touches nothing that is equal already: animations run on,
// typed words stay, and a list that grows does not flicker.

const KEPT = new Set(["open", "data-touched"]) // attributes that a person changes

export function morph(shown, fresh) {
  if (shown.isEqualNode(fresh)) return
  syncAttributes(shown, fresh)
  const wanted = [...fresh.childNodes]
  wanted.forEach((node, index) => {
    const held = shown.childNodes[index]
    if (!held) shown.append(node)
    else if (isSameKind(held, node)) held.nodeType === Node.ELEMENT_NODE ? morph(held, node) : (held.data !== node.data && (held.data = node.data))
    else held.replaceWith(node)
  })
  while (shown.childNodes.length > wanted.length) shown.lastChild.remove()
}

function isSameKind(a, b) {
  return a.nodeType === b.nodeType && a.nodeName === b.nodeName && a.dataset?.key === b.dataset?.key
}

function syncAttributes(shown, fresh) {
  for (const { name } of [...shown.attributes]) if (!fresh.hasAttribute(name) && !KEPT.has(name)) shown.removeAttribute(name)
  for (const { name, value } of fresh.attributes) if (shown.getAttribute(name) !== value && !KEPT.has(name)) shown.setAttribute(name, value)
}
