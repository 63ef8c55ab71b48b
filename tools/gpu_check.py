"""`make gpu-check`: what only a GPU can tell, for docs/training.md. After 25 minutes run it again for what is left."""

import json
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial

import torch
from fastai.callback.fp16 import MixedPrecision

from g2g import runs, training
from g2g.data import dataloaders, prepare
from g2g.files import write_json
from g2g.profiles import get_profile, get_recipe, repo_root
from report.publish import stamp

MINUTES, STEPS = 25, 60  # after so many minutes no check is begun; training is timed over so many steps
SCALE = 2.0**10  # of the loss, as a GradScaler does it, so that small gradients do not become 0 in fp16


def first_step(model, profile, photos, dtype=None):
    """Loss and gradient, as a vector, of each network in the first training step, with autocast to `dtype`."""
    learn = runs.learner(get_recipe(model, profile), photos)
    learn.remove_cb(MixedPrecision)
    learn.create_opt()
    learn.model.train()
    L, ab = learn.dls.train.one_batch()
    learn.training, learn.xb, learn.yb, learn._do_grad_opt = True, (L,), (ab,), lambda: None
    torch.manual_seed(0)  # the flow draws noise
    with torch.autocast(L.device.type, dtype or torch.bfloat16, enabled=dtype is not None):
        learn._do_one_batch()
    trained = [parameter for parameter in learn.model.parameters() if parameter.requires_grad]
    steps = [(learn.loss, torch.autograd.grad(SCALE * learn.loss_grad, trained))]
    if model == "cgan":
        steps.append((learn.d_loss, [parameter.grad for parameter in learn.discriminator.parameters()]))
    return [(loss.detach(), torch.cat([part.flatten() for part in gradient])) for loss, gradient in steps]


def half_precision(model, profile, photos) -> dict:
    """How far loss and gradient in half precision are from those in fp32, relative, in the worse of the networks."""
    full, errors = first_step(model, profile, photos), {}
    for name, dtype in {"bf16": torch.bfloat16, "fp16": torch.float16}.items():
        half = first_step(model, profile, photos, dtype)
        for number, what in enumerate(("loss", "gradient")):
            pairs = [(x[number], y[number]) for x, y in zip(full, half, strict=True)]
            errors[f"{name}, {what}"] = max(float((y - x).norm() / x.norm()) for x, y in pairs)
    return errors


def train(model, profile, photos):
    """A run of at most `STEPS` steps, after such runs of the models that it starts from; from disk if it is there."""
    recipe = get_recipe(model, profile)
    init_run = train(recipe.init_from, profile, photos) if recipe.init_from else None
    recipe = replace(recipe, epochs=1, d_epochs=0, steps_per_epoch=STEPS)
    return runs.load_or_train(model, profile, recipe=recipe, photos=photos, init_run=init_run, pretrained=False)


def training_speed(model, profile) -> dict:
    """Photos a second, peak memory, the minutes of the whole recipe at this pace, and what the loader hands over."""
    photos, recipe = prepare(profile), get_recipe(model, profile)
    if recipe.init_from:
        train(recipe.init_from, profile, photos)  # not to be measured here
    torch.cuda.reset_peak_memory_stats()
    run = train(model, profile, photos)
    peak, speed = torch.cuda.max_memory_allocated() / 2**30, run.record["photos_per_second"]
    per_epoch = recipe.batch_size * (recipe.steps_per_epoch or len(photos.train) / recipe.batch_size)
    start, loader = time.perf_counter(), dataloaders(photos, min_crop_side=recipe.min_crop_side).train
    count = sum(len(L) for L, _ in loader)
    torch.cuda.synchronize()
    handed = count / (time.perf_counter() - start)
    minutes = recipe.epochs * per_epoch / speed / 60
    return {"photos/s": speed, "loader alone, photos/s": handed, "minutes in all": minutes, "peak GiB": peak}


def resumes_after_a_kill(profile) -> dict:
    """Kill a training after an epoch, and start it again: it says after which epoch it goes on."""
    command = [sys.executable, "-u", "-m", "g2g", "train", "cnn", "--profile", profile.name, "--set", "epochs=50"]
    for beginning in ("epoch", "going on"):
        with subprocess.Popen(command, cwd=repo_root(), stdout=subprocess.PIPE, text=True) as process:
            line = next(line for line in process.stdout if line.startswith(beginning))
            process.kill()
    return {"says": line.strip()}


def checks(profile, final) -> dict:
    """The checks by name, in order, for the profile of a lesson and the report's."""
    found = {"device": lambda: training.hardware(training.get_device())}
    found |= {f"{profile.name}, {model}": partial(training_speed, model, profile) for model in profile.models}
    for model in ("cnn", "unet", "cgan", "palette", "flow"):
        found[f"half precision, {model}"] = lambda model=model: half_precision(model, profile, prepare(profile))
    command = [sys.executable, "tools/colab_check.py", "03"]
    found["notebook 03 alone"] = lambda: {"exit code": subprocess.run(command, cwd=repo_root()).returncode}
    found["resume"] = partial(resumes_after_a_kill, profile)
    return found | {f"{final.name}, {model}": partial(training_speed, model, final) for model in final.models}


def run(checks, path) -> dict:
    """The results of the checks by name. Those that the file `path` has are not run again; each is written at once."""
    results, start = json.loads(path.read_text()) if path.is_file() else {}, time.time()
    for name, check in checks.items():
        if name not in results and time.time() - start < 60 * MINUTES:
            print(f"== {name}", flush=True)
            found = check()
            results[name] = {key: float(f"{x:.3g}") if isinstance(x, float) else x for key, x in found.items()}
            write_json(results, path)
    return results


def table(results) -> str:
    """The results as Markdown, a row a check."""
    rows = ["| check | measured |", "|---|---|"]
    for name, values in results.items():
        measured = ", ".join(f"{key} {value}" for key, value in values.items())
        rows.append(f"| {name} | {measured} |")
    return "\n".join(rows)


if __name__ == "__main__":
    if not torch.cuda.is_available():
        sys.exit("no GPU that torch can use: python -c 'import torch; torch.zeros(1).cuda()' says why")
    todo, path = checks(get_profile("class"), get_profile("report")), repo_root() / "outputs" / "gpu_check.json"
    path.parent.mkdir(exist_ok=True)
    results = run(todo, path)
    stamp(repo_root() / "docs" / "training.md", "gpu_check", table(results))
    sys.exit(len(results) < len(todo) and f"{len(todo) - len(results)} checks are left: run it again")
