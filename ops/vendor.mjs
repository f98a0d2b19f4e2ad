// Bundles the third-party browser libraries into static/vendor (never committed). Run: `npm run vendor`.
// Each library is its own ES module, so that a page loads only what an answer needs. Our own code is not built.

import { copyFile, cp, mkdir, readdir, rename, rm } from "node:fs/promises"
import { fileURLToPath } from "node:url"
import { build } from "esbuild"

const root = fileURLToPath(new URL("..", import.meta.url))
const target = `${root}static/vendor`
const draft = `${target}.new`

const shared = {
  absWorkingDir: root,
  bundle: true,
  format: "esm",
  legalComments: "eof",
  logLevel: "warning",
  minify: true,
  target: "es2022",
}

await rm(draft, { recursive: true, force: true })
await build({
  ...shared,
  entryPoints: {
    "markdown-it": "markdown-it",
    "dompurify": "dompurify",
    "highlight": "highlight.js/lib/common",
    "katex": "katex",
    "tus": "tus-js-client",
    // The builds for older browsers too: the others need what Chromium has had for a few months only.
    "pdf": "pdfjs-dist/legacy/build/pdf.mjs",
    "pdf.worker": "pdfjs-dist/legacy/build/pdf.worker.mjs",
  },
  outdir: draft,
})
// Diagrams are split: a flow chart does not load what only a Gantt chart needs.
await build({ ...shared, entryPoints: { mermaid: "mermaid" }, splitting: true, outdir: `${draft}/mermaid`, chunkNames: "parts/[hash]" })

await mkdir(`${draft}/fonts`)
await copyFile(`${root}node_modules/katex/dist/katex.min.css`, `${draft}/katex.css`)
for (const name of await readdir(`${root}node_modules/katex/dist/fonts`)) {
  if (name.endsWith(".woff2")) await copyFile(`${root}node_modules/katex/dist/fonts/${name}`, `${draft}/fonts/${name}`)
}

// What PDFs may need beside their own bytes: Chinese, Japanese and Korean encodings, the fonts that every reader has,
// and decoders of scanned pages (JPEG 2000, JBIG2, fax) and of colour profiles.
for (const name of ["cmaps", "standard_fonts", "wasm", "iccs"]) {
  await cp(`${root}node_modules/pdfjs-dist/${name}`, `${draft}/pdf/${name}`, { recursive: true })
}

await rm(target, { recursive: true, force: true })
await rename(draft, target)
