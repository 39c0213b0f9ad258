"""The recipes of `book/recipes.md` that need Lightning or Hugging Face's Trainer, run as they stand there.

    OMP_NUM_THREADS=1 python benchmarks/recipes.py

Each trains something small with two micro-batches to a step, and is held to what the page says: the average is that of
the steps, recomputed in float64; a run that was resumed from a checkpoint ends with the same bits; and the average is
what is evaluated. A line is printed for each that holds, and the script ends with an error at the first that does not.
"""

import contextlib
import importlib.metadata
import io
import logging
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))
from recipes import cook

TAU = 0.3
Steps = list[list[Tensor]]


def doubles(network: nn.Module) -> list[Tensor]:
    return [each.detach().double().clone() for each in network.parameters()]


def watched(optimizer: torch.optim.Optimizer, network: nn.Module) -> Steps:
    """A list to which the network's weights are added after each step."""
    steps = [doubles(network)]
    optimizer.register_step_post_hook(lambda *_: steps.append(doubles(network)))
    return steps


def check_average(steps: Steps, target: Any, taken: int) -> None:
    assert target.count == len(steps) - 1 == taken, (target.count, len(steps) - 1)
    average = steps[0]
    for weights in steps[1:]:
        average = [TAU * new + (1 - TAU) * old for new, old in zip(weights, average, strict=True)]
    torch.testing.assert_close(doubles(target.module), average, rtol=1e-5, atol=1e-6)


def check_bits(one: nn.Module, other: nn.Module) -> None:
    torch.testing.assert_close(one.state_dict(), other.state_dict(), rtol=0, atol=0)


def lightning(folder: str) -> None:
    import lightning as pl

    recipe: dict[str, Any] = {}
    cook("lightning", recipe)

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.network = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
            self.validated: list[nn.Module] = []

        def training_step(self, batch: list[Tensor], _: int) -> Tensor:
            return nn.functional.cross_entropy(self.network(batch[0]), batch[1])

        def validation_step(self, batch: list[Tensor], _: int) -> None:
            self.validated.append(self.network)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            optimizer = torch.optim.Adam(self.parameters(), 0.01)
            self.steps = watched(optimizer, self.network)
            return optimizer

    drawn = torch.Generator().manual_seed(1)
    data = TensorDataset(torch.randn(64, 4, generator=drawn), torch.randint(3, (64,), generator=drawn))
    batches = DataLoader(data, batch_size=8)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}

    def fit(epochs: int, name: str, resumed: str | None = None) -> tuple[Any, Any, Any]:
        module, slow = Module(), recipe["SlowCopy"](TAU)
        own = {"accumulate_grad_batches": 2, "callbacks": [slow], "default_root_dir": f"{folder}/{name}"}
        trainer = pl.Trainer(max_epochs=epochs, **own, **quiet)
        trainer.fit(module, batches, batches, ckpt_path=resumed)
        return module, slow, trainer

    whole, slow, _ = fit(4, "whole")
    check_average(whole.steps, slow.target, taken=16)
    assert all(each is slow.target for each in whole.validated)
    assert isinstance(whole.network, nn.Sequential)
    _, _, halfway = fit(2, "half")
    path = halfway.checkpoint_callback.best_model_path
    resumed, again, _ = fit(4, "resumed", path)
    check_bits(again.target, slow.target)
    check_bits(resumed, whole)

    fresh, loaded = Module(), recipe["SlowCopy"](TAU)
    pl.Trainer(callbacks=[loaded], **quiet).validate(fresh, batches, ckpt_path=path, verbose=False)
    assert loaded.target.count == 8
    assert all(each is loaded.target for each in fresh.validated)


def transformers(folder: str) -> None:
    from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

    recipe: dict[str, Any] = {}
    cook("trainer", recipe)
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = BertConfig(vocab_size=20, max_position_embeddings=16, num_labels=3, **small)
    drawn = torch.Generator().manual_seed(1)
    data = [
        {"input_ids": torch.randint(20, (6,), generator=drawn), "labels": torch.randint(3, (), generator=drawn)}
        for _ in range(64)
    ]
    quiet = {"report_to": [], "disable_tqdm": True, "use_cpu": True, "logging_strategy": "no"}

    def fit(steps: int, name: str, resumed: str | None = None, **more: Any) -> tuple[Any, Any, Steps]:
        torch.manual_seed(0)
        model, slow = BertForSequenceClassification(config), recipe["SlowCopy"](TAU)
        own = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2, "save_steps": 4, "max_steps": steps}
        arguments = TrainingArguments(f"{folder}/{name}", lr_scheduler_type="constant", **own, **quiet, **more)
        trainer = Trainer(model, arguments, train_dataset=data, callbacks=[slow])
        taken = watched(trainer.create_optimizer(), model)
        trainer.train(resume_from_checkpoint=resumed)
        return model, slow, taken

    whole, slow, taken = fit(8, "whole")
    check_average(taken, slow.target, taken=8)
    fit(4, "half")
    resumed, again, _ = fit(8, "half", f"{folder}/half/checkpoint-4")
    check_bits(again.target, slow.target)
    check_bits(resumed, whole)

    slow.target.module.save_pretrained(f"{folder}/average")
    average = BertForSequenceClassification.from_pretrained(f"{folder}/average")
    check_bits(average, slow.target.module)
    alone = TrainingArguments(f"{folder}/alone", **quiet)
    losses = [Trainer(each, alone, eval_dataset=data).evaluate()["eval_loss"] for each in (average, slow.target.module)]
    assert losses[0] == losses[1]

    _, slow, taken = fit(4, "mixed", bf16=True)  # accelerate puts an autocast into the model's own forward
    check_average(taken, slow.target, taken=4)
    tokens = torch.stack([each["input_ids"] for each in data])
    plain = BertForSequenceClassification(config).eval()
    plain.load_state_dict(slow.target.module.state_dict())
    gap = plain(tokens).logits - slow.target(tokens).logits
    assert abs(gap).max() < 0.02, "the copy must compute with its own weights"


def main() -> None:
    warnings.simplefilter("ignore")
    for name, check in {"lightning": lightning, "transformers": transformers}.items():
        logging.disable(logging.WARNING)
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            check(folder)
        print(f"{name} {importlib.metadata.version(name)} with torch {torch.__version__}: the recipe holds")


if __name__ == "__main__":
    main()
