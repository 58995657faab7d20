CREATE TABLE seller (
    seller_key SERIAL NOT NULL,
    seller_id TEXT NOT NULL,
    document TEXT NOT NULL,
    created_at_ns BIGINT NOT NULL,
    CONSTRAINT seller_pkey PRIMARY KEY (seller_key),
    CONSTRAINT seller_seller_id_key UNIQUE (seller_id)
);

CREATE TABLE boot (
    boot_key SERIAL NOT NULL,
    scope_key INTEGER NOT NULL,
    resource_key INTEGER NOT NULL,
    boot_id TEXT NOT NULL,
    first_at_ns BIGINT,
    last_at_ns BIGINT,
    first_interval_ns BIGINT,
    last_interval_ns BIGINT,
    first_block BYTEA,
    last_block BYTEA,
    sealed_until_ns BIGINT,
    CONSTRAINT boot_pkey PRIMARY KEY (boot_key),
    CONSTRAINT boot_scope_key_resource_key_boot_id_key UNIQUE (scope_key, resource_key, boot_id)
);

CREATE TABLE spool (
    spool_key SERIAL NOT NULL,
    scope_key INTEGER NOT NULL,
    spool_id TEXT NOT NULL,
    CONSTRAINT spool_pkey PRIMARY KEY (spool_key),
    CONSTRAINT spool_scope_key_spool_id_key UNIQUE (scope_key, spool_id)
);

CREATE TABLE batch (
    batch_key BIGSERIAL NOT NULL,
    scope_key INTEGER NOT NULL,
    boot_key INTEGER NOT NULL,
    spool_key INTEGER NOT NULL,
    sequence BIGINT NOT NULL,
    content_hash BYTEA NOT NULL,
    received_at_ns BIGINT NOT NULL,
    source INTEGER DEFAULT 0 NOT NULL,
    state INTEGER DEFAULT 0 NOT NULL,
    CONSTRAINT batch_pkey PRIMARY KEY (batch_key)
);

CREATE UNIQUE INDEX batch_content_idx ON batch (scope_key, boot_key, content_hash) WHERE sequence = 0;

CREATE UNIQUE INDEX batch_sequence_idx ON batch (scope_key, boot_key, spool_key, sequence) WHERE sequence > 0;

CREATE TABLE batch_range (
    scope_key INTEGER NOT NULL,
    boot_key INTEGER NOT NULL,
    spool_key INTEGER NOT NULL,
    first_sequence BIGINT NOT NULL,
    last_sequence BIGINT NOT NULL,
    CONSTRAINT batch_range_pkey PRIMARY KEY (scope_key, boot_key, spool_key, first_sequence)
);

CREATE TABLE segment (
    scope_key INTEGER NOT NULL,
    resource_key INTEGER NOT NULL,
    cell_ns BIGINT NOT NULL,
    batch_key BIGINT NOT NULL,
    boot_key INTEGER NOT NULL,
    first_at_ns BIGINT NOT NULL,
    last_at_ns BIGINT NOT NULL,
    samples INTEGER NOT NULL,
    interval_ns BIGINT NOT NULL,
    received_at_ns BIGINT NOT NULL,
    block BYTEA NOT NULL,
    CONSTRAINT segment_pkey PRIMARY KEY (scope_key, resource_key, cell_ns, batch_key)
)
 PARTITION BY RANGE (cell_ns);

CREATE TABLE segment_default PARTITION OF segment DEFAULT;

CREATE TABLE payload (
    batch_key BIGINT NOT NULL,
    received_at_ns BIGINT NOT NULL,
    form INTEGER NOT NULL,
    interval_ns BIGINT NOT NULL,
    body BYTEA NOT NULL,
    CONSTRAINT payload_pkey PRIMARY KEY (batch_key, received_at_ns)
)
 PARTITION BY RANGE (received_at_ns);

CREATE TABLE payload_default PARTITION OF payload DEFAULT;

