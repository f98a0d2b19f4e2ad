// A form with data-confirm asks before it goes.

export function startConfirming() {
  document.addEventListener("submit", event => {
    const question = event.target.dataset.confirm
    if (question && !window.confirm(question)) event.preventDefault()
  })
}
