"""Phase amounts: the batched solver against SciPy's, and the equivalence of fitting channels and fitting patterns."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import nnls

from operando.profile import read_profile
from streaming.amounts import add_misfit, fit_amounts
from streaming.channels import LiveChannels, PatternModel, make_live_channels, make_pattern_model

Array = NDArray[np.float64]


@pytest.fixture(scope="module")
def model() -> PatternModel:
    return make_pattern_model(read_profile("demo"))


def live_channels(model: PatternModel) -> LiveChannels:
    return make_live_channels(model, 0.01 + 0.02 * np.exp(-model.q))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), n_columns=st.integers(1, 12))
def test_amounts_are_those_of_scipy(seed: int, n_columns: int) -> None:
    random = np.random.default_rng(seed)
    q = np.linspace(1, 5, 60)
    model = PatternModel(q=q, templates=random.uniform(size=(60, n_columns)), structures=())
    live = LiveChannels(model=model, weights=random.uniform(0.5, 2, size=60))
    patterns = random.normal(0.3, 1.0, size=(20, 60))
    found = fit_amounts(live.channels(patterns), np.ones(20), live=live, mean_variance=np.ones(60))
    root = np.sqrt(live.weights)
    expected = [nnls(root[:, None] * model.templates, root * pattern)[0] for pattern in patterns]
    assert found.is_solved.all()
    np.testing.assert_allclose(found.values, expected, atol=1e-8 * (1 + np.max(expected)))


def test_fit_of_channels_is_the_weighted_fit_of_the_pattern(model: PatternModel) -> None:
    live = live_channels(model)
    random = np.random.default_rng(0)
    amounts = random.uniform(0, 1, size=(5, model.templates.shape[1])) * (random.uniform(size=(5, 1)) > 0.2)
    patterns = amounts @ model.templates.T + random.normal(0, 0.01, size=(5, model.q.size))
    found = fit_amounts(live.channels(patterns), np.ones(5), live=live, mean_variance=np.ones(model.q.size))
    root = np.sqrt(live.weights)
    expected = [nnls(root[:, None] * model.templates, root * pattern)[0] for pattern in patterns]
    np.testing.assert_allclose(found.values, expected, atol=1e-6 * np.max(expected))


def test_bins_without_pixels_and_missing_patterns_stay_out(model: PatternModel) -> None:
    variance = np.full(model.q.size, 0.02)
    variance[100:140] = np.nan
    live = make_live_channels(model, variance)
    pattern = model.templates @ np.ones(model.templates.shape[1])
    pattern[100:140] = np.nan
    channels = live.channels(np.stack([pattern, np.full_like(pattern, np.nan)]))
    found = fit_amounts(channels, np.ones(2), live=live, mean_variance=variance)
    assert found.is_solved.tolist() == [True, False]
    np.testing.assert_allclose(found.values[0], 1.0, rtol=1e-5)


def test_covariance_is_the_scatter_of_repeated_patterns(model: PatternModel) -> None:
    random = np.random.default_rng(1)
    expected = model.templates @ np.full(model.templates.shape[1], 1.0)
    variance = expected / 5000
    live = make_live_channels(model, variance)
    patterns = expected + random.normal(size=(800, model.q.size)) * np.sqrt(variance)
    noise = live.effective_variance(np.broadcast_to(variance, patterns.shape))
    found = fit_amounts(live.channels(patterns), noise, live=live, mean_variance=variance)
    scatter: Any = np.cov(found.phases.T)
    np.testing.assert_allclose(np.diag(scatter), np.diag(found.covariance[0]), rtol=0.2)
    correlation = scatter / np.sqrt(np.outer(np.diag(scatter), np.diag(scatter)))
    predicted = found.covariance[0] / np.sqrt(np.outer(np.diag(found.covariance[0]), np.diag(found.covariance[0])))
    np.testing.assert_allclose(correlation, predicted, atol=0.12)


def test_misfit_of_the_mean_pattern_widens_the_uncertainty_in_proportion_to_mass(model: PatternModel) -> None:
    live = live_channels(model)
    patterns = np.stack([model.templates.sum(axis=1), 2 * model.templates.sum(axis=1)])
    fitted = fit_amounts(live.channels(patterns), np.zeros(2), live=live, mean_variance=np.ones(model.q.size))
    wrong = 0.05 * patterns.mean(axis=0) * np.sin(40 * model.q)
    mean_mass = float(fitted.phases.sum(axis=-1).mean())
    widened = np.sqrt(np.einsum("...ii->...i", add_misfit(fitted, residual=wrong, mean_mass=mean_mass, live=live).covariance))
    assert (widened > 0).all()
    np.testing.assert_allclose(widened[1], 2 * widened[0], rtol=1e-6)
    # The sigma covers what that error does to the amounts, but for the smaller part.
    moved = live.channels(patterns * (1 + 0.05 * np.sin(40 * model.q)))
    disturbed = fit_amounts(moved, np.zeros(2), live=live, mean_variance=wrong**2)
    assert np.median(np.abs(disturbed.phases - fitted.phases) / widened) < 1.5
    unchanged = add_misfit(fitted, residual=np.zeros(model.q.size), mean_mass=mean_mass, live=live)
    np.testing.assert_array_equal(unchanged.covariance, fitted.covariance)


def test_phase_without_reflections_in_range_gets_nothing(model: PatternModel) -> None:
    templates = model.templates.copy()
    templates[:, 0] = 0
    empty = PatternModel(q=model.q, templates=templates, structures=model.structures)
    live = live_channels(empty)
    channels = live.channels(templates.sum(axis=1)[None])
    found = fit_amounts(channels, np.ones(1), live=live, mean_variance=np.ones(model.q.size))
    assert found.is_solved.all()
    assert found.values[0, 0] == 0
    np.testing.assert_allclose(found.values[0, 1:], 1.0, rtol=1e-5)
