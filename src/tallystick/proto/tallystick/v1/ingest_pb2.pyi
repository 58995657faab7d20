from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LifecycleKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LIFECYCLE_KIND_UNSPECIFIED: _ClassVar[LifecycleKind]
    LIFECYCLE_KIND_STARTED: _ClassVar[LifecycleKind]
    LIFECYCLE_KIND_STOPPED: _ClassVar[LifecycleKind]
    LIFECYCLE_KIND_POSSIBLE_GAP: _ClassVar[LifecycleKind]
    LIFECYCLE_KIND_CLOCK_STEPPED: _ClassVar[LifecycleKind]

class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTCOME_UNSPECIFIED: _ClassVar[Outcome]
    OUTCOME_STORED: _ClassVar[Outcome]
    OUTCOME_REPEATED: _ClassVar[Outcome]
    OUTCOME_REFUSED: _ClassVar[Outcome]
    OUTCOME_CONFLICT: _ClassVar[Outcome]
LIFECYCLE_KIND_UNSPECIFIED: LifecycleKind
LIFECYCLE_KIND_STARTED: LifecycleKind
LIFECYCLE_KIND_STOPPED: LifecycleKind
LIFECYCLE_KIND_POSSIBLE_GAP: LifecycleKind
LIFECYCLE_KIND_CLOCK_STEPPED: LifecycleKind
OUTCOME_UNSPECIFIED: Outcome
OUTCOME_STORED: Outcome
OUTCOME_REPEATED: Outcome
OUTCOME_REFUSED: Outcome
OUTCOME_CONFLICT: Outcome

class SendRequest(_message.Message):
    __slots__ = ("batches", "events", "facts", "heartbeat", "confirmed_commands", "records")
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    FACTS_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    CONFIRMED_COMMANDS_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    batches: _containers.RepeatedCompositeFieldContainer[Batch]
    events: _containers.RepeatedCompositeFieldContainer[LifecycleEvent]
    facts: _containers.RepeatedCompositeFieldContainer[ResourceFacts]
    heartbeat: Heartbeat
    confirmed_commands: _containers.RepeatedScalarFieldContainer[str]
    records: _containers.RepeatedCompositeFieldContainer[UsageRecord]
    def __init__(self, batches: _Optional[_Iterable[_Union[Batch, _Mapping]]] = ..., events: _Optional[_Iterable[_Union[LifecycleEvent, _Mapping]]] = ..., facts: _Optional[_Iterable[_Union[ResourceFacts, _Mapping]]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., confirmed_commands: _Optional[_Iterable[str]] = ..., records: _Optional[_Iterable[_Union[UsageRecord, _Mapping]]] = ...) -> None: ...

class Batch(_message.Message):
    __slots__ = ("resource_id", "boot_id", "spool_id", "sequence", "interval_ns", "flags", "columns", "planes", "thinned", "trace_context")
    RESOURCE_ID_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    SPOOL_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_NS_FIELD_NUMBER: _ClassVar[int]
    FLAGS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    PLANES_FIELD_NUMBER: _ClassVar[int]
    THINNED_FIELD_NUMBER: _ClassVar[int]
    TRACE_CONTEXT_FIELD_NUMBER: _ClassVar[int]
    resource_id: str
    boot_id: str
    spool_id: str
    sequence: int
    interval_ns: int
    flags: int
    columns: Columns
    planes: bytes
    thinned: Thinned
    trace_context: str
    def __init__(self, resource_id: _Optional[str] = ..., boot_id: _Optional[str] = ..., spool_id: _Optional[str] = ..., sequence: _Optional[int] = ..., interval_ns: _Optional[int] = ..., flags: _Optional[int] = ..., columns: _Optional[_Union[Columns, _Mapping]] = ..., planes: _Optional[bytes] = ..., thinned: _Optional[_Union[Thinned, _Mapping]] = ..., trace_context: _Optional[str] = ...) -> None: ...

class Columns(_message.Message):
    __slots__ = ("measured_at", "memory_bytes_used", "cpu_time_nanos", "disk_read_bytes", "disk_write_bytes", "disk_read_ops", "disk_write_ops", "network_rx_bytes", "network_tx_bytes")
    MEASURED_AT_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_USED_FIELD_NUMBER: _ClassVar[int]
    CPU_TIME_NANOS_FIELD_NUMBER: _ClassVar[int]
    DISK_READ_BYTES_FIELD_NUMBER: _ClassVar[int]
    DISK_WRITE_BYTES_FIELD_NUMBER: _ClassVar[int]
    DISK_READ_OPS_FIELD_NUMBER: _ClassVar[int]
    DISK_WRITE_OPS_FIELD_NUMBER: _ClassVar[int]
    NETWORK_RX_BYTES_FIELD_NUMBER: _ClassVar[int]
    NETWORK_TX_BYTES_FIELD_NUMBER: _ClassVar[int]
    measured_at: _containers.RepeatedScalarFieldContainer[int]
    memory_bytes_used: _containers.RepeatedScalarFieldContainer[int]
    cpu_time_nanos: _containers.RepeatedScalarFieldContainer[int]
    disk_read_bytes: _containers.RepeatedScalarFieldContainer[int]
    disk_write_bytes: _containers.RepeatedScalarFieldContainer[int]
    disk_read_ops: _containers.RepeatedScalarFieldContainer[int]
    disk_write_ops: _containers.RepeatedScalarFieldContainer[int]
    network_rx_bytes: _containers.RepeatedScalarFieldContainer[int]
    network_tx_bytes: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, measured_at: _Optional[_Iterable[int]] = ..., memory_bytes_used: _Optional[_Iterable[int]] = ..., cpu_time_nanos: _Optional[_Iterable[int]] = ..., disk_read_bytes: _Optional[_Iterable[int]] = ..., disk_write_bytes: _Optional[_Iterable[int]] = ..., disk_read_ops: _Optional[_Iterable[int]] = ..., disk_write_ops: _Optional[_Iterable[int]] = ..., network_rx_bytes: _Optional[_Iterable[int]] = ..., network_tx_bytes: _Optional[_Iterable[int]] = ...) -> None: ...

