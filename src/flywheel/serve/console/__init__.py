"""The console: pages for whoever asks, corrects, reviews and steers in a browser.

    page.py      who looks, how it is rendered      words.py  what it says, in both languages
    ask.py …     one module a page                  templates/ static/ words/  what they show

Not here: what the pages do, which is wheel/'s, as it is for the API and the command line.
"""
