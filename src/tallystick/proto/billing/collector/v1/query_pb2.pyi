import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class BillingWindowState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BILLING_WINDOW_STATE_UNSPECIFIED: _ClassVar[BillingWindowState]
    BILLING_WINDOW_STATE_OPEN: _ClassVar[BillingWindowState]
    BILLING_WINDOW_STATE_WAITING: _ClassVar[BillingWindowState]
    BILLING_WINDOW_STATE_CLOSED: _ClassVar[BillingWindowState]
    BILLING_WINDOW_STATE_PARKED: _ClassVar[BillingWindowState]
BILLING_WINDOW_STATE_UNSPECIFIED: BillingWindowState
BILLING_WINDOW_STATE_OPEN: BillingWindowState
BILLING_WINDOW_STATE_WAITING: BillingWindowState
BILLING_WINDOW_STATE_CLOSED: BillingWindowState
BILLING_WINDOW_STATE_PARKED: BillingWindowState

class GetCustomerUsageRequest(_message.Message):
    __slots__ = ("customer_id", "month", "until", "per_resource", "with_cost")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    MONTH_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    PER_RESOURCE_FIELD_NUMBER: _ClassVar[int]
    WITH_COST_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    month: str
    until: _timestamp_pb2.Timestamp
    per_resource: bool
    with_cost: bool
    def __init__(self, customer_id: _Optional[str] = ..., month: _Optional[str] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., per_resource: _Optional[bool] = ..., with_cost: _Optional[bool] = ..., **kwargs) -> None: ...

class MeterUsage(_message.Message):
    __slots__ = ("meter", "unit", "total", "estimated")
    METER_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_FIELD_NUMBER: _ClassVar[int]
    meter: str
    unit: str
    total: str
    estimated: str
    def __init__(self, meter: _Optional[str] = ..., unit: _Optional[str] = ..., total: _Optional[str] = ..., estimated: _Optional[str] = ...) -> None: ...

class UsageCoverage(_message.Message):
    __slots__ = ("measured_ns", "estimated_ns", "unknown_ns", "estimated_share")
    MEASURED_NS_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_NS_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_NS_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_SHARE_FIELD_NUMBER: _ClassVar[int]
    measured_ns: int
    estimated_ns: int
    unknown_ns: int
    estimated_share: str
    def __init__(self, measured_ns: _Optional[int] = ..., estimated_ns: _Optional[int] = ..., unknown_ns: _Optional[int] = ..., estimated_share: _Optional[str] = ...) -> None: ...

class ResourceUsage(_message.Message):
    __slots__ = ("resource_id", "meters", "coverage")
    RESOURCE_ID_FIELD_NUMBER: _ClassVar[int]
    METERS_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    resource_id: str
    meters: _containers.RepeatedCompositeFieldContainer[MeterUsage]
    coverage: UsageCoverage
    def __init__(self, resource_id: _Optional[str] = ..., meters: _Optional[_Iterable[_Union[MeterUsage, _Mapping]]] = ..., coverage: _Optional[_Union[UsageCoverage, _Mapping]] = ...) -> None: ...

class PricingRates(_message.Message):
    __slots__ = ("cpu_per_core_hour", "memory_per_gb_hour", "disk_io_per_gb", "network_per_gb")
    CPU_PER_CORE_HOUR_FIELD_NUMBER: _ClassVar[int]
    MEMORY_PER_GB_HOUR_FIELD_NUMBER: _ClassVar[int]
    DISK_IO_PER_GB_FIELD_NUMBER: _ClassVar[int]
    NETWORK_PER_GB_FIELD_NUMBER: _ClassVar[int]
    cpu_per_core_hour: float
    memory_per_gb_hour: float
    disk_io_per_gb: float
    network_per_gb: float
    def __init__(self, cpu_per_core_hour: _Optional[float] = ..., memory_per_gb_hour: _Optional[float] = ..., disk_io_per_gb: _Optional[float] = ..., network_per_gb: _Optional[float] = ...) -> None: ...

class GetCustomerUsageResponse(_message.Message):
    __slots__ = ("customer_id", "time_zone", "until", "meters", "coverage", "resources", "pricing", "hours_waiting", "estimated_cost", "currency", "cost_missing")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_ZONE_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    METERS_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    PRICING_FIELD_NUMBER: _ClassVar[int]
    HOURS_WAITING_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_COST_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    COST_MISSING_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    time_zone: str
    until: _timestamp_pb2.Timestamp
    meters: _containers.RepeatedCompositeFieldContainer[MeterUsage]
    coverage: UsageCoverage
    resources: _containers.RepeatedCompositeFieldContainer[ResourceUsage]
    pricing: PricingRates
    hours_waiting: int
    estimated_cost: str
    currency: str
    cost_missing: str
    def __init__(self, customer_id: _Optional[str] = ..., time_zone: _Optional[str] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., meters: _Optional[_Iterable[_Union[MeterUsage, _Mapping]]] = ..., coverage: _Optional[_Union[UsageCoverage, _Mapping]] = ..., resources: _Optional[_Iterable[_Union[ResourceUsage, _Mapping]]] = ..., pricing: _Optional[_Union[PricingRates, _Mapping]] = ..., hours_waiting: _Optional[int] = ..., estimated_cost: _Optional[str] = ..., currency: _Optional[str] = ..., cost_missing: _Optional[str] = ..., **kwargs) -> None: ...