ALTER TABLE payload ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE TABLE conflict (
    conflict_key BIGSERIAL NOT NULL,
    scope_key INTEGER NOT NULL,
    batch_key BIGINT NOT NULL,
    stored_hash BYTEA NOT NULL,
    sent_hash BYTEA NOT NULL,
    received_at_ns BIGINT NOT NULL,
    first_at_ns BIGINT NOT NULL,
    last_at_ns BIGINT NOT NULL,
    samples INTEGER NOT NULL,
    form INTEGER NOT NULL,
    interval_ns BIGINT NOT NULL,
    body BYTEA NOT NULL,
    CONSTRAINT conflict_pkey PRIMARY KEY (conflict_key),
    CONSTRAINT conflict_scope_key_batch_key_sent_hash_key UNIQUE (scope_key, batch_key, sent_hash)
);

CREATE TABLE dirty_hour (
    scope_key INTEGER NOT NULL,
    resource_key INTEGER NOT NULL,
    hour_ns BIGINT NOT NULL,
    generation BIGINT NOT NULL,
    CONSTRAINT dirty_hour_pkey PRIMARY KEY (scope_key, resource_key, hour_ns)
);

CREATE TABLE quarantine (
    quarantine_key BIGSERIAL NOT NULL,
    scope_key INTEGER NOT NULL,
    resource_id TEXT NOT NULL,
    received_at_ns BIGINT NOT NULL,
    sample_index INTEGER NOT NULL,
    field TEXT NOT NULL,
    value TEXT NOT NULL,
    CONSTRAINT quarantine_pkey PRIMARY KEY (quarantine_key)
);

CREATE INDEX quarantine_scope_key_resource_id_idx ON quarantine (scope_key, resource_id);

CREATE TABLE usage_record (
    record_key BIGSERIAL NOT NULL,
    scope_key INTEGER NOT NULL,
    source TEXT NOT NULL,
    record_id TEXT NOT NULL,
    resource_key INTEGER NOT NULL,
    meter TEXT NOT NULL,
    from_ns BIGINT NOT NULL,
    until_ns BIGINT NOT NULL,
    amount TEXT NOT NULL,
    content_hash BYTEA NOT NULL,
    received_at_ns BIGINT NOT NULL,
    CONSTRAINT usage_record_pkey PRIMARY KEY (record_key),
    CONSTRAINT usage_record_scope_key_source_record_id_meter_key UNIQUE (scope_key, source, record_id, meter)
);

CREATE INDEX usage_record_scope_key_resource_key_from_ns_idx ON usage_record (scope_key, resource_key, from_ns);

CREATE TABLE usage_hour (
    scope_key INTEGER NOT NULL,
    resource_key INTEGER NOT NULL,
    hour_ns BIGINT NOT NULL,
    cpu_used NUMERIC(39, 0),
    cpu_allocated NUMERIC(39, 0),
    memory_used NUMERIC(39, 0),
    memory_allocated NUMERIC(39, 0),
    disk_allocated NUMERIC(39, 0),
    disk_read NUMERIC(39, 0),
    disk_write NUMERIC(39, 0),
    disk_read_ops NUMERIC(39, 0),
    disk_write_ops NUMERIC(39, 0),
    network_rx NUMERIC(39, 0),
    network_tx NUMERIC(39, 0),
    gpu_allocated NUMERIC(39, 0),
    gpu_used NUMERIC(39, 0),
    gpu_memory_used NUMERIC(39, 0),
    http_requests NUMERIC(39, 0),
    uptime NUMERIC(39, 0),
    cpu_allocated_estimated NUMERIC(39, 0),
    memory_used_estimated NUMERIC(39, 0),
    memory_allocated_estimated NUMERIC(39, 0),
    gpu_allocated_estimated NUMERIC(39, 0),
    uptime_estimated NUMERIC(39, 0),
    samples BIGINT NOT NULL,
    memory_peak_bytes BIGINT,
    runs INTEGER NOT NULL,
    cells BYTEA NOT NULL,
    computed_at_ns BIGINT NOT NULL,
    sealed INTEGER DEFAULT 0 NOT NULL,
    CONSTRAINT usage_hour_pkey PRIMARY KEY (scope_key, resource_key, hour_ns)
)
 PARTITION BY RANGE (hour_ns);

