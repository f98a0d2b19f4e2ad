// A public link: the answers are drawn as in the chat. Without JavaScript their text is there as it was written.

import { findAll } from "./helpers/dom.js"
import { MarkdownView } from "./helpers/markdown.js"

for (const element of findAll("[data-shared-answer]")) {
  const text = element.textContent
  new MarkdownView(element).render(text)
}
