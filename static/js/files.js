// The pages of files: their list, the panel beside it, and uploading into a collection. Starts here and nowhere else.

import { CollectionUploads } from "./controllers/collection_uploads.js"
import { FileList } from "./controllers/file_list.js"
import { Finder } from "./controllers/finder.js"
import { ImportForm } from "./controllers/import_form.js"
import { Panel } from "./controllers/panel.js"
import { close, isOpen } from "./controllers/popover.js"
import { Sidebar } from "./controllers/sidebar.js"
import { find } from "./helpers/dom.js"

const root = find("[data-chat]")
const chat = { root, conversation: null, canWrite: false }

const panel = new Panel({ chat })
const sidebar = new Sidebar({ chat })
new Finder({ onOpen: () => sidebar.closeDrawer() })
const list = find("[data-files]") ? new FileList() : null
const form = find("form[data-collection]")
const importing = find("form[data-import]")
if (importing) new ImportForm(importing)
if (form) new CollectionUploads({ form, list })

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.defaultPrevented) return
  if (isOpen()) close()
  else if (!sidebar.closeDrawer()) panel.close()
})