CREATE TABLE usage_hour_default PARTITION OF usage_hour DEFAULT;

ALTER TABLE usage_hour ALTER COLUMN cells SET STORAGE EXTERNAL;

CREATE TABLE usage_day (
    scope_key INTEGER NOT NULL,
    resource_key INTEGER NOT NULL,
    start_ns BIGINT NOT NULL,
    end_ns BIGINT NOT NULL,
    zone TEXT NOT NULL,
    customer_id TEXT NOT NULL,
    date TEXT NOT NULL,
    cpu_used NUMERIC(39, 0),
    cpu_allocated NUMERIC(39, 0),
    memory_used NUMERIC(39, 0),
    memory_allocated NUMERIC(39, 0),
    disk_allocated NUMERIC(39, 0),
    disk_read NUMERIC(39, 0),
    disk_write NUMERIC(39, 0),
    disk_read_ops NUMERIC(39, 0),
    disk_write_ops NUMERIC(39, 0),
    network_rx NUMERIC(39, 0),
    network_tx NUMERIC(39, 0),
    gpu_allocated NUMERIC(39, 0),
    gpu_used NUMERIC(39, 0),
    gpu_memory_used NUMERIC(39, 0),
    http_requests NUMERIC(39, 0),
    uptime NUMERIC(39, 0),
    cpu_allocated_estimated NUMERIC(39, 0),
    memory_used_estimated NUMERIC(39, 0),
    memory_allocated_estimated NUMERIC(39, 0),
    gpu_allocated_estimated NUMERIC(39, 0),
    uptime_estimated NUMERIC(39, 0),
    samples BIGINT NOT NULL,
    memory_peak_bytes BIGINT,
    runs INTEGER NOT NULL,
    unknown_ns BIGINT NOT NULL,
    computed_at_ns BIGINT NOT NULL,
    sealed INTEGER DEFAULT 0 NOT NULL,
    CONSTRAINT usage_day_pkey PRIMARY KEY (scope_key, resource_key, start_ns, zone, customer_id)
);

CREATE TABLE usage_month (
    scope_key INTEGER NOT NULL,
    resource_key INTEGER NOT NULL,
    start_ns BIGINT NOT NULL,
    end_ns BIGINT NOT NULL,
    zone TEXT NOT NULL,
    customer_id TEXT NOT NULL,
    date TEXT NOT NULL,
    cpu_used NUMERIC(39, 0),
    cpu_allocated NUMERIC(39, 0),
    memory_used NUMERIC(39, 0),
    memory_allocated NUMERIC(39, 0),
    disk_allocated NUMERIC(39, 0),
    disk_read NUMERIC(39, 0),
    disk_write NUMERIC(39, 0),
    disk_read_ops NUMERIC(39, 0),
    disk_write_ops NUMERIC(39, 0),
    network_rx NUMERIC(39, 0),
    network_tx NUMERIC(39, 0),
    gpu_allocated NUMERIC(39, 0),
    gpu_used NUMERIC(39, 0),
    gpu_memory_used NUMERIC(39, 0),
    http_requests NUMERIC(39, 0),
    uptime NUMERIC(39, 0),
    cpu_allocated_estimated NUMERIC(39, 0),
    memory_used_estimated NUMERIC(39, 0),
    memory_allocated_estimated NUMERIC(39, 0),
    gpu_allocated_estimated NUMERIC(39, 0),
    uptime_estimated NUMERIC(39, 0),
    samples BIGINT NOT NULL,
    memory_peak_bytes BIGINT,
    runs INTEGER NOT NULL,
    unknown_ns BIGINT NOT NULL,
    computed_at_ns BIGINT NOT NULL,
    sealed INTEGER DEFAULT 0 NOT NULL,
    CONSTRAINT usage_month_pkey PRIMARY KEY (scope_key, resource_key, start_ns, zone, customer_id)
);

