"""BYOL: learning from your own slow copy.

The exercises of the chapter that learns to see without labels and without negatives. An embedding is a row a picture,
``(picture, embedding)``; networks are ordinary modules.
"""
