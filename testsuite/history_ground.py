"""Ground for tests of histories: the maps that r.unet.predict makes from all years together."""

import itertools

import numpy as np

from imperviouslib.core import mapnames


def random_maps(years, shape, seed):
    """Return maps of random histories, a tenth of the cells seen in no year and a tenth unseen in each but the first."""
    rng = np.random.default_rng(seed)
    steps = len(years) - 1
    histories = rng.dirichlet([0.3] * (2 + 2 * steps), shape).transpose(2, 0, 1)
    sealing, unsealing = histories[2 : 2 + steps], histories[2 + steps :]
    never = rng.random(shape) < 0.1
    cells = {}
    for n, year in enumerate(years):
        cells[f"lc_{year}_p_sealed"] = histories[1] + sealing[:n].sum(0) + unsealing[n:].sum(0)
    for n, pair in enumerate(itertools.pairwise(years)):
        cells[mapnames.change_map("lc", pair, "p_gain")] = sealing[n]
        cells[mapnames.change_map("lc", pair, "p_loss")] = unsealing[n]
    cells = {name: np.where(never, np.nan, values).astype("float32") for name, values in cells.items()}
    for year in years:
        hidden = never | (rng.random(shape) < 0.1) & (year > years[0])
        for key in ("natural", "green", "other"):
            cells[f"lc_{year}_p_{key}"] = np.where(hidden, 0, rng.integers(1, 3000, shape))
    return cells
