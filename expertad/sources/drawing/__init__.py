"""Drawn industrial parts: geometry, light, camera and defects behind `expertad.sources.drawn`.

A category is a *form*: a stack of *slabs* (flat pieces with a relief, each from one height to another). A part is a
form with its own texture, pose and tint; a *flaw* belongs to the part and is placed in part coordinates, so that each
camera sees it from its own side, or not at all.

    fields   noise that textures are made of
    camera   the five views and their light
    form     slabs, their relief and how light falls on them
    marks    what a flaw looks like, in a small square of its own
    flaws    where a flaw sits and what it does to the part
    shapes   outlines, bevels and paints that categories are made with
    render   one photograph, with or without the flaw; the mask is where the two differ
    lot      which parts a lot consists of
    parts/   one file a category
    smoke    tiny textures for training tiny models
"""
