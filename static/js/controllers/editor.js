// Editing a question in its place. Sending makes a sibling: the earlier version is kept and can be paged to.

import { directionOf } from "../helpers/direction.js"
import { find, fromTemplate } from "../helpers/dom.js"

export function edit(view, onSend) {
  const bubble = find(".message__bubble", view.element)
  const form = fromTemplate("editor")
  const field = find("[data-editor-text]", form)
  const shown = [...bubble.childNodes]
  const close = () => {
    bubble.replaceChildren(...shown)
    view.element.classList.remove("message--editing")
    find("[data-action=edit]", view.element)?.focus()
  }
  const send = () => {
    if (!field.value.trim()) return
    close()
    onSend(field.value)
  }
  field.value = view.message.text
  field.dir = directionOf(field.value)
  form.addEventListener("submit", (event) => { event.preventDefault(); send() })
  find("[data-action=cancel-edit]", form).addEventListener("click", close)
  field.addEventListener("keydown", (event) => {
    if (event.isComposing) return
    if (event.key === "Escape") { event.preventDefault(); close() }
    if (event.key === "Enter" && !event.shiftKey && event.keyCode !== 229) { event.preventDefault(); send() }
  })
  view.element.classList.add("message--editing")
  bubble.replaceChildren(form)
  field.focus()
}
