"""Masks that a tracker made of clicks and words: where they are, and whether they are current.

They are made by ``grain track``. Here they are only read, with NumPy and Pydantic.

    masks/tracked/edit/       beside edit.grain
      00000.png, …            one palette image a source frame; the index is the object's number
      manifest.json           what they were made of: clip, prompts, engine, and each image's hash
"""
