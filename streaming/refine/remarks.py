"""What a refinement has to say to a person, in sentences."""

from streaming.refine.job import RefinedTomogram


def sentences(refined: RefinedTomogram) -> list[str]:
    """Give all remarks of a refinement; the same fact gives the same sentence again."""
    said = list(refined.remarks)
    if refined.peaks:
        places = ", ".join(f"q = {peak.q:.2f} (d = {peak.spacing_angstrom:.3f} angstrom)" for peak in refined.peaks)
        said.append(f"peaks that no phase of the profile explains, in the mean pattern: {places}; is a phase missing?")
    return said
