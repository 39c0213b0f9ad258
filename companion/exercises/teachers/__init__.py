"""Teachers: who makes the labels, and who is judged.

The exercises of the chapter on learning from few labels, or none, and a slow copy. Logits are a row a picture,
``(picture, class)``.
"""