CREATE TABLE gap (
    scope_key INTEGER NOT NULL,
    resource_key INTEGER NOT NULL,
    from_ns BIGINT NOT NULL,
    until_ns BIGINT NOT NULL,
    filled TEXT NOT NULL,
    cause TEXT NOT NULL,
    noticed_at_ns BIGINT NOT NULL,
    CONSTRAINT gap_pkey PRIMARY KEY (scope_key, resource_key, from_ns, until_ns)
);

CREATE TABLE gap_log (
    gap_key BIGSERIAL NOT NULL,
    scope_key INTEGER NOT NULL,
    resource_key INTEGER NOT NULL,
    from_ns BIGINT NOT NULL,
    until_ns BIGINT NOT NULL,
    filled TEXT NOT NULL,
    cause TEXT NOT NULL,
    noticed_at_ns BIGINT NOT NULL,
    closed_at_ns BIGINT NOT NULL,
    CONSTRAINT gap_log_pkey PRIMARY KEY (gap_key)
);

CREATE INDEX gap_log_scope_key_resource_key_from_ns_idx ON gap_log (scope_key, resource_key, from_ns);

CREATE TABLE finding (
    scope_key INTEGER NOT NULL,
    resource_key INTEGER NOT NULL,
    at_ns BIGINT NOT NULL,
    code TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    record TEXT NOT NULL,
    severity TEXT NOT NULL,
    counters TEXT NOT NULL,
    detail TEXT NOT NULL,
    CONSTRAINT finding_pkey PRIMARY KEY (scope_key, resource_key, at_ns, code, boot_id, record)
);

CREATE TABLE job_run (
    job TEXT NOT NULL,
    scope TEXT NOT NULL,
    period TEXT NOT NULL,
    state TEXT NOT NULL,
    owner TEXT NOT NULL,
    fence BIGINT NOT NULL,
    lease_until_ms BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    claimed_at_ms BIGINT NOT NULL,
    done_at_ms BIGINT,
    failure TEXT,
    CONSTRAINT job_run_pkey PRIMARY KEY (job, scope, period)
);

CREATE TABLE scope (
    scope_key SERIAL NOT NULL,
    seller_key INTEGER NOT NULL,
    scope_id TEXT NOT NULL,
    created_at_ns BIGINT NOT NULL,
    CONSTRAINT scope_pkey PRIMARY KEY (scope_key),
    CONSTRAINT scope_seller_key_scope_id_key UNIQUE (seller_key, scope_id),
    CONSTRAINT scope_seller_key_fkey FOREIGN KEY(seller_key) REFERENCES seller (seller_key)
);

CREATE TABLE customer (
    customer_key SERIAL NOT NULL,
    seller_key INTEGER NOT NULL,
    customer_id TEXT NOT NULL,
    document TEXT NOT NULL,
    created_at_ns BIGINT NOT NULL,
    changed_at_ns BIGINT NOT NULL,
    CONSTRAINT customer_pkey PRIMARY KEY (customer_key),
    CONSTRAINT customer_seller_key_customer_id_key UNIQUE (seller_key, customer_id),
    CONSTRAINT customer_seller_key_fkey FOREIGN KEY(seller_key) REFERENCES seller (seller_key)
);

CREATE TABLE price_book (
    book_key SERIAL NOT NULL,
    seller_key INTEGER NOT NULL,
    book_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    state TEXT NOT NULL,
    effective_from_ns BIGINT NOT NULL,
    effective_until_ns BIGINT,
    corrects INTEGER,
    digest TEXT NOT NULL,
    book TEXT NOT NULL,
    document TEXT NOT NULL,
    created_at_ns BIGINT NOT NULL,
    activated_at_ns BIGINT,
    CONSTRAINT price_book_pkey PRIMARY KEY (book_key),
    CONSTRAINT price_book_seller_key_book_id_version_key UNIQUE (seller_key, book_id, version),
    CONSTRAINT price_book_seller_key_fkey FOREIGN KEY(seller_key) REFERENCES seller (seller_key)
);

