"""The instrument for GSAS-II: wavelength and a first width, as an ``.instprm`` that it imports with the ``.xye`` files.

Names and units are those of GSAS-II (Toby and Von Dreele, J. Appl. Cryst. 46 (2013) 544): variances of the Gaussian width in
hundredths of a degree squared. The patterns are corrected for polarisation; ``Polariz.`` 1 at azimuth 0 leaves them so.
"""

import math

FWHM_OF_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))


def instrument_parameters(*, wavelength_angstrom: float, fwhm_deg: float) -> str:
    """Give the content of an ``.instprm`` file.

    Parameters
    ----------
    wavelength_angstrom
        Of the beam.
    fwhm_deg
        Full width at half maximum of a narrow line, in two theta: where the refinement of the width begins.
    """
    variance = (100.0 * fwhm_deg / FWHM_OF_SIGMA) ** 2
    values = {
        "Type": "PXC",
        "Bank": "1.0",
        "Lam": f"{wavelength_angstrom:.8f}",
        "Polariz.": "1.0",
        "Azimuth": "0.0",
        "Zero": "0.0",
        "U": "0.0",
        "V": "0.0",
        "W": f"{variance:.6f}",
        "X": "0.0",
        "Y": "0.0",
        "Z": "0.0",
        "SH/L": "0.002",
    }
    head = "#GSAS-II instrument parameter file; do not add/delete items!\n"
    return head + "".join(f"{name}:{value}\n" for name, value in values.items())
