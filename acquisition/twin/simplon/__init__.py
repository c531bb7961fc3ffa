"""A detector that speaks SIMPLON: REST to configure and command it, stream V2 (CBOR) or V1 (JSON and blobs) for its frames.

It presents a PILATUS3 X CdTe 2M the way a bridge in front of one would: a Pilatus3 has no such stream itself, EIGER2 and
PILATUS4 have. Nothing in here knows what the frames mean.
"""