CREATE TABLE subscription (
    subscription_key SERIAL NOT NULL,
    seller_key INTEGER NOT NULL,
    subscription_id TEXT NOT NULL,
    customer_id TEXT NOT NULL,
    plan_id TEXT NOT NULL,
    start_ns BIGINT NOT NULL,
    end_ns BIGINT,
    document TEXT NOT NULL,
    created_at_ns BIGINT NOT NULL,
    changed_at_ns BIGINT NOT NULL,
    CONSTRAINT subscription_pkey PRIMARY KEY (subscription_key),
    CONSTRAINT subscription_seller_key_subscription_id_key UNIQUE (seller_key, subscription_id),
    CONSTRAINT subscription_seller_key_fkey FOREIGN KEY(seller_key) REFERENCES seller (seller_key)
);

CREATE INDEX subscription_seller_key_customer_id_idx ON subscription (seller_key, customer_id);

CREATE TABLE invoice (
    invoice_key BIGSERIAL NOT NULL,
    seller_key INTEGER NOT NULL,
    invoice_id TEXT NOT NULL,
    customer_id TEXT NOT NULL,
    run TEXT NOT NULL,
    currency TEXT NOT NULL,
    revision INTEGER NOT NULL,
    state TEXT NOT NULL,
    series TEXT,
    fiscal_year INTEGER,
    number_value BIGINT,
    number TEXT,
    period_start_ns BIGINT NOT NULL,
    period_end_ns BIGINT NOT NULL,
    closing_ns BIGINT NOT NULL,
    net_minor BIGINT NOT NULL,
    total_minor BIGINT NOT NULL,
    issued_at_ns BIGINT,
    due_at_ns BIGINT,
    content_hash TEXT NOT NULL,
    evidence_hash TEXT NOT NULL,
    document BYTEA NOT NULL,
    created_at_ns BIGINT NOT NULL,
    changed_at_ns BIGINT NOT NULL,
    CONSTRAINT invoice_pkey PRIMARY KEY (invoice_key),
    CONSTRAINT invoice_seller_key_invoice_id_key UNIQUE (seller_key, invoice_id),
    CONSTRAINT invoice_seller_key_customer_id_run_currency_revision_key UNIQUE (seller_key, customer_id, run, currency, revision),
    CONSTRAINT invoice_seller_key_series_fiscal_year_number_value_key UNIQUE (seller_key, series, fiscal_year, number_value),
    CONSTRAINT invoice_seller_key_number_key UNIQUE (seller_key, number),
    CONSTRAINT invoice_seller_key_fkey FOREIGN KEY(seller_key) REFERENCES seller (seller_key)
);

CREATE TABLE evidence (
    seller_key INTEGER NOT NULL,
    evidence_hash TEXT NOT NULL,
    body BYTEA NOT NULL,
    created_at_ns BIGINT NOT NULL,
    CONSTRAINT evidence_pkey PRIMARY KEY (seller_key, evidence_hash),
    CONSTRAINT evidence_seller_key_fkey FOREIGN KEY(seller_key) REFERENCES seller (seller_key)
);

ALTER TABLE evidence ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE TABLE number_series (
    seller_key INTEGER NOT NULL,
    series TEXT NOT NULL,
    fiscal_year INTEGER NOT NULL,
    last_number BIGINT NOT NULL,
    CONSTRAINT number_series_pkey PRIMARY KEY (seller_key, series, fiscal_year),
    CONSTRAINT number_series_seller_key_fkey FOREIGN KEY(seller_key) REFERENCES seller (seller_key)
);

CREATE TABLE outbox (
    outbox_key BIGSERIAL NOT NULL,
    commit_seq BIGINT DEFAULT (pg_current_xact_id()::text)::bigint NOT NULL,
    seller_key INTEGER NOT NULL,
    topic TEXT NOT NULL,
    subject TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at_ns BIGINT NOT NULL,
    attempts INTEGER DEFAULT 0 NOT NULL,
    due_at_ns BIGINT NOT NULL,
    done_at_ns BIGINT,
    failure TEXT,
    CONSTRAINT outbox_pkey PRIMARY KEY (outbox_key),
    CONSTRAINT outbox_seller_key_fkey FOREIGN KEY(seller_key) REFERENCES seller (seller_key)
);

