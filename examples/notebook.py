# %% [markdown]
"""A notebook: design, train, look. Cells begin with `# %%`; every figure draws itself in one.

    python examples/notebook.py        # or open it in an editor that knows cells, or with jupytext

Prints the sheet of a network written in one line, an epoch a line, the figures on images never
seen, and where the pictures lie. In a notebook the training has one output that is rewritten.
"""

# %% A network that fits in a line, and what it costs before a second is spent
from pathlib import Path
from tempfile import mkdtemp

from striate import data, design, draw, inference, progress, recipes, runs, train, zoo

place = Path(mkdtemp())
network = zoo.read("conv3-16 conv3-16 maxpool conv3-32 maxpool FC-10", input=(1, 8, 8))
sheet = design.sheet(network, batch=64)
print(sheet)
print(f"\n{sheet.totals.macs:,} multiply-adds an image, {sheet.totals.parameters:,} parameters")

# %% What goes in
dataset = data.open("digits")
print(f"{dataset.name}: {len(dataset.parts['all'])} images, {len(dataset.classes)} classes")

# %% Training: the recipe is a value, printed and changed like one
recipe = recipes.make(
    "auto", dataset, network="conv3-16 conv3-16 maxpool conv3-32 maxpool FC-10"
).replace(epochs=8)
print(recipe.optimiser, recipe.schedule, sep="\n")
result = train.train(recipe, dataset=dataset, out=place / "run")

# %% How it went
run = runs.open(result.run)
for line in run.history("validation"):
    print(f"epoch {line['epoch']}: {line['accuracy']:.1%}")
curve = draw.learning_curve(run.history(), title="digits")
curve.save(place / "curve.svg")
curve  # noqa: B018  a notebook draws the last value of a cell

# %% What it knows of images it has never seen
test = inference.evaluate(run).test
print(f"{test.accuracy:.1%} of {test.n} ({test.interval[0]:.1%} to {test.interval[1]:.1%})")
table = draw.confusion(test.confusion, [each.label for each in run.contract().classes])
table.save(place / "confusion.svg")
table  # noqa: B018

# %% The numbers, for pandas: `pandas.DataFrame(run.scalars())`
with progress.use(progress.Silent()):
    numbers = run.scalars()
print(f"{len(numbers)} numbers, {numbers[0]}\n{place}")
