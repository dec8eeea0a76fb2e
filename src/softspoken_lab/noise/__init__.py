"""Speech in noise: soft prompts and a CTC head on a frozen encoder as one slice ("Soft prompts as zero-shot learners").

From audio to text, the files in order: `recognizer` (windows and batches), `model` (prompts, encoder), `head`, `search`
with `characters`, `language_model` and `fusion`. Beside them `folder` stores a recogniser. From a recipe to one:
`config`, `dataset` with `corruption`, `training`. To measure it: `utterances`, `testsets`, `items`, `evaluation`.

Other rooms come in by `config` and `training` (recipes), `recognizer` (the public name) and what the command line and
the laboratory measure. Encoders themselves are in `backbones`, recordings of noise in `data`.
"""
