// Small ways to make and find elements. Text always goes in as text, never as markup.

export const find = (selector, within = document) => within.querySelector(selector)
export const findAll = (selector, within = document) => [...within.querySelectorAll(selector)]

// element("button", {class: "button", "aria-label": "Copy"}, "Copy")
export function element(name, attributes = {}, ...children) {
  const node = document.createElement(name)
  for (const [key, value] of Object.entries(attributes)) if (value != null && value !== false) node.setAttribute(key, value === true ? "" : value)
  node.append(...children)
  return node
}

// One of the page's <template data-template="name">, as a new element.
export function fromTemplate(name) {
  return find(`template[data-template="${name}"]`).content.firstElementChild.cloneNode(true)
}

// A part of the page that the server rendered; its scripts do not run.
export function parse(html) {
  return new DOMParser().parseFromString(html, "text/html").body
}

// Calls `handler(target, event)` for clicks inside elements that carry data-action=name.
export function onAction(root, handlers) {
  root.addEventListener("click", (event) => {
    const target = event.target.closest("[data-action]")
    const handler = target && root.contains(target) && handlers[target.dataset.action]
    if (!handler) return
    event.preventDefault()
    handler(target, event)
  })
}