CREATE INDEX outbox_done_at_ns_due_at_ns_idx ON outbox (done_at_ns, due_at_ns);

CREATE TABLE audit_log (
    audit_key BIGSERIAL NOT NULL,
    commit_seq BIGINT DEFAULT (pg_current_xact_id()::text)::bigint NOT NULL,
    seller_key INTEGER NOT NULL,
    at_ns BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    details TEXT NOT NULL,
    CONSTRAINT audit_log_pkey PRIMARY KEY (audit_key),
    CONSTRAINT audit_log_seller_key_fkey FOREIGN KEY(seller_key) REFERENCES seller (seller_key)
);

CREATE INDEX audit_log_commit_seq_audit_key_idx ON audit_log (commit_seq, audit_key);

CREATE INDEX audit_log_seller_key_subject_idx ON audit_log (seller_key, subject);

CREATE TABLE setting (
    seller_key INTEGER NOT NULL,
    name TEXT NOT NULL,
    document TEXT NOT NULL,
    changed_at_ns BIGINT NOT NULL,
    CONSTRAINT setting_pkey PRIMARY KEY (seller_key, name),
    CONSTRAINT setting_seller_key_fkey FOREIGN KEY(seller_key) REFERENCES seller (seller_key)
);

CREATE TABLE api_key (
    api_key_key SERIAL NOT NULL,
    scope_key INTEGER NOT NULL,
    key_id TEXT NOT NULL,
    key_hash BYTEA NOT NULL,
    role TEXT NOT NULL,
    name TEXT NOT NULL,
    customers TEXT NOT NULL,
    regions TEXT NOT NULL,
    profile TEXT NOT NULL,
    created_at_ns BIGINT NOT NULL,
    expires_at_ns BIGINT,
    revoked_at_ns BIGINT,
    CONSTRAINT api_key_pkey PRIMARY KEY (api_key_key),
    CONSTRAINT api_key_key_hash_key UNIQUE (key_hash),
    CONSTRAINT api_key_scope_key_key_id_key UNIQUE (scope_key, key_id),
    CONSTRAINT api_key_scope_key_fkey FOREIGN KEY(scope_key) REFERENCES scope (scope_key)
);

CREATE TABLE resource (
    resource_key SERIAL NOT NULL,
    scope_key INTEGER NOT NULL,
    resource_id TEXT NOT NULL,
    first_seen_at_ns BIGINT NOT NULL,
    generation BIGINT NOT NULL,
    latest_boot_key INTEGER DEFAULT 0 NOT NULL,
    event_at_ns BIGINT,
    disk_from_ns BIGINT,
    disk_until_ns BIGINT,
    disk_marked_ns BIGINT,
    sealed_until_ns BIGINT,
    customer_id TEXT DEFAULT '' NOT NULL,
    name TEXT DEFAULT '' NOT NULL,
    kind TEXT DEFAULT '' NOT NULL,
    region TEXT DEFAULT '' NOT NULL,
    labels TEXT DEFAULT '{}' NOT NULL,
    CONSTRAINT resource_pkey PRIMARY KEY (resource_key),
    CONSTRAINT resource_scope_key_resource_id_key UNIQUE (scope_key, resource_id),
    CONSTRAINT resource_scope_key_fkey FOREIGN KEY(scope_key) REFERENCES scope (scope_key)
);

CREATE TABLE agent (
    agent_key SERIAL NOT NULL,
    scope_key INTEGER NOT NULL,
    instance_id TEXT NOT NULL,
    at_ns BIGINT NOT NULL,
    received_at_ns BIGINT NOT NULL,
    reported_until_ns BIGINT NOT NULL,
    active TEXT NOT NULL,
    spool_depth BIGINT NOT NULL,
    missed_ticks BIGINT NOT NULL,
    CONSTRAINT agent_pkey PRIMARY KEY (agent_key),
    CONSTRAINT agent_scope_key_instance_id_key UNIQUE (scope_key, instance_id),
    CONSTRAINT agent_scope_key_fkey FOREIGN KEY(scope_key) REFERENCES scope (scope_key)
);

