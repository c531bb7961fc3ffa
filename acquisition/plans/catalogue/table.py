"""All plans by name, and a programme of one by its arguments."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError, validate_call

from acquisition.plans.catalogue.places import beam_damage, multi_cell, point_against_time, single_line
from acquisition.plans.catalogue.setting_up import air_and_transmission, align, calibrate, dark, sign_test
from acquisition.plans.catalogue.tomograms import (
    continuous_rotation,
    densify,
    series,
    slice_stack,
    sparse_series,
    steered,
    xrdct,
)
from acquisition.plans.programme import Programme
from operando.errors import ProfileError
from operando.profile import Profile

CATALOGUE: Mapping[str, Callable[..., Programme]] = {
    plan.__name__: plan
    for plan in (
        xrdct,
        continuous_rotation,
        steered,
        densify,
        slice_stack,
        series,
        sparse_series,
        single_line,
        point_against_time,
        multi_cell,
        align,
        sign_test,
        calibrate,
        dark,
        air_and_transmission,
        beam_damage,
    )
}
"""Every plan by name."""


def programme_of(profile: Profile) -> Programme:
    """Give the programme of the plan that the profile names, with its arguments.

    Raises
    ------
    ProfileError
        If there is no such plan, or an argument is unknown, missing or wrong.
    """
    return make_programme(profile.scan.plan, profile, profile.scan.plan_arguments)


def make_programme(plan: str, profile: Profile, arguments: Mapping[str, Any]) -> Programme:
    """Give the programme of a plan with checked arguments.

    Raises
    ------
    ProfileError
        If there is no such plan, or an argument is unknown, missing or wrong.
    """
    if plan not in CATALOGUE:
        raise ProfileError(f"there is no plan {plan!r}: choose one of {', '.join(CATALOGUE)}")
    try:
        return validate_call(CATALOGUE[plan])(profile, **arguments)
    except ValidationError as wrong:
        complaints = (f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in wrong.errors(include_url=False)[:5])
        raise ProfileError(f"plan {plan}: {'; '.join(complaints)}; it takes {arguments_of(plan)}") from wrong


def arguments_of(plan: str) -> str:
    """Give the names of a plan's arguments, with = where one may be left out."""
    parameters = list(inspect.signature(CATALOGUE[plan]).parameters.values())[1:]
    return ", ".join(one.name + ("" if one.default is one.empty else "=") for one in parameters) or "no arguments"
