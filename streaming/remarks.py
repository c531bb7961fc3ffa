"""What a person should know of a result, in sentences: receives results, gives notices."""

from typing import Literal

import numpy as np

from operando.messages import RunStarted
from streaming.centre import CENTRES_AGREE, compare_centres
from streaming.correct.found import words_on
from streaming.tomogram import Result


def remark_on_centre(run: RunStarted, result: Result) -> tuple[str, Literal["info", "warning"]] | None:
    """Give where the rotation axis was found, by each estimator, and how much that matters; None if only one knows."""
    estimates = compare_centres(result.mass_sinogram, np.array(run.angles_deg))
    if len(estimates) < 2:
        return None
    words = ", ".join(f"{name} {run.first_position_mm + run.step_mm * centre.index:.4f}" for name, centre in estimates.items())
    is_split = np.ptp([centre.index for centre in estimates.values()]) > CENTRES_AGREE
    text = f"rotation centre (mm): {words}" + ("; they disagree: is the sample drifting?" if is_split else "")
    return text, "warning" if is_split else "info"


def new_faults(run: RunStarted, result: Result, told: set[str]) -> list[str]:
    """Give a sentence for each fault of the scan that was not told yet, and note it in ``told``."""
    words = words_on(result.found, step_mm=run.step_mm, speed_mm_s=run.speed_mm_s)
    news = {fault: text for fault, text in words.items() if fault not in told}
    told.update(news)
    return list(news.values())
