"""The Eiger of tickit-devices with stream sockets that bind, for the judges' Python.

Its own also connect to their own address, and now and then half of what they send goes there and is gone (tickit 0.4.3).
"""

import aiozmq
import pydantic.v1.dataclasses
import zmq
from tickit.adapters.io import HttpIo, ZeroMqPushIo
from tickit.core.adapter import AdapterContainer
from tickit.core.components.component import Component, ComponentConfig
from tickit.core.components.device_component import DeviceComponent
from tickit_devices.eiger.eiger import EigerDevice
from tickit_devices.eiger.eiger_adapters import EigerRESTAdapter, EigerZMQAdapter
from tickit_devices.eiger.stream.stream_config import CBOR_STREAM, LEGACY_STREAM


async def bound(host: str, port: int) -> aiozmq.ZmqStream:
    return await aiozmq.create_zmq_stream(zmq.PUSH, bind=f"tcp://{host}:{port}")


@pydantic.v1.dataclasses.dataclass
class BoundEiger(ComponentConfig):
    """The device and adapters of ``tickit_devices.eiger.Eiger``."""

    rest_port: int
    legacy_port: int
    cbor_port: int
    host: str = "127.0.0.1"

    def __call__(self) -> Component:
        device = EigerDevice()
        adapters = [AdapterContainer(EigerRESTAdapter(device), HttpIo(self.host, self.rest_port))]
        for stream, port in ((LEGACY_STREAM, self.legacy_port), (CBOR_STREAM, self.cbor_port)):
            adapter = EigerZMQAdapter(device.streams[stream])
            adapters.append(AdapterContainer(adapter, ZeroMqPushIo(self.host, port, socket_factory=bound)))
        return DeviceComponent(name=self.name, device=device, adapters=adapters)