class Thinned(_message.Message):
    __slots__ = ("content_hash", "presence", "segments")
    CONTENT_HASH_FIELD_NUMBER: _ClassVar[int]
    PRESENCE_FIELD_NUMBER: _ClassVar[int]
    SEGMENTS_FIELD_NUMBER: _ClassVar[int]
    content_hash: bytes
    presence: int
    segments: _containers.RepeatedCompositeFieldContainer[ThinnedSegment]
    def __init__(self, content_hash: _Optional[bytes] = ..., presence: _Optional[int] = ..., segments: _Optional[_Iterable[_Union[ThinnedSegment, _Mapping]]] = ...) -> None: ...

class ThinnedSegment(_message.Message):
    __slots__ = ("first_at", "last_at", "samples", "first", "last", "memory_peak", "memory_held_low", "memory_held_high", "gaps", "falls")
    FIRST_AT_FIELD_NUMBER: _ClassVar[int]
    LAST_AT_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    MEMORY_PEAK_FIELD_NUMBER: _ClassVar[int]
    MEMORY_HELD_LOW_FIELD_NUMBER: _ClassVar[int]
    MEMORY_HELD_HIGH_FIELD_NUMBER: _ClassVar[int]
    GAPS_FIELD_NUMBER: _ClassVar[int]
    FALLS_FIELD_NUMBER: _ClassVar[int]
    first_at: int
    last_at: int
    samples: int
    first: _containers.RepeatedScalarFieldContainer[int]
    last: _containers.RepeatedScalarFieldContainer[int]
    memory_peak: int
    memory_held_low: int
    memory_held_high: int
    gaps: _containers.RepeatedCompositeFieldContainer[ThinnedGap]
    falls: _containers.RepeatedCompositeFieldContainer[ThinnedFall]
    def __init__(self, first_at: _Optional[int] = ..., last_at: _Optional[int] = ..., samples: _Optional[int] = ..., first: _Optional[_Iterable[int]] = ..., last: _Optional[_Iterable[int]] = ..., memory_peak: _Optional[int] = ..., memory_held_low: _Optional[int] = ..., memory_held_high: _Optional[int] = ..., gaps: _Optional[_Iterable[_Union[ThinnedGap, _Mapping]]] = ..., falls: _Optional[_Iterable[_Union[ThinnedFall, _Mapping]]] = ...) -> None: ...

