"""The server: OpenAI's transcription API with known voices, batches across requests, and a page to use it.

Importing this imports neither FastAPI nor a model; `softspoken.serve.app` and `softspoken.serve.backend` do.
"""