CREATE TABLE invoice_line (
    seller_key INTEGER NOT NULL,
    invoice_key BIGINT NOT NULL,
    ordinal INTEGER NOT NULL,
    line_key TEXT NOT NULL,
    kind TEXT NOT NULL,
    subscription_id TEXT NOT NULL,
    charge_id TEXT NOT NULL,
    plan_id TEXT NOT NULL,
    book_id TEXT NOT NULL,
    book_version INTEGER NOT NULL,
    tier INTEGER NOT NULL,
    service_start_ns BIGINT NOT NULL,
    service_end_ns BIGINT NOT NULL,
    meter TEXT NOT NULL,
    quantity TEXT NOT NULL,
    unit TEXT NOT NULL,
    unit_price TEXT NOT NULL,
    unrounded TEXT NOT NULL,
    amount_minor BIGINT NOT NULL,
    currency TEXT NOT NULL,
    CONSTRAINT invoice_line_pkey PRIMARY KEY (seller_key, invoice_key, ordinal),
    CONSTRAINT invoice_line_invoice_key_fkey FOREIGN KEY(invoice_key) REFERENCES invoice (invoice_key)
);

CREATE TABLE idempotency_key (
    scope_key INTEGER NOT NULL,
    actor TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    request_hash BYTEA NOT NULL,
    status INTEGER,
    answer BYTEA,
    created_at_ns BIGINT NOT NULL,
    CONSTRAINT idempotency_key_pkey PRIMARY KEY (scope_key, actor, idempotency_key),
    CONSTRAINT idempotency_key_scope_key_fkey FOREIGN KEY(scope_key) REFERENCES scope (scope_key)
);

CREATE TABLE resource_customer (
    scope_key INTEGER NOT NULL,
    customer_id TEXT NOT NULL,
    resource_key INTEGER NOT NULL,
    CONSTRAINT resource_customer_scope_key_customer_id_resource_key_key UNIQUE (scope_key, customer_id, resource_key),
    CONSTRAINT resource_customer_resource_key_fkey FOREIGN KEY(resource_key) REFERENCES resource (resource_key)
);

CREATE TABLE resource_fact (
    fact_key BIGSERIAL NOT NULL,
    scope_key INTEGER NOT NULL,
    resource_key INTEGER NOT NULL,
    at_ns BIGINT NOT NULL,
    received_at_ns BIGINT NOT NULL,
    origin TEXT NOT NULL,
    customer_id TEXT,
    name TEXT,
    kind TEXT,
    region TEXT,
    labels TEXT,
    vcpus BIGINT,
    memory_bytes BIGINT,
    disk_bytes BIGINT,
    gpus BIGINT,
    deleted INTEGER NOT NULL,
    content_hash BYTEA NOT NULL,
    CONSTRAINT resource_fact_pkey PRIMARY KEY (fact_key),
    CONSTRAINT resource_fact_scope_key_resource_key_at_ns_origin_conte_cf2f UNIQUE (scope_key, resource_key, at_ns, origin, content_hash),
    CONSTRAINT resource_fact_resource_key_fkey FOREIGN KEY(resource_key) REFERENCES resource (resource_key)
);

CREATE TABLE lifecycle_event (
    event_key BIGSERIAL NOT NULL,
    scope_key INTEGER NOT NULL,
    resource_key INTEGER NOT NULL,
    boot_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    at_ns BIGINT NOT NULL,
    last_sent_ns BIGINT NOT NULL,
    received_at_ns BIGINT NOT NULL,
    CONSTRAINT lifecycle_event_pkey PRIMARY KEY (event_key),
    CONSTRAINT lifecycle_event_scope_key_resource_key_boot_id_kind_at__ea64 UNIQUE (scope_key, resource_key, boot_id, kind, at_ns, last_sent_ns),
    CONSTRAINT lifecycle_event_resource_key_fkey FOREIGN KEY(resource_key) REFERENCES resource (resource_key)
);

CREATE INDEX lifecycle_event_at_idx ON lifecycle_event (scope_key, resource_key, at_ns);
