"""The way of an answer: queue, runner, event log, websocket. The rows are the truth."""
