"""The devices that plans drive: classic ophyd over Channel Access, and the detector over SIMPLON.

Importing these modules opens nothing. Make the devices with :func:`acquisition.devices.beamline.make_devices`, which points
Channel Access at the beamline first.
"""
