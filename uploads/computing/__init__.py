"""Questions that need counting or summing, answered over spreadsheets by SQL. Knows no Django.

`asking` is the door for whoever waits for an answer; the rest runs in the fenced child, which starts from `work`.
"""
