"""The test of the tests: plant a bug in a copy of the tree, and demand that the named tests fail.

    python tests/mutants.py               all of them
    python tests/mutants.py adam promises those whose title or layer holds one of the words

A mutant that survives fails the check, and so does one whose text is no longer found. Not part of `make test`;
run it before a release. Bugs of the C++ engine need a build each and are not planted here.
"""

# ruff: noqa: E501 - a mutant a line reads as the table that it is

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import NamedTuple

os.environ |= {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
sys.dont_write_bytecode = True

import pytest  # noqa: E402 - imported once, for all the forks
import skimage.metrics  # noqa: E402, F401
import torch  # noqa: E402, F401

ROOT = Path(__file__).parent.parent
FACTS = (
    "pixels held_out metrics beats fields named registries variants activations encodings net layer_initializers net_initializers "
    "plan sampling optimizers losses schedules"
)
LAYERS = {
    "facts": FACTS.split(),
    "contract": ["contracts", "architecture", "surface"],
    "reference": ["eager", "eager_extras", "optimizers"],
    "properties": ["plan", "properties", "loop", "session"],
    "golden": ["golden"],
    "pictures": ["picture_tiff", "picture_kinds"],
    "films": ["film", "video"],
    "promises": [],
}
"""Which test files stand guard, by the name of their module; of promises each bug names its own."""


class Mutant(NamedTuple):
    """A bug: in `file` of the package, `text` becomes `bug`; tests of `layer`, or the one test `by`, must fail."""

    title: str
    file: str
    text: str
    bug: str
    layer: str
    by: str = ""

    @property
    def tests(self) -> tuple[str, ...]:
        """What pytest is to run."""
        if self.by:
            return (f"tests/{self.by}",)
        tree = ROOT / "tests"
        found = [path for name in LAYERS[self.layer] for path in tree.rglob(f"test_{name}.py")]
        return tuple(str(path.relative_to(ROOT)) for path in sorted(found))


EAGER, PLAN = "engine/eager.py", "learning/plan.py"
BACKWARD = "            loss.backward()\n            if self"
CENTRES = "x, y = (np.arange(width) + 0.5) / width, (np.arange(first, last) + 0.5) / height"

MUTANTS = [
    # Budgets that are planned anew, and the silence after the last word
    Mutant("frames stay where the first plan had them", "runs/watchers.py", "task, data, steps\n", "task, data, set(steps)\n", "promises", "runs/test_cut_runs.py"),
    Mutant("kept weights stay there too", "runs/watchers.py", "self._run, self._steps = run, steps", "self._run, self._steps = run, set(steps)", "promises", "runs/test_cut_runs.py"),
    Mutant("a look falls on a step that is over", PLAN, "np.maximum(at + 1, np.rint", "np.maximum(0, np.rint", "promises", "runs/test_cut_runs.py"),
    Mutant("a group keeps the rates of its beginning", "engine/regrouped.py", "rates = self.plan.rates(self.step, len(losses_out))", "rates = self.plan.rates(self.step - self._done, len(losses_out))", "promises", "runs/test_cut_runs.py"),
    Mutant("a list on a read-only disk is read anew", "runs/index.py", "journal_mode = DELETE", "journal_mode = WAL", "promises", "runs/test_read_only.py"),
    Mutant("floats of 0 to 255 are painted white", "picture/_values.py", "if scale == 1 and not -0.5 <=", "if False and not -0.5 <=", "promises", "picture/test_picture_making.py"),
    Mutant("a slow first step cuts a run to nothing", "budget.py", "spent < SEEN * self._seconds", "spent < 0", "promises", "test_budget.py"),
    Mutant("the target of a resume is forgotten", "experiment.py", "if new_target:", "if False:", "promises", "runs/test_cut_runs.py"),
    Mutant("sines 1e-4 too fast in eager alone", "nets/activations.py", "torch.sin(omega * x)", "torch.sin(omega * 1.0001 * x)", "promises", "engine/test_amplified_rounding.py"),
    Mutant("the line dies before symptoms are sought", "progress/renderers.py", "lines = closing(facts, python=self._python)", "self._now.set('')\n            lines = closing(facts, python=self._python)", "promises", "progress/test_waiting.py"),
    # The ten of the measured experiment
    Mutant("beta2 0.99", "learning/optimizers.py", "betas=(beta1, beta2)", "betas=(beta1, 1 - 10 * (1 - beta2))", "reference"),
    Mutant("beta2 0.99, trace", "learning/optimizers.py", "betas=(beta1, beta2)", "betas=(beta1, 1 - 10 * (1 - beta2))", "golden"),
    Mutant("adam's eps 1e-6", "learning/optimizers.py", "eps=eps, fused", "eps=100 * eps, fused", "reference"),
    Mutant("pixel corner for centre", "picture/pixels.py", CENTRES, CENTRES.replace(" + 0.5", ""), "facts"),
    Mutant("x and y swapped", "picture/pixels.py", "grid[..., 0], grid[..., 1] =", "grid[..., 1], grid[..., 0] =", "facts"),
    Mutant("first biases start at 0", "nets/layer_initializers.py", "bias.copy_(-(weight * points).sum(1))", "bias.zero_()", "facts"),
    Mutant("first biases, trace", "nets/layer_initializers.py", "bias.copy_(-(weight * points).sum(1))", "bias.zero_()", "golden"),
    Mutant("gradient 1% small", EAGER, BACKWARD, BACKWARD.replace("\n", "\n            self._net.layers[0].weight.grad.mul_(0.99)\n", 1), "golden"),
    Mutant("gradient 1% small, oracle", EAGER, BACKWARD, BACKWARD.replace("\n", "\n            self._net.layers[0].weight.grad.mul_(0.99)\n", 1), "reference"),
    Mutant("tanh's derivative with a wrong power", "nets/activations.py", "    return torch.tanh(x)", "    y = torch.tanh(x.detach())\n    return y + (x - x.detach()) * (1 - y)", "reference"),
    Mutant("short batch dropped", "recipe/fields.py", "return -(-samples // min(batch, samples))", "return samples // min(batch, samples)", "properties"),
    Mutant("never shuffled", "learning/sampling.py", "generator.permutation(len(curve))", "np.arange(len(curve))", "properties"),
    Mutant("never shuffled, trace", "learning/sampling.py", "generator.permutation(len(curve))", "np.arange(len(curve))", "golden"),
    Mutant("errors taken up in the middle of an epoch", PLAN, "        if step % self.per_epoch == 0:\n", "        if True:\n", "properties"),
    Mutant("the errors of an epoch's beginning are not kept", PLAN, '"sampling/errors": self._errors', '"sampling/errors": self._latest', "properties"),
    Mutant("Hilbert's curve without its turns", "learning/sampling.py", "x, y = np.where(down, x, y), np.where(down, y, x)", "pass", "facts"),
    Mutant("rate 10% high", PLAN, "return self._recipe.rate * values", "return 1.1 * self._recipe.rate * values", "facts"),
    Mutant("rate 10% high, trace", PLAN, "return self._recipe.rate * values", "return 1.1 * self._recipe.rate * values", "golden"),
    # Facts
    Mutant("psnr of unclipped values", "picture/metrics.py", "error = np.clip(painted, 0, 1).astype(np.float64)", "error = painted.astype(np.float64)", "facts"),
    Mutant("psnr with 20 log", "picture/metrics.py", "-10 * math.log10", "-20 * math.log10", "facts"),
    Mutant("ssim with a window a pixel too small", "picture/metrics.py", "/ 1.5) ** 2", "/ 1.4) ** 2", "facts"),
    Mutant("corners divide by width", "picture/pixels.py", "max(1, width - 1)", "max(1, width)", "facts"),
    Mutant("omega missing in the hidden start", "nets/layer_initializers.py", "math.sqrt(6 / inputs) / omega\n    weight", "math.sqrt(6 / inputs)\n    weight", "facts"),
    Mutant("omega missing in the readout's start", "nets/activations.py", "math.sqrt(6 / inputs) / omega", "math.sqrt(6 / inputs)", "facts"),
    Mutant("he with the variance of glorot", "nets/layer_initializers.py", "bound = math.sqrt(6 / weight.shape[1])", "bound = math.sqrt(6 / sum(weight.shape))", "facts"),
    Mutant("warm-up from 0", PLAN, "ramp = (steps + 1)", "ramp = steps", "facts"),
    Mutant("schedule planned for half the budget", PLAN, "self.shares(steps + 0.5)", "self.shares(2 * (steps + 0.5))", "facts"),
    Mutant("unknown arguments ignored", "recipe/variants.py", "        if key not in takes:\n", "        if key not in takes and False:\n", "facts"),
    Mutant("checker hides the first pixel", "picture/held_out.py", "% 2).astype(bool)", "% 2 == 0).astype(bool)", "facts"),
    # Reference
    Mutant("finer's factor differentiated", "nets/activations.py", "x.detach().abs() + 1", "x.abs() + 1", "reference"),
    Mutant("half_square summed over the batch", "learning/losses.py", ".square().sum(1).mean()", ".square().sum()", "reference"),
    Mutant("skip connection lost", EAGER, "return net.head(value)", "skip, net.skip = net.skip, None\n            result = net.head(value)\n            net.skip = skip\n            return result", "reference"),
    Mutant("fan-in without its 1", "learning/optimizers.py", "net.fan_in(module) + 1", "net.fan_in(module)", "reference"),
    Mutant("hash with another prime", "nets/encodings.py", "PRIME = 2654435761", "PRIME = 2654435769", "facts"),
    Mutant("grid: last cell outside", "nets/encodings.py", "place.floor().minimum(place.new_tensor([across - 1, down - 1]))", "place.floor()", "facts"),
    Mutant("grid: u and v swapped", "nets/encodings.py", "u, v = (place - low).unbind(1)", "v, u = (place - low).unbind(1)", "reference"),
    Mutant("bfloat16 sums", EAGER, "        return x @ weight.T", "        return _rounded(x @ weight.T)", "reference"),
    Mutant("clip without effect", EAGER, "if self._recipe.clip:", "if self._recipe.clip > 1e9:", "reference"),
    Mutant("smoothing forgotten", "learning/losses.py", "soft = target * (1 - smoothing) + smoothing / target.shape[1]", "soft = target", "reference"),
    Mutant("decay of biases too", "learning/optimizers.py", '"factor": 1.0, "weight_decay": 0.0', '"factor": 1.0, "weight_decay": decay', "reference"),
    # Properties
    Mutant("resume without moments", EAGER, "remembered(state, m, name, shape).clone()", "torch.zeros_like(remembered(state, m, name, shape))", "properties"),
    Mutant("bias correction a step late after resuming", EAGER, "torch.tensor(float(self.step))", "torch.tensor(float(self.step - 1))", "properties"),
    Mutant("resume from the first sample", EAGER, '        self.step = int(state["step"])\n', '        self.step = 0 * int(state["step"])\n', "properties"),
    Mutant("going back keeps old moments", EAGER, "            optimizer.state.clear()\n", "", "properties"),
    Mutant("dropout alike at each step", EAGER, "DROPOUT_STREAM, self.step]", "DROPOUT_STREAM, 0]", "reference"),
    Mutant("dropout from the global state", EAGER, "torch.rand(value.shape, generator=generator)", "torch.rand(value.shape)", "properties"),
    Mutant("the clock counts the watchers", "learning/loop.py", "seconds, wall, used = seconds + spent,", "seconds, wall, used = time.perf_counter(),", "properties"),
    Mutant("sessions left open", "learning/loop.py", "        session.close()\n", "        pass\n", "properties"),
    Mutant("divergence overlooked", "learning/loop.py", "    if not bad.any():\n", "    if True:\n", "properties"),
    Mutant("a pulse is a beat", "learning/loop.py", "session.step == beat, seen, cores)", "True, seen, cores)", "properties"),
    Mutant("the net left behind at the end", "learning/loop.py", "            _ = tick.net\n", "            pass\n", "properties"),
    Mutant("a beat trains a step more", "learning/loop.py", "count = beat - session.step if pulse is None", "count = beat - session.step + (beat < session.plan.total_steps) if pulse is None", "properties"),
    # Pictures
    Mutant("planes of a TIFF misplaced", "picture/_tiff.py", "TiffImagePlugin.READ_LIBTIFF = layout is not None and", "TiffImagePlugin.READ_LIBTIFF = layout is None and", "pictures"),
    Mutant("signed integers wrap", "picture/_tiff.py", 'if layout.kind == "i":', 'if layout.kind == "-":', "pictures"),
    Mutant("grey with alpha in planes", "picture/_tiff.py", "self.alpha is not None and self.samples != 4", "self.alpha is not None and self.samples > 4", "pictures"),
    Mutant("bytes swapped twice", "picture/_tiff.py", "return not self.big_floats or", "return True or", "pictures"),
    Mutant("alpha left multiplied", "picture/_tiff.py", "if layout.extra[layout.alpha - count] == 1:", "if layout.extra[layout.alpha - count] == 3:", "pictures"),
    Mutant("canvas of a GIF opaque", "picture/_reading.py", "if frame is not None:", "if frame is None and False:", "pictures"),
    Mutant("gamma forgotten", "picture/_reading.py", "    if gamma is not None:", "    if False:", "pictures"),
    Mutant("a bomb is opened", "picture/_refusals.py", "if max(width, height) > WEBP_SIDE:", "if max(width, height) > 1 << 30:", "pictures"),
    Mutant("films at half the colour", "views/frames.py", "if doubled and width", "if doubled and not width", "films"),
    Mutant("a GIF for the crowd alone", "drawing/video.py", "RARE, MISSED = 32, 24", "RARE, MISSED = 0, 24", "films"),
    # Promises: each kind of fault that careful use once found
    Mutant("a checkpoint's checksum is not asked", "runs/tensors.py", "if known != _checksum(tensors, text):", "if False:", "promises", "runs/test_damage.py::test_no_flipped_bit_of_a_checkpoint_or_of_kept_weights_is_used"),
    Mutant("facts beside the weights have no checksum", "runs/tensors.py", "hashlib.blake2b(text.encode(), digest_size=16)", "hashlib.blake2b(digest_size=16)", "promises", "runs/test_damage.py::test_no_flipped_bit_of_a_checkpoint_or_of_kept_weights_is_used"),
    Mutant("the order of values has no checksum", "runs/tensors.py", "        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)\n", "", "promises", "runs/test_damage.py::test_no_flipped_bit_of_a_checkpoint_or_of_kept_weights_is_used"),
    Mutant("1e999 is a number of metrics", "runs/metrics.py", "(isinstance(found, float) and math.isfinite(found))", "isinstance(found, float)", "promises", "runs/test_damage.py::test_one_damaged_run_breaks_nothing_for_the_others"),
    Mutant("the learned picture may be another", "runs/directory.py", "        if found != wanted:\n", "        if False:\n", "promises", "runs/test_damage.py::test_a_target_that_is_not_the_one_that_was_learned_is_refused"),
    Mutant("constants come back from half precision", "runs/directory.py", " if n not in constants})", "})", "promises", "runs/test_going_on.py::test_old_kept_weights_with_rounded_constants_open_with_those_of_the_recipe"),
    Mutant("half precision of whatever size", "runs/directory.py", "half if half.isfinite().all() else parameter.detach()", "half", "promises", "runs/test_going_on.py::test_parameters_beyond_half_precision_are_kept_in_full"),
    Mutant("losses before a stop are forgotten", "runs/watchers.py", 'float(before.get("loss_sum", 0.0))', "0.0", "promises", "runs/test_going_on.py::test_metrics_of_a_resumed_run_equal_those_of_one_that_never_stopped"),
    Mutant("watching starts at 0 after a stop", "runs/watchers.py", 'float(before.get("watching_seconds", 0.0))', "0.0", "promises", "runs/test_going_on.py::test_metrics_of_a_resumed_run_equal_those_of_one_that_never_stopped"),
    Mutant("other bits without a word", "experiment.py", "    if not changed:\n", "    if True:\n", "promises", "runs/test_going_on.py::test_going_on_with_other_arithmetic_is_said_and_kept"),
    Mutant("a group is repeated under another rate", "engine/regrouped.py", "            if all(torch.equal(a, b) for a, b in pairs):\n", "            if list(pairs):\n", "promises", "runs/test_going_on.py::test_a_fork_leaves_its_run_exactly_on_every_engine"),
    Mutant("an absent score counts as reached", "words.py", "value = line.get(key, math.nan)", "value = line.get(key)", "promises", "runs/test_watch.py::test_a_score_that_is_absent_never_counts_as_reached"),
    Mutant("a missed target is interrupted", "runs/watch.py", 'else "done" if target is None else "missed"', 'else "done" if target is None else "interrupted"', "promises", "runs/test_watch.py::test_what_became_of_a_target_is_said_and_is_a_state"),
    Mutant("an exact painting has 0 dB", "words.py", "return math.inf if value is None", "return 0.0 if value is None", "promises", "cli/test_tables.py::test_an_exact_painting_is_the_best_of_all_and_an_unknown_score_the_last"),
    Mutant("a reader takes the lock", "runs/lock.py", "fcntl.LOCK_SH | fcntl.LOCK_NB", "fcntl.LOCK_EX | fcntl.LOCK_NB", "promises", "runs/test_lock.py::test_looking_takes_no_exclusive_lock_and_changes_no_file"),
    Mutant("a child keeps its parent's lock", "runs/lock.py", "    for descriptor in _open:\n        os.close(descriptor)\n", "", "promises", "runs/test_lock.py::test_a_lock_ends_with_its_process_and_not_with_a_child"),
    Mutant("a name that is taken ends the run", "runs/drafts.py", "                    continue\n", "                    raise\n", "promises", "runs/test_lock.py::test_a_thousand_runs_of_one_minute_have_a_thousand_names"),
    Mutant("what lives is swept", "runs/drafts.py", "                and not is_held(draft)\n            ):\n                with holding(draft):\n", "            ):\n                if True:\n", "promises", "runs/test_lock.py::test_what_the_dead_left_is_swept_and_what_the_living_make_is_not"),
    Mutant("links lead out of a run", "files.py", "stat.S_IFMT(path.lstat().st_mode)", "stat.S_IFMT(path.stat().st_mode)", "promises", "runs/test_strangers.py::test_no_planted_entry_leads_a_verb_out_of_the_run"),
    Mutant("a second name elsewhere is written to", "files.py", "if before.st_nlink > 1:", "if False:", "promises", "test_files.py::test_a_file_with_a_second_name_elsewhere_takes_no_line"),
    Mutant("control characters as they are", "words.py", 'return character.encode("unicode_escape", "surrogatepass").decode("ascii")', "return character", "promises", "runs/test_strangers.py::test_control_characters_reach_no_terminal_and_no_pipe"),
    Mutant("sine units are woken", "engine/__init__.py", 'if recipe.wake and not activation.fact("rectifier"):', "if False:", "promises", "engine/test_settle.py::test_any_activation_may_replace_that_of_a_named_recipe"),
    Mutant("an engine is passed over in silence", "engine/__init__.py", "            passed.append(", "            str(", "promises", "engine/test_settle.py::test_a_passed_over_engine_is_said_with_its_price"),
    Mutant("the first weights paint for ever", "fused.py", "all(map(_same_bytes, self._has, weights))", "True", "promises", "test_fused.py::test_any_write_is_seen_at_the_next_call"),
    Mutant("a container's quota is not seen", "machine.py", "min(cores, quota())", "cores", "promises", "test_machine.py::test_threads_are_bounded_by_cores_and_quota"),
    Mutant("a recipe's options can be changed", "recipe/fields.py", "        return Options((key, frozen(part))", "        return dict((key, frozen(part))", "promises", "recipe/test_frozen.py::test_recipes_are_values"),
    Mutant("the cache of runs is never stale", "runs/index.py", "if kept is not None and kept[0] == stamp else None", "if kept is not None else None", "promises", "runs/test_index.py::test_whatever_happens_the_list_is_that_of_the_directories"),
    Mutant("an engine of other sources trains on", "_sources.py", "digest(native) == made_of", "made_of", "promises", "test_sources.py::test_an_installed_package_has_no_sources_beside_it"),
    Mutant("misspelt names wait for torch", "cli/refusals.py", "    check_names(recipe)\n", "", "promises", "cli/test_refusals.py::test_misspelt_words_are_told_before_torch_is_imported"),
    Mutant("what is appended to a registry is not seen", "recipe/registries.py", "listed.append(ast.literal_eval(one))", "pass", "facts"),
    Mutant("moments of another shape are taken", "learning/session.py", " or tuple(value.shape) != tuple(shape)", "", "promises", "engine/test_cuda.py::test_a_state_of_another_optimizer_or_net_is_refused_by_every_engine"),
    Mutant("a name leads upwards out of a run", "files.py", 'if not {"", ".", ".."}.isdisjoint(parts):', "if False:", "promises", "runs/test_directory.py::test_a_room_is_made_inside_the_run_and_nowhere_else"),
    Mutant("a tick of the past shows the present", "learning/session.py", "        self._over = True\n", "        pass\n", "properties"),
    # Contracts
    Mutant("a fact that knows the model", "picture/metrics.py", "import math\n", "import math\n\nfrom .. import nets  # noqa\n", "contract"),
    Mutant("a recipe that loads numpy", "recipe/fields.py", "import re\n", "import re\n\nimport numpy  # noqa\n", "contract"),
    Mutant("an activation in float32 alone", "nets/activations.py", "    return torch.sigmoid(x)", "    return torch.sigmoid(x.float())", "contract"),
    Mutant("an activation in place", "nets/activations.py", "return functional.silu(x)", "return functional.silu(x, inplace=True)", "contract"),
]  # fmt: skip


PREPARE = """
import sys
sys.meta_path[:] = [f for f in sys.meta_path if "editable" not in type(f).__module__]
sys.path.insert(0, {source!r})
import sfumato
assert sfumato.__file__.startswith({source!r}), sfumato.__file__
"""


def copy_tree(to: Path) -> None:
    """The package and its tests, so arranged that the copy is what is imported."""
    shutil.copytree(ROOT / "src", to / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for folder in ("tests", "tools", "docs"):
        shutil.copytree(ROOT / folder, to / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", to)
    (to / "conftest.py").write_text(PREPARE.format(source=str(to / "src")))


class Result(NamedTuple):
    """How pytest ended, and what it printed."""

    code: int
    text: str


def run(tree: Path, tests: tuple[str, ...]) -> Result:
    """Tests up to the first failure, in a fork of this process, which has torch imported."""
    log = tree / "log.txt"
    child = os.fork()
    if child == 0:
        code = 99
        try:
            with log.open("w") as out:
                os.dup2(out.fileno(), 1)
                os.dup2(out.fileno(), 2)
            os.chdir(tree)
            os.environ["PYTHONPATH"] = str(tree / "src")  # processes that tests start see the bug too
            code = int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests]))
        except BaseException:  # a fork must not run on in the parent's place, whatever happens
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return Result(os.waitstatus_to_exitcode(status), log.read_text(encoding="utf-8"))


