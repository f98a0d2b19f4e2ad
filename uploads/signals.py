"""What others may hear of files. Knows nobody who listens.

reading_ended      after the commit, `reading_id` and `state`; again by the sweep when a listener has failed, so that
                   listeners must stand being called twice
readings_removed   `reading_ids`, inside the transaction that removes them: what listeners delete goes with them or not
uploads_removed    `upload_ids`, likewise; sent before the rows go
"""

from django.dispatch import Signal

reading_ended = Signal()
readings_removed = Signal()
uploads_removed = Signal()