class ThinnedGap(_message.Message):
    __slots__ = ("until", "memory_from", "memory_until")
    FROM_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    MEMORY_FROM_FIELD_NUMBER: _ClassVar[int]
    MEMORY_UNTIL_FIELD_NUMBER: _ClassVar[int]
    until: int
    memory_from: int
    memory_until: int
    def __init__(self, until: _Optional[int] = ..., memory_from: _Optional[int] = ..., memory_until: _Optional[int] = ..., **kwargs) -> None: ...

class ThinnedFall(_message.Message):
    __slots__ = ("at", "counters", "before", "after")
    AT_FIELD_NUMBER: _ClassVar[int]
    COUNTERS_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    at: int
    counters: int
    before: _containers.RepeatedScalarFieldContainer[int]
    after: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, at: _Optional[int] = ..., counters: _Optional[int] = ..., before: _Optional[_Iterable[int]] = ..., after: _Optional[_Iterable[int]] = ...) -> None: ...

class LifecycleEvent(_message.Message):
    __slots__ = ("resource_id", "boot_id", "kind", "at", "last_sent", "step_ns")
    RESOURCE_ID_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    LAST_SENT_FIELD_NUMBER: _ClassVar[int]
    STEP_NS_FIELD_NUMBER: _ClassVar[int]
    resource_id: str
    boot_id: str
    kind: LifecycleKind
    at: int
    last_sent: int
    step_ns: int
    def __init__(self, resource_id: _Optional[str] = ..., boot_id: _Optional[str] = ..., kind: _Optional[_Union[LifecycleKind, str]] = ..., at: _Optional[int] = ..., last_sent: _Optional[int] = ..., step_ns: _Optional[int] = ...) -> None: ...

class ResourceFacts(_message.Message):
    __slots__ = ("resource_id", "at", "customer_id", "name", "kind", "region", "labels", "vcpus", "memory_bytes", "disk_bytes", "gpus", "deleted")
    RESOURCE_ID_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    VCPUS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    DISK_BYTES_FIELD_NUMBER: _ClassVar[int]
    GPUS_FIELD_NUMBER: _ClassVar[int]
    DELETED_FIELD_NUMBER: _ClassVar[int]
    resource_id: str
    at: int
    customer_id: str
    name: str
    kind: str
    region: str
    labels: Labels
    vcpus: int
    memory_bytes: int
    disk_bytes: int
    gpus: int
    deleted: bool
    def __init__(self, resource_id: _Optional[str] = ..., at: _Optional[int] = ..., customer_id: _Optional[str] = ..., name: _Optional[str] = ..., kind: _Optional[str] = ..., region: _Optional[str] = ..., labels: _Optional[_Union[Labels, _Mapping]] = ..., vcpus: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., disk_bytes: _Optional[int] = ..., gpus: _Optional[int] = ..., deleted: _Optional[bool] = ...) -> None: ...

class UsageRecord(_message.Message):
    __slots__ = ("source", "record_id", "resource_id", "meter", "until", "amount", "peak")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    RECORD_ID_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_ID_FIELD_NUMBER: _ClassVar[int]
    METER_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    PEAK_FIELD_NUMBER: _ClassVar[int]
    source: str
    record_id: str
    resource_id: str
    meter: str
    until: int
    amount: str
    peak: int
    def __init__(self, source: _Optional[str] = ..., record_id: _Optional[str] = ..., resource_id: _Optional[str] = ..., meter: _Optional[str] = ..., until: _Optional[int] = ..., amount: _Optional[str] = ..., peak: _Optional[int] = ..., **kwargs) -> None: ...