class GetBillingWindowRequest(_message.Message):
    __slots__ = ("customer_id", "at")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    at: _timestamp_pb2.Timestamp
    def __init__(self, customer_id: _Optional[str] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class WindowGap(_message.Message):
    __slots__ = ("resource_id", "until", "filled", "cause")
    RESOURCE_ID_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    FILLED_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    resource_id: str
    until: _timestamp_pb2.Timestamp
    filled: str
    cause: str
    def __init__(self, resource_id: _Optional[str] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., filled: _Optional[str] = ..., cause: _Optional[str] = ..., **kwargs) -> None: ...

class BillingWindow(_message.Message):
    __slots__ = ("start", "end", "closing", "currency", "subscription_ids", "state", "waits_for", "invoice_number", "reported_until", "hours_waiting", "coverage", "gaps", "gaps_left_out")
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    CLOSING_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIPTION_IDS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    WAITS_FOR_FIELD_NUMBER: _ClassVar[int]
    INVOICE_NUMBER_FIELD_NUMBER: _ClassVar[int]
    REPORTED_UNTIL_FIELD_NUMBER: _ClassVar[int]
    HOURS_WAITING_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    GAPS_FIELD_NUMBER: _ClassVar[int]
    GAPS_LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    start: _timestamp_pb2.Timestamp
    end: _timestamp_pb2.Timestamp
    closing: _timestamp_pb2.Timestamp
    currency: str
    subscription_ids: _containers.RepeatedScalarFieldContainer[str]
    state: BillingWindowState
    waits_for: _containers.RepeatedScalarFieldContainer[str]
    invoice_number: str
    reported_until: _timestamp_pb2.Timestamp
    hours_waiting: int
    coverage: UsageCoverage
    gaps: _containers.RepeatedCompositeFieldContainer[WindowGap]
    gaps_left_out: int
    def __init__(self, start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., closing: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., currency: _Optional[str] = ..., subscription_ids: _Optional[_Iterable[str]] = ..., state: _Optional[_Union[BillingWindowState, str]] = ..., waits_for: _Optional[_Iterable[str]] = ..., invoice_number: _Optional[str] = ..., reported_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., hours_waiting: _Optional[int] = ..., coverage: _Optional[_Union[UsageCoverage, _Mapping]] = ..., gaps: _Optional[_Iterable[_Union[WindowGap, _Mapping]]] = ..., gaps_left_out: _Optional[int] = ...) -> None: ...

class GetBillingWindowResponse(_message.Message):
    __slots__ = ("customer_id", "time_zone", "windows")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_ZONE_FIELD_NUMBER: _ClassVar[int]
    WINDOWS_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    time_zone: str
    windows: _containers.RepeatedCompositeFieldContainer[BillingWindow]
    def __init__(self, customer_id: _Optional[str] = ..., time_zone: _Optional[str] = ..., windows: _Optional[_Iterable[_Union[BillingWindow, _Mapping]]] = ...) -> None: ...

class StreamLiveUsageRequest(_message.Message):
    __slots__ = ("customer_id", "resource_ids", "after", "interval_seconds")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_IDS_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    resource_ids: _containers.RepeatedScalarFieldContainer[str]
    after: str
    interval_seconds: int
    def __init__(self, customer_id: _Optional[str] = ..., resource_ids: _Optional[_Iterable[str]] = ..., after: _Optional[str] = ..., interval_seconds: _Optional[int] = ...) -> None: ...

class HourUpdate(_message.Message):
    __slots__ = ("resource_id", "hour", "meters", "samples", "memory_peak_bytes", "millicores", "memory_bytes", "network_rx_bytes_per_second", "network_tx_bytes_per_second")
    RESOURCE_ID_FIELD_NUMBER: _ClassVar[int]
    HOUR_FIELD_NUMBER: _ClassVar[int]
    METERS_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_PEAK_BYTES_FIELD_NUMBER: _ClassVar[int]
    MILLICORES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    NETWORK_RX_BYTES_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    NETWORK_TX_BYTES_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    resource_id: str
    hour: _timestamp_pb2.Timestamp
    meters: _containers.RepeatedCompositeFieldContainer[MeterUsage]
    samples: int
    memory_peak_bytes: int
    millicores: int
    memory_bytes: int
    network_rx_bytes_per_second: int
    network_tx_bytes_per_second: int
    def __init__(self, resource_id: _Optional[str] = ..., hour: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., meters: _Optional[_Iterable[_Union[MeterUsage, _Mapping]]] = ..., samples: _Optional[int] = ..., memory_peak_bytes: _Optional[int] = ..., millicores: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., network_rx_bytes_per_second: _Optional[int] = ..., network_tx_bytes_per_second: _Optional[int] = ...) -> None: ...

class UsageUpdate(_message.Message):
    __slots__ = ("at", "hours", "cursor", "last")
    AT_FIELD_NUMBER: _ClassVar[int]
    HOURS_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    at: _timestamp_pb2.Timestamp
    hours: _containers.RepeatedCompositeFieldContainer[HourUpdate]
    cursor: str
    last: bool
    def __init__(self, at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., hours: _Optional[_Iterable[_Union[HourUpdate, _Mapping]]] = ..., cursor: _Optional[str] = ..., last: _Optional[bool] = ...) -> None: ...
