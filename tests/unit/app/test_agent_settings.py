from __future__ import annotations

from pathlib import Path

import pytest

from tallystick.app.agent_settings import AgentSettings, AgentSettingsError, load_settings
from tallystick.app.settings import Settings


def test_the_defaults_that_are_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TALLY_STATE_DIR", raising=False)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    settings = load_settings(None, {})
    assert settings.enabled
    assert settings.endpoint == "http://localhost:8080"
    assert (settings.interval_ns, settings.batch_size, settings.batch_seconds) == (10**8, 600, 60)
    assert settings.heartbeat_interval_seconds == 30
    assert settings.spool_directory == Path("/var/lib/tallystick/spool")
    assert (settings.memory, settings.source, settings.customer) == ("working_set", "auto", "")
    assert settings.agent_id == settings.host


def test_the_environment_beats_the_file(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text('batch_size = 100\nhost = "a"\ncgroup_match = ["x/*", "y"]\nenabled = false\nmetrics_per_resource = true\n')
    settings = load_settings(
        None, {"TALLY_AGENT_FILE": str(file), "TALLY_AGENT_HOST": "b", "TALLY_AGENT_PROC_MATCH": "p*, q", "OTHER": "1"}
    )
    assert (settings.batch_size, settings.host, settings.enabled, settings.metrics_per_resource) == (100, "b", False, True)
    assert (settings.cgroup_match, settings.proc_match) == (("x/*", "y"), ("p*", "q"))


def test_a_setting_of_the_server_that_begins_alike_is_none_of_the_agent() -> None:
    ours = {f"TALLY_{name.upper()}" for name in Settings.model_fields if name.startswith("agent_")}
    assert ours == {"TALLY_AGENT_AWAY_SECONDS"}
    assert load_settings(None, dict.fromkeys(ours, "20")).batch_size == AgentSettings().batch_size


def test_the_state_directory_holds_the_spool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLY_STATE_DIR", "/srv/tally")
    assert AgentSettings().spool_directory == Path("/srv/tally/spool")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ENABLED", "perhaps"),
        ("ENDPOINT", "localhost:8080"),
        ("ENDPOINT", "ftp://x"),
        ("ENDPOINT", "http://x:99999"),
        ("COLLECTION_INTERVAL_MS", "5"),
        ("COLLECTION_INTERVAL_MS", "100ms"),
        ("BATCH_SIZE", "0"),
        ("BATCH_SECONDS", "-1"),
        ("KEY_FILE", "/nonexistent/key"),
        ("MAPPING_FILE", "/nonexistent/map"),
        ("CGROUP_ROOT", "/nonexistent"),
        ("SPOOL_DIRECTORY", "relative"),
        ("SOURCE", "magic"),
        ("MEMORY", "rss"),
        ("LOG_LEVEL", "loud"),
        ("METRICS_LISTEN", "9464"),
        ("CUSTOMER_PATTERN", "tenants/*"),
        ("THROTTLE_RULE_DEVICES", "sda"),
        ("COLOUR", "red"),
    ],
)
def test_a_wrong_one_is_refused_with_its_name_and_value(name: str, value: str) -> None:
    with pytest.raises(AgentSettingsError) as refused:
        load_settings(None, {f"TALLY_AGENT_{name}": value})
    assert f"TALLY_AGENT_{name} = {value!r}" in str(refused.value)


def test_all_mistakes_are_told_at_once_those_of_the_file_too(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text('batch_size = "many"\nhost = 7\ncgroup_match = [1]\nenabled = true\n')
    with pytest.raises(AgentSettingsError) as refused:
        load_settings(file, {"TALLY_AGENT_MEMORY": "rss"})
    text = str(refused.value)
    assert text.count("\n") == 3
    assert f"{file}: batch_size = 'many'" in text
    with pytest.raises(AgentSettingsError, match="FILE"):
        load_settings(tmp_path / "absent.toml", {})