class Labels(_message.Message):
    __slots__ = ("values",)
    class ValuesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.ScalarMap[str, str]
    def __init__(self, values: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("instance_id", "active_resources", "at", "reported_until", "spool_depth", "missed_ticks", "clock_offset_ns", "clock_synchronised", "thinned_batches")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_RESOURCES_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    REPORTED_UNTIL_FIELD_NUMBER: _ClassVar[int]
    SPOOL_DEPTH_FIELD_NUMBER: _ClassVar[int]
    MISSED_TICKS_FIELD_NUMBER: _ClassVar[int]
    CLOCK_OFFSET_NS_FIELD_NUMBER: _ClassVar[int]
    CLOCK_SYNCHRONISED_FIELD_NUMBER: _ClassVar[int]
    THINNED_BATCHES_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    active_resources: _containers.RepeatedScalarFieldContainer[str]
    at: int
    reported_until: int
    spool_depth: int
    missed_ticks: int
    clock_offset_ns: int
    clock_synchronised: bool
    thinned_batches: int
    def __init__(self, instance_id: _Optional[str] = ..., active_resources: _Optional[_Iterable[str]] = ..., at: _Optional[int] = ..., reported_until: _Optional[int] = ..., spool_depth: _Optional[int] = ..., missed_ticks: _Optional[int] = ..., clock_offset_ns: _Optional[int] = ..., clock_synchronised: _Optional[bool] = ..., thinned_batches: _Optional[int] = ...) -> None: ...

class RecordOutcome(_message.Message):
    __slots__ = ("outcome", "code", "field", "index", "value", "stored_hash", "sent_hash")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    STORED_HASH_FIELD_NUMBER: _ClassVar[int]
    SENT_HASH_FIELD_NUMBER: _ClassVar[int]
    outcome: Outcome
    code: str
    field: str
    index: int
    value: str
    stored_hash: bytes
    sent_hash: bytes
    def __init__(self, outcome: _Optional[_Union[Outcome, str]] = ..., code: _Optional[str] = ..., field: _Optional[str] = ..., index: _Optional[int] = ..., value: _Optional[str] = ..., stored_hash: _Optional[bytes] = ..., sent_hash: _Optional[bytes] = ...) -> None: ...

class SendResponse(_message.Message):
    __slots__ = ("batches", "events", "facts", "commands", "server_time", "heartbeat", "records")
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    FACTS_FIELD_NUMBER: _ClassVar[int]
    COMMANDS_FIELD_NUMBER: _ClassVar[int]
    SERVER_TIME_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    batches: _containers.RepeatedCompositeFieldContainer[RecordOutcome]
    events: _containers.RepeatedCompositeFieldContainer[RecordOutcome]
    facts: _containers.RepeatedCompositeFieldContainer[RecordOutcome]
    commands: _containers.RepeatedCompositeFieldContainer[Command]
    server_time: int
    heartbeat: RecordOutcome
    records: _containers.RepeatedCompositeFieldContainer[RecordOutcome]
    def __init__(self, batches: _Optional[_Iterable[_Union[RecordOutcome, _Mapping]]] = ..., events: _Optional[_Iterable[_Union[RecordOutcome, _Mapping]]] = ..., facts: _Optional[_Iterable[_Union[RecordOutcome, _Mapping]]] = ..., commands: _Optional[_Iterable[_Union[Command, _Mapping]]] = ..., server_time: _Optional[int] = ..., heartbeat: _Optional[_Union[RecordOutcome, _Mapping]] = ..., records: _Optional[_Iterable[_Union[RecordOutcome, _Mapping]]] = ...) -> None: ...

class Command(_message.Message):
    __slots__ = ("id", "set_interval_ns", "flush", "stop_resource")
    ID_FIELD_NUMBER: _ClassVar[int]
    SET_INTERVAL_NS_FIELD_NUMBER: _ClassVar[int]
    FLUSH_FIELD_NUMBER: _ClassVar[int]
    STOP_RESOURCE_FIELD_NUMBER: _ClassVar[int]
    id: str
    set_interval_ns: int
    flush: bool
    stop_resource: str
    def __init__(self, id: _Optional[str] = ..., set_interval_ns: _Optional[int] = ..., flush: _Optional[bool] = ..., stop_resource: _Optional[str] = ...) -> None: ...
