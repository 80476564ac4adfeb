"""PA-SFT and SC-GRPO on the published data set: rewards, data, backbones, the two stages, evaluation, and one command.

    rewards/       what a completion earns: the paper's equations, the released code's behaviour, and variants
    replay.py      scores saved completions under any scheme before a GPU is spent
    data.py        the published data set as training rows
    backbones.py   seven backbones in five architectures; configs/ holds one file each
    tiny.py        the same architectures with a few hundred thousand parameters, for a laptop
    pa_sft.py      stage one; sc_grpo.py stage two; evaluate.py what came of it
    checks.py      what is looked at before anything is started
    run_all.py     `python -m training.run_all`: all of it, resumable

Of `expertad` this package imports the domain files alone, so Φ, tags and terms exist once.
"""
