"""Teachers: whoever writes the description and the reasoning, behind one protocol (`base.Backend`)."""
