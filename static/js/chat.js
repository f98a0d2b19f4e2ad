// The chat page: builds the models, gives them to the controllers, and lets them talk. Starts here and nowhere else.

import { Collections } from "./controllers/collections.js"
import { Composer } from "./controllers/composer.js"
import { Connection } from "./controllers/connection.js"
import { Details } from "./controllers/details.js"
import { Files } from "./controllers/files.js"
import { Finder } from "./controllers/finder.js"
import { Fit } from "./controllers/fit.js"
import { Gauge } from "./controllers/gauge.js"
import { HoverCard } from "./controllers/hover_card.js"
import { Panel } from "./controllers/panel.js"
import { Pending } from "./controllers/pending.js"
import { Scroller } from "./controllers/scroller.js"
import { startShortcuts } from "./controllers/shortcuts.js"
import { Sidebar } from "./controllers/sidebar.js"
import { Temporary } from "./controllers/temporary.js"
import { Thread } from "./controllers/thread.js"
import { find } from "./helpers/dom.js"
import { ConversationStream } from "./models/conversation_stream.js"
import { Drafts } from "./models/drafts.js"
import { SendQueue } from "./models/send_queue.js"
import { Socket } from "./models/socket.js"

const root = find("[data-chat]")
const person = document.body.dataset.person
const chat = { root, conversation: root.dataset.conversation || null, canWrite: root.dataset.canWrite === "true" }

const socket = new Socket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`)
const queue = new SendQueue({ storage: localStorage, person, socket, onChange: (change) => pending.changed(change) })
const stream = new ConversationStream(chat.conversation, find("[data-thread]").dataset.position || null)

const scroller = new Scroller(find("[data-scroller]"))
const gauge = new Gauge(root)
const thread = new Thread({ chat, stream, socket, queue, scroller, gauge })
const drafts = new Drafts(localStorage, person)
const files = new Files({ chat, drafts, onText: (text) => composer.takeBack(text) })
const collections = new Collections({ chat, drafts })
const composer = new Composer({ chat, drafts, queue, thread, gauge, files, collections, readAll: () => fit.readAll, onSent: (record, set) => pending.carry(record, set) })
const fit = new Fit({ chat, files, collections, composer })
const pending = new Pending({ chat, queue, thread, composer, files, scroller, onNewConversation })
const sidebar = new Sidebar({ chat, thread })
const panel = new Panel({ chat })
new Temporary({ chat })
new Finder({ onOpen: () => sidebar.closeDrawer() })
new Details({ chat, thread })
new Connection({ socket })
new HoverCard(find("[data-thread]"))

thread.on("change", () => composer.refresh())
socket.on("frame", (frame) => {
  if (frame.type === "list_changed") sidebar.refresh()
  else if (frame.conversation && frame.conversation === chat.conversation) thread.receive(frame)
})

startShortcuts({ composer, panel, sidebar })
pending.showStored()
composer.refresh()
thread.start()
socket.open()

// The first question has been accepted: the page becomes that conversation without being loaded again.
function onNewConversation(id) {
  chat.conversation = root.dataset.conversation = stream.conversation = id
  history.replaceState(null, "", `/c/${id}`)
  find("[data-stage]").classList.remove("stage--empty")
  socket.subscribe(id, () => stream.position)
  composer.moved()
  sidebar.markCurrent()
}
