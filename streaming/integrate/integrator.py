"""From a frame to its pattern: holds the prepared bins and lends buffers to the kernels."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from operando.profile import Profile
from streaming.integrate.bins import RadialBins, make_bins
from streaming.integrate.counting import reduce_bins
from streaming.integrate.geometry import DetectorGeometry, read_geometry
from streaming.integrate.order import CHUNK, deal_out, put_in_order
from streaming.integrate.passes import sum_bins
from streaming.integrate.reject import reject_in_bins
from streaming.integrate.sectors import Cake, ring_from_sectors, shortened

_NARROW = np.dtype(np.uint8)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pattern:
    """One frame, integrated. A bin without a good pixel is NaN in all three arrays."""

    mean: NDArray[np.float32]
    """Sum of counts over sum of corrections, shape (n_radial,), photons per pixel."""
    variance: NDArray[np.float32]
    """Poisson variance of ``mean``, (n_radial,), (photons per pixel) squared: sum of counts / (sum of corrections) squared;
    where pixels are rejected, of the mean of those that are kept.

    The counts stand for their own expectation; where a bin has none at all, one count is taken, since zero would claim to know.
    """
    trimmed: NDArray[np.float32]
    """The robust pattern, shape (n_radial,), photons per pixel: mean of the pixels between the cuts or, where the integrator
    rejects (:mod:`streaming.integrate.reject`), of those that the others do not exclude. Of the trim:

    Robust against spots and zingers, but biased where a pixel holds few counts, and not by a constant factor: trimmed over true
    mean is 0.50 at 0.1 counts a pixel, 0.78 at 0.3, 0.92 at 1 and 0.987 at 5 (cuts 5 and 95 %). NaN where no whole pixel lies
    between the cuts.
    """
    n_saturated: int
    """Pixels left out because they count more than the detector can."""
    n_masked: int
    """Pixels left out because they hold the largest value of their type, by which detectors mask."""
    n_rejected: int = 0
    """Pixels left out of the robust pattern because they count far more than the others of their bin."""
    n_dead: int = 0
    """Pixels left out of it because they count nothing where the others count much."""
    cake: Cake | None = None
    """Patterns of the sectors by the estimator that is analysed, where they are kept."""


class Integrator:
    """Integrates frames of one geometry; may be called from several threads at once.

    Parameters
    ----------
    geometry
        Where the pixels look, and the mask.
    q_min, q_max
        Range, 1/angstrom.
    n_radial
        Number of equal bins.
    trim
        Parts of one below and above which pixels are trimmed; (0, 1) trims nothing and is several times as fast.
    saturation_counts
        Counts above this are excluded and counted.
    rejects
        Whether the robust pattern is the mean without spots, zingers and dead pixels instead of the trimmed mean.
    n_sectors
        Sectors of half a turn whose patterns are kept; 0 keeps none. Trim and rejection then work inside each sector, where a
        texture is no outlier.
    cakes_mean
        Whether the sectors' patterns are means of all pixels, or robust ones.
    """

    def __init__(
        self,
        geometry: DetectorGeometry,
        *,
        q_min: float,
        q_max: float,
        n_radial: int,
        trim: tuple[float, float] = (0.05, 0.95),
        saturation_counts: int = 1_000_000,
        rejects: bool = False,
        n_sectors: int = 0,
        cakes_mean: bool = True,
    ) -> None:
        self.geometry = geometry
        self.bins: RadialBins = make_bins(geometry, q_min=q_min, q_max=q_max, n_radial=n_radial, n_sectors=max(1, n_sectors))
        self._n_sectors, self._cakes_mean = n_sectors, cakes_mean
        self._cake_norm = self.bins.norm.reshape(max(1, n_sectors), -1).astype(np.float32)
        self._trim = (float(trim[0]), float(trim[1]))
        self._saturation_counts = saturation_counts
        self._rejects = rejects
        self._idle: deque[_Room] = deque()

    @property
    def q(self) -> NDArray[np.float64]:
        """Centres of the bins, shape (n_radial,), 1/angstrom."""
        return self.bins.q

    @property
    def trim(self) -> tuple[float, float]:
        """Parts of one below and above which pixels are trimmed."""
        return self._trim

    @property
    def rejects(self) -> bool:
        """Whether the robust pattern is the mean without spots, zingers and dead pixels."""
        return self._rejects

    def check(self, frame: NDArray[Any]) -> None:
        """Refuse what is no frame of the detector.

        Raises
        ------
        ValueError
            If shape or dtype are not those of the detector.
        """
        if frame.shape != self.geometry.shape:
            raise ValueError(f"frame has shape {frame.shape}, the geometry {self.geometry.shape}: check binning")
        if frame.dtype not in (np.uint8, np.uint16, np.uint32):
            raise ValueError(
                f"frame has dtype {frame.dtype}, wanted unsigned of 8, 16 or 32 bits: check the detector's bit depth"
            )

    def integrate(self, frame: NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.uint32]) -> Pattern:
        """Reduce one frame.

        Parameters
        ----------
        frame
            Counts, shape (n_rows, n_columns), unsigned of 8, 16 or 32 bits; the largest value of the type is a masked pixel.

        Raises
        ------
        ValueError
            If shape or dtype are not those of the detector.
        """
        self.check(frame)
        counts = np.ascontiguousarray(frame).reshape(-1)
        if self._trim == (0.0, 1.0) and not self._rejects:
            return self._sum(counts, self.limit(counts.dtype))
        room = self._borrow(frame.dtype)
        try:
            return self._reduce(counts, room)
        finally:
            self._idle.append(room)

    def limit(self, dtype: np.dtype[Any]) -> Any:
        """Give the least count that is excluded: the largest value of a type is a masked pixel."""
        return dtype.type(min(self._saturation_counts + 1, np.iinfo(dtype).max))

    def _sum(self, counts: NDArray[Any], limit: Any) -> Pattern:
        bins = self.bins
        signal, lost = np.empty(bins.n_radial + 1, dtype=np.int64), np.empty(bins.n_radial + 1, dtype=np.float64)
        excluded = np.empty(2, dtype=np.int64)
        sum_bins(counts, bins.bin, self.geometry.correction.reshape(-1), limit, signal, lost, excluded)
        # What is left of a bin whose pixels are all excluded is rounding.
        norm = bins.norm - lost[:-1]
        norm[norm < 1e-6 * bins.norm] = 0.0
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(norm > 0.0, signal[:-1] / norm, np.nan)
            variance = np.where(norm > 0.0, np.maximum(signal[:-1], 1.0) / norm**2, np.nan)
        return self.pattern(np.stack([mean, variance, mean]), [*excluded, 0, 0])

    def _reduce(self, counts: NDArray[Any], room: "_Room") -> Pattern:
        bins = self.bins
        sorted_counts = self._sorted(counts, room)
        limit = self.limit(sorted_counts.dtype)
        results = np.empty((3, bins.n_radial), dtype=np.float64)
        excluded = np.zeros(4, dtype=np.int64)
        layout = bins.offsets, bins.n_pixels
        if self._rejects:
            reject_in_bins(sorted_counts, bins.correction, *layout, limit, results, excluded, room.intensity)
        else:
            weights = bins.correction, bins.planes, bins.base, bins.step
            reduce_bins(sorted_counts, *weights, *layout, bins.norm, limit, self._trim, results, excluded[:2], room.intensity)
        return self.pattern(results, excluded)

    def _sorted(self, counts: NDArray[Any], room: "_Room") -> NDArray[Any]:
        """Give the counts by place, with 8 bits if that is enough for all of them."""
        order = self.bins.order
        for dtype in (_NARROW, counts.dtype):
            chunk, middle, sorted_counts = room.counts[dtype]
            if deal_out(counts, order.taken, order.runs, order.runs_of_chunk, chunk, middle):
                break
        put_in_order(middle, order.source, order.groups, sorted_counts)
        return sorted_counts

    def pattern(self, results: NDArray[np.float64], excluded: Sequence[Any] | NDArray[np.int64]) -> Pattern:
        """Make a pattern of what a kernel gave.

        Parameters
        ----------
        results
            Mean, its variance and robust mean of every bin, shape (3, n_bins).
        excluded
            Pixels left out: saturated, masked, rejected and dead.
        """
        cake = None
        if self._n_sectors:
            results = results.reshape(3, self._n_sectors, -1)
            cake = Cake(values=shortened(results[0 if self._cakes_mean else 2]), norm=self._cake_norm)
            results = ring_from_sectors(results)
        mean, variance, trimmed = results.astype(np.float32)
        n_saturated, n_masked, n_rejected, n_dead = (int(number) for number in excluded)
        return Pattern(
            mean=mean,
            variance=variance,
            trimmed=trimmed,
            n_saturated=n_saturated,
            n_masked=n_masked,
            n_rejected=n_rejected,
            n_dead=n_dead,
            cake=cake,
        )

    def _borrow(self, dtype: np.dtype[Any]) -> "_Room":
        """Give buffers that no other thread has; allocating 10 MB for every frame would cost a millisecond of page faults."""
        try:
            room = self._idle.pop()
        except IndexError:
            room = _Room(counts={}, intensity=np.empty(self.bins.largest, np.float32))
        for wanted in {dtype, _NARROW} - room.counts.keys():
            # The middle buffer holds the largest value for empty places for good, which every reduction excludes.
            sizes = CHUNK, self.bins.order.n_middle, self.bins.n_places
            chunk, middle, places = (np.full(size, np.iinfo(wanted).max, wanted) for size in sizes)
            room.counts[wanted] = chunk, middle, places
        return room


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Room:
    """Buffers of one call at a time."""

    counts: dict[np.dtype[Any], tuple[NDArray[Any], NDArray[Any], NDArray[Any]]]
    """For each type of counts: a chunk of the frame, the middle buffer, the counts by place."""
    intensity: NDArray[np.float32]


def make_integrator(profile: Profile, *, pixel_mask: NDArray[Any] | None = None) -> Integrator:
    """Give the integrator of a profile.

    Parameters
    ----------
    profile
        Names geometry, mask, detector and radial grid.
    pixel_mask
        Further masked pixels as the stream gives them, shape (n_rows, n_columns), non-zero is masked.

    Raises
    ------
    ProfileError
        If the geometry belongs to another detector.
    """
    geometry = read_geometry(profile)
    if pixel_mask is not None:
        geometry = geometry.with_mask(pixel_mask)
    settings = profile.integration
    return Integrator(
        geometry,
        q_min=settings.q_min,
        q_max=settings.q_max,
        n_radial=settings.n_radial,
        trim=settings.trim,
        saturation_counts=profile.detector.saturation_counts,
        rejects=settings.estimator == "rejected",
        n_sectors=settings.sectors,
        cakes_mean=settings.estimator == "mean",
    )