def verdict(mutant: Mutant, tree: Path) -> str:
    """`killed by ...`, or what is wrong with the mutant or with the tests."""
    path = tree / "src" / "sfumato" / mutant.file
    clean = path.read_text(encoding="utf-8")
    if mutant.text not in clean:
        return "LOST: its text is no longer in the file"
    path.write_text(clean.replace(mutant.text, mutant.bug), encoding="utf-8")
    try:
        result = run(tree, mutant.tests)
    finally:
        path.write_text(clean, encoding="utf-8")
    failed = [line for line in result.text.splitlines() if line.startswith(("FAILED", "ERROR"))]
    if result.code == 0:
        return "SURVIVED"
    if not failed:
        return f"BROKEN: pytest ended with {result.code}\n{result.text[-3000:]}"
    return "killed by " + failed[0].split(" - ")[0].removeprefix("FAILED ").removeprefix("tests/")


def main(words: list[str]) -> int:
    chosen = [m for m in MUTANTS if not words or any(word in m.title or word == m.layer for word in words)]
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        copy_tree(tree)
        for tests in sorted({m.tests for m in chosen}):
            result = run(tree, tests)
            if result.code:
                print(f"the clean tree fails in {' '.join(tests)}:\n{result.text[-5000:]}")
                return 1
        for mutant in chosen:
            started = time.perf_counter()
            found = verdict(mutant, tree)
            bad += not found.startswith("killed")
            print(
                f"{mutant.layer:10} {mutant.title:45} {time.perf_counter() - started:5.1f} s  {found}",
                flush=True,
            )
    print(f"{len(chosen) - bad} of {len(chosen)} mutants are killed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
