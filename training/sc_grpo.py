"""SC-GRPO: reinforcement on the project's rewards from the PA-SFT model (equations 6 and 8 to 11, Algorithm 1).

    torchrun --nproc-per-node N -m training.sc_grpo --config RUN/config.yaml --model RUN/pa_sft/final --out RUN/sc_grpo

Where the update of TRL 1.16 is not Algorithm 1's:

* Ratio. Algorithm 1 (line 30) divides by the reference policy; equation 11 samples from the old policy, and so does
  TRL: the ratio is to the policy that sampled. With one update a generation, as here, it is 1 and the clip has no
  effect but its gradient is the policy gradient's.
* KL. Algorithm 1 (line 31) writes the mean of log(policy / reference) on the policy's samples. TRL takes the estimator
  exp(d) - d - 1 with d = log(reference / policy), a token at a time: the same expectation, never negative, with less
  variance. TRL's default weight is 0; here it is the release's 0.04, so a reference model is kept.
* Advantage. Equation 10, with the sample standard deviation (n - 1) plus 1e-4; a group that earns all the same gets 0.
* Loss. `loss_type="grpo"`: mean over a completion's tokens, then over completions, as equation 11 has it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training import settings, stage
from training.compat import import_torchvision
from training.data import check_truths, rows_of, sc_grpo_rows
from training.health import Health
from training.rewards import reward_functions, scheme


def arguments(run: settings.Settings, out: Path) -> Any:
    """The run's settings as TRL's."""
    import_torchvision()
    from trl import GRPOConfig

    s = run.sc_grpo
    vllm = (
        {}
        if s.vllm == "off"
        else {"use_vllm": True, "vllm_mode": s.vllm, "vllm_server_port": s.vllm_port, "vllm_server_timeout": 1800.0}
    )
    return GRPOConfig(
        **stage.common_arguments(run, out),
        **vllm,
        num_train_epochs=s.epochs,
        max_steps=s.max_steps,
        per_device_train_batch_size=s.batch,
        gradient_accumulation_steps=s.accumulation,
        num_generations=s.generations,
        max_completion_length=s.max_completion_tokens,
        learning_rate=s.learning_rate,
        lr_scheduler_type=s.scheduler,
        warmup_steps=s.warmup_steps,
        beta=s.beta,
        epsilon=s.epsilon,
        temperature=s.temperature,
        top_p=s.top_p,
        top_k=s.top_k,
        num_iterations=1,
        loss_type="grpo",
        scale_rewards="group",
        gradient_checkpointing=s.gradient_checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False} if s.gradient_checkpointing else None,
        save_steps=s.save_steps,
        logging_steps=s.logging_steps,
        log_completions=False,
    )


def make_trainer(run: settings.Settings, model: str, out: Path) -> tuple[Any, Any]:
    """(trainer, processor) for a run.

    Raises:
        UserError: the data cannot be used, or the reward scheme does not exist.
    """
    from training.trainer import ScGrpoTrainer

    chosen = scheme(run.sc_grpo.rewards, run.sc_grpo.location)
    rows = rows_of(run, "sc_grpo")
    check_truths(rows, run.grid)
    rows = sc_grpo_rows(rows, run.sc_grpo.wording)
    trl_arguments = arguments(run, out)
    loaded, processor, lora = stage.prepare(run, model)
    trainer = ScGrpoTrainer(
        model=loaded,
        args=trl_arguments,
        train_dataset=rows,
        processing_class=processor,
        reward_funcs=reward_functions(chosen, run.grid),
        peft_config=lora,
        rollouts=out / "rollouts",
        health=Health(),
        resample=run.sc_grpo.resample,
    )
    return trainer, processor


def figure(history: Sequence[dict[str, Any]], out: Path) -> None:
    """Training dynamics as in the paper's Figure 9: rewards over steps, length of completions over steps."""
    names = sorted({key for entry in history for key in entry if key.startswith("rewards/") and key.endswith("/mean")})
    rewards = {"total": stage.curve(history, "reward")}
    rewards |= {name.split("/")[1]: stage.curve(history, name) for name in names}
    stage.line_figure(
        out / "dynamics.png",
        [
            ("rewards", rewards),
            ("response length, tokens", {"length": stage.curve(history, "completions/mean_length")}),
            ("groups without variance", {"share": stage.curve(history, "frac_reward_zero_std")}),
        ],
    )


def train(run: settings.Settings, model: str, out: Path) -> None:
    """Runs the stage to its end; goes on from the last checkpoint after a kill."""
    out.mkdir(parents=True, exist_ok=True)
    trainer, processor = make_trainer(run, model, out)
    stage.train_to_end("sc_grpo", trainer, processor, run, model, out, figure)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of every process of the stage."""
    parser = stage.command_line("sc_grpo", __doc__)
    parser.add_argument("--model", required=True, help="the PA-SFT model, or any backbone to start from")
    return stage.run_process(parser, argv, lambda run, args: train(run, args.model, args.out))


if __name__ == "__main__":
    sys.exit(main())
