"""Labels from a language model behind an OpenAI-compatible address: `hornbook label`.

`prompt` makes the question, `dialect` the body of a request, as far as a server understands it; `answer` reads a
label and `shares` its probabilities from what comes back. `client` makes one call and waits where the server demands
it; `answers` keeps every answer in a file, so that a killed run pays for no call twice; `cost` counts tokens; `ask`
decides which calls are made. `label` does all of it for the rows of a file.
"""
