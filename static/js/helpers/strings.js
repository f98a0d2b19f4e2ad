// The words that JavaScript shows. Sources are English; translations come from the site's own catalogues.
// t("Thought for {seconds} seconds", {seconds: 4})

const language = document.documentElement.lang || "en"
const translations = language.startsWith("en") ? {} : await load()

export function t(source, values = {}) {
  const words = translations[source] || source
  return words.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole)
}

// English words are better than none: a failed load must not stop the page.
async function load() {
  const response = await fetch(`/i18n/${language}.json`).catch(() => null)
  return response?.ok ? response.json() : {}
}
