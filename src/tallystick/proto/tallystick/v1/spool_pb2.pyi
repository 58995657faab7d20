from tallystick.proto.tallystick.v1 import ingest_pb2 as _ingest_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Notice(_message.Message):
    __slots__ = ("events", "facts")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    FACTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[_ingest_pb2.LifecycleEvent]
    facts: _containers.RepeatedCompositeFieldContainer[_ingest_pb2.ResourceFacts]
    def __init__(self, events: _Optional[_Iterable[_Union[_ingest_pb2.LifecycleEvent, _Mapping]]] = ..., facts: _Optional[_Iterable[_Union[_ingest_pb2.ResourceFacts, _Mapping]]] = ...) -> None: ...

class Tail(_message.Message):
    __slots__ = ("batches",)
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    batches: _containers.RepeatedCompositeFieldContainer[_ingest_pb2.Batch]
    def __init__(self, batches: _Optional[_Iterable[_Union[_ingest_pb2.Batch, _Mapping]]] = ...) -> None: ...
