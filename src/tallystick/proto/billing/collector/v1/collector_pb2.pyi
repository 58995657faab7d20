import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class BillingMetrics(_message.Message):
    __slots__ = ("vm_id", "customer_id", "region", "timestamp", "window_start", "window_end", "cpu_time_nanos", "cpu_utilization_pct", "cpu_cores_used", "memory_bytes_used", "memory_bytes_peak", "memory_bytes_seconds", "disk_read_bytes", "disk_write_bytes", "disk_read_ops", "disk_write_ops", "network_rx_bytes", "network_tx_bytes")
    VM_ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    WINDOW_START_FIELD_NUMBER: _ClassVar[int]
    WINDOW_END_FIELD_NUMBER: _ClassVar[int]
    CPU_TIME_NANOS_FIELD_NUMBER: _ClassVar[int]
    CPU_UTILIZATION_PCT_FIELD_NUMBER: _ClassVar[int]
    CPU_CORES_USED_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_USED_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_PEAK_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_SECONDS_FIELD_NUMBER: _ClassVar[int]
    DISK_READ_BYTES_FIELD_NUMBER: _ClassVar[int]
    DISK_WRITE_BYTES_FIELD_NUMBER: _ClassVar[int]
    DISK_READ_OPS_FIELD_NUMBER: _ClassVar[int]
    DISK_WRITE_OPS_FIELD_NUMBER: _ClassVar[int]
    NETWORK_RX_BYTES_FIELD_NUMBER: _ClassVar[int]
    NETWORK_TX_BYTES_FIELD_NUMBER: _ClassVar[int]
    vm_id: str
    customer_id: str
    region: str
    timestamp: _timestamp_pb2.Timestamp
    window_start: _timestamp_pb2.Timestamp
    window_end: _timestamp_pb2.Timestamp
    cpu_time_nanos: int
    cpu_utilization_pct: float
    cpu_cores_used: float
    memory_bytes_used: int
    memory_bytes_peak: int
    memory_bytes_seconds: int
    disk_read_bytes: int
    disk_write_bytes: int
    disk_read_ops: int
    disk_write_ops: int
    network_rx_bytes: int
    network_tx_bytes: int
    def __init__(self, vm_id: _Optional[str] = ..., customer_id: _Optional[str] = ..., region: _Optional[str] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., window_start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., window_end: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., cpu_time_nanos: _Optional[int] = ..., cpu_utilization_pct: _Optional[float] = ..., cpu_cores_used: _Optional[float] = ..., memory_bytes_used: _Optional[int] = ..., memory_bytes_peak: _Optional[int] = ..., memory_bytes_seconds: _Optional[int] = ..., disk_read_bytes: _Optional[int] = ..., disk_write_bytes: _Optional[int] = ..., disk_read_ops: _Optional[int] = ..., disk_write_ops: _Optional[int] = ..., network_rx_bytes: _Optional[int] = ..., network_tx_bytes: _Optional[int] = ...) -> None: ...

class SendMetricsRequest(_message.Message):
    __slots__ = ("metrics",)
    METRICS_FIELD_NUMBER: _ClassVar[int]
    metrics: BillingMetrics
    def __init__(self, metrics: _Optional[_Union[BillingMetrics, _Mapping]] = ...) -> None: ...

class SendMetricsResponse(_message.Message):
    __slots__ = ("success", "message", "repeated")
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REPEATED_FIELD_NUMBER: _ClassVar[int]
    success: bool
    message: str
    repeated: bool
    def __init__(self, success: _Optional[bool] = ..., message: _Optional[str] = ..., repeated: _Optional[bool] = ...) -> None: ...

class SendMetricsBatchRequest(_message.Message):
    __slots__ = ("metrics",)
    METRICS_FIELD_NUMBER: _ClassVar[int]
    metrics: _containers.RepeatedCompositeFieldContainer[BillingMetrics]
    def __init__(self, metrics: _Optional[_Iterable[_Union[BillingMetrics, _Mapping]]] = ...) -> None: ...

class SendMetricsBatchResponse(_message.Message):
    __slots__ = ("success", "message", "accepted", "repeated", "quarantined", "refused", "problems")
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    REPEATED_FIELD_NUMBER: _ClassVar[int]
    QUARANTINED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    success: bool
    message: str
    accepted: int
    repeated: int
    quarantined: int
    refused: int
    problems: _containers.RepeatedCompositeFieldContainer[MetricsProblem]
    def __init__(self, success: _Optional[bool] = ..., message: _Optional[str] = ..., accepted: _Optional[int] = ..., repeated: _Optional[int] = ..., quarantined: _Optional[int] = ..., refused: _Optional[int] = ..., problems: _Optional[_Iterable[_Union[MetricsProblem, _Mapping]]] = ...) -> None: ...

class MetricsProblem(_message.Message):
    __slots__ = ("index", "vm_id", "code", "field", "value")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    VM_ID_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    index: int
    vm_id: str
    code: str
    field: str
    value: str
    def __init__(self, index: _Optional[int] = ..., vm_id: _Optional[str] = ..., code: _Optional[str] = ..., field: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
